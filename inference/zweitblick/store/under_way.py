"""UnderWay: what workflows do in this process, so that its end begins no more of them and waits for those."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from zweitblick.store.absence import HandedBack


class UnderWay:
    """Counts what is under way; for several threads at once.

    Attributes
    ----------
    closing
        Set once nothing is to begin any more.
    """

    def __init__(self) -> None:
        self.closing = threading.Event()
        self._changed = threading.Condition()
        self._count = 0

    @contextmanager
    def one(self) -> Iterator[None]:
        """Be under way while the block lasts.

        Raises
        ------
        HandedBack
            If nothing is to begin any more. The block is then not entered.
        """
        with self._changed:
            if self.closing.is_set():
                raise HandedBack
            self._count += 1
        try:
            yield
        finally:
            with self._changed:
                self._count -= 1
                self._changed.notify_all()

    def close(self) -> None:
        """Let nothing begin any more, and wait for what is under way."""
        self.closing.set()
        with self._changed:
            self._changed.wait_for(lambda: not self._count)
