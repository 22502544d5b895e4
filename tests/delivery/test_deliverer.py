"""A round is delivered to every destination that it is meant for, once and whatever happens meanwhile."""

import io
import json
import threading
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import BinaryIO

import pytest

from kept_study import files_of, sent, wait_until
from peers.fake_peers import PDF, SEG, SR, StorePeer, StowPeer, data_of, free_port, made
from reading_house import House, last, reached
from zweitblick.delivery.deliverer import Deliverer
from zweitblick.delivery.retries import back_off
from zweitblick.delivery.route import Route
from zweitblick.errors import StoreUnavailableError
from zweitblick.peers.association import Patience
from zweitblick.store.deliveries import Attempt, Deliveries, Delivery, DeliveryState
from zweitblick.store.life import Actor, Event, State
from zweitblick.store.results import ERROR, ResultName
from zweitblick.store.rounds import Round
from zweitblick.store.store import Store

PATIENT = Patience(connection_s=5, association_s=5, answer_s=20)
RESULTS = {"seg": SEG, "sr": SR, "encapsulated-pdf": PDF}
DELIVERY = [Event.DELIVERY_STARTED, Event.DELIVERED, Event.REVIEW_ASKED]


def read_round(store: Store, image: Path, *, number: int = 1) -> tuple[Round, dict[str, bytes]]:
    """Keep an image as a study's first, and results as if it had been read; return them by their UIDs."""
    instance = sent(image)
    uid = f"{instance.study_instance_uid}.{number}"[-64:]
    store.keep(replace(instance, study_instance_uid=uid))
    token = store.token(uid)
    store.advance(last(store, token).id, Event.COMPLETED, by=Actor.WORKER)
    return read(store, token)


def read(store: Store, token: str) -> tuple[Round, dict[str, bytes]]:
    """Keep results as if a study's last round, which is complete, had been read; return both."""
    store.advance(last(store, token).id, Event.STARTED, by=Actor.WORKER)
    results = {}
    for name, sop_class in RESULTS.items():
        one, file = made(sop_class, size=1000)
        result = ResultName(last(store, token).id, name, "application/dicom", one.sop_instance_uid)
        store.keep_result(result, io.BytesIO(file))
        results[one.sop_instance_uid] = data_of(file)
    store.advance(last(store, token).id, Event.READ, by=Actor.WORKER)
    return last(store, token), results


def delivering(store: Store, *routes: Route, delay_s: Callable[[int], float] = lambda _: 0.01) -> Deliverer:
    return Deliverer(store, routes, delay_s=delay_s, patience=PATIENT)


def events_of(store: Store, study: str) -> list[Event]:
    return [entry.event for entry in store.history(study)][4:]


def shown(store: Store, one: Round) -> list[tuple[str, str, int, str | None]]:
    found = store.deliveries.of_round(one.id)
    return [(each.destination, each.state, each.attempts, each.error_code) for each in found]


def test_every_destination_gets_what_is_meant_for_it(house: House, study: Path) -> None:
    with house.store() as store, StorePeer() as pacs, StowPeer() as archive:
        everything = Route(pacs.destination)
        reports = Route(replace(archive.destination, name="ARCHIVE"), results=("sr",))
        one, results = read_round(store, files_of(study, "T1")[0])
        with house.worker(store, deliverer=delivering(store, everything, reports)) as worker:
            worker.submit(one)
            reached(store, one.study, State.AWAITING_REVIEW)
        assert pacs.taken == results
        assert list(pacs.received) == list(results), "the report comes after its evidence"
        sr = next(result.sop_instance_uid for result in store.results(one.id) if result.name == "sr")
        assert archive.taken == {sr: results[sr]}
        assert events_of(store, one.study) == DELIVERY
        assert shown(store, one) == [("ARCHIVE", "delivered", 1, None), ("PACS", "delivered", 1, None)]


@pytest.mark.parametrize(
    ("conditions", "is_meant"),
    [
        ({"senders": {"SCANNER"}, "modalities": {"MR"}, "body_parts": {"BRAIN", "HEAD"}}, True),
        ({"senders": {"OTHER", "SCANNER"}}, True),
        ({"senders": {"OTHER"}}, False),
        ({"modalities": {"CT"}}, False),
        ({"body_parts": {"KNEE"}}, False),
    ],
)
def test_a_route_takes_the_studies_that_it_is_for(
    house: House, study: Path, conditions: dict[str, set[str]], is_meant: bool
) -> None:
    with house.store() as store, StorePeer() as pacs:
        route = Route(pacs.destination, **{name: frozenset(values) for name, values in conditions.items()})
        one, results = read_round(store, files_of(study, "T1")[0])
        with house.worker(store, deliverer=delivering(store, route)) as worker:
            worker.submit(one)
            reached(store, one.study, State.AWAITING_REVIEW)
        assert pacs.taken == (results if is_meant else {})
        assert events_of(store, one.study) == (DELIVERY if is_meant else DELIVERY[-1:])


def test_a_study_that_was_fetched_is_delivered_once_somebody_asks_for_it(house: House, study: Path) -> None:
    """It was fetched to compare another one with it: nobody wants new objects in it."""
    with house.store() as store, StorePeer() as pacs:
        one, _ = read_round(store, files_of(study, "T1")[0])
        store.lookups.begin(one.id, store.study(one.study).study_instance_uid)
        with house.worker(store, deliverer=delivering(store, Route(pacs.destination))) as worker:
            worker.submit(one)
            reached(store, one.study, State.AWAITING_REVIEW)
        assert (pacs.taken, shown(store, one)) == ({}, [])
        assert events_of(store, one.study) == DELIVERY[-1:]
        store.work.ask_for(one.study)
        again, results = read(store, one.study)
        with house.worker(store, deliverer=delivering(store, Route(pacs.destination))) as worker:
            worker.submit(again)
            reached(store, one.study, State.AWAITING_REVIEW)
        assert pacs.taken == results
        assert shown(store, again) == [("PACS", "delivered", 1, None)]


def test_a_destination_that_was_down_gets_it_once(house: House, study: Path) -> None:
    port = free_port()
    with house.store() as store, StorePeer() as there:
        route = Route(replace(there.destination, port=port))
        one, results = read_round(store, files_of(study, "T1")[0])
        with house.worker(store, deliverer=delivering(store, route)) as worker:
            worker.submit(one)
            wait_until(lambda: store.deliveries.of_round(one.id)[0].attempts >= 2 if is_begun(store, one) else False)
            assert last(store, one.study).state is State.DELIVERING
            with StorePeer(port=port) as pacs:
                reached(store, one.study, State.AWAITING_REVIEW)
        assert pacs.taken == results
        assert len(pacs.received) == 3
        failed = events_of(store, one.study)[1:-2]
        assert len(failed) >= 2
        assert set(failed) == {Event.ATTEMPT_FAILED}
        assert shown(store, one) == [("PACS", "delivered", len(failed) + 1, None)]


def is_begun(store: Store, one: Round) -> bool:
    return bool(store.deliveries.of_round(one.id))


def test_a_delivery_outlasts_the_worker(house: House, study: Path) -> None:
    port = free_port()
    with house.store() as store, StorePeer() as there:
        route = Route(replace(there.destination, port=port))
        one, results = read_round(store, files_of(study, "T1")[0])
        with house.worker(store, deliverer=delivering(store, route)) as worker:
            worker.submit(one)
            wait_until(lambda: is_begun(store, one) and store.deliveries.of_round(one.id)[0].attempts >= 1)
        with StorePeer(port=port) as pacs, house.worker(store, deliverer=delivering(store, route)):
            reached(store, one.study, State.AWAITING_REVIEW)
        assert pacs.taken == results
        assert len(pacs.received) == 3


def test_a_refusal_fails_the_round_and_a_replay_delivers_it(house: House, study: Path) -> None:
    with house.store() as store, StorePeer() as pacs:
        pacs.statuses = [0x0000, 0xA900]
        one, results = read_round(store, files_of(study, "T1")[0])
        with house.worker(store, deliverer=delivering(store, Route(pacs.destination))) as worker:
            worker.submit(one)
            reached(store, one.study, State.FAILED)
        (error,) = [result.id for result in store.results(one.id) if result.name == ERROR]
        with store.open(error) as file:
            assert json.load(file)["code"] == "peer.refused"
        assert shown(store, one) == [("PACS", "refused", 1, "peer.refused")]
        store.advance(one.id, Event.REPLAYED, by=Actor.ADMINISTRATOR)
        for event in (Event.STARTED, Event.READ):
            store.advance(one.id, event, by=Actor.WORKER)
        house.clock.move(1)
        again = replace(one, arrived_at=house.clock.now)
        with house.worker(store, deliverer=delivering(store, Route(pacs.destination))) as worker:
            worker.submit(again)
            reached(store, one.study, State.AWAITING_REVIEW)
        assert pacs.taken == results


def test_a_destination_that_is_gone_from_the_settings_is_told(house: House, study: Path) -> None:
    with house.store() as store, StorePeer() as there:
        route = Route(replace(there.destination, port=free_port()))
        one, _ = read_round(store, files_of(study, "T1")[0])
        with house.worker(store, deliverer=delivering(store, route)) as worker:
            worker.submit(one)
            wait_until(lambda: is_begun(store, one) and store.deliveries.of_round(one.id)[0].attempts >= 1)
        with house.worker(store, deliverer=delivering(store)):
            reached(store, one.study, State.FAILED)
        ((_, state, _, code),) = shown(store, one)
        assert (state, code) == ("refused", "peer.unknown-destination")


def test_a_round_that_was_superseded_is_not_delivered_and_an_earlier_one_stays(house: House, study: Path) -> None:
    first_image, second_image, third_image, *_ = files_of(study, "T1")
    with house.store() as store, StorePeer() as pacs:
        first, results = read_round(store, first_image)
        uid = store.study(first.study).study_instance_uid
        with house.worker(store, deliverer=delivering(store, Route(pacs.destination))) as worker:
            worker.submit(first)
            reached(store, first.study, State.AWAITING_REVIEW)
        store.keep(replace(sent(second_image), study_instance_uid=uid))
        second = last(store, first.study)
        for event in (Event.COMPLETED, Event.STARTED, Event.READ, Event.SEALED):
            store.advance(second.id, event, by=Actor.WORKER)
        (waits,) = store.deliveries.begin(second.id, ["PACS"])
        store.keep(replace(sent(third_image), study_instance_uid=uid))
        with house.worker(store, deliverer=delivering(store, Route(pacs.destination))) as worker:
            worker.submit(second)
            wait_until(lambda: store.deliveries.get(waits.id).state is DeliveryState.WITHDRAWN)
        assert pacs.taken == results
        assert shown(store, first) == [("PACS", "delivered", 1, None)]
        assert [one.state for one in store.rounds(first.study)][:2] == [State.SUPERSEDED, State.SUPERSEDED]


def test_deliveries_that_wait_hold_no_reading_up(house: House, study: Path) -> None:
    with house.store() as store, StorePeer() as there:
        route = Route(replace(there.destination, port=free_port()))
        deliverer = delivering(store, route, delay_s=lambda _: 3600.0)
        waiting = [read_round(store, files_of(study, "T1")[0], number=number)[0] for number in range(6)]
        for path in files_of(study, "T1"):
            store.keep(sent(path))
        unreadable = last(store, store.token(sent(files_of(study, "T1")[0]).study_instance_uid))
        with house.worker(store, deliverer=deliverer) as worker:
            for one in waiting:
                worker.submit(one)
            wait_until(lambda: all(is_begun(store, one) for one in waiting))
            wait_until(lambda: all(store.deliveries.of_round(one.id)[0].attempts == 1 for one in waiting))
            worker.submit(unreadable)
            reached(store, unreadable.study, State.FAILED)
        assert all(last(store, one.study).state is State.DELIVERING for one in waiting)


class Forgetful(Store):
    """Cannot be read the first time."""

    def open(self, object_id: str) -> BinaryIO:
        if not self.asked.is_set():
            self.asked.set()
            raise StoreUnavailableError("the folder of objects is away")
        return super().open(object_id)

    @cached_property
    def asked(self) -> threading.Event:
        return threading.Event()


def test_a_store_that_is_away_is_waited_for_and_is_no_failure_of_the_destination(house: House, study: Path) -> None:
    with house.store() as store:
        one, results = read_round(store, files_of(study, "T1")[0])
    with house.store(Forgetful) as store, StorePeer() as pacs:
        with house.worker(store, deliverer=delivering(store, Route(pacs.destination, results=("seg",)))) as worker:
            worker.submit(one)
            reached(store, one.study, State.AWAITING_REVIEW)
        assert shown(store, one) == [("PACS", "delivered", 1, None)]
        assert events_of(store, one.study) == DELIVERY
        assert list(pacs.taken.values()) == list(results.values())[:1]


class Crash(BaseException):
    """The process is gone: nothing that catches errors catches this."""


class CrashingDeliveries(Deliveries):
    """Crashes when an attempt is noted, before or after that is durable."""

    is_after: bool
    crashed: threading.Event

    def note(self, delivery_id: str, attempt: Attempt) -> Delivery:
        if self.is_after and not self.crashed.is_set():
            super().note(delivery_id, attempt)
        self.crashed.set()
        raise Crash


class Crashing(Store):
    is_after: bool

    @cached_property
    def deliveries(self) -> Deliveries:
        crashing = CrashingDeliveries(self._data, clock=self.clock)
        crashing.is_after, crashing.crashed = self.is_after, threading.Event()
        return crashing


@pytest.mark.parametrize("manner", ["taken", "refused for now"])
@pytest.mark.parametrize("is_after", [False, True])
def test_a_crash_after_the_sending_changes_nothing_of_what_is_sent(
    house: House, study: Path, manner: str, is_after: bool
) -> None:
    with ExitStack() as stack, StorePeer() as pacs:
        pacs.statuses = [] if manner == "taken" else [0xA700]
        route = Route(pacs.destination)
        store = stack.enter_context(house.store(Crashing))
        store.is_after = is_after
        one, results = read_round(store, files_of(study, "T1")[0])
        with suppress(Crash), house.worker(store, deliverer=delivering(store, route)) as worker:
            worker.submit(one)
            assert store.deliveries.crashed.wait(60)
        stack.close()
        store = stack.enter_context(house.store())
        with house.worker(store, deliverer=delivering(store, route)):
            reached(store, one.study, State.AWAITING_REVIEW)
            wait_until(lambda: shown(store, one)[0][1] == "delivered")
        assert pacs.taken == results
        assert events_of(store, one.study).count(Event.DELIVERED) == 1
        attempts = 1 if manner == "taken" else 2
        if is_after:
            assert shown(store, one) == [("PACS", "delivered", attempts, None)]
            assert len(pacs.received) == 3 + (manner != "taken")


def test_the_back_off_doubles_from_five_seconds_to_ten_minutes() -> None:
    assert [back_off(attempts) for attempts in range(1, 10)] == [5, 10, 20, 40, 80, 160, 320, 600, 600]
    assert back_off(10**9) == 600
