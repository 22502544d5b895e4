"""The worst cases as pictures, for whoever trains; they show patients and belong in no bundle."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from zweitblick.model.bundle import Bundles
from zweitblick.prediction import REGIONS, Prediction, Region
from zweitblick.study import Sequence
from zweitblick.volume import Bool, Float32
from zweitblick_training.cases import outline_from_reference, own_from_reference
from zweitblick_training.datasets import RawCase
from zweitblick_training.evaluate.case import CaseReader
from zweitblick_training.evaluate.record import CaseScore, Record
from zweitblick_training.scores import region_mask

WORST = 3

SHOWN = (Sequence.FLAIR, Sequence.T1C)
"""Panels, from left to right; each without and with the outlines."""

BLACK, WHITE = 1.0, 99.5
"""Percentiles of what is not air."""

Colour = tuple[int, int, int]
DRAWN: Colour = (60, 220, 90)
FOUND: Colour = (240, 60, 60)
"""Whole tumour as drawn by experts and as found."""

Picture = NDArray[np.uint8]


def worst_cases(records: Iterable[Record]) -> list[str]:
    """Names of the cases with the lowest Dice of the whole tumour, the worst first."""
    scores = [one for one in records if isinstance(one, CaseScore) and one.asked.everything and one.has_tumour]
    ordered = sorted(scores, key=lambda one: (one.regions[Region.WT].dice, one.asked.name))
    return [one.asked.name for one in ordered[:WORST]]


def draw_worst(cases: Iterable[RawCase], bundles: Bundles, records: Iterable[Record], folder: Path) -> list[Path]:
    """Draw the worst cases; they are read again, through the same code.

    Parameters
    ----------
    cases
        Those that the networks judge; the others among them are passed over.
    bundles
        The networks that judged.
    records
        Of them.
    folder
        Of the run, outside of the repository and of the bundle.

    Returns
    -------
    list of Path
        One PNG a case, green where drawn and red where found, at the slice with most tumour.
    """
    wanted = set(worst_cases(records))
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for case in cases:
        if case.name in wanted:
            reader = CaseReader(case, bundles)
            path = folder / f"{case.name}.png"
            Image.fromarray(picture(reader.case, reader.prediction())).save(path)
            paths.append(path)
    return paths


def picture(case: RawCase, prediction: Prediction) -> Picture:
    """Panels ``(rows, columns, 3)`` uint8 of the slice with most tumour, drawn or found, on the grid of the labels."""
    grid = case.labels.grid
    drawn = region_mask(case.labels.voxels.astype(np.uint8), Region.WT)
    found = prediction.resampled(grid).mask(REGIONS[-1])
    plane = int(np.argmax((drawn | found).sum(axis=(1, 2))))
    moves = own_from_reference(case)
    reference_from_outline = np.linalg.inv(outline_from_reference(case, moves))
    panels = []
    for sequence in SHOWN:
        if sequence in case.volumes:
            move = moves[sequence] @ reference_from_outline
            grey = _grey(case.volumes[sequence].resampled(grid, own_from_grid_lps=move).voxels[plane])
            panels += [grey, _outlined(_outlined(grey, drawn[plane], DRAWN), found[plane], FOUND)]
    return np.concatenate(panels, axis=1)


def _grey(values: Float32) -> Picture:
    tissue = values[values > values.min()]
    low, high = np.percentile(tissue, (BLACK, WHITE)) if tissue.size else (0.0, 1.0)
    grey = np.clip((values - low) / max(high - low, 1e-6), 0, 1)
    return np.repeat((grey * 255).astype(np.uint8)[..., None], 3, axis=2)


def _outlined(image: Picture, mask: Bool, colour: Colour) -> Picture:
    edge = mask & ~ndimage.binary_erosion(mask)
    return np.where(edge[..., None], np.array(colour, np.uint8), image)
