"""The card of the series-type network, written from its figures."""

from collections.abc import Mapping, Sequence

from zweitblick.model.sequence_network import SURE
from zweitblick_training.evaluate.markdown import table
from zweitblick_training.sequence_type.evaluate import Look, counts, summary
from zweitblick_training.sequence_type.recipe import SequenceTypeRecipe

INTRODUCTION = """# Series type

Tells by the picture alone whether one MR volume of a head is T1, T1c, T2, FLAIR or something else. It has one vote
where headers leave that open, and warns where headerless files look as if they were given in the wrong order. Research
use; not validated for any clinical purpose. Licence: CC BY-NC-SA 4.0, as the data asks."""

METHOD = """## How it works

The head's box is brought to 12 slices of 80 x 80 pixels along the patient's axes; air is 0 and mean tissue 1, and each
voxel's rank among the tissue's intensities is a second channel. {filters} filters of {edge} x {edge} pixels, at two
scales, were learnt without labels by spherical k-means on whitened patches (Coates and Ng 2012); mean, root mean square
and mean slice maximum of their answers go through one linear layer."""

LEARNT = """## What it learnt from

{train} patients of TCGA-LGG (whole heads; masks by this project's own brain-mask network, which learnt from some of
them), BraTS 2018-2021 and Lesjak 2018 (stripped heads), {pictures} pictures drawn from them, each shown {showings}
times: whole, stripped, fat-suppressed, thick slices, cut views, any of 48 orientations, wrong spacing. There was no
whole head with T2, so those are stripped T2 brains fitted into other heads. "Other" is made from the four sequences:
diffusion, susceptibility, subtraction, angiography, localizers, maps, masks, CT-like images, pieces, no head at all.
None of these is a real scan. `splits.json` names every case; {left_out} that may be tested patients were left out."""

RESULTS = """## How good it is

{test} held-back patients, through the code that serves. An opinion is *sure* from a probability of {sure:g} on; only
sure ones have a vote. {right} of {images} opinions are right, and {sure_and_right} of {sure_count} sure ones.
The schedule was not chosen by these figures."""

LIMITS = """## Limits

Few hospitals. Real images of other kinds were never shown. No vote overrules headers that agree."""

COLUMNS = ("source", "condition", "kind", "images", "right", "sure", "sure and right")


def card(looks: list[Look], recipe: SequenceTypeRecipe, splits: Mapping[str, Sequence[str]]) -> str:
    """Compose the card.

    Parameters
    ----------
    looks
        Opinions on held-back images.
    recipe
        What was trained.
    splits
        Names of the cases under ``train``, ``test`` and ``left_out``.
    """
    every = counts(looks)
    filters = recipe.fine_filters + recipe.coarse_filters
    learnt = LEARNT.format(
        train=len(splits["train"]),
        left_out=len(splits["left_out"]),
        pictures=recipe.pictures,
        showings=recipe.showings,
    )
    results = RESULTS.format(
        test=len(splits["test"]),
        sure=SURE,
        right=every["right"],
        images=every["images"],
        sure_count=every["sure"],
        sure_and_right=every["sure_and_right"],
    )
    rows = [[str(value) for value in row.values()] for row in summary(looks)]
    parts = [INTRODUCTION, METHOD.format(filters=filters, edge=recipe.edge), learnt, results, table(COLUMNS, rows)]
    return "\n\n".join([*parts, LIMITS]) + "\n"
