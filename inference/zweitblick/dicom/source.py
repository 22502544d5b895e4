"""Files of a study: from a folder, a zip archive or a list of either, with limits that hostile input cannot pass."""

import errno
import lzma
import os
import stat
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import IO

from zweitblick.errors import (
    ArchiveTooLargeError,
    DamagedArchiveError,
    SourceMissingError,
    TooManyFilesError,
    UnsafeArchiveError,
)

_CHUNK_BYTES = 1 << 20
_ZIP_SIGNATURES = (b"PK\x03\x04", b"PK\x05\x06")
_PREAMBLE_BYTES = 128


@dataclass(frozen=True)
class Limits:
    """What a source may hold at most. Our own rule: DICOM sets none.

    Parameters
    ----------
    files
        Files of a study. A large MR study has some 10,000 instances (functional series as single slices).
    unpacked_bytes
        Bytes that one archive may unpack to, counted while inflating: what its directory claims is not believed.
    ratio
        Unpacked to packed size. MR seldom passes 10; DEFLATE can reach 1032 (RFC 1951).
    ratio_from_bytes
        The ratio is checked once so much is unpacked, so that a small study of mostly air may pass it.
    """

    files: int = 50_000
    unpacked_bytes: int = 20 * 2**30
    ratio: float = 100.0
    ratio_from_bytes: int = 2**30


LIMITS = Limits()


@contextmanager
def opened(source: Path | Sequence[Path], *, limits: Limits = LIMITS) -> Iterator[tuple[Path, ...]]:
    """Paths of all files that a source holds, sorted; archives lie in a private temporary folder until the end.

    A folder is walked to its end; a symbolic link that leads out of it is left out, as is anything that is no plain
    file. An archive within a folder or within another archive is not unpacked, so bombs do not nest.

    Parameters
    ----------
    source
        A folder, a zip archive, a file, or several of them.
    limits
        See `Limits`.

    Raises
    ------
    SourceMissingError
        If nothing is there, or what is there cannot be read: a folder that cannot be listed, a file not opened.
    TooManyFilesError
        If there are more files than ``limits.files``.
    UnsafeArchiveError
        If an entry's name is absolute or has ``..``, or an entry is a link or a device.
    ArchiveTooLargeError
        If an archive passes ``limits`` or the room on the disk.
    DamagedArchiveError
        If an archive is cut short, has a wrong checksum, or is encrypted.
    """
    sources = [source] if isinstance(source, Path) else list(source)
    with tempfile.TemporaryDirectory(prefix="zweitblick-") as room:
        found: list[Path] = []
        for number, one in enumerate(sources, start=1):
            found += _files(one, Path(room) / str(number), limits)
            _check_count(len(found), limits)
        yield tuple(found)


def _files(source: Path, room: Path, limits: Limits) -> list[Path]:
    with _readable(room.name):
        if source.is_dir():
            return _walked(source, limits)
        if not source.is_file():
            raise SourceMissingError(f"source {room.name} is neither a folder nor a file; check the path")
        is_zip = _is_zip(source)
    return _unpacked(source, room, limits) if is_zip else [source]


@contextmanager
def _readable(number: str) -> Iterator[None]:
    """Name a source by its number: its path may be a patient's name."""
    try:
        yield
    except OSError as error:
        raise SourceMissingError(
            f"source {number} cannot be read ({error.strerror or type(error).__name__}); "
            "check the path and its permissions"
        ) from error


def _walked(folder: Path, limits: Limits) -> list[Path]:
    root = folder.resolve()
    found: list[Path] = []
    for where, _, names in os.walk(root, onerror=_unlistable):
        paths = (Path(where, name) for name in names)
        found += [path for path in paths if _stays_within(path, root)]
        _check_count(len(found), limits)
    return sorted(found)


def _unlistable(error: OSError) -> None:
    raise SourceMissingError(
        f"a folder of the source cannot be listed ({type(error).__name__}); check its permissions"
    ) from error


def _stays_within(path: Path, root: Path) -> bool:
    # realpath, for Path.resolve raises on a link that leads to itself.
    if path.is_symlink() and not Path(os.path.realpath(path)).is_relative_to(root):
        return False
    return path.is_file()


def _check_count(count: int, limits: Limits) -> None:
    if count > limits.files:
        raise TooManyFilesError(f"more than {limits.files} files; give one study at a time")


def _is_zip(path: Path) -> bool:
    with path.open("rb") as file:
        head = file.read(_PREAMBLE_BYTES + 4)
    return head.startswith(_ZIP_SIGNATURES) and head[_PREAMBLE_BYTES:] != b"DICM"


def _unpacked(archive: Path, room: Path, limits: Limits) -> list[Path]:
    room.mkdir()
    try:
        with zipfile.ZipFile(archive) as opened_archive:
            entries = [entry for entry in opened_archive.infolist() if not entry.is_dir()]
            _check_count(len(entries), limits)
            for entry in entries:
                _check_entry(entry)
            packed_bytes = archive.stat().st_size
            budget = Budget(limits, lambda: packed_bytes)
            return [
                _inflated(opened_archive, entry, room / f"{number:06d}", budget)
                for number, entry in enumerate(entries, start=1)
            ]
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise ArchiveTooLargeError("the archive does not fit on the disk for temporary files; free some") from error
        raise DamagedArchiveError(f"the archive cannot be unpacked ({type(error).__name__}); send it again") from error
    except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, ValueError, RuntimeError) as error:
        # RuntimeError: zipfile's word for an encrypted entry (and, as NotImplementedError, for an unknown method).
        raise DamagedArchiveError(
            f"the archive cannot be unpacked ({type(error).__name__}); make it again, not encrypted"
        ) from error


def _check_entry(entry: zipfile.ZipInfo) -> None:
    """Refuse names that would leave the folder (we never use them, yet an archive that has them is an attack)."""
    if leaves_folder(entry.filename):
        raise UnsafeArchiveError("an entry of the archive has an absolute path or '..' in its name; do not trust it")
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if kind not in (0, stat.S_IFREG):
        raise UnsafeArchiveError("an entry of the archive is a link or a device, not a file; do not trust it")


def leaves_folder(name: str) -> bool:
    """Tell whether a file of this name, on whatever system, would lie outside of its folder."""
    windows, posix = PureWindowsPath(name), PurePosixPath(name)
    return posix.is_absolute() or bool(windows.drive or windows.root) or ".." in windows.parts


class Budget:
    """Bytes that one archive may still unpack to.

    Parameters
    ----------
    limits
        See `Limits`.
    packed_bytes
        Tells how long the archive is, as far as is known by now.
    """

    def __init__(self, limits: Limits, packed_bytes: Callable[[], int]) -> None:
        self._limits = limits
        self._packed_bytes = packed_bytes
        self._unpacked_bytes = 0

    def spend(self, count: int) -> None:
        """Take note of some unpacked bytes.

        Raises
        ------
        ArchiveTooLargeError
            If they are too many.
        """
        self._unpacked_bytes += count
        if self._unpacked_bytes > self._limits.unpacked_bytes:
            raise ArchiveTooLargeError(f"the archive unpacks to more than {self._limits.unpacked_bytes} bytes")
        if self._unpacked_bytes > max(self._limits.ratio_from_bytes, self._limits.ratio * self._packed_bytes()):
            raise ArchiveTooLargeError(f"the archive unpacks to more than {self._limits.ratio:g} times its size")


def _inflated(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, path: Path, budget: Budget) -> Path:
    """Write one entry under a number of ours: its own name may be hostile, or a patient's."""
    with archive.open(entry) as packed, path.open("wb") as unpacked:
        _copy(packed, unpacked, budget)
    return path


def _copy(packed: IO[bytes], unpacked: IO[bytes], budget: Budget) -> None:
    while chunk := packed.read(_CHUNK_BYTES):
        budget.spend(len(chunk))
        unpacked.write(chunk)
