"""Whoever submits gets its own outcome, whatever happens to the others, and nobody waits for ever."""

import errno
import threading
from collections.abc import Sequence

import pytest

from zweitblick.errors import StoreFullError, StoreUnavailableError
from zweitblick.store.group import MOST, GroupCommit

SUBMITTERS, ITEMS = 8, 200


def submitted(group: GroupCommit[int, int], items: Sequence[int]) -> list[int | type[Exception]]:
    outcomes: list[int | type[Exception]] = []
    for item in items:
        try:
            outcomes.append(group.submit(item))
        except (StoreFullError, StoreUnavailableError) as error:
            outcomes.append(type(error))
    return outcomes


def test_each_gets_its_own_outcome_and_each_item_is_committed_once() -> None:
    groups: list[Sequence[int]] = []

    def commit(items: Sequence[int]) -> list[int]:
        groups.append(items)
        return [item * item for item in items]

    group = GroupCommit(commit)
    outcomes: dict[int, list[int | type[Exception]]] = {}

    def submit(first: int) -> None:
        outcomes[first] = submitted(group, range(first, ITEMS, SUBMITTERS))

    threads = [threading.Thread(target=submit, args=(first,)) for first in range(SUBMITTERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    group.close()
    assert all(outcomes[first] == [each * each for each in range(first, ITEMS, SUBMITTERS)] for first in outcomes)
    assert sorted(item for items in groups for item in items) == list(range(ITEMS))


def test_what_waits_while_others_are_committed_is_committed_together() -> None:
    begun, go_on = threading.Semaphore(0), threading.Event()
    groups: list[Sequence[int]] = []

    def commit(items: Sequence[int]) -> Sequence[int]:
        groups.append(items)
        begun.release()
        go_on.wait()
        return items

    group = GroupCommit(commit)
    threads = []

    def start(item: int) -> None:
        threads.append(threading.Thread(target=group.submit, args=(item,)))
        threads[-1].start()

    start(0)
    begun.acquire()
    for item in range(1, 1 + MOST + 10):
        start(item)
    while group._waiting.qsize() < MOST + 10:
        pass
    go_on.set()
    for thread in threads:
        thread.join()
    group.close()
    assert list(map(len, groups)) == [1, MOST, 10]


def test_an_error_is_raised_by_each_of_the_group_and_the_next_is_committed() -> None:
    def commit(items: Sequence[int]) -> Sequence[int]:
        if any(item < 0 for item in items):
            raise StoreFullError("no room; free some")
        return items

    group = GroupCommit(commit)
    assert submitted(group, [1, -1, 2, -2]) == [1, StoreFullError, 2, StoreFullError]
    group.close()
    assert submitted(group, [3]) == [StoreUnavailableError]


@pytest.mark.parametrize("error", [MemoryError(), OSError(errno.EIO, "Input/output error")], ids=["memory", "disk"])
def test_what_the_machine_lacks_for_one_group_refuses_no_other(error: Exception) -> None:
    def commit(items: Sequence[int]) -> Sequence[int]:
        if -1 in items:
            raise error
        return items

    group = GroupCommit(commit)
    assert submitted(group, [1, -1, 2]) == [1, StoreUnavailableError, 2]
    assert group.is_running
    group.close()
    assert not group.is_running


def test_a_fault_of_ours_leaves_nobody_waiting_and_is_seen(caplog: pytest.LogCaptureFixture) -> None:
    def commit(items: Sequence[int]) -> Sequence[int]:
        raise KeyError("Kowalczyk^Wilhelmine")

    group = GroupCommit(commit)
    assert submitted(group, [1, 2]) == [StoreUnavailableError] * 2
    group._thread.join()
    assert not group.is_running
    assert caplog.messages == ["the store has stopped at a fault: KeyError"]
    group.close()
