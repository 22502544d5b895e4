"""The batcher's threads: who asked gets the own answer, an error goes where it belongs, and nobody hangs.

Who runs next is `test_schedule`'s; here threads meet at events, never at a time.
"""

import gc
import threading
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zweitblick.errors import (
    NetworkCancelledError,
    NetworkClosedError,
    NetworkDeadlineError,
    NetworkMemoryError,
)
from zweitblick.model.batcher import Batcher, Share
from zweitblick.model.bundle import Bundles
from zweitblick.model.runtime import Tensor
from zweitblick.model.windows import Windowed

LONG_S = 60.0
"""Until a test that hangs is given up."""


def named(number: float, size: int = 2) -> Tensor:
    return np.full((1, 2, size, 2, 2), number, np.float32)


def answer(x: Tensor) -> Tensor:
    return 3 * x[:, :1] + 1


class Faulty:
    """Answers; raises for every batch with a number in it that is told; counts who is inside at once."""

    def __init__(self, faults: frozenset[int] = frozenset()) -> None:
        self.faults = faults
        self.batches: list[list[int]] = []
        self.inside = threading.Semaphore(1)

    def __call__(self, x: Tensor) -> Tensor:
        assert self.inside.acquire(blocking=False), "two calls at once"
        numbers = [int(one) for one in x[:, 0, 0, 0, 0]]
        self.batches.append(numbers)
        self.inside.release()
        if self.faults.intersection(numbers):
            raise RuntimeError(f"batch {numbers}")
        return answer(x)


class Gate:
    """A network that says when it has begun and waits to be let through."""

    def __init__(self) -> None:
        self.begun = threading.Semaphore(0)
        self.open = threading.Event()
        self.seen: list[float] = []

    def __call__(self, x: Tensor) -> Tensor:
        self.seen += [float(one) for one in x[:, 0, 0, 0, 0]]
        self.begun.release()
        assert self.open.wait(LONG_S)
        return answer(x)

    def wait_until_begun(self) -> None:
        assert self.begun.acquire(timeout=LONG_S)


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def gate() -> Gate:
    return Gate()


@pytest.fixture
def batcher(clock: Clock, gate: Gate) -> Iterator[Batcher]:
    """Room for four of `named`'s arrays at one byte per voxel; one request at a time."""
    with Batcher(budget_bytes=32, clock=clock) as batcher:
        yield batcher
        gate.open.set()


def ask(share: Share, network: Callable[[Tensor], Tensor], number: float, size: int = 2) -> Future[Tensor]:
    return share.batcher.submit(share, network, named(number, size), bytes_per_voxel=1)


@settings(max_examples=40)
@given(
    st.lists(st.lists(st.tuples(st.integers(1, 3), st.booleans(), st.booleans()), max_size=5), min_size=1, max_size=4),
    st.integers(1, 3),
    st.integers(24, 80),
)
def test_every_request_of_every_thread_gets_its_own_answer(
    studies: list[list[tuple[int, bool, bool]]], max_batch: int, budget: int
) -> None:
    """Random shapes, failures and cancellations from one thread per study, at whatever order threads have."""
    numbered = [[(10 * s + r, *plan) for r, plan in enumerate(plans)] for s, plans in enumerate(studies)]
    network = Faulty(frozenset(number for plans in numbered for number, _, fails, _ in plans if fails))
    with Batcher(budget_bytes=budget, max_batch=max_batch, max_wait_s=1e-4) as batcher:

        def study(plans: list[tuple[int, int, bool, bool]]) -> dict[int, Future[Tensor]]:
            share, futures = batcher.share(), {}
            for number, size, _, cancels in plans:
                futures[number] = ask(share, network, number, size)
                if cancels:
                    futures[number].cancel()
            return futures

        with ThreadPoolExecutor(len(studies)) as pool:
            asked = {number: future for futures in pool.map(study, numbered) for number, future in futures.items()}
        sizes = {number: size for plans in numbered for number, size, _, _ in plans}
        for number, future in asked.items():
            check(number, future, sizes[number], network)
    run = [number for batch in network.batches for number in batch]
    assert len(run) == len(set(run))
    assert set(run) == {number for number, future in asked.items() if not future.cancelled()}


def check(number: int, future: Future[Tensor], size: int, network: Faulty) -> None:
    if future.cancelled():
        return
    error = future.exception(LONG_S)
    batch = next(batch for batch in network.batches if number in batch)
    if network.faults.intersection(batch):
        assert str(error) == f"batch {batch}"
    else:
        assert error is None
        assert (future.result() == answer(named(number, size))).all()


def test_an_error_reaches_its_own_batch_alone() -> None:
    network = Faulty(frozenset({2}))
    with Batcher(budget_bytes=99, max_batch=2, max_wait_s=LONG_S) as batcher:
        futures = [ask(batcher.share(), network, number) for number in (1, 2, 3, 4)]
        errors = [future.exception(LONG_S) for future in futures]
    assert network.batches == [[1, 2], [3, 4]]
    assert errors[0] is errors[1]
    assert isinstance(errors[0], RuntimeError)
    assert errors[2:] == [None, None]


def test_only_one_network_s_requests_make_a_batch() -> None:
    networks = Faulty(), Faulty()
    with Batcher(budget_bytes=99, max_batch=2, max_wait_s=LONG_S) as batcher:
        futures = [ask(batcher.share(), networks[number % 2], number) for number in range(4)]
        for future in futures:
            future.result(LONG_S)
    assert [network.batches for network in networks] == [[[0, 2]], [[1, 3]]]


def test_closing_waits_for_whoever_hears_of_a_deadline(clock: Clock, gate: Gate) -> None:
    """Callbacks of a future run in the batcher's thread."""
    order, go_on = [], threading.Event()
    batcher = Batcher(clock=clock)
    first = ask(batcher.share(), gate, 1)
    gate.wait_until_begun()
    late = ask(batcher.share(within_s=5), gate, 2)
    late.add_done_callback(lambda _: order.append("heard" if go_on.wait(LONG_S) else "given up"))
    clock.now = 5.0
    ask(batcher.share(), gate, 3).cancel()  # makes the batcher look at its clock
    late.exception(LONG_S)
    gate.open.set()
    first.result(LONG_S)
    with ThreadPoolExecutor(1) as pool:
        closing = pool.submit(batcher.close)
        closing.add_done_callback(lambda _: order.append("closed"))
        go_on.set()
        closing.result(LONG_S)
    assert order == ["heard", "closed"]


def test_answers_of_one_batch_share_no_memory() -> None:
    with Batcher(budget_bytes=99, max_batch=2, max_wait_s=LONG_S) as batcher:
        one, other = (ask(batcher.share(), answer, number) for number in (1, 2))
        assert not np.shares_memory(one.result(LONG_S), other.result(LONG_S))
        assert one.result().base is None


def test_studies_take_turns_while_one_is_in_the_network(batcher: Batcher, gate: Gate) -> None:
    greedy, modest = batcher.share(), batcher.share()
    futures = [ask(greedy, gate, number) for number in (1, 2, 3)]
    gate.wait_until_begun()
    futures.append(ask(modest, gate, 10))
    gate.open.set()
    for future in futures:
        future.result(LONG_S)
    assert gate.seen == [1, 2, 10, 3]


def test_who_submits_waits_for_room(batcher: Batcher, gate: Gate) -> None:
    """Four fill the budget; the fifth is not taken before one of them is done."""
    share = batcher.share()
    futures = [ask(share, gate, number) for number in (1, 2, 3, 4)]
    gate.wait_until_begun()
    with ThreadPoolExecutor(1) as pool:
        fifth = pool.submit(ask, batcher.share(), gate, 5)
        wait_until_pending(batcher, 4)
        assert not fifth.done()
        gate.open.set()
        assert fifth.result(LONG_S).result(LONG_S).ravel()[0] == 16
    assert [future.result(LONG_S).ravel()[0] for future in futures] == [4, 7, 10, 13]


def test_cancelling_what_fills_the_budget_lets_others_in(batcher: Batcher, gate: Gate) -> None:
    share = batcher.share()
    *_, last = [ask(share, gate, number) for number in (1, 2, 3, 4)]
    gate.wait_until_begun()
    with ThreadPoolExecutor(1) as pool:
        fifth = pool.submit(ask, batcher.share(), gate, 5)
        assert last.cancel()
        assert not fifth.result(LONG_S).done()
    gate.open.set()
    assert fifth.result().result(LONG_S).ravel()[0] == 16
    assert 4 not in gate.seen


def test_a_request_above_the_budget_is_refused(batcher: Batcher) -> None:
    with pytest.raises(NetworkMemoryError, match="more than the budget"):
        ask(batcher.share(), answer, 1, size=9)


def test_what_comes_too_late_is_never_run(batcher: Batcher, gate: Gate, clock: Clock) -> None:
    first = ask(batcher.share(), gate, 1)
    gate.wait_until_begun()
    late = ask(batcher.share(within_s=5), gate, 2)
    clock.now = 5.0
    in_time = ask(batcher.share(within_s=5), gate, 3)  # makes the batcher look at its clock
    assert isinstance(late.exception(LONG_S), NetworkDeadlineError)
    assert not first.done()
    gate.open.set()
    in_time.result(LONG_S)
    assert gate.seen == [1, 3]


def test_a_deadline_ends_the_wait_for_room(batcher: Batcher, gate: Gate, clock: Clock) -> None:
    futures = [ask(batcher.share(), gate, number) for number in (1, 2, 3, 4)]
    gate.wait_until_begun()
    hurried = batcher.share(within_s=5).network(gate, bytes_per_voxel=1)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(hurried, named(5))
        wait_until_pending(batcher, 4)
        clock.now = 5.0
        futures[3].cancel()
        assert isinstance(waiting.exception(LONG_S), NetworkDeadlineError)
    assert gate.seen == [1]


def test_a_cancelled_study_is_refused_and_others_go_on(batcher: Batcher, gate: Gate) -> None:
    share, other = batcher.share(), batcher.share()
    network = share.network(gate, bytes_per_voxel=1)
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(network, named(1))
        gate.wait_until_begun()
        pending, others = ask(share, gate, 2), ask(other, gate, 3)
        batcher.cancel(share)
        assert pending.cancelled()
        with pytest.raises(NetworkCancelledError, match="study was cancelled"):
            network(named(4))
        gate.open.set()
        assert isinstance(running.exception(LONG_S), NetworkCancelledError)
    others.result(LONG_S)
    assert gate.seen == [1, 3]


def test_a_study_that_waits_for_its_answer_hears_of_its_cancellation(batcher: Batcher, gate: Gate) -> None:
    share = batcher.share()
    ask(batcher.share(), gate, 1)
    gate.wait_until_begun()
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(share.network(gate, bytes_per_voxel=1), named(2))
        wait_until_pending(batcher, 1)
        batcher.cancel(share)
        error = waiting.exception(LONG_S)
    assert isinstance(error, NetworkCancelledError)
    assert isinstance(error.__cause__, CancelledError)


def test_closing_refuses_what_is_pending_and_ends_every_thread(gate: Gate) -> None:
    before = set(threading.enumerate())
    batcher = Batcher(budget_bytes=16)
    share = batcher.share()
    with ThreadPoolExecutor(2) as pool:
        running = ask(share, gate, 1)
        gate.wait_until_begun()
        pending = ask(share, gate, 2)
        at_the_door = pool.submit(ask, share, gate, 3)
        wait_until_pending(batcher, 2)
        closing = pool.submit(batcher.close)
        for future in (pending, at_the_door.result(LONG_S)):
            assert isinstance(future.exception(LONG_S), NetworkClosedError)
        assert not closing.done()
        gate.open.set()
        closing.result(LONG_S)
    assert running.result().ravel()[0] == 4
    with pytest.raises(NetworkClosedError, match="no more requests"):
        ask(share, gate, 4)
    batcher.close()
    assert set(threading.enumerate()) == before


def test_no_input_outlives_its_request(batcher: Batcher) -> None:
    """Reference cycles would keep every study's arrays until the collector comes."""
    x = named(1)
    alive = weakref.ref(x)
    gc.disable()
    try:
        future = batcher.submit(batcher.share(), answer, x, bytes_per_voxel=1)
        del x
        future.result(LONG_S)
        batcher.close()
        assert alive() is None
    finally:
        gc.enable()


def test_a_share_gives_what_the_bundles_give(bundles: Bundles) -> None:
    """All three released networks, the tumour's in windows, with the same bits."""
    rng = np.random.default_rng(0)
    with Batcher() as batcher:
        shared = batcher.share().bundles(bundles)
        for own, theirs, channels in (
            (shared.brain_mask, bundles.brain_mask, 1),
            (shared.sequence, bundles.sequence, 2),
            (shared.tumour, bundles.tumour, 4),
        ):
            x = rng.standard_normal((1, channels, 48, 32, 32)).astype(np.float32)
            assert (own.digest, own.validated_ml) == (theirs.digest, theirs.validated_ml)
            assert (own.network(x) == theirs.network(x)).all()
        cut = {"halo": 16, "budget_bytes": 48 * 32 * 16, "bytes_per_voxel": 1}
        x = rng.standard_normal((1, 4, 64, 32, 16)).astype(np.float32)
        assert (Windowed(shared.tumour.network, **cut)(x) == Windowed(bundles.tumour.network, **cut)(x)).all()


def wait_until_pending(batcher: Batcher, count: int) -> None:
    """Let other threads come so far that so many requests are at the door or wait for a batch."""
    with batcher._changed:
        assert batcher._changed.wait_for(lambda: len(batcher._schedule.pending()) == count, LONG_S)
