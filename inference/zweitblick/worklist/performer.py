"""Performer: claims the work items that ask for a second read once their input is there, and reports how it went.

The Task Performer of IHE's AI Workflow for Imaging, within this service; others may claim what asks for something else.
What was claimed is in the store, so that a new start goes on with it.
"""

import io
import logging
import threading
import uuid
from collections.abc import Callable, Collection
from datetime import datetime
from types import TracebackType
from typing import Self

import pydicom
from pydicom import Dataset

from zweitblick.errors import KeyHolderError, StoreFullError, StoreUnavailableError, WorkitemError, ZweitblickError
from zweitblick.store.life import Event, State
from zweitblick.store.rounds import Round
from zweitblick.store.store import Store
from zweitblick.store.workitems import KeptWorkitem
from zweitblick.worklist.body import MALFORMED
from zweitblick.worklist.cancellation import discontinuation
from zweitblick.worklist.content import input_uids
from zweitblick.worklist.inputs import Inputs
from zweitblick.worklist.step import StepState
from zweitblick.worklist.worklist import Worklist, content_of

log = logging.getLogger(__name__)

POLL_S = 0.5
"""How often work items are looked at."""

SECOND_READ = "second-read"
SCHEME = "99ZWEITBLICK"
"""Scheduled Workitem Code of what we perform; no public scheme has a code for it."""

STATION = "zweitblick"

_ENDED = frozenset({State.FAILED, State.CANCELLED})
"""Nothing more happens in these unless a person wants it."""


class Performer:
    """Performs work items, from construction until `close`.

    Parameters
    ----------
    worklist
        Of all work items.
    store
        Where their input is received, and the readings are.
    submit
        Has a round read that is complete.
    clock
        Tells the time, aware.
    inputs
        Fetches input that is not here; closed with this. If not given, all of it must be sent.
    """

    def __init__(
        self,
        worklist: Worklist,
        store: Store,
        submit: Callable[[Round], None],
        *,
        clock: Callable[[], datetime],
        inputs: Inputs | None = None,
    ) -> None:
        self._inputs = inputs or Inputs(store)
        self._worklist = worklist
        self._store = store
        self._submit = submit
        self._clock = clock
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="work items")
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End after the look that is under way."""
        self._closing.set()
        self._thread.join()
        self._inputs.close()

    def _run(self) -> None:
        while not self._closing.wait(POLL_S):
            try:
                self._look()
            except (StoreUnavailableError, StoreFullError, KeyHolderError) as error:
                log.warning("work items wait: %s", error.code)
            except Exception as error:  # noqa: BLE001 -- the jobs' edge: looking at them must not end
                log.error("looking at work items failed by %s", type(error).__name__)  # noqa: TRY400 -- texts may quote data

    def _look(self) -> None:
        items = self._store.workitems.items(StepState.SCHEDULED, StepState.IN_PROGRESS)
        self._inputs.keep_to({item.id for item in items if item.state == StepState.SCHEDULED})
        for item in items:
            try:
                self._attend_to(item)
            except WorkitemError as error:
                log.info("work item %s was changed meanwhile: %s", item.id, error.code)
            except ZweitblickError as error:
                log.warning("work item %s waits: %s", item.id, error.code)
            except MALFORMED as error:  # what is kept was checked when it came, by whatever was known then
                log.error("work item %s is passed over: %s", item.id, type(error).__name__)  # noqa: TRY400 -- texts may quote data

    def _attend_to(self, item: KeptWorkitem) -> None:
        content = content_of(item)
        if not _is_ours(content):
            return
        if item.state == StepState.SCHEDULED:
            self._claim(item, content)
        elif item.transaction_uid == _transaction_uid(item):
            self._report(item)

    def _claim(self, item: KeptWorkitem, content: Dataset) -> None:
        """Claim what asks for a second read, once all instances that it names are there, or the study is complete."""
        rounds, named = self._store.rounds(item.study), input_uids(content)
        if not rounds or (named and self._store.listing.round_with(item.study, named) is None):
            self._inputs.fetch(item, content)
            return
        if not named and rounds[-1].state is State.RECEIVING:
            return
        last = self._store.work.ask_for(item.study)
        self._worklist.change_state(item.uid, StepState.IN_PROGRESS, transaction_uid=_transaction_uid(item))
        self._worklist.update(item.uid, self._started(), transaction_uid=_transaction_uid(item))
        if self._is_complete(last, named):
            self._submit(last)

    def _report(self, item: KeptWorkitem) -> None:
        """End a work item of ours once its study was read, or cannot be."""
        last = self._store.rounds(item.study)[-1]
        if self._store.work.was_read(last):
            self._end(item, StepState.COMPLETED, self._output(item, last))
        elif last.state in _ENDED:
            self._end(item, StepState.CANCELED, self._discontinued(item, last))
        elif self._is_complete(last, input_uids(content_of(item))):
            self._submit(last)  # the service may have ended between claim and submission

    def _is_complete(self, last: Round, named: Collection[str]) -> bool:
        """Tell whether a work item's input says that all of a round is there.

        It does so once, and of the round that its last instance came with: what comes after that it does not name.
        """
        if last.state is not State.RECEIVING or not named:
            return False
        if any(entry.event is Event.COMPLETED for entry in self._store.work.history(last.id)):
            return False
        return self._store.listing.round_with(last.study, named) == last.number

    def _end(self, item: KeptWorkitem, state: StepState, change: Dataset) -> None:
        transaction_uid = _transaction_uid(item)
        self._worklist.update(item.uid, change, transaction_uid=transaction_uid)
        self._worklist.change_state(item.uid, state, transaction_uid=transaction_uid)

    def _started(self) -> Dataset:
        change = Dataset()
        change.UnifiedProcedureStepPerformedProcedureSequence = [self._performed()]
        change.ProcedureStepProgressInformationSequence = [_progress(0)]
        return change

    def _performed(self) -> Dataset:
        performed = Dataset()
        performed.PerformedStationNameCodeSequence = [_code(STATION, "zweitblick")]
        performed.PerformedWorkitemCodeSequence = [_code(SECOND_READ, "Second read")]
        performed.PerformedProcedureStepStartDateTime = self._now()
        performed.OutputInformationSequence = []
        return performed

    def _output(self, item: KeptWorkitem, last: Round) -> Dataset:
        begun = content_of(item).get("UnifiedProcedureStepPerformedProcedureSequence")
        performed = begun[0] if begun else self._performed()  # the service may have ended right after the claim
        performed.PerformedProcedureStepEndDateTime = self._now()
        performed.OutputInformationSequence = self._results(item, last)
        change = Dataset()
        change.UnifiedProcedureStepPerformedProcedureSequence = [performed]
        change.ProcedureStepProgressInformationSequence = [_progress(100)]
        return change

    def _results(self, item: KeptWorkitem, last: Round) -> list[Dataset]:
        study_uid = self._store.study(item.study).study_instance_uid
        references = []
        for result in self._store.results(last.id):
            if result.sop_instance_uid:
                with self._store.open(result.id) as file:
                    references.append(_reference(file.read(), study_uid))
        return references

    def _discontinued(self, item: KeptWorkitem, last: Round) -> Dataset:
        cancelled, failed = "The reading was cancelled.", "The study was not read: it cannot be; its state says why."
        reason = cancelled if last.state is State.CANCELLED else failed
        return discontinuation(content_of(item), self._now(), reason=reason)

    def _now(self) -> str:
        return self._clock().strftime("%Y%m%d%H%M%S.%f%z")


def _is_ours(content: Dataset) -> bool:
    return any(
        (code.get("CodeValue"), code.get("CodingSchemeDesignator")) == (SECOND_READ, SCHEME)
        for code in content.get("ScheduledWorkitemCodeSequence") or ()
    )


def _transaction_uid(item: KeptWorkitem) -> str:
    """Return the Transaction UID that we claim a work item with: the same after a new start."""
    return f"2.25.{uuid.uuid5(uuid.NAMESPACE_OID, f'{STATION}/{item.id}').int}"


def _code(value: str, meaning: str) -> Dataset:
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = value, SCHEME, meaning
    return code


def _progress(percent: int) -> Dataset:
    progress = Dataset()
    progress.ProcedureStepProgress = percent
    return progress


def _reference(file: bytes, study_uid: str) -> Dataset:
    """Return an item of Output Information Sequence (PS3.3 Table 10-3b)."""
    wanted = ["SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID"]
    header = pydicom.dcmread(io.BytesIO(file), specific_tags=wanted, stop_before_pixels=True)
    instance = Dataset()
    instance.ReferencedSOPClassUID, instance.ReferencedSOPInstanceUID = header.SOPClassUID, header.SOPInstanceUID
    reference = Dataset()
    reference.TypeOfInstances = "DICOM"
    reference.StudyInstanceUID, reference.SeriesInstanceUID = study_uid, header.SeriesInstanceUID
    reference.ReferencedSOPSequence = [instance]
    return reference
