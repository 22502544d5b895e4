"""What a store promises to workers on every database; see `store.contract`."""

import io
from collections.abc import Sequence
from pathlib import Path

import pytest

from store.stores import Clock, instance, plain_file, study_uid
from zweitblick.errors import EventError, ResultChangedError, UnknownObjectError, UnknownRoundError
from zweitblick.store.life import IN_WORK, Actor, Event, State
from zweitblick.store.places import StorePlaces
from zweitblick.store.results import ResultName
from zweitblick.store.rounds import Round
from zweitblick.store.store import Store

UID = "1.2.276.0.4712.1"
TO_REVIEW = [
    *(Event.COMPLETED, Event.STARTED, Event.READ, Event.SEALED),
    *(Event.DELIVERY_STARTED, Event.DELIVERED, Event.REVIEW_ASKED),
]


def begun(store: Store, study: int = 1) -> Round:
    """Keep an instance, and have its round being read."""
    store.keep(instance(study))
    first = last(store, study)
    store.advance(first.id, Event.COMPLETED, by=Actor.WORKER)
    store.work.advance(first.id, Event.STARTED, turn=1)
    return last(store, study)


def kept_and(store: Store, events: Sequence[Event]) -> Round:
    """Keep an instance, and let events happen to its round."""
    store.keep(instance())
    for event in events:
        store.advance(last(store).id, event, by=Actor.WORKER)
    return last(store)


def last(store: Store, study: int = 1) -> Round:
    return store.rounds(store.token(study_uid(study)))[-1]


def results(one: Round, content: bytes = b"outline", uid: str = UID) -> list[tuple[ResultName, io.BytesIO]]:
    return [
        (ResultName(one.id, "seg", "application/dicom", uid), io.BytesIO(content)),
        (ResultName(one.id, "json", "application/json"), io.BytesIO(b"{}")),
    ]


def files(places: StorePlaces) -> set[Path]:
    return {path for path in places.objects.rglob("*") if path.is_file() and path.name != "lock"}


class WorkContract:
    """Mixed into the contract of a store."""

    def test_a_turn_begins_with_each_completion_failed_attempt_and_replay(self, store: Store) -> None:
        one = begun(store)
        assert one.turn == 1
        store.work.advance(one.id, Event.ATTEMPT_FAILED, turn=1, code="network.memory")
        assert last(store).turn == 2
        store.work.give_up(one.id, "internal", "a defect", turn=2)
        assert last(store).turn == 2
        store.advance(one.id, Event.REPLAYED, by=Actor.ADMINISTRATOR)
        assert last(store).turn == 3
        assert [entry.code for entry in store.work.history(one.id)] == ["", "", "network.memory", "internal", ""]

    @pytest.mark.parametrize("events", [TO_REVIEW[:3], TO_REVIEW[:4], TO_REVIEW[:5], TO_REVIEW[:6], TO_REVIEW])
    def test_what_was_read_is_read_again_in_a_round_that_supersedes(
        self, store: Store, clock: Clock, events: list[Event]
    ) -> None:
        first = kept_and(store, events)
        outline = store.keep_result(ResultName(first.id, "seg", "application/dicom"), io.BytesIO(b"outline"))
        clock.pass_by(86400)
        begun_again = store.work.read_again(first.study)
        one, two = store.rounds(first.study)
        assert (one.id, one.state, two) == (first.id, State.SUPERSEDED, begun_again)
        assert (two.state, two.number, two.supersedes, two.turn) == (State.STABLE, 2, first.id, 1)
        assert two.arrived_at == store.work.first_arrival(two.id) == clock.now
        assert plain_file(store, outline) == b"outline"
        assert [each.round for each in store.instances(first.study)] == [1]
        asked, completed = store.history(first.study)[-2:]
        assert (asked.round, asked.event, asked.actor) == (one.id, Event.PRIORS_ASKED, Actor.RADIOLOGIST)
        assert (completed.round, completed.event, completed.after) == (two.id, Event.COMPLETED, State.STABLE)
        store.keep(instance(number=2))
        assert [each.state for each in store.rounds(first.study)] == [State.SUPERSEDED, State.RECEIVING]

    @pytest.mark.parametrize("events", [[], TO_REVIEW[:1], TO_REVIEW[:2], [Event.COMPLETED, Event.GAVE_UP]])
    def test_what_was_not_read_is_not_read_again(self, store: Store, events: list[Event]) -> None:
        one = kept_and(store, events)
        with pytest.raises(EventError, match="priors asked"):
            store.work.read_again(one.study)
        with pytest.raises(EventError, match="next round"):
            store.advance(one.id, Event.PRIORS_ASKED, by=Actor.RADIOLOGIST)
        assert store.rounds(one.study) == [one]
        with pytest.raises(UnknownRoundError):
            store.work.read_again("0" * 32)

    def test_nothing_happens_in_a_turn_that_is_over(self, store: Store, places: StorePlaces) -> None:
        one = begun(store)
        store.work.advance(one.id, Event.ATTEMPT_FAILED, turn=1)
        before = files(places)
        for late in (
            lambda: store.work.advance(one.id, Event.ATTEMPT_FAILED, turn=1),
            lambda: store.work.keep_reading(one.id, results(one), turn=1),
            lambda: store.work.give_up(one.id, "internal", "a defect", turn=1),
        ):
            with pytest.raises(EventError, match="too late"):
                late()
        assert (store.results(one.id), files(places)) == ([], before)
        assert last(store).state is State.READING

    def test_a_reading_is_kept_whole_and_once(self, store: Store, places: StorePlaces) -> None:
        one = begun(store)
        store.keep_result(ResultName(one.id, "seg", "application/dicom", "1.2.3"), io.BytesIO(b"half of it"))
        store.keep_result(ResultName(one.id, "error", "application/json"), io.BytesIO(b"an earlier one"))
        assert store.work.keep_reading(one.id, results(one), turn=1) is State.READ
        assert {result.name: plain_file(store, result.id) for result in store.results(one.id)} == {
            "seg": b"outline",
            "json": b"{}",
        }
        before = files(places)
        with pytest.raises(EventError):
            store.work.keep_reading(one.id, results(one, b"another", "1.2.9"), turn=1)
        assert files(places) == before
        assert len(before) == 3  # the study's pack, and what was kept

    def test_what_is_sent_in_another_form_is_no_result_and_goes_with_the_results(self, store: Store) -> None:
        one = begun(store)
        name = ResultName(one.id, "CLOUD/sr", "application/dicom")
        kept = store.keep_outgoing(name, io.BytesIO(b"an encrypted report"))
        assert store.keep_outgoing(name, io.BytesIO(b"an encrypted report")) == kept
        assert store.results(one.id) == []
        assert [(each.id, each.name) for each in store.outgoing(one.id)] == [(kept, "CLOUD/sr")]
        assert plain_file(store, kept) == b"an encrypted report"
        with pytest.raises(ResultChangedError):
            store.keep_outgoing(name, io.BytesIO(b"encrypted once more"))
        store.work.keep_reading(one.id, results(one), turn=1)
        assert sorted(each.name for each in store.results(one.id)) == ["json", "seg"]
        assert store.outgoing(one.id) == []
        with pytest.raises(UnknownObjectError):
            store.open(kept)

    def test_a_secret_for_a_destination_stays_and_is_its_own(self, store: Store) -> None:
        assert store.secret_for("CLOUD") == store.secret_for("CLOUD")
        assert store.secret_for("CLOUD") != store.secret_for("SHARE")
        assert len(store.secret_for("CLOUD")) == 32

    def test_a_cancelled_reading_is_not_kept(self, store: Store) -> None:
        one = begun(store)
        store.advance(one.id, Event.CANCELLED, by=Actor.RADIOLOGIST)
        with pytest.raises(EventError):
            store.work.keep_reading(one.id, results(one), turn=1)
        assert store.results(one.id) == []

    def test_a_result_of_the_uid_of_an_instance_is_refused(self, store: Store) -> None:
        one = begun(store)
        with pytest.raises(ResultChangedError):
            store.work.keep_reading(one.id, results(one, uid=f"{study_uid(1)}.1.1"), turn=1)
        assert (store.results(one.id), last(store).state) == ([], State.READING)

    def test_the_last_reason_for_giving_up_stands(self, store: Store) -> None:
        one = begun(store)
        for reason, turn in (("first", 1), ("second", 2)):
            store.work.give_up(one.id, "internal", reason, turn=turn)
            if turn == 1:
                store.advance(one.id, Event.REPLAYED, by=Actor.ADMINISTRATOR)
        [error] = store.results(one.id)
        assert plain_file(store, error.id) == b'{"code": "internal", "message": "second"}'

    def test_without_the_key_the_code_alone_is_kept_and_no_earlier_reason(self, store: Store) -> None:
        one = begun(store)
        store.work.give_up(one.id, "internal", "first", turn=1)
        store.advance(one.id, Event.REPLAYED, by=Actor.ADMINISTRATOR)
        store._rooms.keyring.destroy(one.study)
        assert store.work.give_up(one.id, "store.key-missing", "second", turn=2) is State.FAILED
        assert store.results(one.id) == []
        assert [job.code for job in store.work.jobs_in([State.FAILED])] == ["store.key-missing"]

    def test_jobs_tell_since_when_how_often_and_why(self, store: Store, clock: Clock) -> None:
        one = begun(store)
        clock.pass_by(5)
        store.keep(instance(2))
        store.work.advance(one.id, Event.ATTEMPT_FAILED, turn=1, code="network.memory")
        store.work.advance(one.id, Event.RELEASED, turn=2)
        store.work.advance(one.id, Event.STARTED, turn=2)
        clock.pass_by(5)
        [job] = store.work.jobs_in([State.READING])
        assert (job.round, job.attempts, job.code) == (last(store), 2, "network.memory")
        assert (clock.now - job.since).total_seconds() == 5
        assert [each.round.state for each in store.work.jobs_in(list(State))] == [State.READING, State.RECEIVING]

    def test_rounds_are_found_by_state_the_first_first(self, store: Store, clock: Clock) -> None:
        found = []
        for study in (2, 1):
            found.append(begun(store, study))
            clock.pass_by(1)
        store.keep(instance(3))
        assert store.work.rounds_in(IN_WORK) == found
        assert store.work.round(found[0].id) == found[0]
        with pytest.raises(UnknownRoundError):
            store.work.round("0" * 32)

    def test_beats_are_counted(self, store: Store) -> None:
        for worker in ("a", "b", "a"):
            store.work.beat(worker)
        assert store.work.beats() == {"a": 1, "b": 0}
        store.work.leave("a")
        assert store.work.beats() == {"b": 0}
