"""Batcher: several studies share the networks, one call at a time, in turns and within one memory budget.

On processors a batch is a single request, since one call keeps every core busy; what is won is that a study reads and
writes while another is in the network. In larger batches sums may be taken in another order, so that the last bits of
a result can depend on which other studies were there.
"""

import math
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from types import TracebackType
from typing import Self

import numpy as np

from zweitblick.errors import NetworkCancelledError, NetworkClosedError, NetworkDeadlineError, NetworkError
from zweitblick.model import windows
from zweitblick.model.bundle import Bundle, Bundles
from zweitblick.model.runtime import Network, Tensor
from zweitblick.model.schedule import Request, Schedule, Turn

BRAIN_MASK_BYTES_PER_VOXEL = 110
"""Of the released brain mask network, measured like `windows.BYTES_PER_VOXEL`: 97 to 105."""

SEQUENCE_BYTES_PER_VOXEL = 800
"""Of the released sequence network, measured likewise: 686 to 767; its inputs are small."""

BUDGET_BYTES = windows.BUDGET_BYTES
"""Enough for the largest window that the tumour network is given."""


class Batcher:
    """Requests of many studies, one network call at a time. Safe for threads; close it, or use it in a ``with``.

    Parameters
    ----------
    budget_bytes, max_batch, max_wait_s
        See `Schedule`. Whoever submits waits while the budget is used up.
    clock
        Time in s; never goes back.
    observer
        Told how many requests a network is about to be called with.
    """

    def __init__(
        self,
        *,
        budget_bytes: int = BUDGET_BYTES,
        max_batch: int = 1,
        max_wait_s: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
        observer: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._clock = clock
        self._observer = observer
        self._schedule: Schedule[_Call] = Schedule(
            budget_bytes=budget_bytes, max_batch=max_batch, max_wait_s=max_wait_s
        )
        self._changed = threading.Condition()
        self._closed = False
        self._runner = ThreadPoolExecutor(1, "network")
        self._dispatcher = threading.Thread(target=self._dispatch, name="network batcher", daemon=True)
        self._dispatcher.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def share(self, *, within_s: float = math.inf) -> "Share":
        """Return a new study's share; what it asks for is not run any more once ``within_s`` from now have passed."""
        return Share(self, self._clock() + within_s)

    def submit(self, share: "Share", network: Network, x: Tensor, *, bytes_per_voxel: int) -> Future[Tensor]:
        """Ask for ``network(x)``; return as soon as the memory budget has room for it.

        Parameters
        ----------
        share
            Of the study that asks.
        network
            Called by one thread at a time, with arrays of one shape joined along their first axis.
        x
            ``(batch, channel, K, J, I)`` float32; not to be changed until the future is done.
        bytes_per_voxel
            Memory that the network takes per voxel of ``x``, whatever the number of channels.

        Returns
        -------
        The result, the network's own error, `NetworkDeadlineError` if the turn did not come in time or
        `NetworkClosedError` if the batcher was closed before. Cancelling the future takes the request out of the queue,
        unless it runs already.

        Raises
        ------
        NetworkMemoryError
            If the request takes more than the whole budget.
        NetworkCancelledError
            If the study was cancelled.
        NetworkClosedError
            If the batcher is closed.
        """
        size_bytes = x.shape[0] * math.prod(x.shape[2:]) * bytes_per_voxel
        call = _Call(share, (id(network), x.shape), size_bytes, share.deadline, network=network, x=x)
        call.future.add_done_callback(self._withdraw_cancelled)
        with self._changed:
            if self._closed:
                raise NetworkClosedError("the networks are closed; no more requests are taken")
            share.check()
            self._schedule.submit(call, self._clock())
            self._changed.notify_all()
            try:
                self._changed.wait_for(lambda: not self._schedule.waits(call))
            finally:  # the waiting thread may be interrupted
                if self._schedule.waits(call):
                    self._schedule.withdraw(call)
        return call.future

    def cancel(self, share: "Share") -> None:
        """Refuse what a study asks for from now on and what is pending; a call that runs is waited for in vain."""
        with self._changed:
            share.cancelled = True
            calls = [call for call in self._schedule.pending() if call.study is share]
        for call in calls:
            call.future.cancel()

    def close(self) -> None:
        """Refuse what is pending and whatever comes, and wait for the batch that runs; no thread is left."""
        with self._changed:
            self._closed = True
            calls = self._schedule.pending()
            for call in calls:
                self._schedule.withdraw(call)
            self._changed.notify_all()
        for call in calls:
            call.fail(NetworkClosedError("the networks were closed while a request was pending; ask again"))
        self._dispatcher.join()
        self._runner.shutdown()

    def _withdraw_cancelled(self, future: Future[Tensor]) -> None:
        if not future.cancelled():
            return
        with self._changed:
            # Looked for, because a future that knew its call would keep its input in memory.
            for call in self._schedule.pending():
                if call.future is future:
                    self._schedule.withdraw(call)
            self._changed.notify_all()

    def _dispatch(self) -> None:
        while not self._closed:
            self._do(self._next_turn())

    def _next_turn(self) -> Turn["_Call"]:
        """Wait until there is something to do or the batcher is closed."""
        with self._changed:
            while True:
                turn = self._schedule.take(self._clock())
                if turn.expired or turn.batch or self._closed:
                    self._changed.notify_all()
                    return turn
                wait_s = max(0.0, self._schedule.next_event() - self._clock())
                self._changed.wait(min(wait_s, threading.TIMEOUT_MAX))

    def _do(self, turn: Turn["_Call"]) -> None:
        for call in turn.expired:
            call.fail(NetworkDeadlineError("a request's time was over before its turn came; allow more time"))
        if turn.batch:
            calls = [call for call in turn.batch if call.future.set_running_or_notify_cancel()]
            self._observer(len(calls))
            self._runner.submit(_outputs, calls).add_done_callback(partial(self._deliver, calls))

    def _deliver(self, calls: list["_Call"], outcome: Future[list[Tensor]]) -> None:
        with self._changed:
            self._schedule.finish()
            self._changed.notify_all()
        error = outcome.exception()
        for number, call in enumerate(calls):
            if error is None:
                call.future.set_result(outcome.result()[number])
            else:
                call.future.set_exception(error)


@dataclass(eq=False)
class Share:
    """One study's share of a batcher, by which studies take turns; made by `Batcher.share`.

    Parameters
    ----------
    batcher
        Where its requests go.
    deadline
        Of all its requests; s on the batcher's clock.
    cancelled
        Whether the study is not wanted any more.
    """

    batcher: Batcher
    deadline: float
    cancelled: bool = False

    def check(self) -> None:
        """Go on only if the study is still wanted.

        Raises
        ------
        NetworkCancelledError
            If it was cancelled.
        """
        if self.cancelled:
            raise NetworkCancelledError("the study was cancelled; read it anew if it is wanted")

    def network(self, network: Network, *, bytes_per_voxel: int) -> Network:
        """Return the network as this study calls it: through the batcher, waiting for the result.

        It raises what `Batcher.submit` and its future raise, and `NetworkCancelledError` if the study was cancelled.
        """
        return partial(self._answer, network, bytes_per_voxel=bytes_per_voxel)

    def bundles(self, bundles: Bundles) -> Bundles:
        """Return the released bundles as this study uses them; see `network`."""
        return Bundles(
            tumour=self._bundle(bundles.tumour, windows.BYTES_PER_VOXEL),
            brain_mask=self._bundle(bundles.brain_mask, BRAIN_MASK_BYTES_PER_VOXEL),
            sequence=self._bundle(bundles.sequence, SEQUENCE_BYTES_PER_VOXEL),
        )

    def _bundle(self, bundle: Bundle, bytes_per_voxel: int) -> Bundle:
        return replace(bundle, network=self.network(bundle.network, bytes_per_voxel=bytes_per_voxel))

    def _answer(self, network: Network, x: Tensor, *, bytes_per_voxel: int) -> Tensor:
        future = self.batcher.submit(self, network, x, bytes_per_voxel=bytes_per_voxel)
        try:
            output = future.result()
        except CancelledError as error:
            raise NetworkCancelledError("the request was cancelled; ask again if it is wanted") from error
        finally:  # the waiting thread may be interrupted
            future.cancel()
        self.check()
        return output


@dataclass(frozen=True, eq=False, kw_only=True)
class _Call(Request):
    """A request with its network, its input and the promise of its output."""

    network: Network
    x: Tensor
    future: Future[Tensor] = field(default_factory=Future)

    def fail(self, error: NetworkError) -> None:
        """Break the promise, unless it was cancelled."""
        if self.future.set_running_or_notify_cancel():
            self.future.set_exception(error)


def _outputs(calls: Sequence[_Call]) -> list[Tensor]:
    """Run calls of one kind at once; each output has memory of its own."""
    if len(calls) <= 1:
        return [call.network(call.x) for call in calls]
    joined = calls[0].network(np.concatenate([call.x for call in calls]))
    return [part.copy() for part in joined.reshape(len(calls), -1, *joined.shape[1:])]
