"""ObjectFolder: sealed bytes in files that are durable before a row names them.

A file is called by 32 random digits. Instances are appended to their study's *pack*, since a file for each would cost
three fsyncs where one is enough for all that wait; a result, which is streamed, has a file of its own. Until a row
names it a file ends in ``.part``. What a crash leaves behind is therefore known, and removed at the next start::

    objects/3f/3f…       named by rows
    objects/3f/3f….part  not yet, or the service died just after: kept if a row names it, removed if none does

A file without ``.part`` that no row names is left alone: the database may be yesterday's backup. So are bytes of a pack
that no row names; they go with the pack. A new process begins new packs. What was written for a transaction that has
failed is deleted at once, unless the database was lost as it ended, and a row may name it.
"""

import fcntl
import io
import logging
import os
import secrets
import threading
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from zweitblick.durable import sync_folder
from zweitblick.errors import StoreDamagedError, StoreError, StoreFullError, StoreUnavailableError
from zweitblick.store.database import FULL_ERRNOS

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

log = logging.getLogger(__name__)

PACK_BYTES = 2**28
"""A pack that has this many is not appended to."""
_OPEN_PACKS = 64
_SYNCING_THREADS = 16
_PART = ".part"
_OWNER_ONLY = 0o600
_LEFT = -1
"""No descriptor: a number that was closed may be another file's by now."""


@dataclass(frozen=True)
class Place:
    """Where a sealed object lies.

    Parameters
    ----------
    file
        Name of the file.
    start, sealed_bytes
        Of the object within it.
    """

    file: str
    start: int
    sealed_bytes: int


@dataclass
class _Pack:
    file: str
    descriptor: int
    size: int = 0


class ObjectFolder:
    """Files of sealed objects; for several threads at once, and several processes in one folder.

    Parameters
    ----------
    root
        Made if it is not there. Must be a file system that keeps what fsync has returned for.

    Raises
    ------
    StoreUnavailableError
        If it cannot be used.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._packs: OrderedDict[str, _Pack] = OrderedDict()
        self._unsettled: set[str] = set()
        self._lock = threading.Lock()
        self._syncing = ThreadPoolExecutor(_SYNCING_THREADS, thread_name_prefix="store fsync")
        with _typed_errors():
            root.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._presence = os.open(root / "lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, _OWNER_ONLY)
        try:
            fcntl.flock(self._presence, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._alone = True
        except BlockingIOError:
            fcntl.flock(self._presence, fcntl.LOCK_SH)
            self._alone = False

    def append(self, sealed: Sequence[tuple[str, Sequence[bytes]]]) -> list[Place]:
        """Append objects to their studies' packs; once it returns they are durable.

        Parameters
        ----------
        sealed
            Token of the study, and the object in pieces.

        Raises
        ------
        StoreFullError
            If there is no room; what had been written is taken back.
        StoreUnavailableError
            If a file cannot be written.
        """
        sizes: dict[str, int] = {}
        with self._lock, _typed_errors():
            try:
                places = [self._append(study, pieces, sizes) for study, pieces in sealed]
                self.sync_folder([self._packs[study].descriptor for study in sizes])
            except OSError:
                self._take_back(sizes)
                raise
            while len(self._packs) > _OPEN_PACKS:
                os.close(self._packs.popitem(last=False)[1].descriptor)
        return places

    def take_back(self, places: Sequence[Place]) -> None:
        """Free what `append` has written last and no row names; what it has written since keeps its place."""
        with self._lock:
            for pack in self._packs.values():
                mine = [place for place in places if place.file == pack.file]
                if mine and pack.size == max(place.start + place.sealed_bytes for place in mine):
                    _cut(pack, min(place.start for place in mine))

    @contextmanager
    def new_file(self) -> Iterator[tuple[str, BinaryIO]]:
        """Give the name and the sink of a file of its own, which is durable once the block has ended.

        Raises
        ------
        StoreFullError, StoreUnavailableError
            If it cannot be written; it is then gone, as when the block raises anything else.
        """
        name = secrets.token_hex(16)
        complete = False
        try:
            with _typed_errors(), os.fdopen(self._create(name), "wb") as sink:
                yield name, sink
                sink.flush()
                os.fsync(sink.fileno())
            complete = True
        finally:
            if not complete:
                self._part(name).unlink(missing_ok=True)

    def settle(self, files: Collection[str]) -> None:
        """Take note that rows name these files, made here, if the disk lets it; nothing is lost if it does not."""
        for file in self._unsettled.intersection(files):
            try:
                self._rename(file)
            except OSError as error:
                log.warning("file %s keeps the name of one that no row names (%s)", file, error.strerror)
            else:
                self._unsettled.discard(file)

    def open(self, place: Place) -> BinaryIO:
        """Open a sealed object for reading, at the place where it is.

        Raises
        ------
        StoreDamagedError
            If the file is gone or ends before the object does.
        StoreUnavailableError
            If it cannot be opened.
        """
        descriptor = self._descriptor(place.file)
        if os.fstat(descriptor).st_size < place.start + place.sealed_bytes:
            os.close(descriptor)
            raise StoreDamagedError(f"file {place.file} is shorter than its rows say; restore it from a backup")
        return io.BufferedReader(_Window(descriptor, place))

    def delete(self, files: Collection[str]) -> None:
        """Delete files that no row names any more."""
        with _typed_errors():
            for file in files:
                self._path(file).unlink(missing_ok=True)
                self._part(file).unlink(missing_ok=True)
                self._unsettled.discard(file)

    def unsettle(self, files: Collection[str]) -> None:
        """Take note that no row will name these files any more; what is not deleted now is swept at the next start."""
        with _typed_errors():
            for file in files:
                with suppress(FileNotFoundError):
                    self._path(file).rename(self._part(file))

    def end_pack(self, study: str) -> None:
        """Append no more to a study's pack."""
        with self._lock:
            if (pack := self._packs.pop(study, None)) is not None:
                os.close(pack.descriptor)

    def sweep(self, named: Callable[[Collection[str]], Collection[str]]) -> None:
        """Remove what a crash has left, unless another process is at work here; once, before anything is written.

        Parameters
        ----------
        named
            Of some names of files, tells those that rows name.
        """
        if self._alone:
            self._sweep(named)
            self._alone = False
            fcntl.flock(self._presence, fcntl.LOCK_SH)

    def close(self) -> None:
        """End all packs and leave; the second time nothing happens."""
        for study in list(self._packs):
            self.end_pack(study)
        self._syncing.shutdown()
        if self._presence != _LEFT:
            os.close(self._presence)
            self._presence = _LEFT

    def _sweep(self, named: Callable[[Collection[str]], Collection[str]]) -> None:
        with _typed_errors():
            parts = [path.stem for path in self._root.glob(f"??/*{_PART}")]
            kept = set(named(parts))
            for file in kept:
                self._rename(file)
            orphans = set(parts) - kept
            self.delete(orphans)
        if orphans:
            log.info("swept %d files that were being written when the service ended", len(orphans))

    def _rename(self, file: str) -> None:
        with suppress(FileNotFoundError):
            self._part(file).rename(self._path(file))

    def _append(self, study: str, pieces: Sequence[bytes], sizes: dict[str, int]) -> Place:
        pack = self._packs.get(study)
        if pack is None or (study not in sizes and pack.size >= PACK_BYTES):
            self._begin_pack(study)
        pack = self._packs[study]
        sizes.setdefault(study, pack.size)
        self._packs.move_to_end(study)
        place = Place(pack.file, pack.size, sum(map(len, pieces)))
        for piece in pieces:
            view = memoryview(piece)
            while view:
                written = os.pwrite(pack.descriptor, view, pack.size)
                pack.size += written
                view = view[written:]
        return place

    def sync_folder(self, descriptors: Sequence[int]) -> None:
        """Sync several at once: a file system with a journal then writes it once, not once for each."""
        if len(descriptors) == 1:
            os.fdatasync(descriptors[0])
        else:
            list(self._syncing.map(os.fdatasync, descriptors))

    def _begin_pack(self, study: str) -> None:
        name = secrets.token_hex(16)
        descriptor = self._create(name)
        if (old := self._packs.get(study)) is not None:
            os.close(old.descriptor)
        self._packs[study] = _Pack(name, descriptor)

    def _create(self, name: str) -> int:
        """Make a file whose name is durable."""
        path = self._part(name)
        with suppress(FileExistsError):
            path.parent.mkdir(mode=0o700)
            sync_folder(self._root)
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, _OWNER_ONLY)
        try:
            sync_folder(path.parent)
        except OSError:
            os.close(descriptor)
            path.unlink(missing_ok=True)
            raise
        self._unsettled.add(name)
        return descriptor

    def _take_back(self, sizes: dict[str, int]) -> None:
        """Free what was written, and never append to these packs again: after a failed fsync nobody knows their end."""
        for study, size in sizes.items():
            pack = self._packs.pop(study)
            with suppress(OSError):
                os.ftruncate(pack.descriptor, size)
            if size == 0:
                self._part(pack.file).unlink(missing_ok=True)
            os.close(pack.descriptor)

    def _descriptor(self, file: str) -> int:
        # it may be settled between the first look and the second
        with _typed_errors():
            for path in (self._path(file), self._part(file), self._path(file)):
                with suppress(FileNotFoundError):
                    return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        raise StoreDamagedError(f"file {file} is gone; restore it from a backup")

    def _path(self, file: str) -> Path:
        return self._root / file[:2] / file

    def _part(self, file: str) -> Path:
        return self._path(file).with_suffix(_PART)


def _cut(pack: _Pack, size: int) -> None:
    """Cut a pack back to a size, if the disk lets it."""
    with suppress(OSError):
        os.ftruncate(pack.descriptor, size)
        pack.size = size


class _Window(io.RawIOBase):
    """One object within a file."""

    def __init__(self, descriptor: int, place: Place) -> None:
        super().__init__()
        self._descriptor = descriptor
        self._start, self._size = place.start, place.sealed_bytes
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        self._position = base + offset
        return self._position

    def readinto(self, buffer: "WriteableBuffer", /) -> int:
        target = memoryview(buffer).cast("B")[: max(0, self._size - self._position)]
        read = os.preadv(self._descriptor, [target], self._start + self._position) if target else 0
        self._position += read
        return read

    def close(self) -> None:
        if not self.closed:
            os.close(self._descriptor)
        super().close()


@contextmanager
def _typed_errors() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise _typed(error) from error


def _typed(error: OSError) -> StoreError:
    if error.errno in FULL_ERRNOS:
        return StoreFullError(f"no room for objects is left ({error.strerror}); free some and send again")
    return StoreUnavailableError(f"the folder of objects cannot be used ({error.strerror}); see to it and send again")
