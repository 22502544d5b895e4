"""The step that reads a round and keeps its results, or why it cannot be read."""

import io
import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import BinaryIO

import pydicom

from zweitblick import pipeline
from zweitblick.audit import events
from zweitblick.audit.codes import Action
from zweitblick.audit.events import AuditedStudy
from zweitblick.audit.message import AuditEvent
from zweitblick.dicom.read import read_study
from zweitblick.documents import Documents, documents
from zweitblick.errors import (
    BrokenOffError,
    EventError,
    MissingSequenceError,
    NetworkCancelledError,
    NetworkClosedError,
    UnknownRoundError,
)
from zweitblick.model.batcher import Share
from zweitblick.model.bundle import Bundles
from zweitblick.priors import prior_of, with_lookup
from zweitblick.reading import Reading, Stamp
from zweitblick.receipt import receipt_of, signed_receipt
from zweitblick.report import fhir_parts
from zweitblick.signing import jws
from zweitblick.store.absence import AWAY
from zweitblick.store.life import Event, State
from zweitblick.store.lost import LOST
from zweitblick.store.results import FHIR_BUNDLE, FINDINGS, ResultName
from zweitblick.store.rounds import LifeEvent, Round
from zweitblick.store.store import Store
from zweitblick.timings import Timings
from zweitblick.worker.faults import Fault, failed
from zweitblick.worker.inputs import check_size, conflict_notices, inputs
from zweitblick.worker.partners import Notary, Partners
from zweitblick.worker.predecessors import predecessors, superseding
from zweitblick.worker.turn import Turn, happened

log = logging.getLogger(__name__)

DICOM = "application/dicom"

RECEIPT = "receipt"
"""Name of the result that tells how the others came about."""

MEDIA_TYPES = {
    "seg": DICOM,
    "sr": DICOM,
    "pdf": "application/pdf",
    "encapsulated-pdf": DICOM,
    FINDINGS: "application/json",
    FHIR_BUNDLE: fhir_parts.MEDIA_TYPE,
    RECEIPT: jws.MEDIA_TYPE,
}
"""Of the results, by their names."""

BREAKS = 5
"""So often a reading may be broken off by the end of the process before its study is given up."""


class ReadingStep:
    """Reads rounds; for several threads at once.

    Parameters
    ----------
    store
        Where studies are, and results go.
    bundles
        The networks.
    partners
        Who counts, has on record and signs for what is read.
    largest_study_bytes
        So many bytes the MR instances of a study may have.
    """

    def __init__(self, store: Store, bundles: Bundles, partners: Partners, *, largest_study_bytes: int) -> None:
        self._store = store
        self._bundles = bundles
        self._largest_study_bytes = largest_study_bytes
        self._metrics = partners.metrics
        self._audit = partners.audit
        self._notary = partners.notary
        self._waiting: dict[Turn, _Progress] = {}

    def read(self, turn: Turn, stamp: str, share: Share) -> State:
        """Read a round and keep its results, or why it cannot be read; return its state.

        Nothing is kept if the turn is over before its end; one that was read before is not read again. After an error
        that says that something is away, the same turn goes on from there.

        Parameters
        ----------
        turn
            Of the round.
        stamp
            Time of the reading, ISO 8601; all UIDs of the results come of it.
        share
            Of the networks; cancelled when the round is not wanted any more.

        Raises
        ------
        NetworkClosedError
            If the networks are closed meanwhile; the round may be read again.
        StoreUnavailableError, StoreFullError, KeyHolderError, AuditError
            If store, key holder or record are away; likewise.
        UnknownRoundError
            If the study was shredded.
        """
        progress = self._waiting.pop(turn, None) or _Progress()
        try:
            return self._go_on(progress, turn, stamp, share)
        except AWAY:
            self._waiting[turn] = progress
            raise

    def _go_on(self, progress: "_Progress", turn: Turn, stamp: str, share: Share) -> State:
        work = self._store.work
        try:
            share.check()
            if not progress.begun and self._begin(turn) is State.READ:
                return State.READ
            progress.begun = True
            if progress.made is None:
                progress.made = self._made(turn, Stamp(datetime.fromisoformat(stamp)), share)
            if not progress.on_record:
                self._audit.record(self._access(turn, Action.CREATE))
                progress.on_record = True
            with self._metrics.stage("seal"):
                state = work.keep_reading(turn.round, self._results(turn, progress.made), turn=turn.number)
        except (*AWAY, UnknownRoundError, NetworkClosedError):
            raise
        except (EventError, NetworkCancelledError):  # nobody wants it any more, or another was faster
            return work.round(turn.round).state
        except Exception as error:  # noqa: BLE001 -- the job's edge: its text may quote a header, so only its type is told
            return self._failed(turn, Fault.of(error))
        self._metrics.read()
        return state

    def _begin(self, turn: Turn) -> State:
        """Let the reading begin, unless it was done in an earlier turn, and return the round's state."""
        work = self._store.work
        happened(self._store, turn, Event.RELEASED)  # by whoever died over it
        state = work.advance(turn.round, Event.STARTED, turn=turn.number)
        history = work.history(turn.round)
        if any(entry.event is Event.READ for entry in history):
            return happened(self._store, turn, Event.READ)
        _check_breaks(history)
        self._time_before(turn, history)
        return state

    def _time_before(self, turn: Turn, history: Sequence[LifeEvent]) -> None:
        """Time what was before a round's first reading."""
        at = {entry.event: entry.at for entry in history}
        if Counter(entry.event for entry in history)[Event.STARTED] == 1:
            self._metrics.waited("receive", self._store.work.first_arrival(turn.round), at[Event.COMPLETED])
            self._metrics.waited("stable", at[Event.COMPLETED], at[Event.STARTED])

    def _failed(self, turn: Turn, fault: Fault) -> State:
        log.warning("round %s of study %s cannot be read: %s", turn.round, turn.study, fault.code)
        self._metrics.failed(fault.code)
        try:
            access = self._access(turn, Action.CREATE)
        except LOST:  # by its token then
            access = self._accessed(AuditedStudy(turn.study), Action.CREATE)
        self._audit.record(events.failed(access, fault.code))
        return failed(self._store, turn, fault)

    def _access(self, turn: Turn, action: Action) -> AuditEvent:
        """Return what is put on record of a study before its images are used, and before results are kept."""
        return self._accessed(self._store.study(turn.study).audited, action)

    def _accessed(self, named: AuditedStudy, action: Action) -> AuditEvent:
        return events.accessed(named, replace(self._audit.process, is_requestor=True), action=action)

    def _results(self, turn: Turn, made: "_Made") -> Sequence[tuple[ResultName, BinaryIO]]:
        contents = _contents_of(made.documents)
        if self._notary is not None:
            contents[RECEIPT] = self._receipt(turn, made, contents, self._notary)
        return [
            (ResultName(turn.round, name, MEDIA_TYPES[name], _uid(content, MEDIA_TYPES[name])), io.BytesIO(content))
            for name, content in contents.items()
        ]

    def _receipt(self, turn: Turn, made: "_Made", contents: Mapping[str, bytes], notary: Notary) -> bytes:
        """Sign for what is about to be kept and is on record by now."""
        receipt = receipt_of(
            made.reading,
            self._bundles,
            contents,
            timings=made.timings,
            keys=self._store.key_ids(turn.study),
            audit=notary.head(),
        )
        return signed_receipt(receipt, notary.signer)

    def _made(self, turn: Turn, stamp: Stamp, share: Share) -> "_Made":
        timings = Timings()

        @contextmanager
        def stage(name: str) -> Iterator[None]:
            share.check()  # whether the round is still wanted
            with self._metrics.stage(name), timings(name):
                yield

        this = self._store.work.round(turn.round)
        with stage("open"):
            headers = read_study(self._contents(this, share))
        self._store.describe(turn.study, patient_id=headers.patient.id, accession_number=headers.accession_number)
        self._audit.record(self._access(turn, Action.READ))
        kept = prior_of(self._store, turn.study, headers, before=stamp.time)
        prior = with_lookup(kept, self._store.lookups.outcome(turn.round))
        superseded = predecessors(self._store, this)
        reading = pipeline.read(headers, share.bundles(self._bundles), prior=prior, stamp=stamp, observer=stage)
        conflicts = conflict_notices(self._store, turn.study, this.number)
        reading = superseding(replace(reading, notices=(*conflicts, *reading.notices)), superseded)
        return _Made(reading, documents(reading, observer=stage), timings)

    def _contents(self, this: Round, share: Share) -> list[bytes]:
        contents: list[bytes] = []
        instances = inputs(self._store, this.study, this.number)
        check_size(instances, most_bytes=self._largest_study_bytes)
        for instance in instances:
            share.check()
            with self._store.open(instance.id) as file:
                contents.append(file.read())
        if not contents:
            raise MissingSequenceError("no MR image is among the study's instances; send its MR series")
        return contents


@dataclass(frozen=True)
class _Made:
    """A reading, what was made of it, and how long that took."""

    reading: Reading
    documents: Documents
    timings: Timings


@dataclass
class _Progress:
    """How far a turn has come here, since what is done must not be done again for as long as something is away."""

    begun: bool = False
    made: _Made | None = None
    on_record: bool = False


def _contents_of(made: Documents) -> dict[str, bytes]:
    """Give each document the name of its result."""
    return {
        "seg": made.seg,
        "sr": made.sr,
        "pdf": made.pdf,
        "encapsulated-pdf": made.encapsulated_pdf,
        FINDINGS: made.json,
        FHIR_BUNDLE: made.fhir,
    }


def _check_breaks(history: Sequence[LifeEvent]) -> None:
    """Give a study up that may be what stops the service, before it does so for ever."""
    breaks = 0
    for before, entry in zip([None, *history], history, strict=False):
        if entry.event is Event.REPLAYED:
            breaks = 0
        # after a failed attempt the round is given back by the next one, and nobody died
        elif entry.event is Event.RELEASED and (before is None or before.event is not Event.ATTEMPT_FAILED):
            breaks += 1
    if breaks >= BREAKS:
        raise BrokenOffError(f"the reading was broken off {breaks} times; look for what stops the service")


def _uid(content: bytes, media_type: str) -> str:
    """SOP Instance UID of a DICOM file, nothing of others."""
    if media_type != DICOM:
        return ""
    file = io.BytesIO(content)
    return str(pydicom.dcmread(file, specific_tags=["SOPInstanceUID"], stop_before_pixels=True).SOPInstanceUID)
