"""A series as Part 10 files: classic MR Image Storage, explicit VR little endian (PS3.3 A.4)."""

import uuid
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import numpy as np
from pydicom import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage

from zweitblick.errors import OutputError
from zweitblick.sample.scan import HALF_THICKNESS
from zweitblick.sample.tissues import Protocol
from zweitblick.study import Sequence
from zweitblick.volume import Volume

FIRST_DATE = date(2020, 1, 1)
"""Of a head's first study; synthetic, as are all other attributes of patient and study."""

MANUFACTURER = "zweitblick sample"


@dataclass(frozen=True)
class SeriesHeader:
    """What the files of one series share beside their geometry.

    Parameters
    ----------
    sequence, protocol
        Contrast and its timing.
    number
        Series Number.
    frame
        Name of the frame of reference.
    identity
        Everything that makes this study another one; UIDs are made from it.
    day
        Days after the first study.
    """

    sequence: Sequence
    protocol: Protocol
    number: int
    frame: str
    identity: str
    day: int

    @property
    def date(self) -> str:
        """Study Date, DA."""
        return (FIRST_DATE + timedelta(self.day)).strftime("%Y%m%d")

    def uid(self, name: str) -> str:
        """``2.25.`` and a UUID (PS3.5 B.2) made from the study's identity and a name (RFC 9562 version 5)."""
        return f"2.25.{uuid.uuid5(uuid.NAMESPACE_OID, f'{self.identity}/{name}').int}"

    @property
    def series_uid(self) -> str:
        """Series Instance UID."""
        return self.uid(f"series {self.number}")


DESCRIPTIONS = {
    Sequence.T1: "T1 se obl",
    Sequence.T1C: "T1 se obl +Gd",
    Sequence.T2: "T2 tse obl",
    Sequence.FLAIR: "FLAIR obl",
}


def make_folder(folder: Path) -> None:
    """Make the folder of a series; what an earlier sample left in it is removed, so that two never mix.

    Raises
    ------
    OutputError
        If it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for old in folder.glob("IM[0-9][0-9][0-9][0-9].dcm"):
            old.unlink()
    except OSError as error:
        raise OutputError(f"cannot make {folder}: {error.strerror}; choose another folder") from error


def write_series(folder: Path, image: Volume, header: SeriesHeader) -> None:
    """Write one file per slice into a folder that exists.

    Raises
    ------
    OutputError
        If a file cannot be written.
    """
    shared = _shared(header)
    shared.update(_window(image))
    try:
        for k in range(image.shape[0]):
            _slice(shared, image, k, header).save_as(folder / f"IM{k + 1:04d}.dcm", enforce_file_format=True)
    except OSError as error:
        raise OutputError(f"cannot write to {folder}: {error.strerror}; choose another folder") from error


def _shared(header: SeriesHeader) -> Dataset:
    shared = Dataset()
    for part in (_study(header), _equipment(), _series(header), _physics(header)):
        shared.update(part)
    return shared


def _study(header: SeriesHeader) -> Dataset:
    study = Dataset()
    study.SpecificCharacterSet = "ISO_IR 192"
    study.PatientName = "Sample^Synthetic"
    study.PatientID = "ZB-SAMPLE"
    study.PatientBirthDate = ""
    study.PatientSex = "O"
    study.PatientAge = "055Y"
    study.StudyInstanceUID = header.uid("study")
    study.StudyDate = header.date
    study.StudyTime = "120000"
    study.StudyID = "1"
    study.AccessionNumber = ""
    study.ReferringPhysicianName = ""
    study.StudyDescription = "MR head synthetic"
    return study


def _equipment() -> Dataset:
    equipment = Dataset()
    equipment.Manufacturer = MANUFACTURER
    equipment.ManufacturerModelName = "ICBM 152 phantom"
    equipment.MagneticFieldStrength = "1.5"
    equipment.ImagingFrequency = "63.87"
    return equipment


def _series(header: SeriesHeader) -> Dataset:
    series = Dataset()
    series.SOPClassUID = MRImageStorage
    series.Modality = "MR"
    series.SeriesInstanceUID = header.series_uid
    series.SeriesNumber = header.number
    series.SeriesDescription = series.ProtocolName = DESCRIPTIONS[header.sequence]
    series.SeriesDate = series.AcquisitionDate = series.ContentDate = header.date
    series.SeriesTime = series.AcquisitionTime = series.ContentTime = f"12{header.number * 5:02d}00"
    series.AcquisitionNumber = 1
    series.FrameOfReferenceUID = header.uid(header.frame)
    series.PositionReferenceIndicator = ""
    series.BodyPartExamined = "HEAD"
    series.PatientPosition = "HFS"
    return series


def _physics(header: SeriesHeader) -> Dataset:
    protocol, physics = header.protocol, Dataset()
    physics.ImageType = ["ORIGINAL", "PRIMARY", "OTHER"]
    physics.ScanningSequence = ["SE"] if protocol.inversion_ms is None else ["SE", "IR"]
    physics.SequenceVariant = ["NONE"] if protocol.echo_train == 1 else ["SK"]
    physics.ScanOptions = ""
    physics.MRAcquisitionType = "2D"
    physics.RepetitionTime = protocol.repetition_ms
    physics.EchoTime = protocol.echo_ms
    physics.EchoTrainLength = protocol.echo_train
    physics.FlipAngle = 90
    physics.NumberOfAverages = 1
    if protocol.inversion_ms is not None:
        physics.InversionTime = protocol.inversion_ms
    if protocol.contrast:
        physics.ContrastBolusAgent = "Gadolinium, simulated"
    return physics


def _slice(shared: Dataset, image: Volume, k: int, header: SeriesHeader) -> Dataset:
    instance = Dataset()
    instance.update(shared)
    instance.SOPInstanceUID = header.uid(f"series {header.number} instance {k + 1}")
    instance.InstanceNumber = k + 1
    _set_geometry(instance, image, k)
    _set_pixels(instance, image, k)
    instance.file_meta = FileMetaDataset()
    instance.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    instance.file_meta.MediaStorageSOPClassUID = MRImageStorage
    instance.file_meta.MediaStorageSOPInstanceUID = instance.SOPInstanceUID
    return instance


def _set_geometry(instance: Dataset, image: Volume, k: int) -> None:
    """Image Plane module (PS3.3 C.7.6.2); DS values keep ten significant digits."""
    slice_mm, row_mm, column_mm = image.spacing_mm
    axes = image.lps_from_index[:3, :3] / np.array(image.spacing_mm)
    orientation = np.concatenate([axes[:, 2], axes[:, 1]])
    instance.ImagePositionPatient = [_decimal(value) for value in image.grid.lps((k, 0, 0))]
    instance.ImageOrientationPatient = [_decimal(value) for value in orientation]
    instance.PixelSpacing = [_decimal(row_mm), _decimal(column_mm)]
    instance.SliceThickness = _decimal(2.0 * HALF_THICKNESS * slice_mm)
    instance.SpacingBetweenSlices = _decimal(slice_mm)
    normal = np.cross(orientation[:3], orientation[3:])
    instance.SliceLocation = _decimal(float(normal @ image.grid.lps((k, 0, 0))))


def _set_pixels(instance: Dataset, image: Volume, k: int) -> None:
    """Image Pixel and MR Image modules (PS3.3 C.7.6.3, C.8.3.1): 12 bits stored in 16."""
    instance.SamplesPerPixel = 1
    instance.PhotometricInterpretation = "MONOCHROME2"
    instance.Rows, instance.Columns = image.shape[1:]
    instance.BitsAllocated, instance.BitsStored, instance.HighBit = 16, 12, 11
    instance.PixelRepresentation = 0
    instance.PixelData = np.clip(image.voxels[k], 0, 4095).astype("<u2").tobytes()


def _window(image: Volume) -> Dataset:
    """VOI LUT module (PS3.3 C.11.2): one window for all slices."""
    window = Dataset()
    top = float(np.percentile(image.voxels, 99.5))
    window.WindowCenter, window.WindowWidth = _decimal(round(top / 2)), _decimal(round(top))
    return window


def _decimal(value: float) -> str:
    """Decimal String of at most 16 characters (PS3.5 6.2)."""
    return f"{value + 0.0:.8f}"[:16]
