"""A DICOM SEG of ours read back: the label map on the slices it was written on, and whose it is."""

import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.uid import SegmentationStorage

from zweitblick.dicom.codes import SEGMENT_CODES
from zweitblick.dicom.geometry import MAX_VOXELS
from zweitblick.dicom.header import DAMAGE, day, integer, items, moment, numbers, quietly, text
from zweitblick.errors import GeometryError, PriorDamagedError
from zweitblick.study import Patient
from zweitblick.volume import Float64, Grid, Volume

SAME_PLACE_MM = 0.01
"""Frames nearer than this lie on one slice; positions are written with six decimals."""

UNEVEN = 0.05
"""Gaps are whole slice distances within this share of one."""

_LABEL_OF = {code.label: label for label, code in SEGMENT_CODES.items()}


@dataclass(frozen=True, eq=False)
class Outline:
    """What a SEG says.

    Parameters
    ----------
    labels
        Label map (`zweitblick.prediction.CORE` and others) on the reference series' rows and columns; slices from the
        first to the last that the SEG has frames of.
    study_uid, started_at, patient
        Whose it is; None where the source has no date.
    """

    labels: Volume
    study_uid: str = field(repr=False)
    started_at: datetime | None = field(repr=False)
    patient: Patient


@dataclass(frozen=True, eq=False)
class _Plane:
    label: int
    position_lps: Float64
    mask: NDArray[np.bool_]


def read_outline(segmentation: bytes) -> Outline:
    """Read what `zweitblick.dicom.seg.segmentation` has written.

    Parameters
    ----------
    segmentation
        Part 10 bytes.

    Raises
    ------
    PriorDamagedError
        If it is none of ours, or damaged.
    """
    try:
        with quietly():
            dataset = pydicom.dcmread(io.BytesIO(segmentation))
            return _outline(dataset)
    except (*DAMAGE, GeometryError) as error:
        raise PriorDamagedError(
            f"the earlier segmentation is damaged ({type(error).__name__}); read the earlier study again"
        ) from error


def _outline(dataset: Dataset) -> Outline:
    if text(dataset, "SOPClassUID") != SegmentationStorage:
        raise PriorDamagedError("the earlier segmentation is no DICOM SEG; give the file that the reading wrote")
    label_of = {integer(one, "SegmentNumber"): text(one, "SegmentLabel") for one in items(dataset, "SegmentSequence")}
    if not set(label_of.values()) <= set(_LABEL_OF):
        raise PriorDamagedError("the earlier segmentation has segments that are not ours; give the file of a reading")
    patient = Patient(
        name=text(dataset, "PatientName"),
        id=text(dataset, "PatientID"),
        birth_date=day(text(dataset, "PatientBirthDate")),
        sex=text(dataset, "PatientSex"),
    )
    started_at = moment(text(dataset, "StudyDate"), text(dataset, "StudyTime"))
    return Outline(_labels(dataset, label_of), text(dataset, "StudyInstanceUID"), started_at, patient)


def _labels(dataset: Dataset, label_of: dict[int | None, str]) -> Volume:
    """Lay every frame on its slice; the three segments are disjoint, so none covers another."""
    planes = _planes(dataset, label_of)
    row, column, spacing_mm = _in_plane(dataset)
    normal = np.cross(row, column)
    along_mm = np.array([plane.position_lps @ normal for plane in planes])
    distance_mm = _slice_distance(dataset, np.unique(np.round(along_mm / SAME_PLACE_MM)) * SAME_PLACE_MM)
    slices = np.round((along_mm - along_mm.min()) / distance_mm).astype(int)
    first, last = planes[int(along_mm.argmin())].position_lps, planes[int(along_mm.argmax())].position_lps
    lps_from_index = np.eye(4)
    # From the first to the last slice, not along the normal: a stack may be sheared.
    lps_from_index[:3, 0] = (last - first) / slices.max() if slices.max() else normal * distance_mm
    lps_from_index[:3, 1], lps_from_index[:3, 2] = column * spacing_mm[0], row * spacing_mm[1]
    lps_from_index[:3, 3] = first
    shape = (int(slices.max()) + 1, *planes[0].mask.shape)
    if np.prod(shape, dtype=np.float64) > MAX_VOXELS:
        raise PriorDamagedError(f"the earlier segmentation claims {shape} voxels, more than {MAX_VOXELS}")
    voxels = np.zeros(shape, np.float32)
    for plane, k in zip(planes, slices, strict=True):
        voxels[k][plane.mask] = plane.label
    return Volume(voxels, Grid(shape, lps_from_index))


def _planes(dataset: Dataset, label_of: dict[int | None, str]) -> list[_Plane]:
    pixels = np.atleast_3d(dataset.pixel_array) if dataset.NumberOfFrames > 1 else dataset.pixel_array[np.newaxis]
    groups = items(dataset, "PerFrameFunctionalGroupsSequence")
    shared = dataset.SharedFunctionalGroupsSequence[0]
    return [
        _Plane(
            _LABEL_OF[label_of[integer(_macro(group, shared, "SegmentIdentification"), "ReferencedSegmentNumber")]],
            np.array(_three(_macro(group, shared, "PlanePosition"), "ImagePositionPatient")),
            np.asarray(mask > 0, np.bool_),
        )
        for group, mask in zip(groups, pixels, strict=True)
    ]


def _macro(group: Dataset, shared: Dataset, name: str) -> Dataset:
    """Functional group of a frame; where it is equal for all frames, it may be among the shared ones (C.7.6.16)."""
    keyword = f"{name}Sequence"
    found: Dataset = (group if keyword in group else shared)[keyword].value[0]
    return found


def _in_plane(dataset: Dataset) -> tuple[Float64, Float64, tuple[float, float]]:
    """Directions along a row and down a column, and the distances of rows and of columns, mm."""
    shared = dataset.SharedFunctionalGroupsSequence[0]
    cosines = np.array(numbers(shared.PlaneOrientationSequence[0], "ImageOrientationPatient"))
    rows_mm, columns_mm = numbers(shared.PixelMeasuresSequence[0], "PixelSpacing")
    row, column = cosines.reshape(2, 3)
    return row, column, (rows_mm, columns_mm)


def _slice_distance(dataset: Dataset, places_mm: Float64) -> float:
    """Spacing Between Slices (0018,0088) where the frames lie on whole multiples of it, else their smallest gap.

    Slices without tumour have no frames, so that gaps alone do not tell it; one slice alone has its thickness.
    """
    measures = dataset.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    gaps_mm = np.diff(places_mm)
    for written_mm in numbers(measures, "SpacingBetweenSlices"):
        steps = gaps_mm / written_mm if written_mm > 0 else np.full(1, 0.5)
        if (np.abs(steps - np.round(steps)) <= UNEVEN).all():
            return written_mm
    return float(gaps_mm.min()) if len(gaps_mm) else _one(measures, "SliceThickness")


def _one(dataset: Dataset, keyword: str) -> float:
    (found,) = numbers(dataset, keyword)
    return found


def _three(dataset: Dataset, keyword: str) -> Sequence[float]:
    x, y, z = numbers(dataset, keyword)
    return x, y, z
