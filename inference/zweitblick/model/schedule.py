"""Schedule: which requests to the networks run next, decided without threads, arrays or a clock of its own.

Two queues, and studies take turns in both: requests wait until the memory budget has room for them, then for a batch.
"""

import math
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

from zweitblick.errors import NetworkMemoryError


@dataclass(frozen=True, eq=False)
class Request:
    """One call of a network.

    Parameters
    ----------
    study
        Who asks; studies take turns.
    kind
        Requests of one kind may run as one batch: same network, same shape.
    size_bytes
        Memory that it takes while it is in the house.
    deadline
        From this time on it is not run any more; s on the clock of whoever drives the schedule.
    """

    study: Hashable
    kind: Hashable
    size_bytes: int
    deadline: float = math.inf


R = TypeVar("R", bound=Request)


@dataclass(frozen=True)
class Turn(Generic[R]):
    """What has to be done now.

    Parameters
    ----------
    expired
        Requests whose deadline has come; they are out of the schedule.
    batch
        Requests of one kind to run now, in order; empty where there is nothing to run. Call `Schedule.finish` when
        they have run.
    """

    expired: tuple[R, ...]
    batch: tuple[R, ...]


class Schedule(Generic[R]):
    """Who runs next; one batch at a time. Not safe for threads: the caller holds a lock.

    A request waits at the door until the budget has room for it, and keeps its share of the budget until its batch has
    run. At the door and in the house studies take turns, each with its oldest request; at the door nobody overtakes, so
    that a large request is not starved by small ones. A batch is due when it is full, when its oldest request has
    waited for ``max_wait_s``, or at once where a deadline leaves no time for that.

    Parameters
    ----------
    budget_bytes
        Memory of all requests in the house together.
    max_batch
        Requests that run at once.
    max_wait_s
        How long a request may wait, from its submission, for others of its kind to fill a batch.
    """

    def __init__(self, *, budget_bytes: int, max_batch: int = 1, max_wait_s: float = 0.0) -> None:
        self._budget_bytes = budget_bytes
        self._max_batch = max_batch
        self._max_wait_s = max_wait_s
        self._at_the_door: _Turns[R] = _Turns()
        self._in_the_house: _Turns[R] = _Turns()
        self._running: tuple[R, ...] = ()
        self._due_at: dict[R, float] = {}

    @property
    def used_bytes(self) -> int:
        """Memory of the requests in the house, those that run included."""
        return sum(request.size_bytes for request in (*self._in_the_house, *self._running))

    def submit(self, request: R, now: float) -> None:
        """Let a request line up at the door.

        Raises
        ------
        NetworkMemoryError
            If it takes more than the whole budget.
        """
        if request.size_bytes > self._budget_bytes:
            raise NetworkMemoryError(
                f"one request takes {request.size_bytes / 2**20:.0f} MiB, "
                f"more than the budget of {self._budget_bytes / 2**20:.0f} MiB; allow more memory or cut windows"
            )
        full = now + self._max_wait_s
        self._due_at[request] = now if request.deadline <= full else full
        self._at_the_door.add(request)
        self._admit()

    def waits(self, request: R) -> bool:
        """Whether a request is still at the door."""
        return request in self._at_the_door

    def take(self, now: float) -> Turn[R]:
        """Take out what has expired and, unless one runs, the batch whose turn it is."""
        expired = tuple(request for request in self.pending() if request.deadline <= now)
        for request in expired:
            self.withdraw(request)
        if not self._running:
            self._running = self._batch(now)
            return Turn(expired, self._running)
        return Turn(expired, ())

    def finish(self) -> None:
        """Give back what the running batch took."""
        self._running = ()
        self._admit()

    def withdraw(self, request: R) -> None:
        """Forget a request that does not run yet; one that is not pending is left alone."""
        if self._due_at.pop(request, None) is None:
            return
        self._at_the_door.remove(request)
        self._in_the_house.remove(request)
        self._admit()

    def pending(self) -> tuple[R, ...]:
        """Every request that does not run yet."""
        return (*self._at_the_door, *self._in_the_house)

    def next_event(self) -> float:
        """Time at which `take` will have something new although nothing was submitted or finished; else infinity."""
        deadlines = (request.deadline for request in self.pending())
        due = () if self._running else (self._due_at[request] for request in self._in_the_house)
        return min((*deadlines, *due), default=math.inf)

    def _admit(self) -> None:
        while (request := next(iter(self._at_the_door), None)) is not None:
            if self.used_bytes + request.size_bytes > self._budget_bytes:
                return
            self._at_the_door.serve(request)
            self._in_the_house.add(request)

    def _batch(self, now: float) -> tuple[R, ...]:
        """Deal the places of a batch in turn, the first to the first study that has a request which is due."""
        lead = self._in_the_house.first(lambda request: self._is_due(request, now))
        if lead is None:
            return ()
        batch = [self._served(lead)]
        while len(batch) < self._max_batch:
            alike = self._in_the_house.first(lambda request: request.kind == lead.kind)
            if alike is None:
                break
            batch.append(self._served(alike))
        return tuple(batch)

    def _served(self, request: R) -> R:
        del self._due_at[request]
        self._in_the_house.serve(request)
        return request

    def _is_due(self, request: R, now: float) -> bool:
        alike = sum(other.kind == request.kind for other in self._in_the_house)
        return alike >= self._max_batch or self._due_at[request] <= now


class _Turns(Generic[R]):
    """Lines of requests, one for each study, in the order in which studies take turns."""

    def __init__(self) -> None:
        self._lines: dict[Hashable, list[R]] = {}

    def __contains__(self, request: R) -> bool:
        return request in self._lines.get(request.study, ())

    def __iter__(self) -> Iterator[R]:
        return (request for line in self._lines.values() for request in line)

    def add(self, request: R) -> None:
        self._lines.setdefault(request.study, []).append(request)

    def first(self, suits: Callable[[R], bool]) -> R | None:
        """Oldest request that suits, of the first study that has one."""
        return next(filter(suits, self), None)

    def serve(self, request: R) -> None:
        """Take a request out; it is every other study's turn now."""
        line = self._lines[request.study]
        self.remove(request)
        if line:
            self._lines[request.study] = self._lines.pop(request.study)

    def remove(self, request: R) -> None:
        if request in self:
            line = self._lines[request.study]
            line.remove(request)
            if not line:
                del self._lines[request.study]
