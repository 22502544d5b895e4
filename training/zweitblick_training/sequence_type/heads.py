"""Heads that teach the series-type network, and those that are kept from it."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from zweitblick_training.brain_mask.heads import Head, coarse, stripped_head, whole_head
from zweitblick_training.cases import Masks, with_brain
from zweitblick_training.datasets.packed import LGG_GROUP, packed_names, read_packed

TEST_STRIPPED = (
    *("BraTS2021_00031", "BraTS2021_01426", "Brats18_2013_3_1", "Brats18_CBICA_ALU_1", "Brats18_CBICA_AOP_1"),
    *("Brats18_CBICA_AQP_1", "Brats18_CBICA_ASA_1", "Brats18_CBICA_ASV_1", "Brats18_TCIA01_201_1"),
    *("Brats18_TCIA01_499_1", "MS_patient19"),
)
"""The tests of fold 0 of ``training/holdout.json``, by which this network was judged."""

WHOLE_HELD_BACK, WHOLE_SEED = 8, 0
"""Whole heads held back, and the seed that draws them."""


@dataclass(frozen=True)
class Sides:
    """Names of the cases learnt from, tested on, and left out because they may be tested patients."""

    train: tuple[str, ...]
    test: tuple[str, ...]
    left_out: tuple[str, ...]


def sides(data: Path) -> Sides:
    """Split the packed cases by patient.

    Some BraTS cases may be patients of ``lgg``; since ``lgg`` heads are tested on, those cases are left out.

    Parameters
    ----------
    data
        Folder of the packed data sets.
    """
    whole = packed_names(data, "lgg")
    drawn = np.random.default_rng(WHOLE_SEED).choice(whole, WHOLE_HELD_BACK, replace=False)
    test = (*TEST_STRIPPED, *sorted(str(name) for name in drawn))
    stripped = [name for source in ("brats", "nontumour") for name in packed_names(data, source)]
    left_out = tuple(name for name in stripped if name.startswith(LGG_GROUP))
    train = tuple(name for name in (*whole, *stripped) if name not in {*test, *left_out})
    return Sides(train, test, left_out)


def draw_masks(data: Path, folder: Path, masks: Masks) -> None:
    """Write ``<case>.npz`` (key ``brain``) for each whole head; those that exist stay.

    Parameters
    ----------
    data
        Folder of the packed data sets.
    folder
        Folder to write to; a mask is renamed into place when it is complete.
    masks
        Who draws them.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name in packed_names(data, "lgg"):
        path = folder / f"{name}.npz"
        if path.exists():
            continue
        _, brain = with_brain(read_packed(data, "lgg", name), masks)
        part = path.with_suffix(".part")
        with part.open("wb") as file:
            np.savez_compressed(file, brain=brain)
        part.replace(path)


def training_heads(data: Path, teacher: Path) -> list[Head]:
    """Read the heads of the training side at about 2 mm."""
    return [coarse(head) for head in _heads(data, teacher, sides(data).train)]


def held_back_heads(data: Path, teacher: Path) -> list[Head]:
    """Read the heads of the test side as they are stored."""
    return _heads(data, teacher, sides(data).test)


def _heads(data: Path, teacher: Path, names: tuple[str, ...]) -> list[Head]:
    heads = [whole_head(data, teacher, name) for name in packed_names(data, "lgg") if name in names]
    for source in ("brats", "nontumour"):
        heads += [stripped_head(data, source, name) for name in packed_names(data, source) if name in names]
    return heads
