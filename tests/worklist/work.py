"""A work item as a requester makes it, and a worklist to keep it in."""

from contextlib import contextmanager
from pathlib import Path

from pydicom import Dataset
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage

from audit.book import Book
from kept_study import Clock, new_store
from zweitblick.store.received import ReceivedInstance
from zweitblick.store.store import Store
from zweitblick.worklist import Notices, Worklist

STUDY_UID = "1.2.276.0.4712"
UID = "2.25.77120453"
PATIENT = "Kowalczyk^Wilhelmine"


def code(value: str, scheme: str) -> Dataset:
    made = Dataset()
    made.CodeValue, made.CodingSchemeDesignator, made.CodeMeaning = value, scheme, value
    return made


def new_item(*instances: str, study_uid: str = STUDY_UID) -> Dataset:
    """All type 1 attributes of PS3.4 Table CC.2.5-3, and the input."""
    item = Dataset()
    item.ProcedureStepState = "SCHEDULED"
    item.ScheduledProcedureStepPriority = "HIGH"
    item.ProcedureStepLabel = "Second read"
    item.ScheduledProcedureStepStartDateTime = "20261127080000"
    item.InputReadinessState = "READY"
    item.PatientName = PATIENT
    item.PatientID = "PID-1"
    item.ScheduledWorkitemCodeSequence = [code("second-read", "99ZWEITBLICK")]
    source = Dataset()
    source.TypeOfInstances = "DICOM"
    source.StudyInstanceUID = study_uid
    source.SeriesInstanceUID = f"{study_uid}.1"
    source.ReferencedSOPSequence = [reference(uid) for uid in instances]
    item.InputInformationSequence = [source]
    return item


def reference(uid: str) -> Dataset:
    made = Dataset()
    made.ReferencedSOPClassUID, made.ReferencedSOPInstanceUID = "1.2.840.10008.5.1.4.1.1.4", uid
    return made


def received(uid: str, *, study_uid: str = STUDY_UID) -> ReceivedInstance:
    """An instance that the input of a work item may name."""
    return ReceivedInstance(
        sop_class_uid=MRImageStorage,
        sop_instance_uid=uid,
        transfer_syntax_uid=ExplicitVRLittleEndian,
        study_instance_uid=study_uid,
        series_instance_uid=f"{study_uid}.1",
        calling_ae_title="SCANNER",
        data=uid.encode(),
    )


def performed() -> Dataset:
    """What must be there before a step is completed."""
    done = Dataset()
    done.PerformedStationNameCodeSequence = [code("STATION", "99TEST")]
    done.PerformedWorkitemCodeSequence = [code("second-read", "99ZWEITBLICK")]
    done.PerformedProcedureStepStartDateTime = "20261127080100"
    done.PerformedProcedureStepEndDateTime = "20261127080200"
    done.OutputInformationSequence = []
    change = Dataset()
    change.UnifiedProcedureStepPerformedProcedureSequence = [done]
    return change


def discontinued(reason: str, *codes: Dataset) -> Dataset:
    """Why a step was discontinued (PS3.3 C.30.1)."""
    progress = Dataset()
    progress.ReasonForCancellation = reason
    progress.ProcedureStepDiscontinuationReasonCodeSequence = list(codes)
    change = Dataset()
    change.ProcedureStepProgressInformationSequence = [progress]
    return change


class Office:
    """A store and its worklist."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self.store, self.clock, self.book = store, clock, Book()
        self.worklist = Worklist(store.workitems, Notices(), clock, self.book)


@contextmanager
def office(folder: Path):
    clock = Clock()
    with new_store(folder, clock) as store:
        yield Office(store, clock)
