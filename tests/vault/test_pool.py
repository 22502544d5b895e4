"""Keys that were wrapped ahead last for so many studies and for so long, and come back by themselves."""

import logging
import threading
from datetime import timedelta
from pathlib import Path

import pytest

from store.stores import Holder, file_holder
from zweitblick.errors import KeyHolderError
from zweitblick.vault.pool import KeyPool, PoolLimits

FIVE = PoolLimits(count=5, age=timedelta(hours=4))


class Seconds:
    """Stand until they are moved."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


class Heard(logging.Handler):
    """Tells when something of a level was logged."""

    def __init__(self, level: int) -> None:
        super().__init__(level)
        self.heard = threading.Event()

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno == self.level:
            self.heard.set()


@pytest.fixture
def holder(tmp_path: Path) -> Holder:
    return Holder(file_holder(tmp_path))


def test_every_key_is_given_once_and_is_what_was_wrapped(holder: Holder) -> None:
    pool = KeyPool(holder, FIVE)
    pool.fill()
    taken = [pool.take() for _ in range(8)]
    assert len({key.secret for key, _ in taken}) == 8
    assert all(holder.unwrap(wrapped) == key for key, wrapped in taken)


def test_while_the_holder_is_away_it_lasts_for_its_count_and_then_refuses(holder: Holder) -> None:
    pool = KeyPool(holder, FIVE)
    pool.fill()
    holder.away = True
    taken = [pool.take()[0] for _ in range(FIVE.count)]
    assert pool.left() == 0
    for _ in range(2):
        with pytest.raises(KeyHolderError):
            pool.take()
    holder.away = False
    assert pool.take()[0] not in taken
    pool.fill()
    assert pool.left() == FIVE.count


def test_no_key_is_given_that_is_too_old(holder: Holder) -> None:
    clock = Seconds()
    pool = KeyPool(holder, FIVE, clock=clock)
    pool.fill()
    holder.away = True
    clock.now += 4 * 3600 - 0.001
    assert pool.left() == FIVE.count
    pool.take()
    clock.now += 0.001
    assert pool.left() == 0
    with pytest.raises(KeyHolderError):
        pool.take()


def test_as_long_as_the_holder_is_there_it_lasts_for_half_its_age_at_least(holder: Holder) -> None:
    clock = Seconds()
    pool = KeyPool(holder, FIVE, clock=clock)
    for _ in range(10):
        pool.fill()
        clock.now += 2.1 * 3600
    pool.fill()
    assert pool.left() == FIVE.count, "those that were replaced are gone"
    holder.away = True
    clock.now += 3.9 * 3600
    assert pool.left() == FIVE.count


def test_when_the_holder_goes_while_it_fills_what_is_there_stays(holder: Holder) -> None:
    pool = KeyPool(holder, FIVE)
    pool.fill()
    for _ in range(3):
        pool.take()
    holder.away = True
    with pytest.raises(KeyHolderError):
        pool.fill()
    assert pool.left() == 2


def test_what_was_dropped_is_not_given(holder: Holder) -> None:
    pool = KeyPool(holder, FIVE)
    pool.fill()
    holder.present.make_kek()
    assert pool.take()[1].kek_id != holder.kek_id
    pool.drop()
    assert pool.take()[1].kek_id == holder.kek_id


def test_a_pool_of_none_asks_every_time(holder: Holder) -> None:
    pool = KeyPool(holder, PoolLimits(0, timedelta(0)))
    pool.start()
    pool.fill()
    assert pool.left() == 0
    pool.take()
    holder.away = True
    with pytest.raises(KeyHolderError):
        pool.take()
    pool.close()


def test_its_thread_keeps_it_full_and_says_once_that_the_holder_is_away_and_back(
    holder: Holder, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "zweitblick")
    back = Heard(logging.INFO)
    logging.getLogger("zweitblick.vault.pool").addHandler(back)
    asked = threading.Semaphore(0)
    wrap = holder.wrap

    def counted(key: object) -> object:
        asked.release()
        return wrap(key)

    holder.wrap = counted
    pool = KeyPool(holder, FIVE, away_s=0.001)
    pool.start()
    for _ in range(5):
        assert asked.acquire(timeout=60)
    caplog.clear()
    holder.away = True
    pool.take()
    for _ in range(5):
        assert asked.acquire(timeout=60), "it is asked again and again"
    holder.away = False
    assert back.heard.wait(60)
    assert pool.left() == FIVE.count
    pool.close()
    logging.getLogger("zweitblick.vault.pool").removeHandler(back)
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]
    assert pool.left() == 0


def test_many_threads_never_get_the_same_key(holder: Holder) -> None:
    pool = KeyPool(holder, FIVE)
    pool.start()
    taken = []
    threads = [threading.Thread(target=lambda: taken.extend(pool.take() for _ in range(20))) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    pool.close()
    assert len({key.secret for key, _ in taken}) == len({wrapped.ciphertext for _, wrapped in taken}) == 120


def test_no_key_shows(holder: Holder) -> None:
    pool = KeyPool(holder, FIVE)
    pool.fill()
    shown = repr((pool, list(pool._spares)))
    assert all(repr(spare.key.secret)[2:-1] not in shown for spare in pool._spares)
