"""What a store promises of rounds: which instances begin the next one, and which change nothing."""

import io
from dataclasses import replace
from datetime import timedelta

import pytest
from pydicom.uid import (
    ComprehensiveSRStorage,
    GrayscaleSoftcopyPresentationStateStorage,
    KeyObjectSelectionDocumentStorage,
    MRImageStorage,
    SegmentationStorage,
)

from store.stores import Clock, encoded, instance, plain_file, study_uid
from zweitblick.errors import EventError, UnknownStudyError
from zweitblick.reading import UID_ROOT
from zweitblick.store.ingest import Outcome
from zweitblick.store.life import Actor, Event, State
from zweitblick.store.results import ResultName
from zweitblick.store.store import QUIET_TIME, Store

WAY_TO_REVIEW = [
    (Event.COMPLETED, State.STABLE),
    (Event.STARTED, State.READING),
    (Event.READ, State.READ),
    (Event.SEALED, State.SEALED),
    (Event.DELIVERY_STARTED, State.DELIVERING),
    (Event.DELIVERED, State.DELIVERED),
    (Event.REVIEW_ASKED, State.AWAITING_REVIEW),
]
NO_IMAGES = [
    ComprehensiveSRStorage,
    GrayscaleSoftcopyPresentationStateStorage,
    KeyObjectSelectionDocumentStorage,
    SegmentationStorage,
]
LATE = [state for _, state in WAY_TO_REVIEW if state is not State.STABLE]


def brought_to(store: Store, state: State) -> str:
    """Bring a study's first round to a state, and return its id."""
    (first,) = store.rounds(store.token(study_uid(1)))
    for event, next_state in WAY_TO_REVIEW:
        assert store.advance(first.id, event, by=Actor.WORKER) is next_state
        if next_state is state:
            break
    return first.id


class RoundsContract:
    """Needs fixtures ``store`` and ``clock``."""

    def test_an_instance_that_comes_before_the_reading_reopens_the_round(self, store: Store) -> None:
        store.keep(instance())
        first = brought_to(store, State.STABLE)
        store.keep(instance(number=2))
        (only,) = store.rounds(store.token(study_uid(1)))
        assert (only.id, only.state) == (first, State.RECEIVING)

    @pytest.mark.parametrize("state", LATE)
    def test_an_instance_that_comes_later_begins_a_round_that_supersedes(self, store: Store, state: State) -> None:
        store.keep(instance())
        first = brought_to(store, state)
        kept = store.keep_result(ResultName(first, "findings", "application/json"), io.BytesIO(b"{}"))
        store.keep(instance(number=2))
        token = store.token(study_uid(1))
        one, two = store.rounds(token)
        assert (one.id, one.state, one.number) == (first, State.SUPERSEDED, 1)
        assert (two.state, two.number, two.supersedes) == (State.RECEIVING, 2, first)
        assert plain_file(store, kept) == b"{}"
        assert {each.sop_instance_uid[-2:]: each.round for each in store.instances(token)} == {".1": 1, ".2": 2}
        assert [each.after for each in store.history(token)][-1] is State.SUPERSEDED
        with pytest.raises(EventError):
            store.advance(first, Event.DELIVERED, by=Actor.WORKER)

    @pytest.mark.parametrize("again", [instance(), instance(data=encoded(1, 2))], ids=["duplicate", "conflict"])
    def test_what_is_not_read_reopens_nothing(self, store: Store, again: object) -> None:
        store.keep(instance())
        brought_to(store, State.DELIVERED)
        store.keep(again)
        assert [each.state for each in store.rounds(store.token(study_uid(1)))] == [State.DELIVERED]

    @pytest.mark.parametrize("state", [State.STABLE, *LATE])
    def test_what_is_no_mr_image_reopens_nothing_and_an_mr_image_does_still(self, store: Store, state: State) -> None:
        """A radiologist's report, a presentation state, a key object selection, another reader's outline."""
        store.keep(instance())
        first = brought_to(store, state)
        token = store.token(study_uid(1))
        before = store.history(token)
        for number, sop_class in enumerate(NO_IMAGES, start=2):
            assert store.keep(replace(instance(number=number), sop_class_uid=sop_class)) is Outcome.NEW
        assert [(one.id, one.state) for one in store.rounds(token)] == [(first, state)]
        assert store.history(token) == before
        assert {one.sop_class_uid: one.round for one in store.instances(token)} == dict.fromkeys(
            (MRImageStorage, *NO_IMAGES), 1
        )
        store.keep(instance(number=9))
        reopened = [State.RECEIVING] if state is State.STABLE else [State.SUPERSEDED, State.RECEIVING]
        assert [one.state for one in store.rounds(token)] == reopened

    def test_what_is_no_mr_image_says_that_the_sender_is_still_at_it(self, store: Store, clock: Clock) -> None:
        store.keep(instance())
        clock.pass_by(20)
        store.keep(replace(instance(number=2), sop_class_uid=NO_IMAGES[0]))
        assert store.stable_after(clock.now + QUIET_TIME - timedelta(microseconds=1)) == []
        assert len(store.stable_after(clock.now + QUIET_TIME)) == 1

    @pytest.mark.parametrize("state", [State.RECEIVING, State.READING, State.FAILED])
    def test_a_study_that_began_without_an_image_is_read_once_one_comes(self, store: Store, state: State) -> None:
        store.keep(replace(instance(), sop_class_uid=NO_IMAGES[0]))
        (first,) = store.rounds(store.token(study_uid(1)))
        if state is not State.RECEIVING:
            brought_to(store, State.READING)
        if state is State.FAILED:
            store.advance(first.id, Event.GAVE_UP, by=Actor.WORKER)
        store.keep(instance(number=2))
        rounds = store.rounds(first.study)
        assert rounds[-1].state is State.RECEIVING
        assert len(rounds) == (1 if state is State.RECEIVING else 2)

    def test_our_own_object_coming_back_reopens_nothing(self, store: Store) -> None:
        """Auto-routing sends it, with attributes that the PACS has changed."""
        store.keep(instance())
        first = brought_to(store, State.DELIVERED)
        ours = f"{study_uid(1)}.9.1"
        store.keep_result(ResultName(first, "seg", "application/dicom", ours), io.BytesIO(b"a segmentation"))
        store.keep(replace(instance(number=2), sop_instance_uid=ours))
        token = store.token(study_uid(1))
        assert [each.state for each in store.rounds(token)] == [State.DELIVERED]
        assert len(store.instances(token)) == 1
        assert sorted(each.outcome for each in store.receptions(token)) == [Outcome.NEW, Outcome.RETURNED]

    @pytest.mark.parametrize("known", [True, False])
    def test_an_object_that_another_store_of_ours_made_begins_nothing(self, store: Store, known: bool) -> None:
        """As after a new installation: the PACS has what the old one made."""
        if known:
            store.keep(instance())
            brought_to(store, State.AWAITING_REVIEW)
        store.keep(replace(instance(number=2), sop_instance_uid=f"{UID_ROOT}.4711"))
        if known:
            token = store.token(study_uid(1))
            assert [each.state for each in store.rounds(token)] == [State.AWAITING_REVIEW]
            assert len(store.instances(token)) == 1
        else:
            with pytest.raises(UnknownStudyError):
                store.token(study_uid(1))
