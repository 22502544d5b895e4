"""What a store promises of deliveries on every database."""

import json
import threading
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from store.stores import Clock, Holder, instance, opened_store, study_uid
from zweitblick.errors import UnknownRoundError
from zweitblick.store.deliveries import Attempt, Delivery, DeliveryState
from zweitblick.store.life import Actor, Event, State
from zweitblick.store.places import StorePlaces
from zweitblick.store.store import Store

WAITING, COMMITTING = DeliveryState.WAITING, DeliveryState.COMMITTING
DELIVERED, REFUSED, WITHDRAWN = DeliveryState.DELIVERED, DeliveryState.REFUSED, DeliveryState.WITHDRAWN
TO_SEALED = (Event.COMPLETED, Event.STARTED, Event.READ, Event.SEALED)


def sealed_round(store: Store, study: int = 1) -> str:
    """Bring a study's first round to SEALED."""
    store.keep(instance(study))
    (first,) = store.rounds(store.token(study_uid(study)))
    for event in TO_SEALED:
        store.advance(first.id, event, by=Actor.WORKER)
    return first.id


def state_of(store: Store, study: int = 1) -> State:
    return store.rounds(store.token(study_uid(study)))[0].state


def events_of(store: Store, study: int = 1) -> list[Event]:
    return [entry.event for entry in store.history(store.token(study_uid(study)))][len(TO_SEALED) :]


class DeliveriesContract:
    """Needs fixtures ``places``, ``holder``, ``store`` and ``clock``."""

    def test_a_round_is_delivered_once_every_destination_has_acknowledged(self, store: Store, clock: Clock) -> None:
        round_id = sealed_round(store)
        first, second = store.deliveries.begin(round_id, ["ARCHIVE", "PACS"])
        assert state_of(store) is State.DELIVERING
        assert store.deliveries.note(first.id, Attempt(1, DELIVERED)).acknowledged_at == clock.now
        assert state_of(store) is State.DELIVERING
        clock.now += timedelta(seconds=5)
        store.deliveries.note(second.id, Attempt(1, WAITING, "peer.busy"))
        store.deliveries.note(second.id, Attempt(2, DELIVERED))
        assert state_of(store) is State.AWAITING_REVIEW
        assert events_of(store) == [
            Event.DELIVERY_STARTED,
            Event.ATTEMPT_FAILED,
            Event.DELIVERED,
            Event.REVIEW_ASKED,
        ]
        shown = [(each.destination, each.state, each.attempts, each.error_code) for each in of(store, round_id)]
        assert shown == [("ARCHIVE", DELIVERED, 1, None), ("PACS", DELIVERED, 2, None)]

    def test_a_round_without_destinations_is_not_delivered(self, store: Store) -> None:
        assert store.deliveries.begin(sealed_round(store), []) == []
        assert state_of(store) is State.SEALED

    def test_what_is_noted_again_changes_nothing(self, store: Store) -> None:
        round_id = sealed_round(store)
        (one,) = store.deliveries.begin(round_id, ["PACS"])
        assert store.deliveries.begin(round_id, ["PACS"]) == [one]
        noted = store.deliveries.note(one.id, Attempt(1, WAITING, "peer.timeout"))
        assert store.deliveries.note(one.id, Attempt(1, DELIVERED)) == noted
        assert store.deliveries.begin(round_id, ["PACS"]) == [noted]
        done = store.deliveries.note(one.id, Attempt(2, DELIVERED))
        assert store.deliveries.note(one.id, Attempt(3, REFUSED, "peer.refused")) == done
        assert store.deliveries.begin(round_id, ["PACS"]) == []
        assert events_of(store).count(Event.DELIVERED) == 1

    def test_a_refusal_ends_the_round_once_the_others_are_done(self, store: Store) -> None:
        archive, pacs = store.deliveries.begin(sealed_round(store), ["ARCHIVE", "PACS"])
        store.deliveries.note(archive.id, Attempt(1, REFUSED, "peer.refused"))
        assert state_of(store) is State.DELIVERING
        store.deliveries.note(pacs.id, Attempt(1, DELIVERED))
        assert state_of(store) is State.FAILED
        assert events_of(store)[-1] is Event.GAVE_UP

    def test_the_people_who_look_after_it_are_told_why(self, store: Store) -> None:
        archive, pacs = store.deliveries.begin(sealed_round(store), ["ARCHIVE", "PACS"])
        store.deliveries.note(pacs.id, Attempt(1, WAITING, "peer.busy"))
        assert [job.code for job in store.work.jobs_in([State.DELIVERING])] == ["peer.busy"]
        store.deliveries.note(archive.id, Attempt(1, REFUSED, "peer.refused"))
        store.deliveries.note(pacs.id, Attempt(2, DELIVERED))
        assert [(job.code, job.attempts) for job in store.work.jobs_in([State.FAILED])] == [("peer.refused", 2)]

    def test_another_refusal_is_kept_in_place_of_the_one_before(self, store: Store) -> None:
        round_id = sealed_round(store)
        turn = store.work.round(round_id).turn
        for code in ("peer.refused", "peer.context"):
            store.work.explain(round_id, code, f"this is {code}")
        (fault,) = store.results(round_id)
        with store.open(fault.id) as file:
            assert json.load(file) == {"code": "peer.context", "message": "this is peer.context"}
        assert (store.work.round(round_id).state, store.work.round(round_id).turn) == (State.SEALED, turn)

    def test_a_replay_tries_again_what_was_refused_and_nothing_else(self, store: Store) -> None:
        round_id = sealed_round(store)
        archive, pacs = store.deliveries.begin(round_id, ["ARCHIVE", "PACS"])
        store.deliveries.note(pacs.id, Attempt(1, DELIVERED))
        store.deliveries.note(archive.id, Attempt(1, REFUSED, "peer.refused"))
        self.replay(store, round_id)
        (again,) = store.deliveries.begin(round_id, ["ARCHIVE", "PACS"])
        assert (again.id, again.state, again.attempts) == (archive.id, WAITING, 1)
        store.deliveries.note(archive.id, Attempt(2, DELIVERED))
        assert state_of(store) is State.AWAITING_REVIEW

    def test_a_replay_without_the_destination_that_refused_ends_at_once(self, store: Store) -> None:
        round_id = sealed_round(store)
        archive, pacs = store.deliveries.begin(round_id, ["ARCHIVE", "PACS"])
        store.deliveries.note(pacs.id, Attempt(1, DELIVERED))
        store.deliveries.note(archive.id, Attempt(1, REFUSED, "peer.refused"))
        self.replay(store, round_id)
        assert store.deliveries.begin(round_id, ["PACS"]) == []
        assert [each.state for each in of(store, round_id)] == [WITHDRAWN, DELIVERED]
        assert state_of(store) is State.AWAITING_REVIEW

    @staticmethod
    def replay(store: Store, round_id: str) -> None:
        store.advance(round_id, Event.REPLAYED, by=Actor.ADMINISTRATOR)
        for event in TO_SEALED[1:]:
            store.advance(round_id, event, by=Actor.WORKER)

    def test_a_superseded_round_is_not_delivered(self, store: Store) -> None:
        round_id = sealed_round(store)
        store.keep(instance(number=2))
        assert state_of(store) is State.SUPERSEDED
        assert store.deliveries.begin(round_id, ["PACS"]) == []
        assert of(store, round_id) == []

    def test_what_was_sent_before_it_was_superseded_stays_sent(self, store: Store) -> None:
        archive, pacs = store.deliveries.begin(sealed_round(store), ["ARCHIVE", "PACS"])
        store.keep(instance(number=2))
        assert store.deliveries.note(archive.id, Attempt(1, DELIVERED)).state is DELIVERED
        assert store.deliveries.note(pacs.id, Attempt(1, WITHDRAWN)).state is WITHDRAWN
        assert state_of(store) is State.SUPERSEDED

    def test_a_commitment_is_found_by_its_transaction(self, store: Store, clock: Clock) -> None:
        (one,) = store.deliveries.begin(sealed_round(store), ["PACS"])
        asked = store.deliveries.note(one.id, Attempt(1, COMMITTING, transaction_uid="2.25.1"))
        assert (asked.state, asked.asked_at, asked.acknowledged_at) == (COMMITTING, clock.now, None)
        assert state_of(store) is State.DELIVERING
        for find in (store.deliveries.asked, lambda uid: store.deliveries.answered(uid, DELIVERED)):
            with pytest.raises(UnknownRoundError):
                find("2.25.2")
        assert store.deliveries.asked("2.25.1") == asked
        assert store.deliveries.answered("2.25.1", DELIVERED).state is DELIVERED
        again = store.deliveries.answered("2.25.1", WAITING, error_code="peer.not-committed")
        assert again.state is DELIVERED
        assert state_of(store) is State.AWAITING_REVIEW

    def test_a_commitment_that_is_not_given_is_asked_for_again(self, store: Store) -> None:
        (one,) = store.deliveries.begin(sealed_round(store), ["PACS"])
        store.deliveries.note(one.id, Attempt(1, COMMITTING, transaction_uid="2.25.1"))
        failed = store.deliveries.answered("2.25.1", WAITING, error_code="peer.not-committed")
        assert (failed.state, failed.attempts, failed.error_code) == (WAITING, 1, "peer.not-committed")
        assert events_of(store)[-1] is Event.ATTEMPT_FAILED

    def test_a_commitment_that_is_refused_ends_the_round(self, store: Store) -> None:
        (one,) = store.deliveries.begin(sealed_round(store), ["PACS"])
        store.deliveries.note(one.id, Attempt(1, COMMITTING, transaction_uid="2.25.1"))
        assert store.deliveries.answered("2.25.1", REFUSED, error_code="peer.context").state is REFUSED
        assert state_of(store) is State.FAILED

    def test_deliveries_go_with_their_study(self, store: Store) -> None:
        round_id = sealed_round(store)
        (one,) = store.deliveries.begin(round_id, ["PACS"])
        store.shred(store.token(study_uid(1)))
        assert of(store, round_id) == []
        for ask in (store.deliveries.get, lambda id_: store.deliveries.note(id_, Attempt(1, DELIVERED))):
            with pytest.raises(UnknownRoundError):
                ask(one.id)
        with pytest.raises(UnknownRoundError):
            store.deliveries.begin(round_id, ["PACS"])

    def test_of_two_that_end_at_once_one_ends_the_round(self, places: StorePlaces, holder: Holder) -> None:
        with opened_store(places, holder) as one, opened_store(places, holder) as other:
            pairs = [one.deliveries.begin(sealed_round(one, study), ["A", "B"]) for study in range(1, 9)]
            both = threading.Barrier(2)

            def end(store: Store, which: int) -> None:
                for pair in pairs:
                    both.wait()
                    store.deliveries.note(pair[which].id, Attempt(1, DELIVERED))

            threads = [threading.Thread(target=end, args=(store, which)) for which, store in enumerate((one, other))]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            for study in range(1, 9):
                assert state_of(one, study) is State.AWAITING_REVIEW
                assert events_of(one, study).count(Event.DELIVERED) == 1

    @given(st.permutations("AABBCC"), st.sets(st.sampled_from("ABC")))
    @settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    def test_the_end_is_the_same_in_every_order(self, store: Store, order: list[str], refusing: set[str]) -> None:
        """Each destination fails once, then takes or refuses."""
        study = next(DeliveriesContract.numbers)
        under_way = {each.destination: each.id for each in store.deliveries.begin(sealed_round(store, study), "ABC")}
        for place, name in enumerate(order):
            if name not in order[:place]:
                store.deliveries.note(under_way[name], Attempt(1, WAITING, "peer.busy"))
                continue
            last = Attempt(2, REFUSED, "peer.refused") if name in refusing else Attempt(2, DELIVERED)
            store.deliveries.note(under_way[name], last)
            end = State.FAILED if refusing else State.AWAITING_REVIEW
            assert state_of(store, study) is (end if place == 5 else State.DELIVERING)
        assert events_of(store, study).count(Event.ATTEMPT_FAILED) == 3

    numbers = iter(range(100, 10_000))


def of(store: Store, round_id: str) -> list[Delivery]:
    return store.deliveries.of_round(round_id)
