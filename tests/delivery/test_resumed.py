"""A delivery that has not ended goes on, whatever the queue has made of its next attempt."""

import io
import json
import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import BinaryIO

import pytest
from dbos import DBOS
from pynetdicom import evt
from sqlalchemy import delete, insert, select

from delivery.test_deliverer import PATIENT
from kept_study import wait_until
from peers.fake_peers import SR, CommittingPeer, StorePeer, made
from reading_house import House, last, reached
from store.stores import instance, study_uid
from zweitblick.delivery.deliverer import Deliverer
from zweitblick.delivery.retries import RETRIES
from zweitblick.delivery.route import Route
from zweitblick.store.deliveries import Attempt, Deliveries, Delivery, DeliveryState
from zweitblick.store.life import Actor, Event, State
from zweitblick.store.results import ERROR, ResultName
from zweitblick.store.schema import wrapped_keys
from zweitblick.store.store import Store

FATES = ("ERROR", "CANCELLED", "MAX_RECOVERY_ATTEMPTS_EXCEEDED", "PENDING")
"""What DBOS can say of an attempt that it will not begin; the last, of one that was taken from the queue here."""


@pytest.fixture
def house(tmp_path: Path) -> House:
    """Without networks, since nothing is read."""
    return House(tmp_path, None)


def begun(store: Store, study: int = 1) -> Delivery:
    """Keep a study as if it had been read, begin to deliver its report to PACS, and return that."""
    store.keep(instance(study))
    one = last(store, store.token(study_uid(study)))
    for event in (Event.COMPLETED, Event.STARTED):
        store.advance(one.id, event, by=Actor.WORKER)
    store.keep_result(ResultName(one.id, "sr", "application/dicom"), io.BytesIO(made(SR)[1]))
    for event in (Event.READ, Event.SEALED):
        store.advance(one.id, event, by=Actor.WORKER)
    (delivery,) = store.deliveries.begin(one.id, ["PACS"])
    return delivery


def delivering(store: Store, peer: StorePeer, delay_s: Callable[[int], float] = lambda _: 0.01) -> Deliverer:
    return Deliverer(store, [Route(peer.destination, ("sr",))], delay_s=delay_s, patience=PATIENT)


def an_hour_after_the_first(number: int) -> float:
    return 3600.0 if number == 1 else 0.01


def queued(status: str) -> list[str]:
    """Ids of the attempts that are so in the queue, those of one delivery side by side."""
    return sorted(one.workflow_id for one in DBOS.list_workflows(queue_name="deliver", status=status))


def changed(house: House, statement: str, *values: str) -> None:
    """Change the queue behind everybody's back."""
    with closing(sqlite3.connect(house.folder / "work" / "work.sqlite", timeout=30)) as queue, queue:
        assert queue.execute(statement, values).rowcount == 1


def has_become(house: House, workflow: str, status: str) -> None:
    statement = "UPDATE workflow_status SET status = ?, executor_id = ? WHERE workflow_uuid = ?"
    changed(house, statement, status, DBOS.executor_id, workflow)


class Pondering(CommittingPeer):
    """Takes its time to take a request for storage commitment, and reports nothing."""

    def __init__(self) -> None:
        self.is_asked, self.may_answer = threading.Event(), threading.Event()
        super().__init__(report_to=0)

    def _commit(self, event: evt.Event) -> tuple[int, None]:
        self.is_asked.set()
        assert self.may_answer.wait(60)
        return super()._commit(event)


def test_what_the_queue_does_not_begin_is_made_all_the_same(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zweitblick.queue_place.SETTLE_S", 0)
    with house.store() as store, StorePeer() as pacs:
        pacs.statuses = [0xA700] * len(FATES)
        one_of_each = [begun(store, study) for study in range(len(FATES))]
        deliverer = delivering(store, pacs, an_hour_after_the_first)
        with house.worker(store, deliverer=deliverer):
            wait_until(lambda: len(queued("DELAYED")) == len(FATES))
            for workflow, fate in zip(queued("DELAYED"), FATES, strict=True):
                has_become(house, workflow, fate)
            for _ in range(2):  # at the first time one that was taken from the queue may be about to begin
                deliverer.resume()
            for one in one_of_each:
                reached(store, one.study, State.AWAITING_REVIEW)
        assert len(pacs.received) == 2 * len(FATES)
        codes = [entry.code for one in one_of_each for entry in store.history(one.study) if entry.code]
        assert sorted(codes) == ["peer.busy"] * len(FATES) + ["worker.lost"] * (len(FATES) - 1)


def test_what_an_older_release_had_in_its_queue_is_delivered(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    with house.store() as store, StorePeer() as pacs:
        pacs.statuses = [0xA700]
        one = begun(store)
        with monkeypatch.context() as older:
            older.setattr("zweitblick.worker.launch.WORKFLOWS", "1")
            with house.worker(store, deliverer=delivering(store, pacs, an_hour_after_the_first)):
                wait_until(lambda: len(queued("DELAYED")) == 1)
        with house.worker(store, deliverer=delivering(store, pacs)):
            reached(store, one.study, State.AWAITING_REVIEW)
        assert len(pacs.received) == 2


def test_without_the_studys_key_it_fails_and_with_it_a_replay_delivers_it(house: House) -> None:
    with house.store() as store, StorePeer() as pacs:
        one = begun(store)
        keyring = store._rooms.keyring
        mine = wrapped_keys.c.owner == one.study
        with keyring._database.writing() as transaction:
            key = transaction.execute(select(wrapped_keys).where(mine)).one()._asdict()
            transaction.execute(delete(wrapped_keys).where(mine))
        keyring.forget(one.study)
        with house.worker(store, deliverer=delivering(store, pacs)):
            reached(store, one.study, State.FAILED)
            store.advance(one.round, Event.REPLAYED, by=Actor.ADMINISTRATOR)  # too early
            reached(store, one.study, State.FAILED)
        assert [job.code for job in store.work.jobs_in([State.FAILED])] == ["store.key-missing"]
        codes = [entry.code for entry in store.work.history(one.round) if entry.event is Event.GAVE_UP]
        assert codes == ["store.key-missing"] * 2
        with keyring._database.writing() as transaction:
            transaction.execute(insert(wrapped_keys).values(key))
        store.advance(one.round, Event.REPLAYED, by=Actor.ADMINISTRATOR)
        for event in (Event.STARTED, Event.READ):
            store.advance(one.round, event, by=Actor.WORKER)
        with house.worker(store, deliverer=delivering(store, pacs)):
            reached(store, one.study, State.AWAITING_REVIEW)
        assert len(pacs.received) == 1


def test_while_a_destination_may_still_commit_itself_nothing_is_sent_again(house: House) -> None:
    with house.store() as store, Pondering() as pacs:
        one = begun(store)
        patience = replace(PATIENT, report_s=0.01, commitment_s=3600)
        deliverer = Deliverer(store, [Route(pacs.destination, ("sr",))], patience=patience)
        with house.worker(store, deliverer=deliverer):
            assert pacs.is_asked.wait(60)
            deliverer.resume()
            pacs.may_answer.set()
            wait_until(lambda: len(queued("SUCCESS")) == 1)
            assert len(queued("DELAYED")) == 1
            changed(house, "DELETE FROM workflow_status WHERE status = 'DELAYED'")
            house.clock.move(3000)
            wait_until(lambda: len(queued("DELAYED")) == 1)
            (again,) = DBOS.list_workflows(queue_name="deliver", status="DELAYED")
        left_s = (again.delay_until_epoch_ms - again.created_at) / 1000
        assert 590 < left_s < 610  # the queue's times are of whole seconds before SQLite 3.42
        assert len(pacs.received) == 1
        assert store.deliveries.get(one.id).error_code is None


def test_a_report_of_another_delivery_counts_wherever_it_comes(house: House) -> None:
    def delivering(report_s: float) -> Deliverer:
        route = Route(pacs.destination, ("sr",))
        return Deliverer(store, [route], patience=replace(PATIENT, report_s=report_s, commitment_s=3600))

    with house.store() as store, CommittingPeer(report_to=0) as pacs:
        late = begun(store, 1)
        with house.worker(store, deliverer=delivering(report_s=0.01)):
            wait_until(lambda: len(queued("DELAYED")) == 1)
        pacs.before, pacs.report_to = [pacs.asked[0].TransactionUID], None
        pacs.asked_before = pacs.asked[0].ReferencedSOPSequence
        prompt = begun(store, 2)
        with house.worker(store, deliverer=delivering(report_s=60)):
            for one in (late, prompt):
                reached(store, one.study, State.AWAITING_REVIEW)
        assert len(pacs.received) == 2


class OvertakenDeliveries(Deliveries):
    """A report that refuses comes as soon as it was looked whether there is one."""

    def get(self, delivery_id: str) -> Delivery:
        now = super().get(delivery_id)
        if now.state is DeliveryState.COMMITTING:
            self.answered(str(now.transaction_uid), DeliveryState.WAITING, error_code="peer.not-committed")
        return now


class Overtaken(Store):
    @cached_property
    def deliveries(self) -> Deliveries:
        return OvertakenDeliveries(self._data, clock=self.clock)


def test_a_report_that_comes_as_the_attempt_ends_is_not_waited_for(house: House) -> None:
    with house.store(Overtaken) as store, CommittingPeer(report_to=0) as pacs:
        begun(store)
        patience = replace(PATIENT, report_s=0.01, commitment_s=3600)
        deliverer = Deliverer(store, [Route(pacs.destination, ("sr",))], delay_s=lambda _: 0.01, patience=patience)
        with house.worker(store, deliverer=deliverer):
            wait_until(lambda: len(pacs.asked) == 2)


class Flawed(Store):
    """Raises what no store raises."""

    def open(self, object_id: str) -> BinaryIO:
        raise ZeroDivisionError(object_id)


def test_a_defect_of_ours_is_not_tried_for_ever(house: House) -> None:
    with house.store(Flawed) as store, StorePeer() as pacs:
        one = begun(store)
        for number in range(1, RETRIES):
            store.deliveries.note(one.id, Attempt(number, DeliveryState.WAITING, "internal"))
        with house.worker(store, deliverer=delivering(store, pacs)):
            reached(store, one.study, State.FAILED)
        ended = store.deliveries.get(one.id)
        assert (ended.state, ended.attempts, ended.error_code) == (DeliveryState.REFUSED, RETRIES + 1, "internal")
        (fault,) = [result for result in store.results(one.round) if result.name == ERROR]
        with Store.open(store, fault.id) as file:
            assert json.load(file)["message"] == "ZeroDivisionError; a defect in zweitblick"


def test_a_result_that_the_round_lacks_is_told(house: House) -> None:
    with house.store() as store, StorePeer() as pacs:
        one = begun(store)
        route = Route(pacs.destination, ("seg", "sr"))
        with house.worker(store, deliverer=Deliverer(store, [route], patience=PATIENT)):
            reached(store, one.study, State.FAILED)
        assert store.deliveries.get(one.id).error_code == "store.object-unknown"
        assert pacs.received == []
