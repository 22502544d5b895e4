"""What every object written has in common: whose it is, what it was made from, by what, and when."""

import io
import re
from collections.abc import Sequence
from dataclasses import dataclass

import pydicom
from pydicom.dataset import Dataset
from pydicom.uid import UID

from zweitblick.dicom.header import DAMAGE, day, opened_bytes, quietly, read_header, tags_of, texts
from zweitblick.dicom.implementation import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION
from zweitblick.errors import DamagedInstanceError
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

_UTF_8 = "ISO_IR 192"
_SEXES = ("M", "F", "O")
_TIME = re.compile(r"([01]\d|2[0-3])([0-5]\d([0-5]\d(\.\d{1,6})?)?)?")


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

    A value that its VR does not allow (a sex of ``W``, a date of ``00000000``) is emptied: an object that repeated it
    would be invalid too. Of several values where one is allowed the first stays. What cannot be converted at all is
    left out, and so are private attributes. Text is decoded here, so the character set is UTF-8.

    Parameters
    ----------
    instance
        Of any image SOP class.

    Raises
    ------
    DamagedInstanceError
        If the file is gone or its data set cannot be read.
    """
    try:
        with opened_bytes(instance.source) as file, quietly():
            dataset = pydicom.dcmread(file, stop_before_pixels=True, force=True)
            _leave_out_unreadable(dataset)
            _settle_patient_and_study(dataset)
    except (*DAMAGE, OSError) as error:
        raise DamagedInstanceError(
            f"the header of a source instance cannot be used ({type(error).__name__}); send it again"
        ) from error
    return dataset


def attributes(instance: Instance, keywords: Sequence[str]) -> Dataset:
    """Return some attributes of a source instance; what cannot be converted is left out.

    Raises
    ------
    DamagedInstanceError
        If the file is gone or its data set cannot be read.
    """
    with quietly():
        dataset = read_header(instance.source, tags_of(keywords)).data
        _leave_out_unreadable(dataset)
    return dataset


def settled(dataset: Dataset, reading: Reading, *, output: Output) -> Dataset:
    """Say what made the object, and take the time from the reading.

    highdicom stamps creation, content and contribution with the clock; all become the reading's time. Text is written
    as UTF-8, which holds every name that the source can spell (PS3.3 C.12.1.1.2). The software has no serial number,
    which the Enhanced General Equipment module demands: the version stands for it.
    """
    dataset.SpecificCharacterSet = _UTF_8
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
    """Part 10 bytes of a data set with file meta information, which names us as who wrote the file."""
    dataset.file_meta.ImplementationClassUID = IMPLEMENTATION_CLASS_UID
    dataset.file_meta.ImplementationVersionName = IMPLEMENTATION_VERSION
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def _leave_out_unreadable(dataset: Dataset) -> None:
    """Convert every attribute, at every depth; delete private ones and those whose value is none of their VR."""
    for tag in list(dataset.keys()):
        try:
            element = None if tag.is_private else dataset[tag]
        except DAMAGE:
            element = None
        if element is None:
            del dataset[tag]
        elif element.VR == "SQ":
            for nested in element.value:
                _leave_out_unreadable(nested)


def _settle_patient_and_study(dataset: Dataset) -> None:
    written = {keyword: next(iter(texts(dataset, keyword)), "") for keyword in _TYPE_2}
    for keyword in ("PatientBirthDate", "StudyDate"):
        found = day(written[keyword])
        written[keyword] = found.isoformat().replace("-", "") if found else ""
    if written["PatientSex"] not in _SEXES:
        written["PatientSex"] = ""
    if not _TIME.fullmatch(written["StudyTime"]):
        written["StudyTime"] = ""
    dataset.SpecificCharacterSet = _UTF_8
    for keyword, value in written.items():
        setattr(dataset, keyword, value)
