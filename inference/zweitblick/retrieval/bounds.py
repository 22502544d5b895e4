"""Bounds: how much is fetched from elsewhere, how long it may take, and how it ends early."""

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from zweitblick.errors import PeerAnswerError, PeerTimeoutError
from zweitblick.store.absence import HandedBack


@dataclass(frozen=True)
class Bounds:
    """How much is fetched, and how long it may take.

    Parameters
    ----------
    studies
        So many are tried, one after the other.
    instances, content_bytes
        Of one study. The second is counted over HTTP; over DIMSE our receiver bounds each instance.
    fetch_s
        For one study.
    read_s
        Until a study that was fetched is read.
    begun_s
        Until what a study is held back for has begun, that is waited for.
    lookup_s
        After so long no further study is tried.
    """

    studies: int = 3
    instances: int = 10_000
    content_bytes: int = 4 * 2**30
    fetch_s: float = 600.0
    read_s: float = 900.0
    begun_s: float = 10.0
    lookup_s: float = 3600.0


BOUNDS = Bounds()


@dataclass
class Allowance:
    """What is left of the bounds for one study.

    Parameters
    ----------
    bounds
        Of which.
    closing
        Set when the service closes.
    name
        Of the archive, for messages.
    """

    bounds: Bounds
    closing: threading.Event
    name: str
    _end: float = field(init=False)
    _bytes_left: int = field(init=False)

    def __post_init__(self) -> None:
        self._end = time.monotonic() + self.bounds.fetch_s
        self._bytes_left = self.bounds.content_bytes

    def left_s(self) -> float:
        """Return how many seconds are left, more than 0.

        Raises
        ------
        PeerTimeoutError
            If none is.
        HandedBack
            If the service is closing.
        """
        if self.closing.is_set():
            raise HandedBack
        left = self._end - time.monotonic()
        if left <= 0:
            raise PeerTimeoutError(f"{self.name} did not send a study within {self.bounds.fetch_s:g} s")
        return left

    def counted(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        """Yield pieces of a body as long as they are within the bounds.

        Raises
        ------
        PeerAnswerError
            If there are too many bytes.
        PeerTimeoutError, HandedBack
            As from `left_s`.
        """
        for piece in pieces:
            self.left_s()
            self._bytes_left -= len(piece)
            if self._bytes_left < 0:
                raise PeerAnswerError(f"{self.name} sends a study of more than {self.bounds.content_bytes} bytes")
            yield piece
