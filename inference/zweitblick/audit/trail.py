"""Trail: the only way onto the record. An entry is durable before what it tells of goes on, or that does not go on.

All processes of a machine that share a trail's folder take turns by its lock, so that there is one writer at a time.
Each entry is sealed, chained to the one before and signed, and synced by itself. What a crash may leave behind is the
beginning of one entry that nobody was told of: the next writer puts an entry in its place that says so. Anything else
that is not as it was written is no crash, and the trail takes nothing more.
"""

import fcntl
import hashlib
import logging
import os
import secrets
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from zweitblick.audit import codes
from zweitblick.audit.codes import Outcome
from zweitblick.audit.end import End, end_at_header, read_on, whole_files
from zweitblick.audit.events import security_alert
from zweitblick.audit.frames import (
    FILE_HEADER_BYTES,
    MOST_SEALED_BYTES,
    NO_LINK,
    TRAIL_BYTES,
    FileHeader,
    file_name,
    made_entry,
)
from zweitblick.audit.head import SignedHead
from zweitblick.audit.message import AuditEvent, Participant, Source, xml
from zweitblick.durable import sync_folder
from zweitblick.errors import AuditReadError, AuditWriteError
from zweitblick.signing.keys import Ed25519Signer

log = logging.getLogger(__name__)

FILE_BYTES = 2**24
"""What a start must read is bounded by this, and old files can be put away."""

LOCK = "lock"

_OWNER_ONLY = 0o600


class Sealer(Protocol):
    """Seals and opens messages under a key that outlives every study; for several threads at once."""

    def seal(self, plain: bytes, /, *, name: str) -> bytes:
        """Seal bytes so that they open under this name only."""
        ...

    def open(self, sealed: bytes, /, *, name: str) -> bytes:
        """Open what was sealed under a name.

        Raises
        ------
        ZweitblickError
            If it was changed, or sealed under another name or key.
        """
        ...


class Trail:
    """An append-only record of events; for several threads at once, and several processes of one machine.

    Used with ``with``, or closed.

    Parameters
    ----------
    folder
        Made if it is not there. Must be a local file system that keeps what fsync has returned for.
    sealer
        Seals messages, since they name patients.
    signer
        Signs every entry.
    source
        Who reports.
    clock
        Tells the time, aware.
    file_bytes
        A file that has this many is not appended to.

    Raises
    ------
    AuditWriteError
        If the folder cannot be used.
    TrailBrokenError
        If entries of the last file were altered or removed. Only `zweitblick.audit.verification` sees everything.
    """

    def __init__(
        self,
        folder: Path,
        sealer: Sealer,
        signer: Ed25519Signer,
        *,
        source: Source,
        clock: Callable[[], datetime],
        file_bytes: int = FILE_BYTES,
    ) -> None:
        self._file_bytes = file_bytes
        self._folder, self._sealer, self._signer = folder, sealer, signer
        self._source, self._clock = source, clock
        self._end: End | None = None
        self._turn = threading.Lock()
        with _typed_errors():
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = (folder / LOCK).open("wb")
        try:
            with self._alone() as end:
                self._tell_what_was_torn(end)
        except BaseException:
            self.close()
            raise

    @property
    def process(self) -> Participant:
        """The process that acts, by its id (PS3.15 section A.5.2.1)."""
        return Participant(str(os.getpid()), user_name="zweitblick")

    def record(self, event: AuditEvent, /) -> int:
        """Put an event on record, and return its number once it is durable.

        Raises
        ------
        AuditWriteError
            If it cannot be written. What it tells of must not happen.
        TrailBrokenError
            If the trail is not as it was written.
        ZweitblickError
            If it cannot be sealed.
        """
        with self._alone() as end:
            self._tell_what_was_torn(end)
            return self._append(end, event)

    def signed_head(self) -> SignedHead:
        """Return the signed head of all that is on record.

        Raises
        ------
        AuditReadError
            If nothing is.
        AuditWriteError, TrailBrokenError
            As from `record`.
        """
        with self._alone() as end:
            if end.last is None:
                raise AuditReadError("the audit trail has no entry here yet; put one on record first")
            return end.last.signed_head(end.trail)

    def close(self) -> None:
        """Take nothing more; the second time nothing happens."""
        self._lock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @contextmanager
    def _alone(self) -> Iterator[End]:
        """Take a turn, and give the end as all processes have left it."""
        with self._turn, _typed_errors():
            if self._lock.closed:
                raise AuditWriteError("the audit trail is closed; open it again")
            fcntl.flock(self._lock, fcntl.LOCK_EX)
            try:
                yield self._caught_up()
            finally:
                fcntl.flock(self._lock, fcntl.LOCK_UN)

    def _caught_up(self) -> End:
        files = whole_files(self._folder)
        if self._end is None:
            files = files or [self._new_file(FileHeader(secrets.token_bytes(TRAIL_BYTES), 1, NO_LINK))]
            # the last file may have no entry yet, and the last entry is asked for
            self._end = end_at_header(files[-2:][0])
        read_on(files, self._end)
        return self._end

    def _tell_what_was_torn(self, end: End) -> None:
        """Put an entry in the place of what a crash has left, so that it never goes unsaid."""
        if not end.torn:
            return
        text = (
            f"an entry {end.number + 1} of which {len(end.torn)} bytes were there had not been finished and was cut; "
            f"SHA-256 {hashlib.sha256(end.torn).hexdigest()}"
        )
        log.warning("audit trail: %s", text)
        self._append(
            end,
            security_alert(
                codes.RECORDING_STARTED,
                self.process,
                subject=self._folder.resolve().as_uri(),
                text=text,
                outcome=Outcome.MINOR_FAILURE,
            ),
        )

    def _append(self, end: End, event: AuditEvent) -> int:
        if end.size >= self._file_bytes and not end.torn:
            end.path = self._new_file(FileHeader(end.trail, end.number + 1, end.link))
            end.size = FILE_HEADER_BYTES
        plain = xml(event, at=self._clock(), source=self._source)
        sealed = self._sealer.seal(plain, name=sealed_name(end.trail, end.number + 1))
        if len(sealed) > MOST_SEALED_BYTES:
            raise AuditWriteError(f"an audit message of {len(plain)} bytes is too long; refuse what it tells of")
        entry = made_entry(end.trail, end.number + 1, end.link, sealed, self._signer)
        _write(end, entry.packed())
        end.torn = b""
        end.follow(entry)
        return end.number

    def _new_file(self, header: FileHeader) -> Path:
        path = self._folder / file_name(header.first)
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, _OWNER_ONLY)
        try:
            _write_at(descriptor, header.packed(), 0)
            os.fsync(descriptor)
        except OSError:
            path.unlink()
            raise
        finally:
            os.close(descriptor)
        sync_folder(self._folder)
        return path


def sealed_name(trail: bytes, number: int) -> str:
    """Return the name under which a message is sealed."""
    return f"{trail.hex()}/{number}"


def _write(end: End, packed: bytes) -> None:
    """Make bytes durable at the end; what was torn there goes, and so does what a fault leaves."""
    descriptor = os.open(end.path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        _write_at(descriptor, packed, end.size)
        os.ftruncate(descriptor, end.size + len(packed))
        os.fdatasync(descriptor)
    except OSError:
        if not end.torn:
            with suppress(OSError):
                os.ftruncate(descriptor, end.size)
        raise
    finally:
        os.close(descriptor)


def _write_at(descriptor: int, data: bytes, place: int) -> None:
    view = memoryview(data)
    while view:
        written = os.pwrite(descriptor, view, place)
        view, place = view[written:], place + written


@contextmanager
def _typed_errors() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise AuditWriteError(
            f"the audit trail cannot be written ({error.strerror}), so that nothing may happen; make room or see to it"
        ) from error
