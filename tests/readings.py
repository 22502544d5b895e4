"""A complete `Reading` in memory over a small DICOM series on disk: an ellipsoid head, one lesion, on the left only.

The phantom is a formula of patient coordinates (LPS mm), so the truth is known without any code under test:
every source pixel and every probability is that formula at its own place.
"""

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import highdicom.legacy
import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian, MRImageStorage

from zweitblick.findings import DiameterBasis, Diameters, EnhancingPart, Findings, Lesion, Side
from zweitblick.model.bundle import Bundle, Bundles
from zweitblick.prediction import Prediction, Region
from zweitblick.reading import Alignment, Choice, ModelIdentity, Notice, Reading, Stamp
from zweitblick.study import Frame, Instance, Patient, Physics, Sequence, Series, Study
from zweitblick.volume import Float64, Grid, Volume, axis_aligned_grid

STUDY_UID = "1.2.826.0.1.3680043.8.498.1001"
SERIES_UID = "1.2.826.0.1.3680043.8.498.1002"
FLAIR_UID = "1.2.826.0.1.3680043.8.498.1003"
FRAME_UID = "1.2.826.0.1.3680043.8.498.1004"
STAMP = Stamp(dt.datetime(2026, 11, 20, 14, 30, 15, tzinfo=dt.UTC), seed=3)
ORIENTATIONS = ("axial", "sagittal", "coronal", "oblique", "reversed")

HEAD_CENTER = np.array([4.0, -11.0, 23.0])
HEAD_RADII = np.array([52.0, 62.0, 46.0])
LESION_CENTER = np.array([28.0, -2.0, 29.0])
CORE_MM, ENHANCING_MM, OEDEMA_MM = 6.0, 10.0, 16.0
SHAPE = (22, 90, 76)
SPACING_MM = (5.0, 1.5, 1.7)
DIRECTIONS = {
    # Columns: where k, j and i grow to, in LPS.
    "axial": ((0, 0, 1), (0, 1, 0), (1, 0, 0)),
    "reversed": ((0, 0, 1), (0, 1, 0), (1, 0, 0)),
    "sagittal": ((1, 0, 0), (0, 0, -1), (0, 1, 0)),
    "coronal": ((0, 1, 0), (0, 0, -1), (1, 0, 0)),
}

NETWORKS = Bundles(
    *(
        Bundle(name, "0.3.0", digit * 64, lambda x: x, 0.0, "NumPy, fp32", digit.upper() * 64, signed_by)
        for name, digit, signed_by in (("tumour", "a", "key"), ("brain-mask", "b", "key"), ("sequence", "c", None))
    )
)
"""What may have read it; nobody has signed the last one."""


@dataclass(frozen=True)
class Phantom:
    """What the series shows and how it lies; every field has the common case as its default."""

    orientation: str = "axial"
    enhanced: bool = False
    lesions: int = 1
    enhancing: bool = True
    missing: tuple[Sequence, ...] = (Sequence.T1, Sequence.T2)
    patient: Patient = field(
        default_factory=lambda: Patient("Grün^Anna", "ZB-0815", dt.date(1961, 4, 2), "F", 65.0),
    )


def phantom_reading(folder: Path, phantom: Phantom | None = None) -> Reading:
    """Write the source series into ``folder`` and return the reading of it."""
    phantom = phantom or Phantom()
    grid = reference_grid(phantom.orientation)
    series = write_series(folder, phantom, grid)
    prediction = predicted(found=phantom.lesions > 0, enhancing=phantom.enhancing)
    choices = {Sequence.FLAIR: Choice(SERIES_UID, 7, ("long TI and long TE", "description"), {"8": "thicker slices"})}
    reference = Volume(signal(grid), grid)
    return Reading(
        study=Study(
            STUDY_UID, phantom.patient, (series,), "Brain", "ACC1", dt.datetime(2026, 11, 19, 9, 5, tzinfo=dt.UTC)
        ),
        choices=choices,
        missing=(*phantom.missing, Sequence.T1C),
        reference=Sequence.FLAIR,
        reference_volume=reference,
        images={Sequence.FLAIR: prepared()},
        alignments={Sequence.FLAIR: Alignment(np.eye(4), "identity", 0.0)},
        prediction=prediction,
        findings=findings(phantom),
        models=(ModelIdentity("tumour", "0.1.0", "ab12" * 16), ModelIdentity("brain-mask", "0.1.0", "cd34" * 16)),
        notices=tuple(Notice("missing-sequence", f"{sequence} was not there.") for sequence in phantom.missing),
        rejected={"9": "a localizer"},
        stamp=STAMP,
        version="0.1.0",
    )


def source_uid(k: int, phantom: Phantom) -> str:
    """SOP Instance UID of the classic instance at slice ``k`` of the reference grid."""
    number = SHAPE[0] - k if phantom.orientation == "reversed" else k + 1
    return f"{SERIES_UID}.{100 + number}"


def reference_grid(orientation: str) -> Grid:
    """Grid of the source series: 5 mm slices, unequal counts and spacings, centred on the head."""
    rotation = np.array(DIRECTIONS["axial" if orientation == "oblique" else orientation], np.float64).T
    if orientation == "oblique":
        rotation = turn(0, 17.0) @ turn(1, -9.0) @ turn(2, 6.0) @ rotation
    lps_from_index = np.eye(4)
    lps_from_index[:3, :3] = rotation * np.array(SPACING_MM)
    lps_from_index[:3, 3] = HEAD_CENTER - lps_from_index[:3, :3] @ ((np.array(SHAPE) - 1) / 2)
    return Grid(SHAPE, lps_from_index)


def turn(axis: int, degrees: float) -> Float64:
    """Rotation about an LPS axis."""
    a, b = [i for i in range(3) if i != axis]
    matrix, angle = np.eye(3), np.deg2rad(degrees)
    matrix[[a, a, b, b], [a, b, a, b]] = np.cos(angle), -np.sin(angle), np.sin(angle), np.cos(angle)
    return matrix


def places(grid: Grid) -> Float64:
    """LPS of every voxel centre, ``(K, J, I, 3)``."""
    return grid.lps(np.stack(np.meshgrid(*map(np.arange, grid.shape), indexing="ij"), axis=-1))


def inside_head(lps: Float64) -> NDArray[np.bool_]:
    """Whether points lie in the ellipsoid."""
    inside: NDArray[np.bool_] = (((lps - HEAD_CENTER) / HEAD_RADII) ** 2).sum(axis=-1) <= 1
    return inside


def signal(grid: Grid) -> NDArray[np.float32]:
    """Source intensities: head 300 with a gradient, lesion brighter, air 0."""
    lps = places(grid)
    away = np.linalg.norm(lps - LESION_CENTER, axis=-1)
    values = np.where(inside_head(lps), 300 + lps[..., 2] / 2, 0.0) + 400 * (away < OEDEMA_MM)
    return np.rint(values).astype(np.float32)


@cache
def predicted(*, found: bool, enhancing: bool) -> Prediction:
    """Probabilities on a 1 mm LPS grid: smooth spheres about the lesion's centre."""
    grid = axis_aligned_grid(HEAD_CENTER, (100, 130, 112), 1.0)
    lps = places(grid)
    away = np.linalg.norm(lps - LESION_CENTER, axis=-1)
    whole, core, necrosis = (1 / (1 + np.exp((away - r) / 0.7)) for r in (OEDEMA_MM, ENHANCING_MM, CORE_MM))
    rim = np.clip(core - necrosis, 0, None) * enhancing
    return Prediction(np.stack([rim, core, whole]).astype(np.float32) * found, inside_head(lps), grid)


@cache
def prepared() -> Volume:
    """The sequence as the network sees it: on the prediction's grid, 0 outside the brain."""
    grid = predicted(found=True, enhancing=True).grid
    return Volume((signal(grid) - 300) / 100 * inside_head(places(grid)), grid)


def findings(phantom: Phantom) -> Findings:
    """Plausible numbers for the phantom; `measure` has its own tests."""
    lesions = tuple(lesion(number, enhancing=phantom.enhancing) for number in range(1, phantom.lesions + 1))
    sums = {region: sum(one.volume_ml[region] for one in lesions) for region in Region}
    products = sum(one.diameters.product_mm2 for one in lesions if phantom.enhancing)
    return Findings(lesions, sums, products, 0.5, 0.5, dropped=0, dropped_ml=0.0, brain_ml=620.0)


def lesion(number: int, *, enhancing: bool) -> Lesion:
    """One sphere-like lesion on the left; the first one is where the phantom's voxels are."""
    center = (float(LESION_CENTER[0]), float(LESION_CENTER[1]), float(LESION_CENTER[2]) - 3 * (number - 1))
    radius = ENHANCING_MM if enhancing else OEDEMA_MM
    diameters = Diameters(
        DiameterBasis.ENHANCING if enhancing else DiameterBasis.WHOLE_TUMOUR,
        2 * radius,
        2 * radius - 1.25,
        ((center[0] - radius, center[1], center[2]), (center[0] + radius, center[1], center[2])),
        ((center[0], center[1] - radius, center[2]), (center[0], center[1] + radius - 1.25, center[2])),
        measurable=True,
    )
    volumes = {Region.ET: 3.284 * enhancing / number, Region.TC: 4.189 / number, Region.WT: 17.157 / number}
    part = EnhancingPart(volumes[Region.ET], center, diameters)
    return Lesion(
        number, volumes, center, Side.LEFT, 24.0, False, 2 * OEDEMA_MM, diameters, (part,) if enhancing else (), 0.93
    )


def write_series(folder: Path, phantom: Phantom, grid: Grid) -> Series:
    """Write the series and describe it as a reader would, in scrambled order."""
    voxels = signal(grid).astype(np.uint16)
    datasets = [source_dataset(k, phantom, grid) for k in range(grid.shape[0])]
    for dataset, pixels in zip(datasets, voxels, strict=True):
        dataset.PixelData = pixels.tobytes()
    if phantom.enhanced:
        enhanced = highdicom.legacy.LegacyConvertedEnhancedMRImage(datasets, SERIES_UID, 7, SERIES_UID + ".1", 1)
        datasets = [enhanced]
    frames: list[Frame] = []
    for number, dataset in enumerate(datasets):
        path = folder / f"{number:03d}.dcm"
        dataset.save_as(path, enforce_file_format=True)
        frames.extend(described(dataset, path))
    order = np.random.default_rng(5).permutation(len(frames))
    scrambled = tuple(frames[i] for i in order)
    instances = tuple({frame.instance.sop_instance_uid: frame.instance for frame in scrambled}.values())
    return Series(SERIES_UID, 7, "MR", instances, scrambled, "t2_flair", "", "HEAD", FRAME_UID, None, Physics())


def described(dataset: Dataset, path: Path) -> Iterator[Frame]:
    """Frames of an instance as its header gives them."""
    meta = dataset.file_meta
    number = int(dataset.InstanceNumber)
    instance = Instance(dataset.SOPClassUID, dataset.SOPInstanceUID, meta.TransferSyntaxUID, number, path)
    shape = (int(dataset.Rows), int(dataset.Columns))
    if "PerFrameFunctionalGroupsSequence" not in dataset:
        yield Frame(instance, 1, *plane(dataset, dataset, dataset), shape)
        return
    shared = dataset.SharedFunctionalGroupsSequence[0]
    for index, group in enumerate(dataset.PerFrameFunctionalGroupsSequence, start=1):
        position, orientation, measures = (
            (group if keyword in group else shared)[keyword].value[0]
            for keyword in ("PlanePositionSequence", "PlaneOrientationSequence", "PixelMeasuresSequence")
        )
        yield Frame(instance, index, *plane(position, orientation, measures), shape)


def plane(position: Dataset, orientation: Dataset, measures: Dataset) -> tuple[tuple[float, ...], ...]:
    """Position, orientation and spacing as floats."""
    elements = (position.ImagePositionPatient, orientation.ImageOrientationPatient, measures.PixelSpacing)
    return tuple(tuple(map(float, element)) for element in elements)


def source_dataset(k: int, phantom: Phantom, grid: Grid) -> Dataset:
    """Slice ``k`` of the grid as a classic MR image; instance numbers run backwards in a reversed series."""
    number = grid.shape[0] - k if phantom.orientation == "reversed" else k + 1
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = MRImageStorage
    dataset.SpecificCharacterSet = "ISO_IR 100"
    dataset.SOPClassUID = MRImageStorage
    dataset.SOPInstanceUID = UID(f"{SERIES_UID}.{100 + number}")
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    fill_patient_and_study(dataset, phantom.patient)
    fill_series(dataset, number)
    fill_plane(dataset, k, grid)
    return dataset


def fill_patient_and_study(dataset: Dataset, patient: Patient) -> None:
    dataset.PatientName = patient.name
    dataset.PatientID = patient.id
    dataset.PatientBirthDate = patient.birth_date.strftime("%Y%m%d") if patient.birth_date else ""
    dataset.PatientSex = patient.sex
    dataset.PatientAge = "065Y"
    dataset.StudyInstanceUID = STUDY_UID
    dataset.StudyDate, dataset.StudyTime = "20261119", "090500"
    dataset.StudyID, dataset.AccessionNumber = "1", "ACC1"
    dataset.StudyDescription = "Brain"
    dataset.ReferringPhysicianName = ""
    dataset.add_new(0x00090010, "LO", "VENDOR")
    dataset.add_new(0x00091001, "LO", "private")


def fill_series(dataset: Dataset, number: int) -> None:
    dataset.Modality = "MR"
    dataset.SeriesInstanceUID, dataset.SeriesNumber = SERIES_UID, 7
    dataset.SeriesDescription = "t2_flair"
    dataset.SeriesDate = dataset.AcquisitionDate = dataset.ContentDate = "20261119"
    dataset.SeriesTime = dataset.AcquisitionTime = dataset.ContentTime = "091000"
    dataset.InstanceNumber = number
    dataset.AcquisitionNumber = 1
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "M", "ND"]
    dataset.Manufacturer, dataset.ManufacturerModelName = "ACME", "One"
    dataset.DeviceSerialNumber, dataset.SoftwareVersions = "1", "1"
    dataset.BodyPartExamined, dataset.PatientPosition = "HEAD", "HFS"
    dataset.ScanningSequence, dataset.SequenceVariant, dataset.ScanOptions = ["SE", "IR"], "SK", ""
    dataset.MRAcquisitionType = "2D"
    dataset.RepetitionTime, dataset.EchoTime, dataset.InversionTime = 9000, 120, 2500
    dataset.EchoTrainLength, dataset.MagneticFieldStrength, dataset.FlipAngle = 16, 3, 150


def fill_plane(dataset: Dataset, k: int, grid: Grid) -> None:
    steps = grid.lps_from_index[:3, :3] / np.array(grid.spacing_mm)
    dataset.FrameOfReferenceUID, dataset.PositionReferenceIndicator = FRAME_UID, ""
    dataset.ImageOrientationPatient = [f"{value:.9f}" for value in (*steps[:, 2], *steps[:, 1])]
    dataset.ImagePositionPatient = [f"{value:.6f}" for value in grid.lps((k, 0, 0))]
    dataset.PixelSpacing = [grid.spacing_mm[1], grid.spacing_mm[2]]
    dataset.SliceThickness, dataset.SpacingBetweenSlices = 4.5, grid.spacing_mm[0]
    dataset.Rows, dataset.Columns = grid.shape[1:]
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 12, 11, 0
