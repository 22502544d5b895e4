"""Deliverer: sends a round's results until each destination has acknowledged them, whatever happens meanwhile.

Each attempt is a workflow of DBOS of its own, in a queue of its own; one that failed leaves the next behind it,
delayed. So nothing waits in memory for a destination, no reading waits for a delivery, and of a destination that is
down for hours there is one row a round. One attempt at a time goes to each destination. What comes of it is in the
store, noted once; an attempt that is repeated after a crash sends the same instances again.
"""

import json
import logging
import uuid
from collections.abc import Callable, Sequence
from functools import partial

from dbos import DBOS
from dbos import error as dbos_errors
from structlog.contextvars import bound_contextvars

from zweitblick.audit.auditor import Auditor, Unrecorded
from zweitblick.delivery.attempt_queue import AttemptQueue
from zweitblick.delivery.observer import Observer, Unobserved
from zweitblick.delivery.origin import origin
from zweitblick.delivery.record import recorded_transfer
from zweitblick.delivery.retries import PASSING, RETRIES, back_off
from zweitblick.delivery.route import Route
from zweitblick.delivery.sealer import Sealer, filing
from zweitblick.dicom.commitment import CommitmentReport
from zweitblick.errors import (
    LostTurnError,
    NotCommittedError,
    ResultChangedError,
    UnknownDestinationError,
    UnknownRoundError,
    ZweitblickError,
)
from zweitblick.errors.root import INTERNAL
from zweitblick.peers.association import PATIENCE, Patience
from zweitblick.peers.commitment import ask_commitment, check_commitment
from zweitblick.peers.destination import StoreDestination
from zweitblick.peers.instance import DICOM, Outgoing, document, outgoing
from zweitblick.peers.sender import sender
from zweitblick.queue_place import QueuePlace
from zweitblick.store.absence import AWAY, until_there
from zweitblick.store.deliveries import UNDER_WAY, Attempt, Delivery, DeliveryState
from zweitblick.store.life import State
from zweitblick.store.lost import LOST
from zweitblick.store.objects import KeptResult
from zweitblick.store.store import Store
from zweitblick.store.under_way import UnderWay
from zweitblick.store.work import failures

log = logging.getLogger(__name__)


class Deliverer:
    """Delivers rounds, between `launch` and `close`; one in a process.

    Parameters
    ----------
    store
        Where rounds and results are.
    routes
        Where results go.
    delay_s
        Seconds until the next attempt, after so many have failed.
    patience
        How long a peer may take.
    audit
        Has on record what is sent; what cannot be put there waits.
    observer
        Times each sending, as the stage ``deliver``, and counts what fails.
    """

    def __init__(
        self,
        store: Store,
        routes: Sequence[Route],
        *,
        delay_s: Callable[[int], float] = back_off,
        patience: Patience = PATIENCE,
        audit: Auditor | None = None,
        observer: Observer | None = None,
    ) -> None:
        self._store = store
        self._sealer = Sealer(store)
        self._observer = observer or Unobserved()
        self._audit = audit or Unrecorded()
        self._routes = {route.destination.name: route for route in routes}
        self._delay_s = delay_s
        self._patience = patience
        self._under_way = UnderWay()
        self._queue = AttemptQueue()

    def register(self) -> None:
        """Make the workflow known to DBOS, before that is launched."""
        self._queue.register(self._deliver)

    def launch(self) -> None:
        """Take attempts from the queue, once DBOS is launched."""
        self._queue.launch()

    def begin(self, study: str, round_id: str) -> bool:
        """Begin to deliver a round that is sealed; to be called within a workflow of DBOS.

        Returns
        -------
        Whether there is something to deliver, whose end leads to AWAITING_REVIEW or FAILED. If not, nothing happened.
        """
        begun = DBOS.run_step({"name": "delivery"}, self._kept_at(self._begun, shredded="[]"), study, round_id)
        for delivery, destination, attempts in json.loads(begun):
            self._queue.put(delivery, destination, attempts + 1)
        return begun != "[]"

    def resume(self) -> None:
        """See to it that the next attempt of whatever has not ended is in the queue; for one thread.

        One that was taken from it and never began is put back, and one that has ended there without its end here has
        failed.

        Raises
        ------
        StoreError
            If the store cannot be used.
        """
        for one in self._store.deliveries.under_way():
            try:
                self._see_to(one)
            except AWAY:
                raise
            except UnknownRoundError:  # shredded since
                continue
            except (
                ZweitblickError,
                dbos_errors.DBOSNonExistentWorkflowError,
            ) as error:  # of this one; it is looked at again
                log.warning("round %s to %s cannot be seen to: %s", one.round, one.destination, type(error).__name__)

    def _see_to(self, delivery: Delivery) -> None:
        number = delivery.attempts + 1
        place = self._queue.place(delivery.id, number)
        if place is QueuePlace.NOWHERE:
            self._see_to_last(delivery)
        elif place is QueuePlace.STUCK:
            self._queue.begin_anew(delivery.id, number)
        elif place is QueuePlace.ENDED:
            self._note_lost(self._store.deliveries.get(delivery.id), number)  # as it is by now: it may just have ended

    def _note_lost(self, delivery: Delivery, number: int) -> None:
        """Count an attempt that has ended in the queue and not here, and put the next one there."""
        if delivery.state not in UNDER_WAY or delivery.attempts >= number:
            return
        log.warning("round %s to %s, attempt %d was lost", delivery.round, delivery.destination, number)
        state = self._after(delivery, LostTurnError.code, "its attempts were lost again and again; see to the database")
        if state in UNDER_WAY:
            state = delivery.state
        now = self._store.deliveries.note(delivery.id, Attempt(number, state, LostTurnError.code))
        self._count(delivery.destination, state, LostTurnError.code)
        if now.state in UNDER_WAY and now.attempts == number:
            self._put_next(now.id, now.destination, number, now.state)

    def _see_to_last(self, delivery: Delivery) -> None:
        """Put the next attempt into the queue unless the last one is still at it, which will do so itself."""
        place = self._queue.place(delivery.id, delivery.attempts)
        if place is QueuePlace.STUCK:
            self._queue.begin_anew(delivery.id, delivery.attempts)
        elif place in (QueuePlace.NOWHERE, QueuePlace.ENDED):
            self._queue.put(delivery.id, delivery.destination, delivery.attempts + 1, delay_s=self._left_s(delivery))

    def _left_s(self, delivery: Delivery) -> float | None:
        """Seconds that a destination still has to commit itself; None if it is not to."""
        if delivery.state is not DeliveryState.COMMITTING or delivery.asked_at is None:
            return None
        passed = self._store.clock() - delivery.asked_at
        return max(0.0, self._patience.commitment_s - passed.total_seconds())

    def _put_next(self, delivery: str, destination: str, number: int, state: str) -> None:
        """Put the attempt after one into the queue, delayed as it is after that one came to a state."""
        is_asked = state == DeliveryState.COMMITTING
        delay_s = self._patience.commitment_s if is_asked else self._delay_s(number)
        self._queue.put(delivery, destination, number + 1, delay_s=delay_s)

    def committed(self, report: CommitmentReport) -> None:
        """Take what a destination reports of a request for storage commitment.

        Raises
        ------
        UnknownRoundError
            If nothing under way was asked so.
        UnknownDestinationError
            If the destination is none any more.
        StoreError, VaultError
            If it cannot be noted, or not be found what was sent.
        """
        told = self._told(self._store.deliveries.asked(report.transaction_uid), report)
        if told.state is DeliveryState.WAITING:
            self._queue.postpone(told.id, told.attempts + 1, delay_s=self._delay_s(told.attempts))

    def close(self) -> None:
        """Begin no attempt any more, and wait for those under way; a peer's patience bounds each."""
        self._under_way.close()

    def _begun(self, study: str, round_id: str) -> str:
        names = []
        if self._routes and not self._store.lookups.was_fetched(study):  # nobody has asked for more in an old study
            found = origin(self._store, study)
            names = [name for name, route in self._routes.items() if route.takes(found)]
        begun = self._store.deliveries.begin(round_id, names)
        return json.dumps([(one.id, one.destination, one.attempts) for one in begun])

    def _deliver(self, delivery: str, number: int) -> str:
        """Make one attempt, and leave the next one behind if it has failed; the workflow."""
        with self._under_way.one():
            attempted = self._kept_at(self._attempted, shredded=json.dumps((DeliveryState.WITHDRAWN, "")))
            ended = DBOS.run_step({"name": "attempt"}, attempted, delivery, number)
            state, destination = json.loads(ended)
            if state in UNDER_WAY:
                self._put_next(delivery, destination, number, state)
            if state == DeliveryState.COMMITTING:
                answered = self._kept_at(self._answered_meanwhile, shredded=DeliveryState.WITHDRAWN)
                state = DBOS.run_step({"name": "answered"}, answered, delivery, number)
            return str(state)

    def _answered_meanwhile(self, delivery: str, number: int) -> str:
        """Let the next attempt not wait for a report that came before it was put into the queue; return the state."""
        now = self._store.deliveries.get(delivery)
        if now.state is DeliveryState.WAITING:
            self._queue.postpone(delivery, number + 1, delay_s=self._delay_s(number))
        return now.state

    def _kept_at(self, step: Callable[..., str], *, shredded: str) -> Callable[..., str]:
        """Try a step again for as long as store or key holder are away; ``shredded`` is what it ends with if so."""

        def trying(*arguments: object) -> str:
            try:
                return until_there(
                    partial(step, *arguments), self._under_way.closing, partial(log.warning, "a delivery waits: %s")
                )
            except UnknownRoundError:
                return shredded

        return trying

    def _attempted(self, delivery: str, number: int) -> str:
        """Make an attempt that was not made before; return state and destination after it."""
        now = self._store.deliveries.get(delivery)
        if now.state in UNDER_WAY and now.attempts < number:
            attempt = self._attempt(now, number)
            now = self._store.deliveries.note(delivery, attempt)
            self._count(now.destination, attempt.state, attempt.error_code)
            if now.state is DeliveryState.COMMITTING:
                now = self._asked(now)
            log.info("round %s to %s, attempt %d: %s", now.round, now.destination, number, now.state)
        return json.dumps((now.state, now.destination))

    def _attempt(self, delivery: Delivery, number: int) -> Attempt:
        """Send, and say what came of it; the job's edge."""
        if self._state(delivery) is not State.DELIVERING:
            return Attempt(number, DeliveryState.WITHDRAWN)
        try:
            return self._sent(delivery, number)
        except (*AWAY, UnknownRoundError):
            raise
        except PASSING as error:
            log.warning("round %s to %s failed, and is tried again: %s", delivery.round, delivery.destination, error)
            return Attempt(number, DeliveryState.WAITING, error.code)
        except ZweitblickError as error:
            log.warning("round %s to %s was refused: %s", delivery.round, delivery.destination, error)
            self._keep_fault(delivery, error.code, str(error))
            return Attempt(number, DeliveryState.REFUSED, error.code)
        except Exception as error:  # noqa: BLE001 -- the job's edge: its text may quote a header, so only its type is told
            log.error("round %s failed by %s", delivery.round, type(error).__name__)  # noqa: TRY400 -- as said
            return Attempt(number, self._after(delivery, INTERNAL, _defect(error)), INTERNAL)

    def _sent(self, delivery: Delivery, number: int) -> Attempt:
        route = self._route(delivery)
        instances = self._instances(delivery, route)
        with (
            recorded_transfer(self._audit, self._store.study(delivery.study), route.destination, instances),
            bound_contextvars(study=delivery.study, round=delivery.round),
            self._observer.stage("deliver"),
        ):
            receipt = sender(route.destination, patience=self._patience).send(instances)
        if receipt.warnings:
            told = ", ".join(f"0x{status:04X}" for status in receipt.warnings)
            log.info("round %s to %s was taken with warnings: %s", delivery.round, delivery.destination, told)
        if not isinstance(route.destination, StoreDestination) or not route.destination.storage_commitment:
            return Attempt(number, DeliveryState.DELIVERED)
        # noted before it is asked, so that its report is known whenever it comes
        late = NotCommittedError.code if delivery.state is DeliveryState.COMMITTING else None
        return Attempt(number, DeliveryState.COMMITTING, late, f"2.25.{uuid.uuid4().int}")

    def _asked(self, delivery: Delivery) -> Delivery:
        """Ask the destination to commit itself to keep what it took; return the delivery after that.

        The job's edge, as in `_attempt`.
        """
        try:
            report = self._report(delivery)
            answered = self._store.deliveries.get(delivery.id) if report is None else self._told(delivery, report)
        except (*AWAY, UnknownRoundError):
            raise
        except PASSING as error:
            log.warning("round %s to %s is not committed: %s", delivery.round, delivery.destination, error)
            return self._answered(delivery, DeliveryState.WAITING, error.code)
        except ZweitblickError as error:
            log.warning("round %s to %s will not be committed: %s", delivery.round, delivery.destination, error)
            self._keep_fault(delivery, error.code, str(error))
            return self._answered(delivery, DeliveryState.REFUSED, error.code)
        except Exception as error:  # noqa: BLE001 -- the job's edge: its text may quote a header, so only its type is told
            log.error("round %s failed by %s", delivery.round, type(error).__name__)  # noqa: TRY400 -- as said
            return self._answered(delivery, self._after(delivery, INTERNAL, _defect(error)), INTERNAL)
        return answered

    def _report(self, delivery: Delivery) -> CommitmentReport | None:
        route = self._routes[delivery.destination]
        if not isinstance(route.destination, StoreDestination):
            return None
        return ask_commitment(
            route.destination,
            self._instances(delivery, route),
            transaction_uid=str(delivery.transaction_uid),
            others=self.committed,
            patience=self._patience,
        )

    def _told(self, delivery: Delivery, report: CommitmentReport) -> Delivery:
        """Note what a destination reports of a delivery, and return the delivery after that."""
        try:
            check_commitment(report, self._asked_for(delivery), destination=delivery.destination)
        except NotCommittedError as error:
            log.warning("round %s to %s is not committed: %s", delivery.round, delivery.destination, error)
            return self._answered(delivery, DeliveryState.WAITING, error.code)
        return self._answered(delivery, DeliveryState.DELIVERED)

    def _answered(self, delivery: Delivery, state: DeliveryState, code: str | None = None) -> Delivery:
        now = self._store.deliveries.answered(str(delivery.transaction_uid), state, error_code=code)
        if delivery.state is DeliveryState.COMMITTING:  # else it was answered before, and nothing has changed
            self._count(delivery.destination, state, code)
        return now

    def _count(self, destination: str, state: DeliveryState, code: str | None) -> None:
        if code is not None:
            self._observer.undelivered(destination, code, is_last=state is DeliveryState.REFUSED)

    def _route(self, delivery: Delivery) -> Route:
        route = self._routes.get(delivery.destination)
        if route is None:
            raise UnknownDestinationError(f"{delivery.destination} is no destination any more; set it, or replay")
        return route

    def _asked_for(self, delivery: Delivery) -> list[str]:
        """SOP Instance UIDs under which a destination was sent a round's results; needs no certificate to be valid."""
        route = self._route(delivery)
        uids = [self._outgoing(one).sop_instance_uid for one in route.chosen(self._store.results(delivery.round))]
        if route.seal is None:
            return uids
        filed = filing(self._store, delivery.study, delivery.destination)
        return [filed.uid(uid) for uid in uids]

    def _instances(self, delivery: Delivery, route: Route) -> list[Outgoing]:
        if route.seal is not None:
            return self._sealer.instances(delivery, route, route.seal)
        return [self._outgoing(one) for one in route.chosen(self._store.results(delivery.round))]

    def _outgoing(self, one: KeptResult) -> Outgoing:
        opened = partial(self._store.open, one.id)
        if one.media_type == DICOM:
            return outgoing(opened, size=one.plain_bytes)
        return document(opened, size=one.plain_bytes, media_type=one.media_type)

    def _state(self, delivery: Delivery) -> State:
        for one in self._store.rounds(delivery.study):
            if one.id == delivery.round:
                return one.state
        raise UnknownRoundError(f"no round {delivery.round} is kept; its study may have been shredded")

    def _after(self, delivery: Delivery, code: str, message: str) -> DeliveryState:
        """Say where a delivery is after an attempt failed that may be made again, yet not for ever."""
        before = failures(self._store.work.history(delivery.round))
        if sum(entry.code == code and entry.before is State.DELIVERING for entry in before) < RETRIES:
            return DeliveryState.WAITING
        self._keep_fault(delivery, code, message)
        return DeliveryState.REFUSED

    def _keep_fault(self, delivery: Delivery, code: str, message: str) -> None:
        try:
            self._store.work.explain(delivery.round, code, message)
        except ResultChangedError:  # of another destination, at once
            log.warning("round %s has another error already", delivery.round)
        except LOST as unkept:
            log.warning("of round %s only the code of its error can be kept: %s", delivery.round, unkept.code)


def _defect(error: Exception) -> str:
    """Tell of an error that is not ours its type alone, since its text may quote a header."""
    return f"{type(error).__name__}; a defect in zweitblick"
