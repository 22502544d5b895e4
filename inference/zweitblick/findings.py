"""Findings and Lesion: millilitres, millimetres and places; what a radiologist signs."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from zweitblick.prediction import Region

Point = tuple[float, float, float]
"""LPS mm."""


class Side(StrEnum):
    """Side of the patient, never of the picture."""

    LEFT = "left"
    RIGHT = "right"
    MIDLINE = "midline"


class DiameterBasis(StrEnum):
    """What a bidimensional diameter was taken on (RANO 2.0: enhancing part; T2/FLAIR where nothing enhances)."""

    ENHANCING = "enhancing"
    WHOLE_TUMOUR = "T2/FLAIR"


@dataclass(frozen=True)
class Diameters:
    """Largest axial diameter and its perpendicular in the same slice (RANO: Wen 2010, 2023).

    Parameters
    ----------
    basis
        The tissue measured.
    major_mm, minor_mm
        Longest diameter within the tissue's outline, and longest one at right angles to it in the same slice.
    major_lps, minor_lps
        End points of both, LPS mm.
    measurable
        Whether both reach the smallest measurable length (10 mm, or twice the slice distance where that is over 5 mm).
    """

    basis: DiameterBasis
    major_mm: float
    minor_mm: float
    major_lps: tuple[Point, Point]
    minor_lps: tuple[Point, Point]
    measurable: bool

    @property
    def product_mm2(self) -> float:
        """Bidimensional product, mm²."""
        return self.major_mm * self.minor_mm


@dataclass(frozen=True)
class EnhancingPart:
    """One connected enhancing component of a lesion.

    Parameters
    ----------
    volume_ml
        Its volume.
    center_lps
        Its centroid, LPS mm.
    diameters
        RANO diameters on it.
    """

    volume_ml: float
    center_lps: Point
    diameters: Diameters


@dataclass(frozen=True)
class Lesion:
    """One connected component of the whole tumour.

    Parameters
    ----------
    number
        From 1, largest first.
    volume_ml
        Of ET, TC and WT within it.
    center_lps
        Centroid of WT, LPS mm.
    side, midline_mm
        Side of the centroid and its distance to the midsagittal plane (always positive).
    crosses_midline
        Whether its voxels lie on both sides.
    max_3d_mm
        Largest distance between two of its voxels, edge to edge.
    diameters
        On the largest enhancing part, or on T2/FLAIR where nothing enhances.
    enhancing
        Its enhancing components, largest first.
    mean_probability
        Mean WT probability over its voxels.
    """

    number: int
    volume_ml: Mapping[Region, float]
    center_lps: Point
    side: Side
    midline_mm: float
    crosses_midline: bool
    max_3d_mm: float
    diameters: Diameters
    enhancing: tuple[EnhancingPart, ...]
    mean_probability: float


@dataclass(frozen=True)
class Findings:
    """All lesions of a study and their sums.

    Parameters
    ----------
    lesions
        Largest first; empty if nothing at or above ``reporting_limit_ml`` was found.
    volume_ml
        Sums of ET, TC and WT over the lesions.
    sum_of_products_mm2
        Over the measurable enhancing parts (RANO's sum of products of diameters), at most three or five are
        used by readers; here all are summed.
    reporting_limit_ml
        The smallest lesion that is listed.
    validated_ml
        From this size on the model found nine in ten lesions in validation; where nothing is found, the statement
        speaks of lesions above it only. None if that is not known.
    dropped
        Number of smaller components left out, and ``dropped_ml`` their volume.
    brain_ml
        Volume of the brain mask.
    """

    lesions: tuple[Lesion, ...]
    volume_ml: Mapping[Region, float]
    sum_of_products_mm2: float
    reporting_limit_ml: float
    validated_ml: float | None
    dropped: int
    dropped_ml: float
    brain_ml: float

    @property
    def statement(self) -> str:
        """One sentence that says what was measured, no more."""
        if not self.lesions:
            if self.validated_ml is None:
                return "No glioma-like lesion was found; from which size on lesions are found is not known."
            return f"No glioma-like lesion above {max(self.reporting_limit_ml, self.validated_ml):g} ml."
        limit = f"{self.reporting_limit_ml:g} ml"
        count = len(self.lesions)
        noun = "glioma-like lesion" if count == 1 else "glioma-like lesions"
        return f"{count} {noun} above {limit}, {self.volume_ml[Region.WT]:.1f} ml in all."
