"""Pool of data keys that were wrapped ahead: new studies are taken for a while after the key holder has gone."""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from zweitblick.errors import KeyHolderError
from zweitblick.vault.data_key import DataKey
from zweitblick.vault.keyholders import KeyHolder, WrappedKey

log = logging.getLogger(__name__)

AWAY_S = 5.0


@dataclass(frozen=True)
class PoolLimits:
    """How many keys may wait, and for how long.

    Parameters
    ----------
    count
        At most so many; with none every new key is asked for.
    age
        No older key is used. One that is half as old is replaced as long as the holder is there.
    """

    count: int
    age: timedelta


@dataclass(frozen=True)
class _Spare:
    key: DataKey
    wrapped: WrappedKey
    made: float


class KeyPool:
    """Fresh data keys with their wrapped forms, in memory; for several threads at once.

    Parameters
    ----------
    holder
        Wraps them.
    limits
        How many wait, and for how long.
    clock
        Monotonic, in seconds.
    away_s
        After so long a holder that was away is asked again.
    """

    def __init__(
        self,
        holder: KeyHolder,
        limits: PoolLimits,
        *,
        clock: Callable[[], float] = time.monotonic,
        away_s: float = AWAY_S,
    ) -> None:
        self._away_s = away_s
        self._holder = holder
        self._limits = limits
        self._clock = clock
        self._spares: deque[_Spare] = deque()
        self._lock = threading.Lock()
        self._filling = threading.Lock()
        self._wanted = threading.Event()
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Keep the pool full from now on, in a thread of its own, until `close`."""
        if self._limits.count:
            self._thread = threading.Thread(target=self._keep_full, name="pool of data keys")
            self._thread.start()

    def close(self) -> None:
        """End the thread, and forget the keys."""
        self._closing.set()
        self._wanted.set()
        if self._thread is not None:
            self._thread.join()
        self.drop()

    def take(self) -> tuple[DataKey, WrappedKey]:
        """Give a fresh key that nobody else has: a spare one or, if there is none, one that is wrapped now.

        Raises
        ------
        KeyHolderError
            If there is none, and the holder cannot be used.
        """
        with self._lock:
            self._forget_old()
            spare = self._spares.popleft() if self._spares else None
        self._wanted.set()
        if spare is not None:
            return spare.key, spare.wrapped
        key = DataKey.fresh()
        return key, self._holder.wrap(key)

    def left(self) -> int:
        """Return how many spare keys may still be used."""
        with self._lock:
            self._forget_old()
            return len(self._spares)

    def drop(self) -> None:
        """Forget the spare keys, as when a newer key-encryption key must wrap them."""
        with self._lock:
            self._spares.clear()

    def fill(self) -> None:
        """Replace keys that are half as old as they may get, and wrap what is missing.

        Raises
        ------
        KeyHolderError
            If the holder cannot be used; what is there stays.
        """
        with self._filling:  # two at once would wrap more than is missing
            for _ in range(self._limits.count - self._young()):
                if self._closing.is_set():
                    return
                key = DataKey.fresh()
                spare = _Spare(key, self._holder.wrap(key), self._clock())
                with self._lock:
                    self._spares.append(spare)
                    if len(self._spares) > self._limits.count:
                        self._spares.popleft()

    def _young(self) -> int:
        half_s = self._limits.age.total_seconds() / 2
        with self._lock:
            return sum(self._clock() - spare.made < half_s for spare in self._spares)

    def _forget_old(self) -> None:
        while self._spares and self._clock() - self._spares[0].made >= self._limits.age.total_seconds():
            self._spares.popleft()

    def _keep_full(self) -> None:
        away = False
        while not self._closing.is_set():
            self._wanted.clear()
            try:
                self.fill()
            except KeyHolderError as error:
                if not away:
                    log.warning("the key holder is away, and %d new studies can be taken: %s", self.left(), error)
                away = True
            else:
                if away:
                    log.info("the key holder is back")
                away = False
            if away:
                self._closing.wait(self._away_s)
            else:
                self._wanted.wait(self._limits.age.total_seconds() / 8)
