"""A session ends when it rests, when it is old, and when it is closed; its secret is kept nowhere."""

from datetime import timedelta

import pytest

from kept_study import Clock
from zweitblick.access import sessions as room
from zweitblick.access.principal import Means, Principal, Role
from zweitblick.access.sessions import IDLE, LONGEST, Sessions
from zweitblick.errors import TokenError

ANNA = Principal("anna@here", frozenset({Role.RADIOLOGIST}), Means.PASSWORD)


@pytest.fixture
def sessions(clock: Clock) -> Sessions:
    return Sessions(clock)


def test_a_secret_leads_to_who_has_logged_in(sessions: Sessions) -> None:
    first, second = sessions.open(ANNA), sessions.open(ANNA)
    assert sessions.find(first).principal is ANNA
    assert first != second
    assert sessions.find(first).csrf_token not in (sessions.find(second).csrf_token, first)
    for other in ("", first[:-1], first + "x", "ä"):
        with pytest.raises(TokenError):
            sessions.find(other)


def test_it_ends_when_it_rests(sessions: Sessions, clock: Clock) -> None:
    secret = sessions.open(ANNA)
    for _ in range(3):
        clock.move((IDLE - timedelta(seconds=1)).total_seconds())
        sessions.find(secret)
    clock.move(IDLE.total_seconds())
    with pytest.raises(TokenError, match="ended"):
        sessions.find(secret)


def test_who_only_listens_does_not_keep_it(sessions: Sessions, clock: Clock) -> None:
    secret = sessions.open(ANNA)
    clock.move((IDLE - timedelta(seconds=1)).total_seconds())
    assert sessions.check(secret).principal is ANNA
    clock.move(1)
    for look in (sessions.check, sessions.find):
        with pytest.raises(TokenError, match="ended"):
            look(secret)


def test_it_ends_after_a_shift_however_busy(sessions: Sessions, clock: Clock) -> None:
    secret = sessions.open(ANNA)
    step = timedelta(minutes=20)
    for _ in range(LONGEST // step - 1):
        clock.move(step.total_seconds())
        sessions.find(secret)
    clock.move(step.total_seconds())
    with pytest.raises(TokenError, match="ended"):
        sessions.find(secret)


def test_it_ends_when_it_is_closed(sessions: Sessions) -> None:
    secret = sessions.open(ANNA)
    sessions.close(secret)
    with pytest.raises(TokenError):
        sessions.find(secret)


def test_neither_secrets_nor_names_are_in_what_is_kept_or_shown(sessions: Sessions) -> None:
    secret = sessions.open(ANNA)
    session = sessions.find(secret)
    shown = f"{sessions._sessions}"
    assert not [one for one in (secret, session.csrf_token, "anna") if one in shown]


def test_no_number_of_log_ins_fills_the_memory(sessions: Sessions, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "MOST_SESSIONS", 3)
    secrets = [sessions.open(ANNA) for _ in range(5)]
    assert len(sessions._sessions) == 3
    assert sessions.find(secrets[-1]).principal is ANNA
