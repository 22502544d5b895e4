"""Rates: how often somebody may ask, by the generic cell rate algorithm (ITU-T I.371), which keeps one number each."""

import math
import threading
from collections.abc import Callable, Hashable
from dataclasses import dataclass

from zweitblick.errors import TooManyRequestsError

MOST_REMEMBERED = 10_000
"""Keys of one limit; beyond, the one is forgotten that has asked least."""


@dataclass(frozen=True)
class Rate:
    """How often something may happen.

    Parameters
    ----------
    per_s
        In the long run.
    burst
        At once, after a rest.
    """

    per_s: float
    burst: int


class Limit:
    """Holds each key to a rate; for several threads at once.

    Parameters
    ----------
    rate
        What is allowed to each key.
    clock
        Seconds that only grow.
    """

    def __init__(self, rate: Rate, clock: Callable[[], float]) -> None:
        self._interval_s = 1 / rate.per_s
        self._tolerance_s = (rate.burst - 1) / rate.per_s
        self._clock = clock
        self._lock = threading.Lock()
        self._due: dict[Hashable, float] = {}

    def take(self, key: Hashable) -> None:
        """Count one.

        Raises
        ------
        TooManyRequestsError
            If it is one too many; it is then not counted.
        """
        with self._lock:
            now = self._clock()
            due = max(self._due.get(key, now), now)
            wait_s = due - now - self._tolerance_s
            if wait_s > 0:
                raise TooManyRequestsError(
                    "too much was asked in a short time; wait as long as Retry-After says",
                    retry_after_s=math.ceil(wait_s),
                )
            self._make_room(key, now)
            self._due[key] = due + self._interval_s

    def forget(self, key: Hashable) -> None:
        """Give a key all of its rate again."""
        with self._lock:
            self._due.pop(key, None)

    def _make_room(self, key: Hashable, now: float) -> None:
        if key in self._due or len(self._due) < MOST_REMEMBERED:
            return
        self._due = {one: due for one, due in self._due.items() if due > now}
        if len(self._due) >= MOST_REMEMBERED:
            del self._due[min(self._due, key=self._due.__getitem__)]
