"""TrailReader: a trail's messages, opened, in the order in which they were put on record."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from zweitblick.audit.frames import FILE_HEADER_BYTES, SUFFIX, NoFrameError, entries_from, file_header, trail_files
from zweitblick.audit.head import SignedHead
from zweitblick.audit.trail import LOCK, Sealer, sealed_name
from zweitblick.errors import AuditReadError, TrailBrokenError


@dataclass(frozen=True)
class Recorded:
    """An entry of a trail.

    Parameters
    ----------
    number
        From 1.
    message
        The audit message, as XML; it names patients.
    head
        Signed head of the trail up to this entry.
    """

    number: int
    message: bytes = field(repr=False)
    head: SignedHead


class TrailReader:
    """Reads a trail while it is written; not for several threads at once.

    What it gives out is durable: it waits for whoever is writing. It verifies that entries are as they were written,
    and not that none is missing.

    Parameters
    ----------
    folder
        Of the trail.
    sealer
        Opens messages.
    """

    def __init__(self, folder: Path, sealer: Sealer) -> None:
        self._folder, self._sealer = folder, sealer
        self._path, self._place, self._number = folder, 0, 0

    def after(self, number: int, *, most: int) -> list[Recorded]:
        """Return the entries that follow one; fewer than the most only where there are no more.

        Parameters
        ----------
        number
            Of the entry that was read last; 0 to begin.
        most
            So many at most.

        Raises
        ------
        AuditReadError
            If the folder cannot be read.
        TrailBrokenError
            If the entry that follows is not there, and a later one is.
        ZweitblickError
            If a message cannot be opened.
        """
        found: list[Recorded] = []
        with self._durable() as files:
            for path in self._files_from(files, number + 1):
                found += self._read(path, after=number + len(found), most=most - len(found))
                if len(found) == most:
                    break
        if [one.number for one in found] != list(range(number + 1, number + 1 + len(found))):
            raise TrailBrokenError(f"an entry behind entry {number} is not there; verify the trail")
        return found

    @contextmanager
    def _durable(self) -> Iterator[list[Path]]:
        """Let nobody write, so that all that can be read is durable, and give the files."""
        try:
            with (self._folder / LOCK).open("rb") as lock:
                fcntl.flock(lock, fcntl.LOCK_SH)
                yield trail_files(self._folder)
        except OSError as error:
            raise AuditReadError(f"audit trail {self._folder} cannot be read ({error.strerror}); see to it") from error

    def _files_from(self, files: list[Path], number: int) -> list[Path]:
        """Return the file of an entry and those behind it."""
        before = [index for index, path in enumerate(files) if int(path.name.removesuffix(SUFFIX)) <= number]
        return files[before[-1] :] if before else files

    def _read(self, path: Path, *, after: int, most: int) -> list[Recorded]:
        with path.open("rb") as file:
            trail, first = _header(file.read(FILE_HEADER_BYTES), path)
            if (path, after) != (self._path, self._number) or after < first:
                self._path, self._place, self._number = path, FILE_HEADER_BYTES, first - 1
            file.seek(self._place)
            data = file.read()
        found: list[Recorded] = []
        start = self._place
        for end, entry in entries_from(data, 0, trail):
            if len(found) == most:
                break
            self._place, self._number = start + end, entry.number
            if entry.number > after:
                message = self._sealer.open(entry.sealed, name=sealed_name(trail, entry.number))
                found.append(Recorded(entry.number, message, entry.signed_head(trail)))
        return found


def _header(start: bytes, path: Path) -> tuple[bytes, int]:
    try:
        header = file_header(start)
    except NoFrameError:
        raise AuditReadError(f"{path.name} is no file of an audit trail; verify the trail") from None
    return header.trail, header.first
