"""GroupCommit: what several threads want durable becomes durable together."""

import logging
import queue
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Generic, TypeVar

from zweitblick.errors import StoreUnavailableError, ZweitblickError

log = logging.getLogger(__name__)

Item = TypeVar("Item")
Outcome = TypeVar("Outcome")

MOST = 256
"""Items of one group; what waits behind them comes next."""

_STOPPED = "the store has stopped at a fault; see its log, and start it again"


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

    @property
    def is_running(self) -> bool:
        """Whether items are taken: not once this is closed, or has stopped at a fault of ours."""
        return self._open

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
        except Exception as error:  # noqa: BLE001 -- the thread's edge: its text may quote a header, so only its type is told
            log.error("the store has stopped at a fault: %s", type(error).__name__)  # noqa: TRY400 -- as said
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
            _refuse(futures, error)
        except (MemoryError, OSError) as error:  # of the machine at that time: it may pass
            log.error("a group cannot be kept: %s", type(error).__name__)  # noqa: TRY400 -- texts may quote data
            _refuse(futures, StoreUnavailableError(f"the store failed by {type(error).__name__}; see to the machine"))
        finally:
            # a fault of ours ends this thread; nobody must wait for it
            _refuse(futures, StoreUnavailableError(_STOPPED))

    def _refuse_the_rest(self) -> None:
        with self._lock:
            self._open = False
        while not self._waiting.empty():
            if (entry := self._waiting.get()) is not None:
                entry[1].set_exception(StoreUnavailableError(_STOPPED))
        self._waiting.put(None)


def _refuse(futures: Sequence[Future[Outcome]], error: ZweitblickError) -> None:
    """Tell an error to all who wait still."""
    for future in futures:
        if not future.done():
            # each thread raises an exception of its own, since raising writes to it
            own = type(error)(*error.args)
            own.__cause__ = error.__cause__
            future.set_exception(own)
