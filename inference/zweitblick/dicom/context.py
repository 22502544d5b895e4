"""What every object written has in common: whose it is, what it was made from, by what, and when."""

import io
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pydicom
from pydicom.dataset import Dataset
from pydicom.uid import UID

from zweitblick.reading import ModelIdentity, Reading
from zweitblick.study import Instance

MANUFACTURER = "zweitblick"
TUMOUR_MODEL = "tumour"

_TYPE_2 = (
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyDate",
    "StudyTime",
    "StudyID",
    "AccessionNumber",
    "ReferringPhysicianName",
)
"""Patient and General Study attributes that must be there, if empty (PS3.3 C.7.1.1, C.7.2.1)."""

_DATE = re.compile(r"\d{8}|\d{4}\.\d{2}\.\d{2}")
_TIME = re.compile(r"\d{2}(\d{2}(\d{2}(\.\d{1,6})?)?)?")


@dataclass(frozen=True)
class Output:
    """One of the series that zweitblick adds to a study.

    Parameters
    ----------
    name
        Names its UIDs within a reading.
    number
        Series Number; high, so that it comes after the scanner's own.
    description
        Series Description.
    """

    name: str
    number: int
    description: str


SEG = Output("seg", 9101, "zweitblick tumour segmentation, not verified")
SR = Output("sr", 9102, "zweitblick measurements, not verified")
PDF = Output("pdf", 9103, "zweitblick report, not verified")
CAPTURE = Output("capture", 9104, "zweitblick outlines, AI, not verified")


def series_uid(reading: Reading, output: Output) -> UID:
    """Series Instance UID of a series."""
    return UID(reading.uid(f"{output.name}/series"))


def instance_uid(reading: Reading, output: Output, *, number: int = 1) -> UID:
    """SOP Instance UID of an object of a series."""
    return UID(reading.uid(f"{output.name}/{number}"))


def tumour_model(reading: Reading) -> ModelIdentity:
    """Return the bundle that drew the outline: the one named ``tumour``, or else the first."""
    return next((model for model in reading.models if model.name == TUMOUR_MODEL), reading.models[0])


def header(instance: Instance) -> Dataset:
    """Header of a source instance without pixels, with empty values where patient and study must say something.

    A value that its VR does not allow (a sex of ``W``, a date of ``unknown``) is emptied: an object that repeated it
    would be invalid too.

    Parameters
    ----------
    instance
        Of any image SOP class.
    """
    with (
        io.BytesIO(instance.source) if isinstance(instance.source, bytes) else Path(instance.source).open("rb") as file
    ):
        dataset = pydicom.dcmread(file, stop_before_pixels=True)
    for keyword in _TYPE_2:
        if keyword not in dataset or dataset[keyword].value is None:
            setattr(dataset, keyword, "")
    _emptied(dataset, "PatientSex", allowed=lambda value: value in ("M", "F", "O"))
    for keyword in ("PatientBirthDate", "StudyDate"):
        _emptied(dataset, keyword, allowed=lambda value: bool(_DATE.fullmatch(value)))
    _emptied(dataset, "StudyTime", allowed=lambda value: bool(_TIME.fullmatch(value)))
    return dataset


def settled(dataset: Dataset, reading: Reading, *, output: Output) -> Dataset:
    """Say what made the object, and take the time from the reading.

    highdicom stamps creation, content and contribution with the clock; all become the reading's time. Text is written
    as UTF-8, which holds every name that the source can spell (PS3.3 C.12.1.1.2). The software has no serial number,
    which the Enhanced General Equipment module demands: the version stands for it.
    """
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.SeriesDescription = output.description
    dataset.Manufacturer = dataset.ManufacturerModelName = MANUFACTURER
    dataset.SoftwareVersions = dataset.DeviceSerialNumber = reading.version
    date, time = reading.stamp.time.strftime("%Y%m%d"), reading.stamp.time.strftime("%H%M%S.%f")
    dataset.InstanceCreationDate, dataset.InstanceCreationTime = date, time
    dataset.ContentDate, dataset.ContentTime = date, time
    dataset.SeriesDate, dataset.SeriesTime = date, time
    for equipment in dataset.get("ContributingEquipmentSequence", []):
        if equipment.get("ManufacturerModelName") == "highdicom":
            equipment.ContributionDateTime = date + time
    return dataset


def part10(dataset: Dataset) -> bytes:
    """Part 10 bytes of a data set with file meta information."""
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def _emptied(dataset: Dataset, keyword: str, *, allowed: Callable[[str], bool]) -> None:
    if not allowed(str(dataset[keyword].value)):
        setattr(dataset, keyword, "")
