"""MR DICOM from Volumes, for tests: classic single-frame series and enhanced multi-frame instances.

Geometry is written as it is (no resampling), headers are those of a clinical tumour protocol. The writer shares no
code with the reader.
"""

from collections.abc import Callable, Mapping
from collections.abc import Sequence as Several
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gdcm
import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydicom import Dataset, FileMetaDataset, dcmwrite
from pydicom.uid import (
    UID,
    EnhancedMRImageStorage,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    MRImageStorage,
    RLELossless,
    generate_uid,
)
from pydicom.valuerep import DS

from zweitblick.study import Sequence
from zweitblick.volume import Grid, Volume

Change = Callable[[Dataset, int], None]

PROTOCOL: Mapping[Sequence, Mapping[str, Any]] = {
    Sequence.T1: {
        "ScanningSequence": "SE",
        "SequenceVariant": "SK",
        "RepetitionTime": "550",
        "EchoTime": "12",
        "FlipAngle": "90",
        "EchoTrainLength": "1",
        "SequenceName": "*se2d1",
    },
    Sequence.T1C: {
        "ScanningSequence": "SE",
        "SequenceVariant": "SK",
        "RepetitionTime": "550",
        "EchoTime": "12",
        "FlipAngle": "90",
        "EchoTrainLength": "1",
        "SequenceName": "*se2d1",
        "ContrastBolusAgent": "Gadobutrol",
    },
    Sequence.T2: {
        "ScanningSequence": "SE",
        "SequenceVariant": "SK",
        "RepetitionTime": "4500",
        "EchoTime": "100",
        "FlipAngle": "150",
        "EchoTrainLength": "15",
        "SequenceName": "*tse2d1_15",
    },
    Sequence.FLAIR: {
        "ScanningSequence": ["SE", "IR"],
        "SequenceVariant": "SK",
        "RepetitionTime": "9000",
        "EchoTime": "120",
        "InversionTime": "2500",
        "FlipAngle": "150",
        "EchoTrainLength": "15",
        "SequenceName": "*tir2d1_15",
    },
}
"""Physics of a 1.5 T two-dimensional protocol."""


@dataclass(frozen=True)
class StudyHeader:
    """What all series of a written study share; the same ``seed`` gives the same UIDs."""

    seed: str = "study"
    patient_name: str = "Muster^Erika"
    patient_id: str = "PAT-0001"
    birth_date: str = "19600102"
    sex: str = "F"
    age: str = "062Y"
    date: str = "20220304"
    time: str = "101500"
    frame_of_reference: str = "head"
    attributes: Mapping[str, Any] = field(default_factory=dict)

    @property
    def uid(self) -> str:
        return uid(self.seed)


def uid(*parts: object) -> str:
    """A UID that depends on its parts only."""
    return generate_uid(prefix="2.25.", entropy_srcs=[repr(parts)])


def write_series(
    out: Path,
    volume: Volume,
    *,
    description: str = "t1",
    number: int = 1,
    sequence: Sequence = Sequence.T1,
    study: StudyHeader = StudyHeader(),  # frozen
    acquired_at: str = "101500",
    attributes: Mapping[str, Any] | None = None,
    stored: type[np.integer] = np.int16,
    rescale: tuple[float, float] = (1.0, 0.0),
    transfer_syntax: UID = ExplicitVRLittleEndian,
    order: Several[int] | None = None,
    change: Change | None = None,
) -> list[Path]:
    """Write a volume as classic MR Image Storage, one file per k, and return the paths in order of k.

    Parameters
    ----------
    out
        Folder, made if absent.
    volume
        Any grid whose rows and columns are at right angles; k may be sheared.
    sequence
        Whose physics (`PROTOCOL`) the header tells; ``attributes`` go on top.
    acquired_at
        Acquisition Time; each slice is 0.1 s later.
    stored, rescale
        Stored value = (value - intercept) / slope, rounded into ``stored``.
    order
        Instance numbers less one, by k; also the order of file names.
    change
        Called with every data set and its k just before it is written.
    """
    out.mkdir(parents=True, exist_ok=True)
    places = list(range(volume.shape[0])) if order is None else list(order)
    values = stored_values(volume.voxels, stored, rescale)
    paths = []
    for k, place in enumerate(places):
        data = _series_header(study, number=number, description=description, sequence=sequence)
        _say(data, SOPClassUID=MRImageStorage, SOPInstanceUID=uid(study.seed, number, place))
        _say(data, InstanceNumber=place + 1, AcquisitionTime=f"{int(acquired_at) + 0.1 * place:09.2f}")
        _say_plane(data, volume.grid, k)
        if rescale != (1.0, 0.0):
            _say(data, RescaleSlope=ds(rescale[0]), RescaleIntercept=ds(rescale[1]), RescaleType="US")
        _say_pixels(data, values[k])
        _say(data, **(attributes or {}))
        if change:
            change(data, k)
        paths.append(out / f"series{number:03d}_{place + 1:05d}.dcm")
        write(paths[-1], data, transfer_syntax)
    return paths


def write_enhanced(
    path: Path,
    volumes: Several[Volume],
    *,
    number: int = 1,
    study: StudyHeader = StudyHeader(),  # frozen
    rescale: Several[tuple[float, float]] = ((1.0, 0.0),),
    stored: type[np.integer] = np.uint16,
    frame_content: Callable[[int, int], Mapping[str, Any]] = lambda _volume, _k: {},
    echo_times: Several[float] = (12.0,),
    order: Several[int] | None = None,
    change: Change | None = None,
) -> Path:
    """Write volumes as one Enhanced MR Image Storage instance and return its path.

    Frames run through volume 0, then volume 1, and so on, unless ``order`` permutes them. ``rescale`` and
    ``echo_times`` are taken in turn by volume.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    data = _series_header(study, number=number, description="enhanced", sequence=Sequence.T1)
    for keyword in ("RepetitionTime", "EchoTime", "FlipAngle", "EchoTrainLength"):
        delattr(data, keyword)
    frames, planes = [], []
    for index, volume in enumerate(volumes):
        scale = rescale[index % len(rescale)]
        planes += list(stored_values(volume.voxels, stored, scale))
        frames += [
            _frame_groups(
                volume.grid, k, scale, echo_times[index % len(echo_times)], frame_content(index, k) or {"StackID": "1"}
            )
            for k in range(volume.shape[0])
        ]
    order = range(len(frames)) if order is None else order
    _say(data, SOPClassUID=EnhancedMRImageStorage, SOPInstanceUID=uid(study.seed, number), InstanceNumber=1)
    _say(data, NumberOfFrames=len(frames), ImageType=["ORIGINAL", "PRIMARY", "T1", "NONE"])
    _say(data, SharedFunctionalGroupsSequence=[_shared_groups(volumes[0].grid)])
    _say(data, PerFrameFunctionalGroupsSequence=[frames[place] for place in order])
    _say_pixels(data, np.stack([planes[place] for place in order]))
    if change:
        change(data, 0)
    write(path, data)
    return path


def write(path: Path, data: Dataset, transfer_syntax: UID = ExplicitVRLittleEndian) -> None:
    """Write a data set as a Part 10 file, compressing its pixel data where the transfer syntax asks for it."""
    data.file_meta = FileMetaDataset()
    data.file_meta.MediaStorageSOPClassUID = data.SOPClassUID
    data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID
    encapsulated = transfer_syntax.is_encapsulated
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian if encapsulated else transfer_syntax
    dcmwrite(path, data, enforce_file_format=True)
    if encapsulated:
        _compress(path, _GDCM_SYNTAX[transfer_syntax])


_GDCM_SYNTAX: Mapping[UID, int] = {
    JPEGLosslessSV1: gdcm.TransferSyntax.JPEGLosslessProcess14_1,
    JPEGLSLossless: gdcm.TransferSyntax.JPEGLSLossless,
    JPEG2000Lossless: gdcm.TransferSyntax.JPEG2000Lossless,
    RLELossless: gdcm.TransferSyntax.RLELossless,
}


def _compress(path: Path, syntax: int) -> None:
    """Let GDCM encode the pixel data in place."""
    reader, change, writer = gdcm.ImageReader(), gdcm.ImageChangeTransferSyntax(), gdcm.ImageWriter()
    reader.SetFileName(str(path))
    if not reader.Read():
        raise ValueError("GDCM cannot read what was written")
    change.SetTransferSyntax(gdcm.TransferSyntax(syntax))
    change.SetInput(reader.GetImage())
    if not change.Change():
        raise ValueError("GDCM cannot compress")
    writer.SetFileName(str(path))
    writer.SetFile(reader.GetFile())
    writer.SetImage(change.GetOutput())
    if not writer.Write():
        raise ValueError("GDCM cannot write")


def stored_values(
    voxels: NDArray[np.floating], stored: type[np.integer], rescale: tuple[float, float]
) -> NDArray[np.integer]:
    """Integers that stand for ``voxels``; raises if they do not fit."""
    values = np.rint((np.asarray(voxels, np.float64) - rescale[1]) / rescale[0])
    limits = np.iinfo(stored)
    if values.min() < limits.min or values.max() > limits.max:
        raise ValueError(f"{values.min()}..{values.max()} does not fit {stored}")
    return values.astype(stored)


def ds(number: float) -> DS:
    """A decimal string of at most 16 characters."""
    return DS(float(number), auto_format=True)


def _series_header(study: StudyHeader, *, number: int, description: str, sequence: Sequence) -> Dataset:
    data = Dataset()
    _say(data, PatientName=study.patient_name, PatientID=study.patient_id, PatientBirthDate=study.birth_date)
    _say(data, PatientSex=study.sex, PatientAge=study.age, StudyInstanceUID=study.uid, StudyID="1")
    _say(data, StudyDate=study.date, StudyTime=study.time, AccessionNumber="A1", ReferringPhysicianName="")
    _say(data, StudyDescription="MR Kopf", SeriesDate=study.date, AcquisitionDate=study.date, ContentDate=study.date)
    _say(data, SeriesTime=study.time, ContentTime=study.time, Modality="MR", Manufacturer="SIEMENS")
    _say(data, SeriesInstanceUID=uid(study.seed, "series", number), SeriesNumber=number)
    _say(data, SeriesDescription=description, ProtocolName=description, BodyPartExamined="HEAD")
    _say(data, FrameOfReferenceUID=uid(study.seed, study.frame_of_reference), PositionReferenceIndicator="")
    _say(data, ImageType=["ORIGINAL", "PRIMARY", "M", "SE"], PatientPosition="HFS", MagneticFieldStrength="1.5")
    _say(data, MRAcquisitionType="2D", ScanOptions="", NumberOfAverages="1", ImagingFrequency="63.6", EchoNumbers=1)
    _say(data, **PROTOCOL[sequence])
    _say(data, **study.attributes)
    return data


def _say(data: Dataset, **attributes: Any) -> None:
    for keyword, value in attributes.items():
        setattr(data, keyword, value)


def _say_plane(data: Dataset, grid: Grid, k: int) -> None:
    _say(data, ImagePositionPatient=_position(grid, k), ImageOrientationPatient=_orientation(grid))
    _say(data, PixelSpacing=[ds(one) for one in grid.spacing_mm[1:]], SliceThickness=ds(_slice_distance(grid)))
    _say(data, SpacingBetweenSlices=ds(_slice_distance(grid)))


def _position(grid: Grid, k: int) -> list[DS]:
    return [ds(one) for one in grid.lps((k, 0, 0))]


def _orientation(grid: Grid) -> list[DS]:
    """Direction of growing i, then of growing j."""
    columns = grid.lps_from_index[:3, :3] / np.array(grid.spacing_mm)
    return [ds(one) for one in (*columns[:, 2], *columns[:, 1])]


def _slice_distance(grid: Grid) -> float:
    columns = grid.lps_from_index[:3, :3] / np.array(grid.spacing_mm)
    normal = np.cross(columns[:, 2], columns[:, 1])
    return float(abs(normal @ grid.lps_from_index[:3, 0]))


def _say_pixels(data: Dataset, values: NDArray[np.integer]) -> None:
    bits = values.dtype.itemsize * 8
    _say(
        data,
        Rows=values.shape[-2],
        Columns=values.shape[-1],
        SamplesPerPixel=1,
        PhotometricInterpretation="MONOCHROME2",
    )
    _say(data, BitsAllocated=bits, BitsStored=bits, HighBit=bits - 1)
    _say(data, PixelRepresentation=int(np.issubdtype(values.dtype, np.signedinteger)))
    raw = values.tobytes()
    data.add_new(0x7FE00010, "OW" if bits > 8 else "OB", raw + b"\0" * (len(raw) % 2))


def _shared_groups(grid: Grid) -> Dataset:
    shared = Dataset()
    shared.PixelMeasuresSequence = [
        _item(PixelSpacing=[ds(one) for one in grid.spacing_mm[1:]], SliceThickness=ds(_slice_distance(grid)))
    ]
    shared.MRTimingAndRelatedParametersSequence = [_item(RepetitionTime="550", FlipAngle="90", EchoTrainLength="1")]
    return shared


def _frame_groups(
    grid: Grid, k: int, rescale: tuple[float, float], echo_time: float, content: Mapping[str, Any]
) -> Dataset:
    frame = Dataset()
    frame.MREchoSequence = [_item(EffectiveEchoTime=echo_time)]
    frame.FrameContentSequence = [_item(**content, InStackPositionNumber=k + 1)]
    frame.PlanePositionSequence = [_item(ImagePositionPatient=_position(grid, k))]
    frame.PlaneOrientationSequence = [_item(ImageOrientationPatient=_orientation(grid))]
    frame.PixelValueTransformationSequence = [
        _item(RescaleSlope=ds(rescale[0]), RescaleIntercept=ds(rescale[1]), RescaleType="US")
    ]
    frame.MRImageFrameTypeSequence = [
        _item(FrameType=["ORIGINAL", "PRIMARY", "T1", "NONE"], ComplexImageComponent="MAGNITUDE")
    ]
    return frame


def _item(**attributes: Any) -> Dataset:
    item = Dataset()
    _say(item, **attributes)
    return item


def head(shape: tuple[int, int, int] = (8, 14, 12), *, seed: int = 0, limit: int = 900) -> NDArray[np.float32]:
    """Whole numbers ``(K, J, I)``, different in every voxel row, so that no flip or swap goes unnoticed."""
    return np.random.default_rng(seed).integers(0, limit, shape).astype(np.float32)


def oblique(
    shape: tuple[int, int, int],
    *,
    spacing_mm: Several[float] = (5.0, 0.9, 0.8),
    normal_first: ArrayLike = ((0, 0, 1), (0, 1, 0), (1, 0, 0)),
    degrees: float = 0.0,
    origin: ArrayLike = (-80.0, -90.0, -40.0),
    shear: ArrayLike = (0.0, 0.0, 0.0),
) -> Grid:
    """Grid whose k, j and i run along the rows of ``normal_first``, turned about (1, 2, 3) by ``degrees``.

    ``shear`` is added to the step from slice to slice, mm LPS.
    """
    axis = np.array([1.0, 2.0, 3.0]) / np.sqrt(14.0)
    cross = np.cross(np.eye(3), axis)
    angle = np.radians(degrees)
    turn = np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross
    lps_from_index = np.eye(4)
    lps_from_index[:3, :3] = turn @ np.array(normal_first, np.float64).T * np.array(spacing_mm)
    lps_from_index[:3, 0] += np.asarray(shear, np.float64)
    lps_from_index[:3, 3] = np.asarray(origin, np.float64)
    return Grid(shape, lps_from_index)


AXIAL = ((0, 0, 1), (0, 1, 0), (1, 0, 0))
SAGITTAL = ((1, 0, 0), (0, 0, -1), (0, 1, 0))
CORONAL = ((0, -1, 0), (0, 0, -1), (1, 0, 0))
"""Directions of k, j and i in LPS: k is row × column in the first; in the other two it may run against it."""
