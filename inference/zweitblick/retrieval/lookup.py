"""PriorLookup: before a study is read its last earlier one is fetched and read; whatever goes wrong, it is read.

Each lookup is a workflow of DBOS of its own, in a queue of its own, and the round is put into the readers' queue after
it: no reading waits in the place of another. What came of it is in the store, and the reading says it. For studies that
are fetched so nothing is looked up, or a patient's whole history would come, unless somebody asks for one or sends it.
"""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial

from dbos import DBOS, SetWorkflowID, WorkflowSerializationFormat

from zweitblick.audit.auditor import Auditor, Unrecorded
from zweitblick.errors import (
    EventError,
    PeerError,
    PeerTimeoutError,
    UnknownRoundError,
    UnknownStudyError,
    ZweitblickError,
)
from zweitblick.errors.root import INTERNAL
from zweitblick.peers.archive import RemoteSeries, RemoteStudy
from zweitblick.peers.association import PATIENCE, Patience
from zweitblick.peers.destination import Archive
from zweitblick.queue_place import QueuePlace, QueuePlaces, workflow_id
from zweitblick.retrieval.bounds import BOUNDS, Bounds
from zweitblick.retrieval.candidates import Present, began, earlier, of_head, present
from zweitblick.retrieval.source import Source
from zweitblick.store.absence import HandedBack, until_there
from zweitblick.store.life import WAS_READ, Actor, Event, State
from zweitblick.store.lookups import LookupOutcome
from zweitblick.store.rounds import Round
from zweitblick.store.store import Store
from zweitblick.store.under_way import UnderWay

log = logging.getLogger(__name__)

AT_ONCE = 4
"""So many lookups run at once in a process."""

MOST_ASKED = 20
"""So many earlier studies are looked into at most, whether they are of a head."""

LONGEST_HOLD = timedelta(hours=2)
"""A round is not held back for longer, whatever has become of its lookup."""

_QUEUE = "look up"
_LOOK_UP = "look-up"
_POLL_S = 0.5
_NOT_READ = frozenset({State.FAILED, State.CANCELLED})


class PriorLookup:
    """Looks earlier studies up, between `launch` and `close`; one in a process.

    Parameters
    ----------
    store
        Where rounds are, and what is fetched goes.
    places
        Archives that are asked; nothing is looked up without one.
    clock
        Tells the time, aware.
    audit
        Has on record what is asked and fetched.
    bounds
        How much, and how long.
    patience
        How long an archive may take to answer.
    """

    def __init__(
        self,
        store: Store,
        places: Sequence[Archive],
        *,
        clock: Callable[[], datetime],
        audit: Auditor | None = None,
        bounds: Bounds = BOUNDS,
        patience: Patience = PATIENCE,
    ) -> None:
        audit = audit or Unrecorded()
        self._store = store
        self._sources = [Source(one, store, audit, bounds=bounds, patience=patience) for one in places]
        self._clock = clock
        self._bounds = bounds
        self._under_way = UnderWay()
        self._places = QueuePlaces(_QUEUE)
        self._held_since: dict[str, datetime] = {}

    def register(self) -> None:
        """Make the workflow known to DBOS, before that is launched."""

        @DBOS.workflow(name="look up", serialization_type=WorkflowSerializationFormat.PORTABLE)
        def look_up(study: str, round_id: str) -> str:
            with self._under_way.one(), self._places.running(workflow_id(_LOOK_UP, round_id)):
                return DBOS.run_step({"name": "prior"}, self._looked_up, study, round_id)

        self._workflow = look_up

    def launch(self) -> None:
        """Take lookups from the queue, once DBOS is launched."""
        DBOS.register_queue(_QUEUE, worker_concurrency=AT_ONCE, polling_interval_sec=_POLL_S)

    def holds(self, one: Round) -> bool:
        """Tell whether a round is to wait for its lookup, which is begun if it was not; for one thread.

        Raises
        ------
        StoreError
            If the store cannot be used.
        """
        is_held = bool(self._sources) and one.state is State.STABLE and self._is_looked_up(one)
        if not is_held:
            self._held_since.pop(one.id, None)
        elif self._clock() - self._held_since.setdefault(one.id, self._clock()) >= LONGEST_HOLD:
            self._store.lookups.end(one.id, LookupOutcome.LATE)
            return False
        return is_held

    def close(self) -> None:
        """Begin nothing any more, and hand back what is under way; a peer's patience bounds each."""
        self._under_way.close()

    def _is_looked_up(self, one: Round) -> bool:
        lookups = self._store.lookups
        if lookups.outcome(one.id) is not None:
            return False
        if lookups.was_fetched(one.study):
            return False
        name = workflow_id(_LOOK_UP, one.id)
        place = self._places.of(name)
        if place is QueuePlace.NOWHERE:
            with SetWorkflowID(name):
                DBOS.enqueue_workflow(_QUEUE, self._workflow, one.study, one.id)
        elif place is QueuePlace.STUCK:
            self._places.begin_anew(name)
        return place is not QueuePlace.ENDED

    def _looked_up(self, study: str, round_id: str) -> str:
        """Look up, and note what came of it; the job's edge."""
        try:
            outcome = self._outcome(study, round_id)
        except ZweitblickError as error:
            outcome = error.code
        except Exception as error:  # noqa: BLE001 -- the job's edge: its text may quote a header, so only its type is told
            log.error("a lookup failed by %s", type(error).__name__)  # noqa: TRY400 -- as said
            outcome = INTERNAL
        log.info("lookup for round %s of study %s: %s", round_id, study, outcome)
        noted = partial(self._noted, round_id, outcome)
        return until_there(
            noted, self._under_way.closing, partial(log.warning, "the lookup for round %s waits: %s", round_id)
        )

    def _noted(self, round_id: str, outcome: str) -> str:
        with suppress(UnknownRoundError):  # it was shredded
            self._store.lookups.end(round_id, outcome)
        return outcome

    def _outcome(self, study: str, round_id: str) -> str:
        this = present(self._store, study)
        if not this.can_be_asked_for:
            return LookupOutcome.UNNAMED
        candidates, faults = self._candidates(this)
        tried = self._tried(candidates[:MOST_ASKED], round_id)
        return faults[0] if faults else tried

    def _tried(self, candidates: Sequence[tuple[Source, RemoteStudy]], round_id: str) -> str:
        """Return what comes of trying studies one after the other until one is read."""
        outcome, tries = str(LookupOutcome.NONE), 0
        for source, one in self._in_time(candidates):
            if tries == self._bounds.studies:
                break
            try:
                is_here = self._is_here(one.uid)
                series = [] if is_here else of_head(source.series(one.uid))
                if not is_here and not series:
                    continue
                outcome = LookupOutcome.UNREAD
                if is_here and self._last_of(one.uid).state in _NOT_READ:
                    continue
                tries += 1
                if not is_here:
                    self._fetch(source, one, series, round_id)
                if self._is_read(one.uid):
                    return LookupOutcome.HAD
            except PeerError as error:
                log.warning("an earlier study for round %s was not had: %s", round_id, error)
                outcome = error.code
        return outcome

    def _in_time(self, candidates: Sequence[tuple[Source, RemoteStudy]]) -> Iterator[tuple[Source, RemoteStudy]]:
        end = time.monotonic() + self._bounds.lookup_s
        for source, one in candidates:
            if time.monotonic() > end:
                raise PeerTimeoutError(f"{source.name} sent no earlier study within {self._bounds.lookup_s:g} s")
            yield source, one

    def _candidates(self, this: Present) -> tuple[list[tuple[Source, RemoteStudy]], list[str]]:
        """Return earlier studies of all archives, the last first, and codes of why an archive did not answer."""
        found: list[tuple[Source, RemoteStudy]] = []
        faults = []
        until = f"{this.started_at:%Y%m%d}"
        for source in self._sources:
            try:
                found += [(source, one) for one in earlier(this, source.studies(this.patient_id, until=until))]
            except PeerError as error:
                log.warning("earlier studies cannot be asked for: %s", error)
                faults.append(error.code)
        return sorted(found, key=lambda pair: began(pair[1]), reverse=True), faults

    def _is_here(self, study_uid: str) -> bool:
        try:
            has_rounds = bool(self._store.rounds(self._store.token(study_uid)))
        except UnknownStudyError:
            return False
        return has_rounds and not self._store.lookups.is_partial(study_uid)

    def _last_of(self, study_uid: str) -> Round:
        return self._store.rounds(self._store.token(study_uid))[-1]

    def _fetch(self, source: Source, one: RemoteStudy, series: Sequence[RemoteSeries], round_id: str) -> None:
        """Fetch a study, and have it read at once."""
        self._store.lookups.begin(round_id, one.uid)
        source.fetch(one.uid, series, closing=self._under_way.closing)
        self._store.lookups.complete(round_id, one.uid)
        last = self._last_of(one.uid)
        if last.state is State.RECEIVING:
            with suppress(EventError):  # its quiet time is over
                self._store.advance(last.id, Event.COMPLETED, by=Actor.WORKER)

    def _is_read(self, study_uid: str) -> bool:
        """Wait until a study is read, or cannot be, or takes too long, or waits itself for a lookup that does."""
        began_at = time.monotonic()
        while (last := self._last_of(study_uid)).state not in WAS_READ:
            waited_s = time.monotonic() - began_at
            if last.state in _NOT_READ or waited_s > self._bounds.read_s:
                return False
            if waited_s > self._bounds.begun_s and self._waits_for_a_lookup(last):
                return False
            if self._under_way.closing.wait(_POLL_S):
                raise HandedBack
        return True

    def _waits_for_a_lookup(self, one: Round) -> bool:
        """Tell whether a round is held back for a lookup that has not begun, perhaps for want of this one's place."""
        if one.state is not State.STABLE or self._store.lookups.outcome(one.id) is not None:
            return False
        return self._places.of(workflow_id(_LOOK_UP, one.id)) is QueuePlace.QUEUED
