"""What a store promises of studies that were fetched only to compare others with them, on every database."""

from dataclasses import replace
from datetime import timedelta

import pytest

from store.stores import Clock, encoded, instance, study_uid
from zweitblick.errors import UnknownRoundError
from zweitblick.reading import UID_ROOT
from zweitblick.store.ingest import Outcome
from zweitblick.store.life import Actor, Event, State
from zweitblick.store.received import ReceivedInstance
from zweitblick.store.rounds import Round
from zweitblick.store.store import Store

READ = (Event.COMPLETED, Event.STARTED, Event.READ)
EARLIER, PRESENT = 1, 2


def last(store: Store, study: int = EARLIER) -> Round:
    return store.rounds(store.token(study_uid(study)))[-1]


def happen(store: Store, study: int, *events: Event) -> None:
    for event in events:
        store.advance(last(store, study).id, event, by=Actor.WORKER)


def was_fetched(store: Store) -> bool:
    return store.lookups.was_fetched(store.token(study_uid(EARLIER)))


def fetch(store: Store, number: int = 1) -> None:
    """Begin to fetch the earlier study for the present one, and have an image of it come."""
    store.keep(instance(PRESENT))
    if last(store, PRESENT).state is State.RECEIVING:
        happen(store, PRESENT, Event.COMPLETED)
    store.lookups.begin(last(store, PRESENT).id, study_uid(EARLIER))
    store.keep(replace(instance(EARLIER, number), is_fetched=True))


def fetched(store: Store) -> Round:
    """Return the earlier study's round, as it is once all of it was fetched and read."""
    fetch(store)
    store.lookups.complete(last(store, PRESENT).id, study_uid(EARLIER))
    store.lookups.end(last(store, PRESENT).id, "had")
    happen(store, EARLIER, *READ)
    return last(store)


class LookupsContract:
    """Needs fixtures ``store`` and ``clock``."""

    def test_a_study_is_not_complete_while_it_is_fetched(self, store: Store, clock: Clock) -> None:
        fetch(store)
        later = clock.now + timedelta(days=1)
        assert store.stable_after(later) == []
        store.lookups.end(last(store, PRESENT).id, "peer.timeout")
        assert store.stable_after(later) == [last(store)]

    @pytest.mark.parametrize("event", [Event.STARTED, Event.CANCELLED])
    def test_nothing_is_fetched_for_what_is_not_held(self, store: Store, clock: Clock, event: Event) -> None:
        """As where the archive was taken out of the settings."""
        fetch(store)
        by = Actor.WORKER if event is Event.STARTED else Actor.ADMINISTRATOR
        store.advance(last(store, PRESENT).id, event, by=by)
        assert store.stable_after(clock.now + timedelta(days=1)) == [last(store)]

    def test_of_a_study_that_has_come_the_quiet_time_counts(self, store: Store, clock: Clock) -> None:
        fetch(store)
        store.lookups.complete(last(store, PRESENT).id, study_uid(EARLIER))
        assert store.stable_after(clock.now + timedelta(days=1)) == [last(store)]

    @pytest.mark.parametrize(
        "sent", [instance(EARLIER, 1), instance(EARLIER, 2), instance(EARLIER, 1, data=encoded(1, 1) + bytes(2))]
    )
    def test_a_study_that_was_fetched_and_then_is_sent_is_read_as_any_other(
        self, store: Store, sent: ReceivedInstance
    ) -> None:
        """Whether what is sent is here already, is new or has other content."""
        first = fetched(store)
        store.keep(sent)
        assert not was_fetched(store)
        again = last(store)
        assert (again.supersedes, again.state) == (first.id, State.RECEIVING)
        happen(store, EARLIER, *READ)
        assert store.keep(instance(EARLIER, 1)) is Outcome.DUPLICATE
        assert last(store).id == again.id

    def test_what_is_fetched_is_not_sent(self, store: Store) -> None:
        first = fetched(store)
        assert store.keep(replace(instance(EARLIER, 1), is_fetched=True)) is Outcome.DUPLICATE
        assert (last(store).id, was_fetched(store)) == (first.id, True)
        store.keep(replace(instance(EARLIER, 2), is_fetched=True))
        assert (last(store).supersedes, was_fetched(store)) == (first.id, True)

    def test_what_comes_while_a_study_is_fetched_may_be_of_the_archive(self, store: Store) -> None:
        """It does not always say for whom it moves."""
        fetch(store)
        store.keep(instance(EARLIER, 2))
        assert was_fetched(store)
        store.lookups.end(last(store, PRESENT).id, "peer.timeout")
        store.keep(instance(EARLIER, 3))
        assert not was_fetched(store)

    def test_another_zweitblicks_result_asks_for_nothing(self, store: Store) -> None:
        first = fetched(store)
        ours = replace(instance(EARLIER, 9), sop_instance_uid=f"{UID_ROOT}.9")
        assert store.keep(ours) is Outcome.FOREIGN
        assert (last(store).id, was_fetched(store)) == (first.id, True)

    def test_who_asks_for_it_has_it_read_as_any_other(self, store: Store) -> None:
        fetch(store)
        token = store.token(study_uid(EARLIER))
        assert store.work.ask_for(token) == last(store)
        assert not was_fetched(store)
        with pytest.raises(UnknownRoundError):
            store.work.ask_for("0" * 32)

    def test_who_asks_for_it_once_it_was_read_has_it_read_again(self, store: Store) -> None:
        first = fetched(store)
        again = store.work.ask_for(first.study)
        assert (again.supersedes, again.state, again == last(store)) == (first.id, State.STABLE, True)
        assert not was_fetched(store)
        happen(store, EARLIER, Event.STARTED, Event.READ)
        assert store.work.ask_for(first.study).id == again.id

    def test_a_radiologist_asks_for_it_too(self, store: Store) -> None:
        store.work.read_again(fetched(store).study)
        assert not was_fetched(store)
