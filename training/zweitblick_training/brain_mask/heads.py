"""Heads to learn from: packed public cases with a brain mask, and which of them are held back."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from zweitblick.study import Sequence
from zweitblick.volume import Bool, Grid, Volume
from zweitblick_training.cases import stripped_brain
from zweitblick_training.datasets import RawCase
from zweitblick_training.datasets.packed import (
    LGG_BRAIN_HEIGHT_MM,
    LGG_GROUP,
    LGG_IN_PLANE_MM,
    packed_names,
    read_packed,
)

TYPICAL_BRAIN_ML = 1350.0
"""Mean adult brain (Dekaban and Sadowsky, Ann Neurol 1978;4:345): scales the guessed slice distance."""
TEST_WHOLE = (
    "TCGA_CS_4944_20010208",
    "TCGA_DU_6408_19860521",
    "TCGA_DU_7304_19930325",
    "TCGA_FG_6688_20020215",
    "TCGA_HT_7473_19970826",
    "TCGA_HT_A61A_20000127",
)
TEST_STRIPPED = (
    "Brats18_CBICA_APY_1",
    "Brats18_CBICA_ATD_1",
    "Brats18_2013_3_1",
    "Brats18_TCIA02_606_1",
    "BraTS2021_00014",
    "BraTS2021_01531",
    "MS_patient19",
)


@dataclass(frozen=True, eq=False)
class Head:
    """One patient's co-registered sequences with the brain's mask.

    Parameters
    ----------
    name
        Case in its data set.
    sequences
        Values ``(K, J, I)`` by sequence; empty ones are left out.
    brain
        ``(K, J, I)`` mask on the same grid.
    grid
        The common grid; of whole heads with a guessed spacing.
    stripped
        Whether everything but the brain was removed before.
    """

    name: str
    sequences: Mapping[Sequence, NDArray[np.generic]]
    brain: Bool
    grid: Grid
    stripped: bool

    def volume(self, sequence: Sequence) -> Volume:
        """Return one sequence as a volume."""
        return Volume(self.sequences[sequence].astype(np.float32), self.grid)


def training_heads(data: Path, teacher: Path) -> list[Head]:
    """Read all heads that may be learnt from, at about 2 mm."""
    held_back = {*TEST_WHOLE, *TEST_STRIPPED}
    whole = [name for name in packed_names(data, "lgg") if name not in held_back]
    heads = [coarse(whole_head(data, teacher, name)) for name in whole]
    for source in ("brats", "nontumour"):
        names = [name for name in packed_names(data, source) if name not in held_back]
        heads += [coarse(stripped_head(data, source, name)) for name in names if not name.startswith(LGG_GROUP)]
    return heads


def whole_head(data: Path, teacher: Path, name: str) -> Head:
    """Read a whole head with the teacher's mask; its slice distance is the one that gives a brain of usual size."""
    with np.load(teacher / f"{name}.npz", allow_pickle=False) as stored:
        brain = stored["brain"]
    mm_for_typical = TYPICAL_BRAIN_ML * 1000 / (brain.sum() * LGG_IN_PLANE_MM**2)
    packed = read_packed(data, "lgg", name, slice_distance_mm=float(np.clip(mm_for_typical, 2.0, 7.0)))
    return Head(name, _by_sequence(packed), brain, packed.labels.grid, stripped=False)


def averaged(volume: Volume, counts: tuple[int, int, int]) -> Volume:
    """Average blocks of neighbouring voxels; what is left over at an axis' end is dropped.

    Parameters
    ----------
    volume
        Any volume.
    counts
        Voxels ``(K, J, I)`` that become one.
    """
    k, j, i = (size // count for size, count in zip(volume.shape, counts, strict=True))
    whole = volume.voxels[: k * counts[0], : j * counts[1], : i * counts[2]]
    blocks = whole.reshape(k, counts[0], j, counts[1], i, counts[2])
    coarse_index = np.diag([*counts, 1.0])
    coarse_index[:3, 3] = (np.array(counts) - 1) / 2
    grid = Grid((k, j, i), volume.lps_from_index @ coarse_index)
    return Volume(blocks.mean(axis=(1, 3, 5), dtype=np.float32), grid)


def coarse(head: Head) -> Head:
    """Halve the resolution along axes finer than 1.5 mm: the network sees 2 mm, and samples are drawn faster."""
    k, j, i = (2 if spacing < 1.5 else 1 for spacing in head.grid.spacing_mm)
    volumes = {name: averaged(head.volume(name), (k, j, i)) for name in head.sequences}
    brain = averaged(Volume(head.brain.astype(np.float32), head.grid), (k, j, i))
    values = {name: volume.voxels for name, volume in volumes.items()}
    return Head(head.name, values, brain.voxels > 0.5, brain.grid, head.stripped)


def lgg_slice_mm(slices: int) -> float:
    """Guess the slice distance from the slice count alone, 2 to 7 mm: the stacks are about 130 mm high."""
    return float(np.clip(LGG_BRAIN_HEIGHT_MM / slices, 2.0, 7.0))


def stripped_head(data: Path, source: str, name: str) -> Head:
    """Read a skull-stripped head; its mask is what any sequence has left, with cavities filled."""
    packed = read_packed(data, source, name)
    brain = stripped_brain(packed.volumes.values())
    return Head(name, _by_sequence(packed), brain, packed.labels.grid, stripped=True)


def _by_sequence(packed: RawCase) -> dict[Sequence, NDArray[np.generic]]:
    """Leave out sequences that are empty, or a copy of a later one put in where one was missing."""
    images: dict[Sequence, NDArray[np.generic]] = {
        sequence: volume.voxels.astype(np.uint8) for sequence, volume in packed.volumes.items()
    }
    names = list(images)
    return {
        name: images[name]
        for number, name in enumerate(names)
        if images[name].std() > 1.0
        and not any(np.array_equal(images[name], images[other]) for other in names[number + 1 :])
    }
