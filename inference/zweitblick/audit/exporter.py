"""SyslogExporter: what is on record goes to a syslog receiver too, however long it is away.

The trail itself is the queue: nothing is held in memory but one batch, and only the number of the last entry that was
delivered is kept, in a file. Syslog has no acknowledgement. So an entry counts as delivered once the receiver's machine
has acknowledged its bytes and the connection has held for a while, and the last `AGAIN` entries are sent again on every
new connection, since a receiver that died may have lost them. A receiver knows what it has by the sequenceId.
"""

import fcntl
import logging
import os
import ssl
import threading
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from zweitblick.audit.connection import DRAIN_S, check_alive, connected_to, wait_until_acknowledged
from zweitblick.audit.reader import TrailReader
from zweitblick.audit.syslog import Origin, Receiver, audit_frame, head_frame
from zweitblick.errors import AuditReadError, AuditWriteError, ZweitblickError

log = logging.getLogger(__name__)

BATCH = 64
"""So many entries are in memory at once."""

AGAIN = 256
"""So many entries are repeated on a new connection: more than a receiver reads before it hands them on."""


@dataclass(frozen=True)
class Times:
    """How long it is waited for what, in seconds.

    Parameters
    ----------
    poll_s
        Until it is looked for new entries again; several processes may write them.
    retry_s
        Until an absent receiver is tried again.
    settle_s
        An entry counts as delivered if the connection holds so long; in TLS 1.3 a refusal comes after the first bytes.
    closing_s
        At the end, if there is something to deliver still.
    """

    poll_s: float = 0.5
    retry_s: float = 5.0
    settle_s: float = 1.0
    closing_s: float = 5.0


class SyslogExporter:
    """Sends a trail's entries to a receiver, from construction until `close`; one process at a time.

    Parameters
    ----------
    reader
        Of the trail; used by nobody else.
    receiver
        Where they go.
    origin
        Who we are.
    position
        File that keeps the number of the last entry that was delivered.
    times
        To wait.

    Raises
    ------
    AuditReadError
        If the file cannot be read, or holds no number.
    AuditWriteError
        If another process delivers from this position already, or it cannot be written.
    """

    def __init__(
        self,
        reader: TrailReader,
        receiver: Receiver,
        origin: Origin,
        *,
        position: Path,
        times: Times = Times(),
    ) -> None:
        self._reader, self._receiver, self._origin = reader, receiver, origin
        self._times = times
        self._position = _Position(position)
        self._closing = threading.Event()
        self._end = float("inf")
        self._thread = threading.Thread(target=self._run, name="audit syslog")
        self._thread.start()

    @property
    def delivered(self) -> int:
        """Number of the last entry that was delivered."""
        return self._position.number

    def close(self) -> None:
        """Deliver what can be in time, and end; the rest goes at the next start."""
        self._end = time.monotonic() + self._times.closing_s
        self._closing.set()
        self._thread.join()
        self._position.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _run(self) -> None:
        while not self._is_done() and not self._closing.wait(self._times.retry_s):
            continue

    def _is_done(self) -> bool:
        """Deliver to the end, or for as long as the receiver is there."""
        try:
            with connected_to(self._receiver) as connection:
                self._deliver(connection)
        except (OSError, ZweitblickError) as error:  # ssl.SSLError is an OSError
            name = error.code if isinstance(error, ZweitblickError) else type(error).__name__
            log.warning("audit entries after %d wait, since the receiver is away: %s", self.delivered, name)
            return False
        return True

    def _deliver(self, connection: ssl.SSLSocket) -> None:
        """Deliver until the end; raises if the connection breaks."""
        sent = max(0, self.delivered - AGAIN)
        unsettled: deque[tuple[float, int]] = deque()
        while True:
            is_ending = self._closing.is_set()
            batch = self._reader.after(sent, most=BATCH)
            if batch:
                frames = [audit_frame(one, self._origin) for one in batch]
                connection.sendall(b"".join(frames) + head_frame(batch[-1], self._origin))
                wait_until_acknowledged(connection)
                sent = batch[-1].number
                unsettled.append((time.monotonic() + self._times.settle_s, sent))
            self._settle(connection, unsettled)
            if is_ending and ((not batch and not unsettled) or time.monotonic() > self._end):
                return
            if not batch:
                time.sleep(DRAIN_S) if is_ending else self._closing.wait(self._times.poll_s)

    def _settle(self, connection: ssl.SSLSocket, unsettled: deque[tuple[float, int]]) -> None:
        """Note as delivered what was sent some time ago, if the connection has held since."""
        check_alive(connection)
        settled = self.delivered
        while unsettled and unsettled[0][0] <= time.monotonic():
            settled = max(settled, unsettled.popleft()[1])
        self._position.move(settled)


class _Position:
    """A number in a file, which is replaced as a whole; held by one process."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._lock = path.with_name(path.name + ".lock").open("wb")
        except OSError as error:
            raise AuditWriteError(f"{path} cannot be written ({error.strerror}); choose another folder") from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self.number = int(path.read_text(encoding="ascii")) if path.exists() else 0
        except BlockingIOError:
            self._lock.close()
            raise AuditWriteError(f"another process delivers the audit trail from {path}; stop it") from None
        except (OSError, ValueError) as error:
            self._lock.close()
            raise AuditReadError(f"{path} holds no number; delete it, and all is delivered again") from error

    def move(self, number: int) -> None:
        if number == self.number:
            return
        new = self._path.with_name(self._path.name + ".new")
        with new.open("w", encoding="ascii") as file:
            file.write(str(number))
            file.flush()
            os.fsync(file.fileno())
        new.replace(self._path)
        self.number = number

    def close(self) -> None:
        self._lock.close()
