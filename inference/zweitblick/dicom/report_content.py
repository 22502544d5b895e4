"""What a structured report of measurements says, as plain values: to show it, whoever wrote it."""

import io
from collections.abc import Iterator
from dataclasses import dataclass, field

import pydicom
from pydicom.dataset import Dataset
from pydicom.sr.coding import Code

from zweitblick.dicom import codes
from zweitblick.dicom.header import DAMAGE, items, quietly, text
from zweitblick.errors import DamagedInstanceError

MEASUREMENT_GROUP = Code("125007", "DCM", "Measurement Group")
TRACKING_IDENTIFIER = Code("112039", "DCM", "Tracking Identifier")
FINDING_SITE = Code("363698007", "SCT", "Finding Site")
LATERALITY = Code("272741003", "SCT", "Laterality")
TOPOGRAPHICAL_MODIFIER = Code("106233006", "SCT", "Topographical modifier")
"""Concepts of TID 1411 and 1501 (PS3.16)."""


@dataclass(frozen=True)
class ReportedMeasurement:
    """One number of a report.

    Parameters
    ----------
    name
        Meaning of its concept.
    value
        As written, a decimal; empty where the report gives none.
    unit
        UCUM code.
    """

    name: str
    value: str
    unit: str


@dataclass(frozen=True)
class ReportedGroup:
    """The numbers of one thing that was measured.

    Parameters
    ----------
    name
        Its tracking identifier.
    side
        Laterality or topographical modifier of its finding site; empty if there is none.
    measurements
        In the report's order.
    """

    name: str
    side: str
    measurements: tuple[ReportedMeasurement, ...]


@dataclass(frozen=True)
class ReportContent:
    """A report of measurements (TID 1500).

    Parameters
    ----------
    sop_instance_uid, study_uid, patient_name, patient_id, birth_date, study_date
        Whose report it is, as it says itself; dates as eight digits, empty where unknown.
    findings, comments
        Its texts, in order.
    groups
        Its measurement groups, in order; those without numbers are left out.
    """

    sop_instance_uid: str = field(repr=False)
    study_uid: str = field(repr=False)
    patient_name: str = field(repr=False)
    patient_id: str = field(repr=False)
    birth_date: str = field(repr=False)
    study_date: str = field(repr=False)
    findings: tuple[str, ...]
    comments: tuple[str, ...]
    groups: tuple[ReportedGroup, ...]


def report_content(content: bytes) -> ReportContent:
    """Read a report of measurements.

    Parameters
    ----------
    content
        Part 10 bytes of a structured report.

    Raises
    ------
    DamagedInstanceError
        If it is no structured report, or a damaged one.
    """
    try:
        with quietly():
            return _content(pydicom.dcmread(io.BytesIO(content)))
    except DAMAGE as error:
        raise DamagedInstanceError(
            f"this cannot be read as a structured report ({type(error).__name__}); write it to a file instead"
        ) from error


def _content(dataset: Dataset) -> ReportContent:
    if dataset.Modality != "SR" or not items(dataset, "ContentSequence"):
        raise DamagedInstanceError("this is no structured report; write it to a file instead")
    everything = list(_walked(dataset))
    groups = (_group(item) for item in everything if _is(item, MEASUREMENT_GROUP))
    return ReportContent(
        text(dataset, "SOPInstanceUID"),
        text(dataset, "StudyInstanceUID"),
        text(dataset, "PatientName"),
        text(dataset, "PatientID"),
        text(dataset, "PatientBirthDate"),
        text(dataset, "StudyDate"),
        findings=tuple(text(item, "TextValue") for item in everything if _is_text(item, codes.FINDING)),
        comments=tuple(text(item, "TextValue") for item in everything if _is_text(item, codes.COMMENT)),
        groups=tuple(group for group in groups if group.measurements),
    )


def _walked(item: Dataset) -> Iterator[Dataset]:
    """Content items below one, each before its children (PS3.3 C.17.3)."""
    for child in items(item, "ContentSequence"):
        yield child
        yield from _walked(child)


def _group(item: Dataset) -> ReportedGroup:
    children = items(item, "ContentSequence")
    below_sites = [child for site in children if _is(site, FINDING_SITE) for child in items(site, "ContentSequence")]
    return ReportedGroup(
        next((text(child, "TextValue") for child in children if _is(child, TRACKING_IDENTIFIER)), ""),
        next((_meaning(child) for child in below_sites if _is(child, LATERALITY, TOPOGRAPHICAL_MODIFIER)), ""),
        tuple(_measurement(child) for child in children if text(child, "ValueType") == "NUM"),
    )


def _measurement(item: Dataset) -> ReportedMeasurement:
    (name,) = items(item, "ConceptNameCodeSequence")
    measured = next(iter(items(item, "MeasuredValueSequence")), Dataset())
    unit = next(iter(items(measured, "MeasurementUnitsCodeSequence")), Dataset())
    return ReportedMeasurement(text(name, "CodeMeaning"), text(measured, "NumericValue"), text(unit, "CodeValue"))


def _meaning(item: Dataset) -> str:
    (code,) = items(item, "ConceptCodeSequence")
    return text(code, "CodeMeaning")


def _is_text(item: Dataset, concept: Code) -> bool:
    return text(item, "ValueType") == "TEXT" and _is(item, concept)


def _is(item: Dataset, *concepts: Code) -> bool:
    names = [
        (text(code, "CodeValue"), text(code, "CodingSchemeDesignator"))
        for code in items(item, "ConceptNameCodeSequence")
    ]
    return any((concept.value, concept.scheme_designator) in names for concept in concepts)
