"""What a work item may say (PS3.4 Table CC.2.5-3, in part), and how it is written (DICOM JSON, PS3.18 annex F)."""

import re
from typing import Any

from pydicom import Dataset
from pydicom.uid import RE_VALID_UID

from zweitblick.audit.events import AuditedStudy
from zweitblick.errors import WorkitemContentError
from zweitblick.worklist.step import StepState

PUSH = "1.2.840.10008.5.1.4.34.6.1"
"""Unified Procedure Step - Push SOP Class: the one that every instance has (PS3.4 section CC.3.1)."""

DRAFT = "UnifiedProcedureStepPerformedProcedureSequence"
"""What was performed, and what came of it."""

PROGRESS = "ProcedureStepProgressInformationSequence"
"""How far it is, or why it was discontinued."""

_VALUES = {
    "ProcedureStepState": frozenset({StepState.SCHEDULED}),
    "ScheduledProcedureStepPriority": frozenset({"HIGH", "MEDIUM", "LOW"}),
    "InputReadinessState": frozenset({"INCOMPLETE", "UNAVAILABLE", "READY"}),
    "ProcedureStepLabel": None,
    "ScheduledProcedureStepStartDateTime": None,
}
"""Attributes that a work item must have from the beginning to the end, with the values that they may have."""

_NOT_WHEN_NEW = (
    "TransactionUID",
    PROGRESS,
    DRAFT,
)
_NEVER_SET = (
    *("SOPClassUID", "SOPInstanceUID", "TransactionUID", "ProcedureStepState"),
    *("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "AdmissionID", "StudyInstanceUID"),
    *("InputInformationSequence", "ReferencedRequestSequence"),
)
"""Not to be set once the work item is made: by PS3.4, and, for the input, since it would be another work item."""

_PERFORMED = (
    *("PerformedStationNameCodeSequence", "PerformedWorkitemCodeSequence"),
    *("PerformedProcedureStepStartDateTime", "PerformedProcedureStepEndDateTime"),
)


def written(dataset: Dataset) -> dict[str, Any]:
    """Return a work item as DICOM JSON for whoever asks: all but its Transaction UID (PS3.4 section CC.2.7)."""
    return {tag: element for tag, element in dataset.to_json_dict().items() if tag != "00081195"}


def published(dataset: Dataset) -> Dataset:
    """Take out of a work item what its performer has put down so far: until the item has ended it is a draft.

    PS3.4 asks for no more: what was performed is complete in the final states only (Table CC.2.5-3).
    """
    if dataset.get("ProcedureStepState") == StepState.IN_PROGRESS and DRAFT in dataset:
        delattr(dataset, DRAFT)
    return dataset


def check_new(dataset: Dataset) -> None:
    """Refuse a new work item that is not as PS3.4 Table CC.2.5-3 asks.

    Raises
    ------
    WorkitemContentError
        Naming the first attribute that is wrong.
    """
    for keyword in _VALUES:
        _check_value(dataset, keyword)
    _refuse(dataset, _NOT_WHEN_NEW, "cannot be given with a new work item; leave it out")


def check_change(change: Dataset) -> None:
    """Refuse a change of what must stay as it was made.

    Raises
    ------
    WorkitemContentError
        Naming the first such attribute.
    """
    _refuse(change, _NEVER_SET, "cannot be changed; leave it out")
    for keyword in _VALUES:
        if keyword in change:
            _check_value(change, keyword)


def check_completed(dataset: Dataset) -> None:
    """Refuse to complete what does not say how it was performed: the final state requirements (PS3.4 C304).

    Raises
    ------
    WorkitemContentError
        Naming the first attribute that is missing.
    """
    performed = dataset.get(DRAFT) or [Dataset()]
    missing = [keyword for keyword in _PERFORMED if not performed[0].get(keyword)]
    if missing:
        raise WorkitemContentError(f"{DRAFT} lacks {missing[0]}; set it before COMPLETED")


def study_uid(dataset: Dataset) -> str:
    """Return the Study Instance UID of the one study that a work item is about: of its input, or its own.

    Raises
    ------
    WorkitemContentError
        If there is none, or more than one.
    """
    named = {str(item.get("StudyInstanceUID", "")) for item in dataset.get("InputInformationSequence") or ()}
    named = named or {str(dataset.get("StudyInstanceUID", ""))}
    if len(named) != 1 or not is_uid(uid := named.pop()):
        raise WorkitemContentError("InputInformationSequence must name one study by its UID; make a work item of each")
    return uid


def audited_study(dataset: Dataset) -> AuditedStudy:
    """Return the study that a work item is about, and whose it is, as audit messages name them.

    Raises
    ------
    WorkitemContentError
        As `study_uid`.
    """
    patient_id, name = (str(dataset.get(keyword) or "") for keyword in ("PatientID", "PatientName"))
    return AuditedStudy(study_uid(dataset), patient_id, name)


def is_uid(text: str) -> bool:
    """Tell whether a text is a UID (PS3.5 section 9.1)."""
    return len(text) <= 64 and re.fullmatch(RE_VALID_UID, text) is not None


def input_uids(dataset: Dataset) -> frozenset[str]:
    """Return the SOP Instance UIDs of a work item's input; empty if it names series or study alone."""
    return frozenset(
        str(instance.ReferencedSOPInstanceUID)
        for item in dataset.get("InputInformationSequence") or ()
        for instance in item.get("ReferencedSOPSequence") or ()
        if "ReferencedSOPInstanceUID" in instance
    )


def _check_value(dataset: Dataset, keyword: str) -> None:
    value, allowed = str(dataset.get(keyword) or ""), _VALUES[keyword]
    if not value or (allowed is not None and value not in allowed):
        raise WorkitemContentError(f"{keyword} must be {'given' if allowed is None else ' or '.join(sorted(allowed))}")


def _refuse(dataset: Dataset, keywords: tuple[str, ...], why: str) -> None:
    for keyword in keywords:
        if dataset.get(keyword):
            raise WorkitemContentError(f"{keyword} {why}")
