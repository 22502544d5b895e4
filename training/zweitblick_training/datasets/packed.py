"""The project's packed data: ``brats``, ``lgg`` and ``nontumour``, each a folder of ``index.json`` and xz arrays.

Label 1 core, 2 oedema, 3 enhancing in ``brats``; ``lgg`` (Buda 2019) has the whole tumour only, as 1; ``nontumour``
has none. An array of zeros stands for a sequence that a patient does not have.
"""

import json
import lzma
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zweitblick.prediction import CORE, ENHANCING, OEDEMA, REGIONS, Region
from zweitblick.study import Sequence
from zweitblick.volume import RAS_FROM_LPS, Bool, Grid, Volume
from zweitblick_training.datasets.raw_case import (
    DataSetError,
    Draft,
    Fault,
    Listing,
    RawCase,
    Terms,
    found_cases,
)

E2E_PATIENT = "TCGA_FG_6692"
"""The end-to-end check: in no training, ever."""

BRATS_OR_LGG = ("Brats18_TCIA10_", "Brats18_TCIA13_", "BraTS2021_0147", "BraTS2021_0148")
"""BraTS cases that are or may be TCGA-LGG patients."""

LGG_GROUP = (*BRATS_OR_LGG, "TCGA_")
"""All cases that are or may be TCGA-LGG patients."""

LGG_IN_PLANE_MM = 0.9
LGG_BRAIN_HEIGHT_MM = 130.0
"""The lower-grade slices record no spacing; an adult brain is about 130 mm high, which gives the distance."""
LGG_SLICE_MM = (2.0, 7.0)
"""Slice distances that occur in these patients' studies."""

FOUR = (Sequence.T1, Sequence.T1C, Sequence.T2, Sequence.FLAIR)

CHANNELS = {"brats": FOUR, "nontumour": FOUR, "lgg": (Sequence.T1, Sequence.T1C, Sequence.FLAIR)}
"""Channel order of each source."""

TERMS = {
    "brats": Terms("brats", {1: CORE, 2: OEDEMA, 3: ENHANCING}),
    "lgg": Terms("lgg", {1: OEDEMA}, (Region.WT,), stripped=False),
    "nontumour": Terms("nontumour", {}, REGIONS),
}

PATIENTS = (
    re.compile(r"Bra[tT][sS]1[89]_(?P<patient>(?P<site>[^_]+)_[^_]+)_\d+"),
    re.compile(r"(?P<site>BraTS2021)_(?P<patient>\d{5})"),
    re.compile(r"(?P<site>BraTS-GLI)-(?P<patient>\d{5})-\d{3}"),
    re.compile(r"(?P<patient>TCGA_(?P<site>[^_]+)_[^_]+)_\d{8}"),
    re.compile(r"(?P<patient>(?P<site>MS)_patient\d+)"),
)
"""Who a case shows and where it comes from, by its name."""


class PackedLayout:
    """A folder that holds ``brats``, ``lgg`` and ``nontumour``."""

    def listed(self, folder: Path) -> tuple[Listing, ...]:
        """See `Layout.listed`; the end-to-end patient is left out."""
        listings = [
            listed_packed(folder, source, name)
            for source in TERMS
            if (folder / source / "index.json").is_file()
            for name in packed_names(folder, source)
        ]
        return found_cases(listings, folder, "brats/index.json, lgg/index.json, nontumour/index.json")

    def read(self, listing: Listing) -> RawCase:
        """See `Layout.read`; slice distances of ``lgg`` are guessed from the number of slices."""
        return read_packed(listing.place.parent, listing.place.name, listing.name)


def packed_names(data: Path, source: str) -> tuple[str, ...]:
    """Names of the cases in a packed source, except the end-to-end patient."""
    return tuple(sorted(name for name in _index(data, source) if not name.startswith(E2E_PATIENT)))


def listed_packed(data: Path, source: str, name: str) -> Listing:
    """List one case.

    Raises
    ------
    DataSetError
        If the name does not tell the patient.
    """
    match = _told(name)
    if match is None:
        raise DataSetError([Fault(name, "this name does not tell whom the case shows; declare how it is read")])
    return Listing(name, match["patient"], match["site"], data / source)


def told_patient(name: str) -> str:
    """Whom a case shows, as far as its name tells; empty if it is none of the names that public data uses."""
    match = _told(name)
    return "" if match is None else match["patient"]


def read_packed(data: Path, source: str, name: str, *, slice_distance_mm: float | None = None) -> RawCase:
    """Read one packed case.

    Parameters
    ----------
    data
        Folder that holds ``brats``, ``lgg`` and ``nontumour``.
    source, name
        Data set and case.
    slice_distance_mm
        For ``lgg``, whose spacing is not recorded; without it `lgg_slice_mm` of the whole stack.

    Raises
    ------
    DataSetError
        With every fault of the case.
    """
    entry = _index(data, source)[name]
    draft = Draft(listed_packed(data, source, name))
    grid = _grid(entry, slice_distance_mm)
    # The lower-grade slices are packed as (k, j, i), the NIfTI-born cases as (i, j, k).
    axes = (0, 1, 2) if source == "lgg" else (2, 1, 0)
    images = _unpacked(data / source / f"{name}.img.xz", entry["shape"], name)
    labels = _unpacked(data / source / f"{name}.seg.xz", entry["shape"][1:], name)
    for sequence, image in zip(CHANNELS[source], images, strict=True):
        if image.any():
            draft.volumes[sequence] = Volume(image.transpose(axes).astype(np.float32), grid)
    draft.take_outline(Volume(labels.transpose(axes).astype(np.float32), grid), TERMS[source].labels)
    return draft.finished(TERMS[source], spacing_known="affine" in entry)


def respaced(case: RawCase, brain: Bool) -> RawCase:
    """Return a case of unrecorded spacing with the slice distance at which its brain is of usual height.

    Parameters
    ----------
    case
        With ``spacing_known`` false.
    brain
        ``(K, J, I)`` bool on its grid.
    """
    grid = _lgg_grid(case.labels.shape, lgg_slice_mm(int(brain.any(axis=(1, 2)).sum())))
    volumes = {sequence: Volume(volume.voxels, grid) for sequence, volume in case.volumes.items()}
    return replace(case, volumes=volumes, labels=Volume(case.labels.voxels, grid))


def lgg_slice_mm(slices: int) -> float:
    """Guess the slice distance from the number of slices that show brain."""
    return float(np.clip(LGG_BRAIN_HEIGHT_MM / max(slices, 1), *LGG_SLICE_MM))


def _index(data: Path, source: str) -> Mapping[str, Any]:
    path = data / source / "index.json"
    try:
        index: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataSetError([Fault(source, f"index.json cannot be read: {type(error).__name__}")]) from error
    return index


def _told(name: str) -> re.Match[str] | None:
    return next((match for pattern in PATIENTS if (match := pattern.fullmatch(name))), None)


def _unpacked(path: Path, shape: list[int], name: str) -> NDArray[np.uint8]:
    try:
        return np.frombuffer(lzma.decompress(path.read_bytes()), np.uint8).reshape(shape)
    except (OSError, ValueError, EOFError, lzma.LZMAError) as error:
        raise DataSetError([Fault(name, f"{path.name} cannot be read: {type(error).__name__}")]) from error


def _grid(entry: Mapping[str, Any], slice_distance_mm: float | None) -> Grid:
    if "affine" in entry:
        shift = np.eye(4)
        shift[:3, 3] = entry["offset"]
        lps_from_ijk = RAS_FROM_LPS @ np.array(entry["affine"], np.float64) @ shift
        i, j, k = entry["shape"][1:]
        return Grid((k, j, i), lps_from_ijk[:, [2, 1, 0, 3]])
    k, j, i = entry["shape"][1:]
    return _lgg_grid((k, j, i), lgg_slice_mm(k) if slice_distance_mm is None else slice_distance_mm)


def _lgg_grid(shape: tuple[int, int, int], slice_distance_mm: float) -> Grid:
    lps_from_index = np.zeros((4, 4))
    lps_from_index[[2, 1, 0, 3], [0, 1, 2, 3]] = slice_distance_mm, LGG_IN_PLANE_MM, LGG_IN_PLANE_MM, 1.0
    return Grid(shape, lps_from_index)
