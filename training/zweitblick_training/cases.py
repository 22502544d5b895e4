"""Cases: public data sets as zweitblick Volumes, prepared by the product's own code; splits by patient."""

import json
import lzma
from collections.abc import Iterable, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from zweitblick.model.prepare import CHANNELS, Prepared, prepare
from zweitblick.prediction import CORE, ENHANCING, OEDEMA, REGIONS, Region
from zweitblick.study import Sequence
from zweitblick.volume import RAS_FROM_LPS, Bool, Float32, Grid, Volume
from zweitblick_training.case import Case

E2E_PATIENT = "TCGA_FG_6692"
"""The end-to-end check: in no training, ever."""

LGG_GROUP = ("Brats18_TCIA10_", "Brats18_TCIA13_", "BraTS2021_0147", "BraTS2021_0148", "TCGA_")
"""BraTS cases that are or may be TCGA-LGG patients, and those patients: always on one side of a split."""

LGG_IN_PLANE_MM = 0.9
LGG_BRAIN_HEIGHT_MM = 130.0
"""The packed lower-grade slices record no spacing; an adult brain is about 130 mm high, which gives the distance."""

LABELS = {
    "brats": {1: CORE, 2: OEDEMA, 3: ENHANCING},
    "lgg": {1: OEDEMA},
    "nontumour": {},
}
"""Each data set's label values in our own; a value that is not listed is an error."""

LABELLED = {"brats": REGIONS, "lgg": (Region.WT,), "nontumour": REGIONS}
"""Regions that a data set's experts drew; the others teach nothing."""

ORDER = {
    "brats": (Sequence.T1, Sequence.T1C, Sequence.T2, Sequence.FLAIR),
    "nontumour": (Sequence.T1, Sequence.T1C, Sequence.T2, Sequence.FLAIR),
    "lgg": (Sequence.T1, Sequence.T1C, Sequence.FLAIR),
}
"""Channel order of each packed data set."""


class CaseError(ValueError):
    """A case cannot be used; the message names it and the offending value."""


@dataclass(frozen=True, eq=False)
class PackedCase:
    """A case of the packed data sets as volumes, nothing done to it.

    Parameters
    ----------
    name, source
        Case and data set: ``brats``, ``lgg`` or ``nontumour``.
    volumes
        Sequences on one grid.
    labels
        Our label values on that grid, as a Volume.
    """

    name: str
    source: str
    volumes: Mapping[Sequence, Volume]
    labels: Volume


def packed_names(data: Path, source: str) -> tuple[str, ...]:
    """Names of the cases in a packed data set, except the end-to-end patient."""
    index = json.loads((data / source / "index.json").read_text(encoding="utf-8"))
    return tuple(sorted(name for name in index if not name.startswith(E2E_PATIENT)))


def read_packed(data: Path, source: str, name: str, *, slice_distance_mm: float | None = None) -> PackedCase:
    """Read one packed case.

    Parameters
    ----------
    data
        Folder that holds ``brats``, ``lgg`` and ``nontumour``.
    source, name
        Data set and case.
    slice_distance_mm
        For ``lgg`` only, whose spacing is not recorded.

    Raises
    ------
    CaseError
        If a label value is not declared for the data set.
    """
    entry = json.loads((data / source / "index.json").read_text(encoding="utf-8"))[name]
    images = _unpacked(data / source / f"{name}.img.xz").reshape(entry["shape"])
    labels = _unpacked(data / source / f"{name}.seg.xz").reshape(entry["shape"][1:])
    grid = _packed_grid(entry, slice_distance_mm)
    # The lower-grade slices are packed as (k, j, i), the NIfTI-born cases as (i, j, k).
    axes = (0, 1, 2) if source == "lgg" else (2, 1, 0)
    volumes = {
        sequence: Volume(image.transpose(axes).astype(np.float32), grid)
        for sequence, image in zip(ORDER[source], images, strict=True)
        if image.any()
    }
    return PackedCase(name, source, volumes, Volume(_relabelled(labels.transpose(axes), source, name), grid))


def case_of(packed: PackedCase, brain: Bool) -> Case:
    """Prepare a packed case with the code that serves.

    Parameters
    ----------
    packed
        The case.
    brain
        Brain mask on its grid.
    """
    reference = packed.labels.grid
    prepared = prepare(
        packed.volumes,
        brain,
        reference=reference,
        own_from_reference={sequence: np.eye(4) for sequence in packed.volumes},
    )
    labels = _labels_on(prepared, packed.labels)
    return Case(
        name=packed.name,
        source=packed.source,
        images=prepared.tensor()[0].astype(np.float16),
        brain=prepared.brain,
        labels=labels,
        present=np.array([sequence in packed.volumes for sequence in CHANNELS]),
        labelled=np.array([region in LABELLED[packed.source] for region in REGIONS]),
    )


def stripped_brain(volumes: Iterable[Volume]) -> Bool:
    """Brain of an already stripped head: where any sequence is not 0, holes filled."""
    anything = np.any([volume.voxels > 0 for volume in volumes], axis=0)
    return np.asarray(ndimage.binary_fill_holes(anything), np.bool_)


def prepare_all(data: Path, teacher: Path, cache: Path, *, workers: int = 2) -> None:
    """Prepare every packed case into ``cache``, leaving those that are there.

    Parameters
    ----------
    data
        Folder of the packed data sets.
    teacher
        Folder with a brain mask ``<case>.npz`` for each ``lgg`` head.
    cache
        Where ``<case>.npz`` goes.
    workers
        Processes.
    """
    cache.mkdir(parents=True, exist_ok=True)
    wanted = [(source, name) for source in LABELS for name in packed_names(data, source)]
    todo = [(data, teacher, cache, source, name) for source, name in wanted if not (cache / f"{name}.npz").exists()]
    with ProcessPoolExecutor(workers) as pool:
        list(pool.map(_prepare_one, todo))


def split(names: Iterable[str], *, held_back: int, seed: int) -> dict[str, list[str]]:
    """Split BraTS cases by patient, stratified by source, into ``train`` and ``test``.

    The group that may share patients with ``lgg`` stays in ``train`` as a whole.

    Parameters
    ----------
    names
        Case names.
    held_back
        Number of test cases.
    seed
        Of the draw.
    """
    rng = np.random.default_rng(seed)
    free = sorted(name for name in names if not name.startswith(LGG_GROUP))
    sites = {site: [name for name in free if _site(name) == site] for site in {_site(name) for name in free}}
    test: list[str] = []
    for site in sorted(sites):
        share = round(held_back * len(sites[site]) / len(free))
        test += [str(name) for name in rng.choice(sites[site], share, replace=False)]
    test = sorted(test)
    return {"train": sorted(set(names) - set(test)), "test": test}


def _site(name: str) -> str:
    parts = name.split("_")
    return "_".join(parts[:2])[:12] if parts[0].startswith("Brats18") else parts[0][:9]


def _unpacked(path: Path) -> NDArray[np.uint8]:
    return np.frombuffer(lzma.decompress(path.read_bytes()), np.uint8)


def _packed_grid(entry: Mapping[str, Any], slice_distance_mm: float | None) -> Grid:
    if "affine" in entry:
        shift = np.eye(4)
        shift[:3, 3] = entry["offset"]
        lps_from_ijk = RAS_FROM_LPS @ np.array(entry["affine"], np.float64) @ shift
        i, j, k = entry["shape"][1:]
        return Grid((k, j, i), lps_from_ijk[:, [2, 1, 0, 3]])
    if slice_distance_mm is None:
        raise CaseError("this data set records no spacing: give slice_distance_mm")
    k, j, i = entry["shape"][1:]
    lps_from_index = np.zeros((4, 4))
    lps_from_index[[2, 1, 0, 3], [0, 1, 2, 3]] = slice_distance_mm, LGG_IN_PLANE_MM, LGG_IN_PLANE_MM, 1.0
    return Grid((k, j, i), lps_from_index)


def _relabelled(labels: NDArray[np.uint8], source: str, name: str) -> Float32:
    ours = np.zeros(labels.shape, np.float32)
    for value in np.unique(labels[labels > 0]):
        if int(value) not in LABELS[source]:
            raise CaseError(f"case {name}: label {value} is not declared for {source}")
        ours[labels == value] = LABELS[source][int(value)]
    return ours


def _labels_on(prepared: Prepared, labels: Volume) -> NDArray[np.uint8]:
    """Labels on the canonical grid: each value interpolated on its own, the likeliest wins."""
    chances = [
        Volume((labels.voxels == value).astype(np.float32), labels.grid).resampled(prepared.grid).voxels
        for value in (CORE, OEDEMA, ENHANCING)
    ]
    none = 1.0 - np.sum(chances, axis=0)
    return np.asarray(np.argmax([none, *chances], axis=0), np.uint8)


def _prepare_one(job: tuple[Path, Path, Path, str, str]) -> None:
    data, teacher, cache, source, name = job
    if source == "lgg":
        with np.load(teacher / f"{name}.npz", allow_pickle=False) as file:
            brain = file["brain"]
        slices = int(brain.any(axis=(1, 2)).sum())
        packed = read_packed(data, source, name, slice_distance_mm=float(np.clip(LGG_BRAIN_HEIGHT_MM / slices, 2, 7)))
    else:
        packed = read_packed(data, source, name)
        brain = stripped_brain(packed.volumes.values())
    case_of(packed, brain).save(cache / f"{name}.npz")
