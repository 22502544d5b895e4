"""GroupCommit: what several threads want durable becomes durable together."""

import queue
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Generic, TypeVar

from zweitblick.errors import StoreUnavailableError, ZweitblickError

Item = TypeVar("Item")
Outcome = TypeVar("Outcome")

MOST = 256
"""Items of one group; what waits behind them comes next."""


class GroupCommit(Generic[Item, Outcome]):
    """A thread that takes what is waiting, commits it at one go, and lets all go on that waited.

    While it commits the next group gathers, so that a group is as large as senders are many and storage is slow, and a
    single sender waits for nobody. A second thread would not help: senders wait for their answers, so that groups would
    be half as large.

    Parameters
    ----------
    commit
        Makes a group durable and returns an outcome for each; if it raises, none of the group need be durable.
    """

    def __init__(self, commit: Callable[[Sequence[Item]], Sequence[Outcome]]) -> None:
        self._commit = commit
        self._waiting: queue.SimpleQueue[tuple[Item, Future[Outcome]] | None] = queue.SimpleQueue()
        self._open = True
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="store group commit", daemon=True)
        self._thread.start()

    def submit(self, item: Item) -> Outcome:
        """Wait until an item is durable, and return its outcome.

        Raises
        ------
        ZweitblickError
            What ``commit`` raised for its group.
        StoreUnavailableError
            If this is closed.
        """
        future: Future[Outcome] = Future()
        with self._lock:
            if not self._open:
                raise StoreUnavailableError("the store is closed; open it again")
            self._waiting.put((item, future))
        return future.result()

    def close(self) -> None:
        """Commit what is waiting, and take no more."""
        with self._lock:
            if self._open:
                self._open = False
                self._waiting.put(None)
        self._thread.join()

    def _run(self) -> None:
        try:
            while self._settle_next():
                pass
        finally:
            self._refuse_the_rest()

    def _settle_next(self) -> bool:
        """Wait for a group and settle it; what it held is let go before the next one is waited for."""
        group = self._next_group()
        if group:
            self._settle(group)
        return bool(group)

    def _next_group(self) -> list[tuple[Item, Future[Outcome]]]:
        """Wait for an item and take all that are there; none once this is closed."""
        group = []
        entry = self._waiting.get()
        while entry is not None:
            group.append(entry)
            if len(group) == MOST:
                return group
            try:
                entry = self._waiting.get_nowait()
            except queue.Empty:
                return group
        self._waiting.put(None)
        return group

    def _settle(self, group: list[tuple[Item, Future[Outcome]]]) -> None:
        futures = [future for _, future in group]
        try:
            outcomes = self._commit([item for item, _ in group])
            for future, outcome in zip(futures, outcomes, strict=True):
                future.set_result(outcome)
        except ZweitblickError as error:
            for future in futures:
                # each thread raises an exception of its own, since raising writes to it
                own = type(error)(*error.args)
                own.__cause__ = error.__cause__
                future.set_exception(own)
        finally:
            # a fault of ours ends this thread; nobody must wait for it
            for future in futures:
                if not future.done():
                    future.set_exception(StoreUnavailableError("the store has stopped at a fault; see its log"))

    def _refuse_the_rest(self) -> None:
        with self._lock:
            self._open = False
        while not self._waiting.empty():
            if (entry := self._waiting.get()) is not None:
                entry[1].set_exception(StoreUnavailableError("the store has stopped at a fault; see its log"))
        self._waiting.put(None)
