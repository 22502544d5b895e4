"""Whoever asks too often is told when to come again; nobody else notices."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zweitblick.access import rates
from zweitblick.access.rates import Limit, Rate
from zweitblick.errors import TooManyRequestsError


class Seconds:
    """A clock of seconds that is moved by hand."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def is_taken(limit: Limit, key: str = "key") -> bool:
    try:
        limit.take(key)
    except TooManyRequestsError:
        return False
    return True


@given(st.lists(st.integers(0, 12), max_size=40), st.integers(1, 5), st.sampled_from([0.25, 0.5, 1.0, 2.0]))
def test_it_lets_pass_what_a_bucket_of_tokens_would(waits: list[int], burst: int, per_s: float) -> None:
    """The token bucket counts what is left, which knows nothing of due times; all numbers are exact in binary."""
    clock = Seconds()
    limit, left = Limit(Rate(per_s, burst), clock), float(burst)
    for wait in waits:
        clock.now += wait
        left = min(float(burst), left + wait * per_s)
        assert is_taken(limit) == (left >= 1)
        left -= left >= 1


def test_who_waits_as_long_as_told_is_served() -> None:
    clock = Seconds()
    limit = Limit(Rate(per_s=1 / 30, burst=3), clock)
    assert [is_taken(limit) for _ in range(4)] == [True, True, True, False]
    with pytest.raises(TooManyRequestsError) as told:
        limit.take("key")
    assert told.value.retry_after_s == 30
    clock.now += told.value.retry_after_s
    assert [is_taken(limit), is_taken(limit)] == [True, False]


def test_keys_do_not_share_and_one_can_be_forgotten() -> None:
    limit = Limit(Rate(per_s=1, burst=1), Seconds())
    assert [is_taken(limit), is_taken(limit), is_taken(limit, "other")] == [True, False, True]
    limit.forget("key")
    assert is_taken(limit)


def test_no_number_of_keys_fills_the_memory_or_frees_who_asks_most(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rates, "MOST_REMEMBERED", 50)
    limit = Limit(Rate(per_s=1, burst=3), Seconds())
    assert [is_taken(limit) for _ in range(4)] == [True, True, True, False]
    assert all(is_taken(limit, f"other {number}") for number in range(500))
    assert not is_taken(limit)
    assert len(limit._due) == 50
