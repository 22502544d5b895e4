"""Worker: reads what was received. Durable: a crash at any point is resumed at the next start.

Each round of a study that is complete becomes one workflow of DBOS, whose steps are checkpointed in a database of its
own: ids, states and times, nothing of a patient. A step may be repeated, after a crash between what it did and its
checkpoint. So its effects are idempotent: an event that has happened to a round is passed over, and a result that is
there stays. The time of the reading is a checkpoint made before anything else, and of it come all UIDs of the results.

The study's instances are opened into memory and never written in clear.
"""

import fcntl
import io
import json
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

import pydicom
from dbos import DBOS, DBOSPortableJSONSerializer, SetWorkflowID, WorkflowSerializationFormat
from structlog.contextvars import bound_contextvars

from zweitblick import pipeline
from zweitblick.delivery.deliverer import Deliverer
from zweitblick.dicom.read import read_study
from zweitblick.documents import Documents, documents
from zweitblick.errors import (
    BrokenOffError,
    EventError,
    KeyHolderError,
    NetworkClosedError,
    ResultChangedError,
    StoreFullError,
    StoreUnavailableError,
    UnknownRoundError,
    WorkerRunningError,
    ZweitblickError,
)
from zweitblick.metrics import Metrics
from zweitblick.model.batcher import Batcher
from zweitblick.model.bundle import Bundles
from zweitblick.reading import Stamp
from zweitblick.store.life import Actor, Event, State
from zweitblick.store.results import ERROR, FINDINGS, ResultName
from zweitblick.store.rounds import Round
from zweitblick.store.store import Store

log = logging.getLogger(__name__)

POLL_S = 0.5
"""How often it is looked for rounds whose quiet time is over, and for work in the queue."""

AWAY_S = 5.0
"""After so long a step is tried again, for as long as store or key holder are away."""

STUDIES_AT_ONCE = 2
"""One reads and writes while another is in the network."""

DICOM, JSON, PDF, FHIR = "application/dicom", "application/json", "application/pdf", "application/fhir+json"

AWAY = (StoreUnavailableError, StoreFullError, KeyHolderError)
"""These say nothing of the study; it waits."""

BREAKS = 5
"""So often a reading may be broken off by the end of the process before its study is given up."""

SHREDDED = "shredded"

INTERNAL = "internal"
"""Code of a defect of ours."""

_QUEUE = "read"
_WORKFLOWS = "2"
"""Version of the workflows' steps; a change of their order or meaning needs another, and the queue empty before."""


class _HandedBack(BaseException):
    """The worker is closing. No `Exception`: DBOS records no outcome, and resumes the workflow at its next start."""


@dataclass(frozen=True)
class _Fault:
    code: str
    message: str


class Worker:
    """Reads rounds of studies, from construction until `close`; one in a process.

    Parameters
    ----------
    store
        Where studies are, and results go.
    bundles
        The networks.
    folder
        Of DBOS's database; made if absent.
    clock
        Tells the time, aware.
    deliverer
        Delivers what is sealed; closed with the worker. If not given, nothing is delivered.
    metrics
        Counts what happens; nobody sees the counts if not given.

    Raises
    ------
    WorkerRunningError
        If another process is at work with this folder; it would take over what that one has begun.
    """

    def __init__(
        self,
        store: Store,
        bundles: Bundles,
        folder: Path,
        *,
        clock: Callable[[], datetime],
        deliverer: Deliverer | None = None,
        metrics: Metrics | None = None,
    ) -> None:
        self._metrics = metrics or Metrics(store.standing, clock=clock)
        self._store = store
        self._deliverer = deliverer or Deliverer(store, ())
        self._bundles = bundles
        self._clock = clock
        self._closing = threading.Event()
        self._changed = threading.Condition()
        self._working: set[str] = set()
        self._lock = _locked(folder)
        self._batcher = Batcher(observer=self._metrics.batch)
        self._workflow = self._registered()
        self._deliverer.register()
        _launch(folder)
        self._deliverer.launch()
        self._poller = threading.Thread(target=self._poll, name="quiet studies")
        self._poller.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def submit(self, complete: Round) -> None:
        """Have a round read whose instances are all there; nothing happens if it is, or was, in the queue.

        Raises
        ------
        StoreError
            If the store cannot be used.
        """
        arrived = complete.arrived_at.isoformat()
        with SetWorkflowID(f"{complete.id}-{arrived}"):
            DBOS.enqueue_workflow(_QUEUE, self._workflow, complete.study, complete.id, arrived)
        self._completed(complete.study, complete.id, arrived)

    @property
    def is_working(self) -> bool:
        """Whether rounds are looked for."""
        return self._poller.is_alive()

    def close(self, *, patience_s: float = 30.0) -> None:
        """Begin nothing new, finish what is being read, or hand it back for the next start; end all threads.

        Parameters
        ----------
        patience_s
            How long a reading may take to end; after that it ends at its next network call.
        """
        self._closing.set()
        self._poller.join()
        with self._changed:
            self._changed.wait_for(lambda: not self._working, patience_s)
        self._batcher.close()
        with self._changed:
            self._changed.wait_for(lambda: not self._working)
        self._deliverer.close()
        DBOS.destroy(destroy_registry=True)
        self._lock.close()

    def _poll(self) -> None:
        while not self._closing.wait(POLL_S):
            try:
                for quiet in self._store.stable_after(self._clock()):
                    self.submit(quiet)
            except UnknownRoundError:
                continue  # shredded since
            except AWAY as error:
                log.warning("studies that may be complete cannot be looked for: %s", error.code)
                self._closing.wait(AWAY_S)
            except Exception as error:  # noqa: BLE001 -- the jobs' edge: looking for them must not end
                log.error("looking for studies failed by %s", type(error).__name__)  # noqa: TRY400 -- texts may quote data
                self._closing.wait(AWAY_S)

    def _registered(self) -> Callable[[str, str, str], str]:
        """Make the workflow known to DBOS, which takes functions and no methods."""

        @DBOS.workflow(name="read", serialization_type=WorkflowSerializationFormat.PORTABLE)
        def life(study: str, round_id: str, arrived: str) -> str:
            return self._life(study, round_id, arrived)

        return life

    def _life(self, study: str, round_id: str, arrived: str) -> str:
        """Take a round from complete to awaiting review; the workflow."""
        with bound_contextvars(study=study, round=round_id), self._alone(round_id) as is_first:
            if not is_first:
                return "in work already"
            stamp = DBOS.run_step({"name": "stamp"}, lambda: self._clock().isoformat())
            DBOS.run_step({"name": "complete"}, self._kept_at(self._completed), study, round_id, arrived)
            DBOS.run_step({"name": "read"}, self._kept_at(self._read), study, round_id, stamp)
            state = self._step(Event.SEALED, study, round_id)
            if not self._deliverer.begin(study, round_id):
                state = self._step(Event.REVIEW_ASKED, study, round_id)
            log.info("round %s of study %s is %s", round_id, study, state)
            return state

    def _step(self, event: Event, study: str, round_id: str) -> str:
        return DBOS.run_step({"name": event.value}, self._kept_at(self._happened), study, round_id, event)

    @contextmanager
    def _alone(self, round_id: str) -> Iterator[bool]:
        """Tell whether nobody else is at work on a round; the worker waits for the end before it closes."""
        with self._changed:
            if self._closing.is_set():
                raise _HandedBack
            is_first = round_id not in self._working
            self._working.add(round_id)
        try:
            yield is_first
        finally:
            if is_first:
                with self._changed:
                    self._working.discard(round_id)
                    self._changed.notify_all()

    def _kept_at(self, step: Callable[[str, str, str], str]) -> Callable[[str, str, str], str]:
        """Try a step again for as long as store or key holder are away."""

        def trying(study: str, round_id: str, detail: str) -> str:
            while True:
                try:
                    return step(study, round_id, detail)
                except UnknownRoundError:
                    return SHREDDED
                except AWAY as error:
                    log.warning("round %s waits: %s", round_id, error.code)
                    if self._closing.wait(AWAY_S):
                        raise _HandedBack from error

        return trying

    def _completed(self, study: str, round_id: str, arrived: str) -> str:
        """Note that a round is complete, unless instances have come since it was thought to be."""
        now = self._round(study, round_id)
        if now.state is State.RECEIVING and now.arrived_at.isoformat() == arrived:
            return self._happened(study, round_id, Event.COMPLETED)
        return now.state

    def _happened(self, study: str, round_id: str, event: str) -> str:
        """Let an event happen to a round, if it has not happened before; return its state."""
        try:
            return self._store.advance(round_id, Event(event), by=Actor.WORKER)
        except EventError:
            return self._round(study, round_id).state

    def _round(self, study: str, round_id: str) -> Round:
        for one in self._store.rounds(study):
            if one.id == round_id:
                return one
        raise UnknownRoundError(f"no round {round_id} is kept; its study may have been shredded")

    def _read(self, study: str, round_id: str, stamp: str) -> str:
        """Read a round and keep its results, or why it cannot be read."""
        self._happened(study, round_id, Event.RELEASED)  # by whoever died over it
        if self._happened(study, round_id, Event.STARTED) != State.READING:
            return self._round(study, round_id).state
        fault = self._fault_of(lambda: self._keep_all(study, round_id, Stamp(datetime.fromisoformat(stamp))))
        if fault is None:
            self._metrics.read()
            return self._happened(study, round_id, Event.READ)
        log.warning("round %s of study %s cannot be read: %s", round_id, study, fault.code)
        self._metrics.failed(fault.code)
        self._keep_fault(round_id, fault)
        return self._happened(study, round_id, Event.GAVE_UP)

    def _fault_of(self, read: Callable[[], None]) -> _Fault | None:
        try:
            read()
        except (*AWAY, UnknownRoundError):
            raise
        except NetworkClosedError as error:
            raise _HandedBack from error
        except ZweitblickError as error:
            return _Fault(error.code, str(error))
        except Exception as error:  # noqa: BLE001 -- the job's edge: its text may quote a header, so only its type is told
            return _Fault(INTERNAL, f"{type(error).__name__}; a defect in zweitblick")
        return None

    def _keep_all(self, study: str, round_id: str, stamp: Stamp) -> None:
        self._check_breaks(study, round_id)
        made = self._made(study, self._round(study, round_id).number, stamp)
        for name, media_type, content in (
            ("seg", DICOM, made.seg),
            ("sr", DICOM, made.sr),
            ("pdf", PDF, made.pdf),
            ("encapsulated-pdf", DICOM, made.encapsulated_pdf),
            (FINDINGS, JSON, made.json),
            ("fhir", FHIR, made.fhir),
        ):
            uid = _sop_instance_uid(content) if media_type == DICOM else ""
            self._store.keep_result(ResultName(round_id, name, media_type, uid), io.BytesIO(content))

    def _check_breaks(self, study: str, round_id: str) -> None:
        """Give a study up that may be what stops the service, before it does so for ever."""
        history = self._store.history(study)
        breaks = sum(entry.round == round_id and entry.event is Event.RELEASED for entry in history)
        if breaks >= BREAKS:
            raise BrokenOffError(f"the reading was broken off {breaks} times; look for what stops the service")

    def _made(self, study: str, number: int, stamp: Stamp) -> Documents:
        with self._metrics.stage("open"):
            headers = read_study(self._contents(study, number))
        self._store.describe(study, patient_id=headers.patient.id, accession_number=headers.accession_number)
        bundles = self._batcher.share().bundles(self._bundles)
        reading = pipeline.read(headers, bundles, stamp=stamp, observer=self._metrics.stage)
        return documents(reading, observer=self._metrics.stage)

    def _contents(self, study: str, number: int) -> list[bytes]:
        """Open the instances of a round, by UID, so that a repeated step reads them in the same order."""
        kept = [one for one in self._store.instances(study) if one.round <= number and one.conflicts_with is None]
        contents: list[bytes] = []
        for instance in sorted(kept, key=lambda one: one.sop_instance_uid):
            with self._store.open(instance.id) as file:
                contents.append(file.read())
        return contents

    def _keep_fault(self, round_id: str, fault: _Fault) -> None:
        content = json.dumps({"code": fault.code, "message": fault.message}).encode()
        try:
            self._store.keep_result(ResultName(round_id, ERROR, JSON), io.BytesIO(content))
        except ResultChangedError:  # the first one stays
            log.warning("round %s cannot be read for another reason than before: %s", round_id, fault.code)


def _locked(folder: Path) -> BinaryIO:
    """Make the folder, and hold its lock until the file is closed or the process ends."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = (folder / "lock").open("wb")
    except OSError as error:
        raise StoreUnavailableError(f"{folder} cannot be written ({error.strerror}); choose another") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        lock.close()
        raise WorkerRunningError(
            f"another process reads the studies of {folder}; stop it, or choose another"
        ) from error
    return lock


def _launch(folder: Path) -> None:
    DBOS(
        config={
            "name": "zweitblick",
            "system_database_url": f"sqlite:///{folder.resolve()}/work.sqlite",
            "application_version": _WORKFLOWS,
            "executor_id": "worker",
            "serializer": DBOSPortableJSONSerializer(),
            "enable_otlp": False,
            "log_level": "CRITICAL",
        }
    )
    DBOS.launch()
    DBOS.register_queue(_QUEUE, worker_concurrency=STUDIES_AT_ONCE, polling_interval_sec=POLL_S)


def _sop_instance_uid(file: bytes) -> str:
    return str(
        pydicom.dcmread(io.BytesIO(file), specific_tags=["SOPInstanceUID"], stop_before_pixels=True).SOPInstanceUID
    )
