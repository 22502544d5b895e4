"""What keeps a series from being a candidate at all, whatever its weighting."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from zweitblick.model.sequence_words import word_objections
from zweitblick.study import Series
from zweitblick.volume import Float64

MR = "MR"

IMAGE_TYPES: Mapping[str, str] = {
    "LOCALIZER": "localizer",
    "DIFFUSION": "diffusion",
    "DIFFUSION_MAP": "diffusion",
    "ADC": "diffusion map",
    "TRACEW": "diffusion map",
    "TRACE": "diffusion map",
    "FA": "diffusion map",
    "TENSOR": "diffusion map",
    "PERFUSION": "perfusion",
    "RCBV": "perfusion map",
    "CBV": "perfusion map",
    "CBF": "perfusion map",
    "MTT": "perfusion map",
    "TTP": "perfusion map",
    "ASL": "perfusion",
    "FMRI": "functional imaging",
    "MOSAIC": "functional imaging",
    "SWI": "susceptibility image",
    "MIP": "projection",
    "MNIP": "projection",
    "MINIP": "projection",
    "PROJECTION IMAGE": "projection",
    "SUBTRACTION": "subtraction image",
    "SUB": "subtraction image",
    "P": "phase image",
    "PHASE": "phase image",
    "PHASE MAP": "phase image",
    "VELOCITY MAP": "phase image",
    "R": "real part of the signal",
    "I": "imaginary part of the signal",
    "REAL": "real part of the signal",
    "IMAGINARY": "imaginary part of the signal",
    "FAT": "fat image",
    "F": "fat image",
    "FAT_FRACTION": "parameter map",
    "T1 MAP": "parameter map",
    "T2 MAP": "parameter map",
    "T2_STAR MAP": "parameter map",
    "T1MAP": "parameter map",
    "B0": "parameter map",
    "B1": "parameter map",
    "SCREEN SAVE": "screen capture",
    "SCREENSHOT": "screen capture",
    "CSA REPORT": "report",
}
"""Values of Image Type (0008,0008) and Frame Type (0008,9007): PS3.3 C.7.6.1.1.2, C.8.13.3.1, and vendors' own."""

OTHER_BODY_PARTS = frozenset(
    {"ABDOMEN", "PELVIS", "CHEST", "HEART", "BREAST", "LIVER", "KIDNEY", "PROSTATE", "SHOULDER", "ELBOW", "WRIST"}
    | {"HAND", "HIP", "KNEE", "ANKLE", "FOOT", "LEG", "ARM", "NECK", "SPINE", "CSPINE", "TSPINE", "LSPINE", "SSPINE"}
    | {"EXTREMITY", "THIGH", "CALF", "FOREARM", "CTSPINE", "TLSPINE", "LSSPINE"}
)
"""Body Part Examined (0018,0015) that is not the head (PS3.16 Annex L, Table L-1)."""

LARGEST_B = 1.0
"""s/mm²; from here on the signal is diffusion weighted."""

SMALLEST_COVERAGE_MM, FEWEST_SLICES = 60.0, 8
"""An adult brain is about 110 to 140 mm in its shortest direction; a localizer has three to nine slices."""

SMALLEST_MATRIX = 112
"""Of the longer side; perfusion, functional and spectroscopic grids are smaller."""

MOST_REPEATS = 4
"""More volumes of one contrast in one series are a time course."""


@dataclass(frozen=True)
class Slab:
    """How a series lies: unit normal, LPS; coverage along it, slice distance and pixel in mm; slices; matrix."""

    normal: Float64
    coverage_mm: float
    slice_mm: float
    pixel_mm: float
    slices: int
    matrix: int

    @property
    def plane(self) -> int:
        """Patient axis closest to the slice normal: 0 sagittal, 1 coronal, 2 axial."""
        return int(np.argmax(np.abs(self.normal)))


def slab(series: Series) -> Slab:
    """Geometry of a part that has at least one frame."""
    first = series.frames[0]
    orientation = np.array(first.orientation_lps)
    normal = np.cross(orientation[:3], orientation[3:])
    normal = normal / np.linalg.norm(normal)
    depths = np.unique(np.round([np.dot(frame.position_lps, normal) for frame in series.frames], 2))
    slice_mm = float(np.median(np.diff(depths))) if len(depths) > 1 else 0.0
    extent = float(depths[-1] - depths[0]) + slice_mm
    return Slab(normal, extent, slice_mm, max(first.spacing_mm), len(depths), max(first.shape))


def objections(series: Series, repeats: int) -> tuple[str, ...]:
    """Reasons against a part; empty for a candidate.

    Parameters
    ----------
    series
        One part of a series (a single volume).
    repeats
        Number of parts of the same series with the same contrast.
    """
    if series.modality != MR:
        return (f"modality {series.modality}, not MR",)
    if not series.frames:
        return ("no plane with a complete geometry",)
    found = [*_by_image_type(series), *_by_header(series), *word_objections(series), *_by_geometry(slab(series))]
    if repeats > MOST_REPEATS:
        found.append(f"one of {repeats} repeats, a time course")
    return tuple(dict.fromkeys(found))


def _by_image_type(series: Series) -> Iterable[str]:
    values = {value.upper() for value in (*series.physics.image_type, *series.frames[0].image_type)}
    return [f"image type says {kind}" for value, kind in IMAGE_TYPES.items() if value in values]


def _by_header(series: Series) -> Iterable[str]:
    if (series.physics.b_value or 0.0) >= LARGEST_B:
        yield f"diffusion weighted, b {series.physics.b_value:g} s/mm2"
    part = series.body_part.upper().replace(" ", "").replace("_", "")
    if part in OTHER_BODY_PARTS:
        yield "body part is not the head"


def _by_geometry(lies: Slab) -> Iterable[str]:
    if lies.slices < FEWEST_SLICES:
        yield f"{lies.slices} slices, fewer than {FEWEST_SLICES}"
    elif lies.coverage_mm < SMALLEST_COVERAGE_MM:
        yield f"covers {lies.coverage_mm:.0f} mm, less than {SMALLEST_COVERAGE_MM:g} mm"
    if lies.matrix < SMALLEST_MATRIX:
        yield f"matrix of {lies.matrix}, smaller than {SMALLEST_MATRIX}"
