"""End: where a trail's next entry goes, found and followed by reading what is there."""

from dataclasses import dataclass
from pathlib import Path

from zweitblick.audit.frames import (
    FILE_HEADER_BYTES,
    Entry,
    FileHeader,
    NoFrameError,
    entries_from,
    file_header,
    next_entry_place,
    trail_files,
)
from zweitblick.errors import TrailBrokenError


@dataclass
class End:
    """Where the next entry goes.

    Parameters
    ----------
    path, size
        Of the file that the last entry is in.
    trail
        Id of the trail.
    number, link
        Number of the last entry, and link of the next one.
    last
        The last entry; None if there is none.
    torn
        What stands behind it: the beginning of an entry that was never finished.
    """

    path: Path
    size: int
    trail: bytes
    number: int
    link: bytes
    last: Entry | None = None
    torn: bytes = b""

    def follow(self, entry: Entry) -> None:
        """Take an entry as the last.

        Raises
        ------
        TrailBrokenError
            If it does not follow what was the last.
        """
        if (entry.number, entry.link) != (self.number + 1, self.link):
            raise TrailBrokenError(
                f"entry {entry.number} does not follow entry {self.number} as it was written; keep the trail and "
                "verify it"
            )
        self.number, self.link, self.last = entry.number, entry.next_link, entry
        self.size += entry.packed_bytes


def whole_files(folder: Path) -> list[Path]:
    """Return the files of a trail, without one whose header had not been finished; that one is deleted.

    Raises
    ------
    OSError
        If the folder cannot be read.
    """
    files = trail_files(folder)
    while files and files[-1].stat().st_size <= FILE_HEADER_BYTES:
        try:
            file_header(_start(files[-1]))
        except NoFrameError:
            files.pop().unlink()
        else:
            break
    return files


def end_at_header(path: Path) -> End:
    """Return the end as it was before the first entry of a file.

    Raises
    ------
    TrailBrokenError
        If the header was altered.
    OSError
        If the file cannot be read.
    """
    header = _header(path)
    return End(path, FILE_HEADER_BYTES, header.trail, header.first - 1, header.link)


def read_on(files: list[Path], end: End) -> None:
    """Move the end behind all that is whole.

    Parameters
    ----------
    files
        From `whole_files`.
    end
        As it was last.

    Raises
    ------
    TrailBrokenError
        If something is not as it was written, and no crash explains it.
    OSError
        If a file cannot be read.
    """
    if end.path not in files:
        raise TrailBrokenError(f"the file of entry {end.number} is gone; keep what is left and verify it")
    for path in files[files.index(end.path) :]:
        if path != end.path:
            _enter(path, end)
        _read(path, end)
        if end.torn and path != files[-1]:
            raise _altered(end)


def _enter(path: Path, end: End) -> None:
    if _header(path) != FileHeader(end.trail, end.number + 1, end.link):
        raise TrailBrokenError(f"{path.name} does not follow entry {end.number}; keep the trail and verify it")
    end.path, end.size = path, FILE_HEADER_BYTES


def _read(path: Path, end: End) -> None:
    size = path.stat().st_size
    if size < end.size:
        raise TrailBrokenError(f"entry {end.number} was cut off; keep what is left and verify it")
    if size == end.size:
        end.torn = b""
        return
    with path.open("rb") as file:
        file.seek(end.size)
        data = file.read()
    place = 0
    for place, entry in entries_from(data, 0, end.trail):  # noqa: B007 -- where the last one ends
        end.follow(entry)
    end.torn = data[place:]
    if next_entry_place(data, place, end.trail) < len(data):
        raise _altered(end)


def _header(path: Path) -> FileHeader:
    try:
        return file_header(_start(path))
    except NoFrameError:
        raise TrailBrokenError(f"the header of {path.name} was altered; keep the trail and verify it") from None


def _start(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(FILE_HEADER_BYTES)


def _altered(end: End) -> TrailBrokenError:
    return TrailBrokenError(f"entry {end.number + 1} was altered; keep the trail and verify it")
