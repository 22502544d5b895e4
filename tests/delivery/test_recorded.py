"""What is sent to a destination is on record before, and how it ended after; what cannot be is not sent."""

from dataclasses import replace
from pathlib import Path

import pytest

from audit.book import Book, counts_of, study_of
from delivery.test_deliverer import PATIENT, RESULTS, read_round
from kept_study import files_of, wait_until
from peers.fake_peers import StorePeer, StowPeer, free_port
from reading_house import House, reached
from zweitblick.delivery.deliverer import Deliverer
from zweitblick.delivery.route import Route
from zweitblick.sample import SampleTruth
from zweitblick.store.life import State

BEGUN = ("Begin Transferring DICOM Instances", "E", 0)
DONE = ("DICOM Instances Transferred", "R", 0)
FAILED = ("DICOM Instances Transferred", "R", 8)


@pytest.fixture(scope="module")
def image(sample: SampleTruth) -> Path:
    return files_of(next(iter(sample.series.values())).folder.parent, "T1")[0]


@pytest.mark.parametrize("kind", [StorePeer, StowPeer])
def test_a_delivery_is_on_record_with_both_ends(house: House, image: Path, kind: type[StorePeer | StowPeer]) -> None:
    book = Book()
    with house.store() as store, kind() as peer:
        one, _ = read_round(store, image)
        deliverer = Deliverer(store, (Route(peer.destination),), patience=PATIENT, audit=book)
        with house.worker(store, deliverer=deliverer) as worker:
            worker.submit(one)
            reached(store, one.study, State.AWAITING_REVIEW)
        assert study_of(book.events[0]) == store.study(one.study).study_instance_uid
    assert book.told() == [BEGUN, DONE]
    sender, receiver = book.events[0].participants
    assert (sender.user_id, sender.is_requestor) == ("4242", True)
    assert (receiver.user_id, receiver.address) == (peer.destination.name, "127.0.0.1")
    assert counts_of(book.events[1]) == dict.fromkeys(RESULTS.values(), 1)


def test_an_attempt_that_failed_is_on_record_as_such(house: House, image: Path) -> None:
    book = Book()
    with house.store() as store, StorePeer() as peer:
        one, _ = read_round(store, image)
        route = Route(replace(peer.destination, port=free_port()))
        deliverer = Deliverer(store, (route,), delay_s=lambda _: 0.01, patience=PATIENT, audit=book)
        with house.worker(store, deliverer=deliverer) as worker:
            worker.submit(one)
            wait_until(lambda: len(book.events) >= 4)
    assert book.told()[:4] == [BEGUN, FAILED, BEGUN, FAILED]
    assert book.events[1].outcome_description == "peer.unreachable"


def test_what_cannot_be_put_on_record_is_not_sent(house: House, image: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zweitblick.store.absence.AWAY_S", 0.05)
    book = Book()
    book.is_away = True
    with house.store() as store, StorePeer() as peer:
        one, results = read_round(store, image)
        deliverer = Deliverer(store, (Route(peer.destination),), patience=PATIENT, audit=book)
        with house.worker(store, deliverer=deliverer) as worker:
            worker.submit(one)
            wait_until(lambda: book.refusals > 0)
            assert peer.taken == {}
            book.is_away = False
            reached(store, one.study, State.AWAITING_REVIEW)
        assert peer.taken == results
    assert book.told() == [BEGUN, DONE]
