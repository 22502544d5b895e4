"""What a modality tells of a procedure step that it performs (PS3.4 annex F), as far as it says which images come."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum

from pydicom.dataset import Dataset
from pydicom.uid import UID

from zweitblick.dicom.header import DAMAGE, quietly, text
from zweitblick.dicom.identity import is_uid
from zweitblick.errors import DamagedInstanceError, StepAttributeError, StepValueError

PERFORMED_STEP = UID("1.2.840.10008.3.1.2.3.3")
"""Modality Performed Procedure Step SOP Class."""

_LISTS = ("ReferencedImageSequence", "ReferencedNonImageCompositeSOPInstanceSequence")
"""Of a performed series: the instances that were made (PS3.3 table C.4-15)."""


class PerformedState(StrEnum):
    """(0040,0252) Performed Procedure Step Status (PS3.3 section C.4.14)."""

    IN_PROGRESS = "IN PROGRESS"
    COMPLETED = "COMPLETED"
    DISCONTINUED = "DISCONTINUED"


@dataclass(frozen=True)
class BegunStep:
    """A procedure step as its N-CREATE tells of it.

    Parameters
    ----------
    study_instance_uid
        Of the study that its images will be of. Where it is performed for several at once, of the first.
    patient_id
        (0010,0020), for the record only; empty if there is none.
    instances
        SOP Instance UIDs of what was made so far.
    """

    study_instance_uid: str = field(repr=False)
    patient_id: str = field(default="", repr=False)
    instances: frozenset[str] = field(default=frozenset(), repr=False)


@dataclass(frozen=True)
class StepChange:
    """What an N-SET changes of a procedure step.

    Parameters
    ----------
    state
        None if it stays.
    instances
        SOP Instance UIDs of all that was made; None if the list stays.
    """

    state: PerformedState | None = None
    instances: frozenset[str] | None = field(default=None, repr=False)


def begun_step(attributes: Dataset) -> BegunStep:
    """Read the attributes of an N-CREATE (PS3.4 table F.7.2-1), those that are asked for here alone.

    Raises
    ------
    StepAttributeError
        If no study is named, or no state.
    StepValueError
        If the study's UID is none, or the state is not IN PROGRESS (PS3.4 section F.7.2.1.2).
    DamagedInstanceError
        If they cannot be read.
    """
    with _readable():
        if _state(attributes) is not PerformedState.IN_PROGRESS:
            raise StepValueError("PerformedProcedureStepStatus of a new step must be IN PROGRESS")
        named = [text(item, "StudyInstanceUID") for item in attributes.get("ScheduledStepAttributesSequence") or ()]
        if not named or not named[0]:
            raise StepAttributeError("StudyInstanceUID in ScheduledStepAttributesSequence must be given")
        if not is_uid(named[0]):
            raise StepValueError("StudyInstanceUID in ScheduledStepAttributesSequence is no UID")
        return BegunStep(named[0], text(attributes, "PatientID"), _instances(attributes) or frozenset())


def changed_step(attributes: Dataset) -> StepChange:
    """Read the attributes of an N-SET, those that are asked for here alone.

    Raises
    ------
    StepAttributeError, StepValueError
        If there is a state, and it is empty or none.
    DamagedInstanceError
        If they cannot be read.
    """
    with _readable():
        state = _state(attributes) if "PerformedProcedureStepStatus" in attributes else None
        return StepChange(state, _instances(attributes))


@contextmanager
def _readable() -> Iterator[None]:
    with quietly():
        try:
            yield
        except (*DAMAGE, OSError) as error:  # pydicom raises OSError where a sequence is cut short
            raise DamagedInstanceError("a performed procedure step cannot be read; repair its sender") from error


def _state(attributes: Dataset) -> PerformedState:
    value = text(attributes, "PerformedProcedureStepStatus")
    if not value:
        raise StepAttributeError("PerformedProcedureStepStatus must be given")
    if value not in list(PerformedState):
        raise StepValueError(f"PerformedProcedureStepStatus must be {', '.join(PerformedState)}")
    return PerformedState(value)


def _instances(attributes: Dataset) -> frozenset[str] | None:
    """UIDs that are listed, an empty one for a reference without, which will never come."""
    if "PerformedSeriesSequence" not in attributes:
        return None
    return frozenset(
        text(reference, "ReferencedSOPInstanceUID")
        for series in attributes.PerformedSeriesSequence or ()
        for keyword in _LISTS
        for reference in series.get(keyword) or ()
    )
