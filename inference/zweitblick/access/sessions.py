"""Sessions: who has logged in, kept in the memory of the process; a browser has nothing but a random secret."""

import hashlib
import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from zweitblick.access.principal import Principal
from zweitblick.errors import TokenError

IDLE = timedelta(minutes=30)
LONGEST = timedelta(hours=10)
"""A session ends after so long without a request, and after so long in any case: a shift."""

MOST_SESSIONS = 10_000
"""Beyond, the one ends that was opened first."""

SECRET_BYTES = 32


@dataclass(frozen=True)
class Session:
    """A log-in that holds.

    Parameters
    ----------
    principal
        Who has logged in.
    csrf_token
        That unsafe requests must bear beside the cookie: pages of others can send the one and not read the other.
    opened_at, seen_at
        When it began, and when it was last used.
    """

    principal: Principal
    csrf_token: str = field(repr=False)
    opened_at: datetime
    seen_at: datetime


class Sessions:
    """All sessions of a process, by digests of their secrets; for several threads at once.

    Parameters
    ----------
    clock
        Tells the time, aware.
    """

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._sessions: dict[bytes, Session] = {}

    def open(self, principal: Principal) -> str:
        """Begin a session, and return its secret."""
        secret, now = secrets.token_urlsafe(SECRET_BYTES), self._clock()
        session = Session(principal, secrets.token_urlsafe(SECRET_BYTES), now, now)
        with self._lock:
            self._sessions = {key: one for key, one in self._sessions.items() if _holds(one, now)}
            if len(self._sessions) >= MOST_SESSIONS:
                del self._sessions[next(iter(self._sessions))]
            self._sessions[_digest(secret)] = session
        return secret

    def find(self, secret: str) -> Session:
        """Return a session, which thereby is in use.

        Raises
        ------
        TokenError
            If there is none, or it has ended.
        """
        key, now = _digest(secret), self._clock()
        with self._lock:
            found = self._sessions.get(key)
            if found is None or not _holds(found, now):
                self._sessions.pop(key, None)
                raise TokenError("the session has ended; log in again")
            self._sessions[key] = replace(found, seen_at=now)
        return found

    def check(self, secret: str) -> Session:
        """Return a session, which thereby is not in use: who only listens does not keep it from ending.

        Raises
        ------
        TokenError
            If there is none, or it has ended.
        """
        with self._lock:
            found = self._sessions.get(_digest(secret))
        if found is None or not _holds(found, self._clock()):
            raise TokenError("the session has ended; log in again")
        return found

    def close(self, secret: str) -> None:
        """End a session, if it has not ended yet."""
        with self._lock:
            self._sessions.pop(_digest(secret), None)


def _holds(session: Session, now: datetime) -> bool:
    return now - session.seen_at < IDLE and now - session.opened_at < LONGEST


def _digest(secret: str) -> bytes:
    """Return what a session is found by: the time of a look-up then tells nothing of secrets that are kept."""
    return hashlib.sha256(secret.encode()).digest()
