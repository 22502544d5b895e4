"""Files to a Study: each header is parsed once, pixels are left alone, what is no usable instance is set aside."""

import filecmp
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

from pydicom.dataset import Dataset
from pydicom.uid import MediaStorageDirectoryStorage

from zweitblick.dicom.frames import GEOMETRY_KEYWORDS, frame_headers, frames
from zweitblick.dicom.header import Header, day, integer, moment, quietly, read_header, tags_of, text
from zweitblick.dicom.physics import PHYSICS_KEYWORDS, VENDOR_B_VALUE_TAGS, physics
from zweitblick.dicom.pixels import native_pixels
from zweitblick.errors import DamagedInstanceError, MixedPatientsError, MixedStudiesError, NoDicomError
from zweitblick.study import Frame, Instance, Patient, Series, Study

_STUDY_KEYWORDS = (
    "SpecificCharacterSet",
    "SOPClassUID",
    "SOPInstanceUID",
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "FrameOfReferenceUID",
    "StudyDate",
    "StudyTime",
    "SeriesDate",
    "SeriesTime",
    "AcquisitionDate",
    "AcquisitionTime",
    "AcquisitionDateTime",
    "ContentDate",
    "ContentTime",
    "AccessionNumber",
    "Modality",
    "StudyDescription",
    "SeriesDescription",
    "ProtocolName",
    "BodyPartExamined",
    "SeriesNumber",
    "InstanceNumber",
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "PatientAge",
)
_TAGS = [*tags_of({*_STUDY_KEYWORDS, *GEOMETRY_KEYWORDS, *PHYSICS_KEYWORDS}), *VENDOR_B_VALUE_TAGS]
_REQUIRED = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")
_YEARS_PER_UNIT = {"D": 1 / 365.25, "W": 7 / 365.25, "M": 1 / 12, "Y": 1.0}
"""Units of an AS value (PS3.5 section 6.2)."""


@dataclass(frozen=True)
class _Record:
    """All that is kept of one file; what one instance tells for all is read of ``data`` later."""

    instance: Instance
    frames: tuple[Frame, ...]
    acquired_at: datetime | None
    series_uid: str
    study_uid: str
    data: Dataset


def read_study(paths: Sequence[Path | bytes]) -> Study:
    """Headers of all instances among ``paths``, as one study.

    Files that are no DICOM, empty, cut short within the header or without a required UID are left out and listed in
    ``Study.unreadable`` by their place in ``paths`` (names of files may be names of patients). A directory of a
    medium (DICOMDIR) is passed over. A copy of an instance, equal byte for byte, counts once.

    Parameters
    ----------
    paths
        Files, as `source.opened` gives them, or what they hold, for those who keep patients' data off the disk.

    Raises
    ------
    NoDicomError
        If no file is a usable instance.
    MixedPatientsError
        If Patient's Name, Patient ID or Patient's Birth Date differ between instances.
    MixedStudiesError
        If Study Instance UIDs differ.
    """
    records: list[_Record] = []
    unreadable: dict[str, str] = {}
    with quietly():
        for place, path in enumerate(paths, start=1):
            try:
                records += _records(path)
            except DamagedInstanceError as error:
                unreadable[f"file {place}"] = str(error)
        if not records:
            raise NoDicomError(f"none of {len(paths)} files is a DICOM instance; give the folder of one MRI study")
        return _study(_without_copies(records), unreadable)


def _records(path: Path | bytes) -> list[_Record]:
    """One record of a file, none of a DICOMDIR."""
    header = read_header(path, _TAGS)
    if MediaStorageDirectoryStorage in (text(header.data, "SOPClassUID"), _media_class(header)):
        return []
    missing = [keyword for keyword in _REQUIRED if not text(header.data, keyword)]
    if missing:
        raise DamagedInstanceError(f"the header has no {missing[0]}; the file is cut short or no DICOM instance")
    return [_record(header, path)]


def _media_class(header: Header) -> str:
    return text(header.data.file_meta, "MediaStorageSOPClassUID")


def _record(header: Header, path: Path | bytes) -> _Record:
    data = header.data
    instance = Instance(
        sop_class_uid=text(data, "SOPClassUID"),
        sop_instance_uid=text(data, "SOPInstanceUID"),
        transfer_syntax_uid=header.transfer_syntax_uid,
        number=integer(data, "InstanceNumber"),
        source=path,
        samples_per_pixel=(integer(data, "SamplesPerPixel") or 1) if header.pixels else 0,
        native=native_pixels(header),
    )
    return _Record(
        instance=instance,
        frames=frames(data, instance),
        acquired_at=_acquired_at(data),
        series_uid=text(data, "SeriesInstanceUID"),
        study_uid=text(data, "StudyInstanceUID"),
        data=data,
    )


def _patient(data: Dataset) -> Patient:
    return Patient(
        name=text(data, "PatientName"),
        id=text(data, "PatientID"),
        birth_date=day(text(data, "PatientBirthDate")),
        sex=text(data, "PatientSex"),
        age_years=_age_years(data),
    )


def _age_years(data: Dataset) -> float | None:
    """Patient's Age (0010,1010), or else the time from birth to study."""
    written = text(data, "PatientAge").upper()
    if written[:-1].isdecimal() and written[-1] in _YEARS_PER_UNIT:
        return int(written[:-1]) * _YEARS_PER_UNIT[written[-1]]
    birth, study = day(text(data, "PatientBirthDate")), day(text(data, "StudyDate"))
    return (study - birth).days / 365.25 if birth and study else None


def _acquired_at(data: Dataset) -> datetime | None:
    """When an image was acquired, from the first pair of attributes that is there."""
    written = text(data, "AcquisitionDateTime")
    found = moment(written[:8], written[8:])
    for name in ("Acquisition", "Content", "Series"):
        found = found or moment(text(data, f"{name}Date"), text(data, f"{name}Time"))
    return found


def _without_copies(records: Iterable[_Record]) -> list[_Record]:
    """Leave out files that equal an earlier one of the same SOP Instance UID; unequal ones stay, and will clash."""
    kept: dict[str, list[_Record]] = defaultdict(list)
    for record in records:
        twins = kept[record.instance.sop_instance_uid]
        if not any(_equal_files(record.instance, twin.instance) for twin in twins):
            twins.append(record)
    return [record for twins in kept.values() for record in twins]


def _equal_files(one: Instance, other: Instance) -> bool:
    if isinstance(one.source, bytes) or isinstance(other.source, bytes):
        return one.source == other.source
    return filecmp.cmp(one.source, other.source, shallow=False)


def _study(records: list[_Record], unreadable: dict[str, str]) -> Study:
    _check_one_patient([record.data for record in records])
    count = len({record.study_uid for record in records})
    if count > 1:
        raise MixedStudiesError(f"instances of {count} studies (0020,000D); give one study at a time")
    first = records[0].data
    return Study(
        uid=records[0].study_uid,
        patient=_patient(first),
        series=_all_series(records),
        description=text(first, "StudyDescription"),
        accession_number=text(first, "AccessionNumber"),
        started_at=moment(text(first, "StudyDate"), text(first, "StudyTime")),
        unreadable=unreadable,
    )


def _check_one_patient(headers: Sequence[Dataset]) -> None:
    """Each attribute that identifies a patient has one value, apart from instances where it is empty.

    Names are compared without case and padding: systems differ in both (PS3.5 section 6.2.1).
    """
    values: dict[str, set[str] | set[date | None]] = {
        "Patient's Name (0010,0010)": {_plain_name(text(one, "PatientName")) for one in headers},
        "Patient ID (0010,0020)": {text(one, "PatientID") for one in headers},
        "Patient's Birth Date (0010,0030)": {day(text(one, "PatientBirthDate")) for one in headers},
    }
    for attribute, found in values.items():
        known = [one for one in found if one]
        if len(known) > 1:
            raise MixedPatientsError(f"{len(known)} different values of {attribute}; give the study of one patient")


def _plain_name(written: str) -> str:
    return " ".join(written.casefold().replace("^", " ").split())


def _all_series(records: Iterable[_Record]) -> tuple[Series, ...]:
    by_uid: dict[str, list[_Record]] = defaultdict(list)
    for record in records:
        by_uid[record.series_uid].append(record)
    found = [_one_series(group) for group in by_uid.values()]
    return tuple(sorted(found, key=lambda series: (series.number is None, series.number or 0, series.uid)))


def _one_series(records: list[_Record]) -> Series:
    """Header of the first image by Instance Number, with all instances and frames."""
    ordered = sorted(records, key=_by_number)
    first = next((record for record in ordered if record.frames), ordered[0])
    times = [record.acquired_at for record in records if record.acquired_at is not None]
    return Series(
        uid=first.series_uid,
        number=integer(first.data, "SeriesNumber"),
        modality=text(first.data, "Modality"),
        instances=tuple(record.instance for record in ordered),
        frames=tuple(frame for record in ordered for frame in record.frames),
        description=text(first.data, "SeriesDescription"),
        protocol=text(first.data, "ProtocolName"),
        body_part=text(first.data, "BodyPartExamined"),
        frame_of_reference_uid=text(first.data, "FrameOfReferenceUID"),
        acquired_at=min(times, default=None),
        physics=physics(frame_headers(first.data)[0]),
    )


def _by_number(record: _Record) -> tuple[bool, int, str]:
    instance = record.instance
    return instance.number is None, instance.number or 0, instance.sop_instance_uid
