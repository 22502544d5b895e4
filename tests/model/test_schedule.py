"""The schedule under random arrival, cancellation, deadlines and time, against the rules written down anew.

`House` knows of every request only what it did with it: it keeps no queue, so no order can be copied from our code.
"""

import math
from collections import Counter
from dataclasses import dataclass, field

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, precondition, rule

from zweitblick.errors import NetworkMemoryError
from zweitblick.model.schedule import Request, Schedule

BUDGET = 10


@dataclass(frozen=True, eq=False, kw_only=True)
class Asked(Request):
    submitted: float
    fates: list[str] = field(default_factory=list)


class House(RuleBasedStateMachine):
    """Every request has one fate: run, expired or cancelled."""

    requests = Bundle("requests")

    @initialize(max_batch=st.integers(1, 3), max_wait=st.sampled_from([0, 3]))
    def open(self, max_batch: int, max_wait: int) -> None:
        self.schedule: Schedule[Asked] = Schedule(budget_bytes=BUDGET, max_batch=max_batch, max_wait_s=max_wait)
        self.max_batch, self.max_wait = max_batch, max_wait
        self.now = 0
        self.asked: list[Asked] = []
        self.running: tuple[Asked, ...] = ()
        self.led_since: dict[str, Counter[str]] = {}

    @rule(
        target=requests,
        study=st.sampled_from("abc"),
        kind=st.sampled_from([1, 2]),
        size=st.integers(0, BUDGET),
        left=st.one_of(st.just(math.inf), st.integers(0, 8)),
    )
    def submit(self, study: str, kind: int, size: int, left: float) -> Asked:
        request = Asked(study, kind, size, self.now + left, submitted=self.now)
        self.schedule.submit(request, self.now)
        self.asked.append(request)
        return request

    @rule(size=st.integers(BUDGET + 1, 99))
    def submit_what_never_fits(self, size: int) -> None:
        with pytest.raises(NetworkMemoryError, match="more than the budget"):
            self.schedule.submit(Asked("a", 1, size, submitted=self.now), self.now)

    @rule(request=consumes(requests))
    def cancel(self, request: Asked) -> None:
        if not request.fates:
            request.fates.append("cancelled")
            self.forget_turns(request)
        self.schedule.withdraw(request)

    @rule(seconds=st.integers(1, 4))
    def wait(self, seconds: int) -> None:
        self.now += seconds

    @precondition(lambda self: self.running)
    @rule()
    def finish(self) -> None:
        self.running = ()
        self.schedule.finish()

    @rule()
    def take(self) -> None:
        due = self.due()
        idle = not self.running
        turn = self.schedule.take(self.now)
        assert {*turn.expired} == {one for one in self.asked if not one.fates and one.deadline <= self.now}
        for request in turn.expired:
            request.fates.append("expired")
        for request in turn.batch:
            assert not self.schedule.waits(request)
            request.fates.append("run")
        if idle:
            assert bool(turn.batch) or not due, "the network is idle although a batch is due"
            self.check_batch(turn.batch, due)
        else:
            assert not turn.batch
        self.running = self.running or turn.batch

    def check_batch(self, batch: tuple[Asked, ...], due: list[Asked]) -> None:
        assert len(batch) <= self.max_batch
        assert len({request.kind for request in batch}) <= 1
        if not batch:
            return
        alike = [one for one in self.inside() if one.kind == batch[0].kind]
        assert len(batch) == self.max_batch or not alike, "a place is left free"
        self.check_turns(batch, {one.study for one in due})

    def check_turns(self, batch: tuple[Asked, ...], studies: set[str]) -> None:
        """No study leads two batches while another had something due all the time and was not served."""
        lead, served = batch[0].study, {one.study for one in batch}
        for study in list(self.led_since):
            if study in served or study not in studies:
                del self.led_since[study]
        for study in studies - served:
            led = self.led_since.setdefault(study, Counter())
            led[lead] += 1
            assert led[lead] <= 1, f"{lead} led twice while {study} waited"
        shares = Counter(one.study for one in batch)
        for one in self.inside():
            if one.kind == batch[0].kind:
                assert shares[one.study] >= max(shares.values()) - 1, "a study got fewer places than its turn gave"

    def due(self) -> list[Asked]:
        """Requests that could be the first of a batch now."""
        return [one for one in self.inside(alive=True) if self.is_due(one)]

    def is_due(self, request: Asked) -> bool:
        alike = sum(one.kind == request.kind for one in self.inside(alive=True))
        hurried = request.deadline <= request.submitted + self.max_wait
        return alike >= self.max_batch or hurried or self.now >= request.submitted + self.max_wait

    def inside(self, *, alive: bool = False) -> list[Asked]:
        """Requests that the budget has room for and that wait for a batch."""
        pending = [one for one in self.asked if not one.fates and not self.schedule.waits(one)]
        return [one for one in pending if not alive or one.deadline > self.now]

    def forget_turns(self, request: Asked) -> None:
        """A study that has taken a request back may have had nothing due for a while."""
        self.led_since.pop(str(request.study), None)

    @invariant()
    def the_budget_holds(self) -> None:
        used = sum(one.size_bytes for one in (*self.inside(), *self.running))
        assert used <= BUDGET
        assert used == self.schedule.used_bytes

    @invariant()
    def an_empty_house_admits(self) -> None:
        assert self.inside() or self.running or all(one.fates for one in self.asked)

    @invariant()
    def nobody_overtakes_at_the_door_within_a_study(self) -> None:
        for study in "abc":
            outside = [self.schedule.waits(one) for one in self.asked if one.study == study and not one.fates]
            assert outside == sorted(outside)

    @invariant()
    def nothing_is_lost_or_done_twice(self) -> None:
        assert all(len(one.fates) <= 1 for one in self.asked)
        assert {*self.schedule.pending()} == {one for one in self.asked if not one.fates}

    def teardown(self) -> None:
        """Whoever sleeps until `next_event` gets everything done."""
        for _ in range(2 * len(getattr(self, "asked", ())) + 1):
            if self.running:
                self.finish()
            self.now = max(self.now, min(self.schedule.next_event(), 10**6))
            self.take()
        assert all(one.fates for one in self.asked)
        assert not self.schedule.used_bytes or self.running


TestHouse = House.TestCase


def test_studies_take_turns_however_many_requests_one_of_them_has() -> None:
    schedule: Schedule[Request] = Schedule(budget_bytes=100)
    for study in ("greedy",) * 6 + ("modest", "late"):
        schedule.submit(Request(study, 1, 1), 0)
    assert [one.study for one in run_all(schedule)] == ["greedy", "modest", "late", *["greedy"] * 5]


def test_studies_take_turns_at_the_door_too() -> None:
    """Room for one only: the second of the greedy study was at the door before the modest one's came."""
    schedule: Schedule[Request] = Schedule(budget_bytes=1)
    for study in ("greedy",) * 5 + ("modest",):
        schedule.submit(Request(study, 1, 1), 0)
    assert [one.study for one in run_all(schedule)] == ["greedy", "greedy", "modest", "greedy", "greedy", "greedy"]


def test_a_large_request_at_the_door_is_not_overtaken_by_small_ones() -> None:
    schedule: Schedule[Request] = Schedule(budget_bytes=10)
    small = [Request("a", 1, 4) for _ in range(5)]
    large = Request("b", 1, 10)
    for request in (*small[:2], large, *small[2:]):
        schedule.submit(request, 0)
    assert run_all(schedule).index(large) == 2


def test_a_batch_waits_for_others_no_longer_than_it_may() -> None:
    schedule: Schedule[Request] = Schedule(budget_bytes=10, max_batch=2, max_wait_s=5)
    first, other_kind, second = Request("a", 1, 1), Request("b", 2, 1), Request("c", 1, 1)
    schedule.submit(first, 0)
    schedule.submit(other_kind, 1)
    assert schedule.take(4.9).batch == ()
    schedule.submit(second, 4.9)
    assert schedule.take(4.9).batch == (first, second)
    schedule.finish()
    assert schedule.next_event() == 6
    assert schedule.take(5.9).batch == ()
    assert schedule.take(6).batch == (other_kind,)


def run_all(schedule: Schedule[Request]) -> list[Request]:
    done: list[Request] = []
    while batch := schedule.take(0).batch:
        done += batch
        schedule.finish()
    return done
