"""Buffers of what comes in fragments: each has a limit, and all of them together have one."""

from io import BytesIO
from threading import Lock

from zweitblick.errors import InstanceTooLargeError, ReceptionFullError

UNCOUNTED_BYTES = 2**20
"""Data sets up to so long are not counted: ordinary slices take no lock, and are not refused because of large ones."""

STEP_BYTES = 2**20
"""Longer ones are counted in steps of so many bytes."""


class HeldBytes:
    """How much more all long data sets may grow that are held at the time; for several threads at once.

    Whoever would go beyond is refused and lets go of what he has, so that nobody waits for anybody.

    Parameters
    ----------
    most
        Bytes that they may have together.
    """

    def __init__(self, most: int) -> None:
        self._left = most
        self._changing = Lock()

    def take(self, count: int) -> bool:
        """Count some bytes more as held; False, and nothing happens, if they are too many."""
        with self._changing:
            fits = count <= self._left
            if fits:
                self._left -= count
            return fits

    def give_back(self, count: int) -> None:
        """Count some bytes as held no longer."""
        with self._changing:
            self._left += count


class BoundedBuffer(BytesIO):
    """Takes any number of bytes and holds none as soon as there are more than it may hold.

    Parameters
    ----------
    limit
        It never holds more.
    held
        Counts what it holds, once that is more than `UNCOUNTED_BYTES`; None does not count.
    """

    def __init__(self, limit: int, held: HeldBytes | None = None) -> None:
        super().__init__()
        self._limit = limit
        self._held = held
        self._counted = 0
        self._allowed = limit if held is None else min(limit, UNCOUNTED_BYTES)
        self._is_too_long = self._is_crowded_out = False

    @property
    def is_dropped(self) -> bool:
        """Whether there were more bytes than it may hold."""
        return self._is_too_long or self._is_crowded_out

    def content(self) -> bytes:
        """Return what was written.

        Raises
        ------
        InstanceTooLargeError
            If that was more than the limit.
        ReceptionFullError
            If that was more than could be held at the time.
        """
        if self._is_too_long:
            raise InstanceTooLargeError("a data set is longer than maximum_instance_bytes; raise the limit or split it")
        if self._is_crowded_out:
            raise ReceptionFullError(
                "all data sets that are received now are longer together than maximum_held_bytes; send it again, or "
                "raise the limit"
            )
        return self.getvalue()

    def write(self, data: memoryview, /) -> int:  # type: ignore[override]  # of bytes, nothing else is written
        """Append, or let go of everything."""
        end = self.tell() + len(data)
        if self.is_dropped or (end > self._allowed and not self._may_grow(end)):
            return len(data)
        return super().write(data)

    def let_go(self) -> None:
        """Hold nothing any more; the second time nothing happens."""
        self.seek(0)
        self.truncate()
        if self._held is not None:
            self._held.give_back(self._counted)
        self._counted = 0

    def _may_grow(self, end: int) -> bool:
        wanted = min(self._limit, -(-end // STEP_BYTES) * STEP_BYTES)
        self._is_too_long = end > self._limit
        self._is_crowded_out = not self._is_too_long and not self._is_counted(wanted)
        if self.is_dropped:
            self.let_go()
            return False
        self._allowed = wanted
        return True

    def _is_counted(self, size: int) -> bool:
        """Whether it may hold so many bytes, and is counted for them."""
        if self._held is None or not self._held.take(size - self._counted):
            return self._held is None
        self._counted = size
        return True
