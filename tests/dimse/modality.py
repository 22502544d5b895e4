"""A modality that tells of its work, by pynetdicom."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from pydicom import Dataset
from pynetdicom import AE
from pynetdicom.association import Association
from pynetdicom.sop_class import ModalityPerformedProcedureStep

from dimse.wire import MR, PATIENT, command_set, message

STEP = "1.2.276.0.4712.77"


class Modality:
    """An association; each method returns the status that it was answered with."""

    def __init__(self, association: Association) -> None:
        self._association = association

    def create(self, attributes: Dataset, uid: str = STEP) -> int:
        status, answer = self._association.send_n_create(attributes, ModalityPerformedProcedureStep, uid)
        assert not answer
        return int(status.Status)

    def set(self, attributes: Dataset, uid: str = STEP) -> int:
        status, answer = self._association.send_n_set(attributes, ModalityPerformedProcedureStep, uid)
        assert not answer
        return int(status.Status)


@contextmanager
def modality(port: int, title: str = "SCANNER") -> Iterator[Modality]:
    entity = AE(title)
    entity.add_requested_context(ModalityPerformedProcedureStep)
    association = entity.associate("127.0.0.1", port)
    assert [context.abstract_syntax for context in association.accepted_contexts] == [ModalityPerformedProcedureStep]
    yield Modality(association)
    association.release()


def begun(study_uid: str) -> Dataset:
    """Attributes of an N-CREATE, those of type 1 of PS3.4 table F.7.2-1 and the patient."""
    scheduled = Dataset()
    scheduled.StudyInstanceUID = study_uid
    scheduled.AccessionNumber = ""
    step = Dataset()
    step.ScheduledStepAttributesSequence = [scheduled]
    step.PatientName, step.PatientID = PATIENT, "geheime-nummer"
    step.PerformedProcedureStepID = "1"
    step.PerformedStationAETitle = "SCANNER"
    step.PerformedProcedureStepStartDate, step.PerformedProcedureStepStartTime = "20261127", "080000"
    step.PerformedProcedureStepStatus = "IN PROGRESS"
    step.Modality = "MR"
    step.PerformedSeriesSequence = []
    return step


def ended(state: str, images: Iterable[str], others: Iterable[str] = ()) -> Dataset:
    """Attributes of the last N-SET."""
    series = Dataset()
    series.SeriesInstanceUID = "1.2.3.4"
    series.ReferencedImageSequence = [reference(uid) for uid in images]
    series.ReferencedNonImageCompositeSOPInstanceSequence = [reference(uid) for uid in others]
    step = Dataset()
    step.PerformedProcedureStepStatus = state
    step.PerformedSeriesSequence = [series]
    return step


def reference(uid: str) -> Dataset:
    made = Dataset()
    made.ReferencedSOPClassUID, made.ReferencedSOPInstanceUID = MR, uid
    return made


def raw(command: int, uid: str, data: bytes, *, sop_class: str = ModalityPerformedProcedureStep) -> bytes:
    """Message of an N-CREATE-RQ or N-SET-RQ (PS3.7 tables 10.3-9 and 10.3-5)."""
    names = {0x0140: (0x0002, 0x1000), 0x0120: (0x0003, 0x1001)}[command]
    elements = {names[0]: str(sop_class), 0x0100: command, 0x0110: 7, 0x0800: 1, names[1]: uid}
    return message(1, command_set({name: value for name, value in elements.items() if value != ""}), data)
