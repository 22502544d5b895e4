"""What a store promises to whoever tells it of performed procedure steps, on every database."""

import itertools

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from store.stores import Clock, instance, opened_store, study_uid
from zweitblick.dicom.performed_step import BegunStep, PerformedState, StepChange
from zweitblick.errors import StepEndedError, StepExistsError, UnknownStepError
from zweitblick.store.life import Actor, Event
from zweitblick.store.places import StorePlaces
from zweitblick.store.store import Store

STEP = "1.2.276.0.4712.77"
STUDIES = itertools.count(1000)
COMPLETED, DISCONTINUED = PerformedState.COMPLETED, PerformedState.DISCONTINUED


def uids(study: int, *numbers: int) -> frozenset[str]:
    return frozenset(instance(study, number).sop_instance_uid for number in numbers)


def is_complete(store: Store, clock: Clock, study: int) -> bool:
    """Whether a study is, before its quiet time is over."""
    return store.token(study_uid(study)) in {one.study for one in store.stable_after(clock.now)}


numbers = st.frozensets(st.integers(1, 2))
happenings = st.lists(
    st.one_of(
        st.tuples(st.just("keep"), st.integers(1, 2)),
        st.tuples(st.sampled_from(["first", "second"]), st.sampled_from([None, *PerformedState]), st.none() | numbers),
    ),
    max_size=10,
)


class ProcedureStepsContract:
    """Needs fixtures ``store``, ``places``, ``holder`` and ``clock``."""

    def test_a_study_is_complete_once_all_is_there_that_its_completed_steps_list(
        self, store: Store, clock: Clock
    ) -> None:
        store.procedure_steps.begin(STEP, BegunStep(study_uid(1)))
        store.keep(instance(1, 1))
        assert not is_complete(store, clock, 1)
        store.procedure_steps.change(STEP, StepChange(COMPLETED, uids(1, 1, 2)))
        assert not is_complete(store, clock, 1)
        store.keep(instance(2, 2))
        assert not is_complete(store, clock, 1)
        store.keep(instance(1, 2))
        assert is_complete(store, clock, 1)
        assert not is_complete(store, clock, 2)

    def test_what_comes_after_all_that_is_listed_waits_for_its_quiet_time(self, store: Store, clock: Clock) -> None:
        store.procedure_steps.begin(STEP, BegunStep(study_uid(1)))
        store.procedure_steps.change(STEP, StepChange(COMPLETED, uids(1, 1)))
        store.keep(instance(1, 1))
        (first,) = store.stable_after(clock.now)
        for event in (Event.COMPLETED, Event.STARTED, Event.READ):
            store.advance(first.id, event, by=Actor.WORKER)
        store.keep(instance(1, 2))
        assert len(store.rounds(first.study)) == 2
        assert not is_complete(store, clock, 1)
        store.procedure_steps.begin(f"{STEP}.2", BegunStep(study_uid(1)))
        store.procedure_steps.change(f"{STEP}.2", StepChange(COMPLETED, uids(1, 2, 3)))
        assert not is_complete(store, clock, 1)
        store.keep(instance(1, 3))
        assert is_complete(store, clock, 1)

    @settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(happenings)
    def test_whatever_happens_in_whatever_order(self, store: Store, clock: Clock, happening: list[tuple]) -> None:
        study, kept = next(STUDIES), set()
        steps = {name: (PerformedState.IN_PROGRESS, frozenset()) for name in ("first", "second")}
        for name in steps:
            store.procedure_steps.begin(f"{study_uid(study)}.{name}", BegunStep(study_uid(study)))
        for name, *what in happening:
            if name == "keep":
                store.keep(instance(study, *what))
                kept.add(*what)
                continue
            state, listed = what
            change = StepChange(state, None if listed is None else uids(study, *listed))
            before, list_before = steps[name]
            if before is PerformedState.IN_PROGRESS:
                store.procedure_steps.change(f"{study_uid(study)}.{name}", change)
                steps[name] = (state or before, list_before if listed is None else listed)
            else:
                with pytest.raises(StepEndedError):
                    store.procedure_steps.change(f"{study_uid(study)}.{name}", change)
        states = {state for state, _ in steps.values()}
        says_so = any(state is COMPLETED and listed for state, listed in steps.values())
        all_listed = frozenset().union(*(listed for _, listed in steps.values()))
        expected = says_so and bool(kept) and all_listed == kept and PerformedState.IN_PROGRESS not in states
        assert is_complete(store, clock, study) is expected

    def test_a_step_is_begun_once(self, store: Store) -> None:
        store.procedure_steps.begin(STEP, BegunStep(study_uid(1)))
        with pytest.raises(StepExistsError):
            store.procedure_steps.begin(STEP, BegunStep(study_uid(2)))
        assert store.procedure_steps.study(STEP).study_instance_uid == study_uid(1)

    def test_a_step_is_begun_anew_with_a_study_that_another_process_has_deleted(
        self, store: Store, places: StorePlaces, holder: object, clock: Clock
    ) -> None:
        store.procedure_steps.begin(STEP, BegunStep(study_uid(1)))
        before = store.token(study_uid(1))
        with opened_store(places, holder, clock) as other:
            other.shred(before)
        store.procedure_steps.begin(STEP, BegunStep(study_uid(1)))
        assert store.procedure_steps.study(STEP).study_instance_uid == study_uid(1)
        assert store.token(study_uid(1)) != before

    def test_a_step_that_is_not_known_is_not_changed(self, store: Store) -> None:
        for ask in (store.procedure_steps.study, lambda uid: store.procedure_steps.change(uid, StepChange(COMPLETED))):
            with pytest.raises(UnknownStepError):
                ask(STEP)

    def test_a_step_outlives_the_process_and_goes_with_its_study(
        self, places: StorePlaces, holder: object, clock: Clock
    ) -> None:
        with opened_store(places, holder, clock) as store:
            store.procedure_steps.begin(STEP, BegunStep(study_uid(1)))
            store.procedure_steps.change(STEP, StepChange(DISCONTINUED, uids(1, 1)))
        with opened_store(places, holder, clock) as store:
            with pytest.raises(StepEndedError):
                store.procedure_steps.change(STEP, StepChange(COMPLETED))
            store.shred(store.token(study_uid(1)))
            with pytest.raises(UnknownStepError):
                store.procedure_steps.study(STEP)
