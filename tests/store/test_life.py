"""The table of a study's life is this table, and nothing else can happen."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zweitblick.errors import ActorError, EventError
from zweitblick.store.life import Actor, Event, State, after

WRITTEN = """
receiving        | arrived -> receiving : receiver
receiving        | completed -> stable : receiver, worker
receiving        | cancelled -> cancelled : radiologist, administrator
stable           | arrived -> receiving : receiver
stable           | started -> reading : worker
stable           | attempt failed -> stable : worker
stable           | gave up -> failed : worker
stable           | cancelled -> cancelled : radiologist, administrator
reading          | arrived -> superseded : receiver
reading          | read -> read : worker
reading          | released -> stable : worker
reading          | attempt failed -> reading : worker
reading          | gave up -> failed : worker
reading          | cancelled -> cancelled : radiologist, administrator
read             | arrived -> superseded : receiver
read             | priors asked -> superseded : radiologist
read             | sealed -> sealed : worker
read             | attempt failed -> read : worker
read             | gave up -> failed : worker
read             | cancelled -> cancelled : radiologist, administrator
sealed           | arrived -> superseded : receiver
sealed           | priors asked -> superseded : radiologist
sealed           | delivery started -> delivering : worker
sealed           | review asked -> awaiting review : worker
sealed           | attempt failed -> sealed : worker
sealed           | gave up -> failed : worker
sealed           | cancelled -> cancelled : radiologist, administrator
delivering       | arrived -> superseded : receiver
delivering       | priors asked -> superseded : radiologist
delivering       | delivered -> delivered : worker
delivering       | attempt failed -> delivering : worker
delivering       | gave up -> failed : worker
delivering       | cancelled -> cancelled : radiologist, administrator
delivered        | arrived -> superseded : receiver
delivered        | priors asked -> superseded : radiologist
delivered        | review asked -> awaiting review : worker
delivered        | attempt failed -> delivered : worker
delivered        | gave up -> failed : worker
awaiting review  | arrived -> superseded : receiver
awaiting review  | priors asked -> superseded : radiologist
awaiting review  | reviewed -> reviewed : radiologist
reviewed         | arrived -> superseded : receiver
reviewed         | priors asked -> superseded : radiologist
failed           | arrived -> superseded : receiver
failed           | replayed -> stable : administrator
failed           | cancelled -> cancelled : radiologist, administrator
cancelled        | arrived -> cancelled : receiver
cancelled        | replayed -> stable : administrator
"""
LINE = re.compile(r"(?P<state>[\w ]+?) +\| (?P<event>[\w ]+) -> (?P<after>[\w ]+) : (?P<actors>[\w, ]+)")


def written() -> dict[tuple[str, str], tuple[str, set[str]]]:
    lines = [LINE.fullmatch(line) for line in WRITTEN.strip().splitlines()]
    return {(line["state"], line["event"]): (line["after"], set(line["actors"].split(", "))) for line in lines}


TABLE = written()
steps = st.lists(st.tuples(st.sampled_from(Event), st.sampled_from(Actor)), max_size=40)


def test_the_table_has_a_line_for_each_of_its_pairs() -> None:
    assert len(TABLE) == len(WRITTEN.strip().splitlines())
    assert {state for state, _ in TABLE} | {"superseded"} == set(State)
    assert {event for _, event in TABLE} == set(Event)


@pytest.mark.parametrize("event", Event)
@pytest.mark.parametrize("state", State)
def test_every_pair_is_in_the_table_or_raises(state: State, event: Event) -> None:
    for actor in Actor:
        if (state, event) not in TABLE:
            with pytest.raises(EventError, match=f"'{event}' cannot happen to a round that is {state}"):
                after(state, event, by=actor)
        elif actor not in TABLE[state, event][1]:
            with pytest.raises(ActorError, match=f"not for a {actor}"):
                after(state, event, by=actor)
        else:
            assert after(state, event, by=actor) == TABLE[state, event][0]


@given(steps)
def test_what_is_delivered_was_read_and_sealed_and_what_is_superseded_stays_so(
    steps: list[tuple[Event, Actor]],
) -> None:
    """Whatever is tried, in whatever order, by whomever."""
    state, since_stable = State.RECEIVING, []
    for event, actor in steps:
        try:
            next_state = after(state, event, by=actor)
        except (EventError, ActorError):
            continue
        assert state is not State.SUPERSEDED
        since_stable = [] if next_state is State.STABLE else [*since_stable, event]
        if next_state is State.DELIVERED:
            order = [since_stable.index(each) for each in (Event.STARTED, Event.READ, Event.SEALED, Event.DELIVERED)]
            assert order == sorted(order)
        if next_state is State.REVIEWED:
            assert actor is Actor.RADIOLOGIST
        state = next_state


def test_a_state_can_be_left_unless_it_is_the_last() -> None:
    assert [state for state in State if not any(start == state for start, _ in TABLE)] == [State.SUPERSEDED]


def test_every_state_can_be_reached() -> None:
    reached, edge = {"receiving"}, {"receiving"}
    while edge:
        edge = {after_ for (start, _), (after_, _) in TABLE.items() if start in edge} - reached
        reached |= edge
    assert reached == set(State)
