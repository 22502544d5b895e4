"""Emergency access ("breaking the glass"): one person, one study, a reason, and an end."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

LONGEST = timedelta(hours=1)
"""After so long it ends; whoever needs more says so again."""


@dataclass(frozen=True)
class Emergency:
    """An emergency access; nobody is named in its ``repr``.

    Parameters
    ----------
    user_id
        Of whom it is.
    study, study_uid
        Token and Study Instance UID of what may be seen.
    reason
        In their own words.
    opened_at, until
        When it began, and when it ends.
    """

    user_id: str = field(repr=False)
    study: str
    study_uid: str = field(repr=False)
    reason: str = field(repr=False)
    opened_at: datetime
    until: datetime


class Emergencies:
    """Emergency accesses that are open, in the memory of the process; for several threads at once.

    Whoever opens one has put it on record before.

    Parameters
    ----------
    clock
        Tells the time, aware.
    """

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._open: dict[tuple[str, str], Emergency] = {}

    def proposed(self, user_id: str, study: str, study_uid: str, *, reason: str) -> Emergency:
        """Return the emergency access that would begin now."""
        now = self._clock()
        return Emergency(user_id, study, study_uid, reason, now, now + LONGEST)

    def open(self, emergency: Emergency) -> None:
        """Let it begin."""
        with self._lock:
            self._drop_ended()
            self._open[emergency.user_id, emergency.study_uid] = emergency

    def close(self, emergency: Emergency) -> None:
        """Let it end before its time."""
        with self._lock:
            self._open.pop((emergency.user_id, emergency.study_uid), None)

    def is_open(self, user_id: str, study_uid: str) -> bool:
        """Return whether somebody may see a study now."""
        with self._lock:
            self._drop_ended()
            return (user_id, study_uid) in self._open

    def now_open(self) -> list[Emergency]:
        """Return all that are open, the oldest first."""
        with self._lock:
            self._drop_ended()
            return sorted(self._open.values(), key=lambda one: one.opened_at)

    def _drop_ended(self) -> None:
        now = self._clock()
        self._open = {key: one for key, one in self._open.items() if now < one.until}
