"""Entries of a trail as they lie in its files.

::

    folder/0000000000000001.trail     called by the number of its first entry
    folder/0000000000004711.trail     begun once the one before had grown large

    file    mark 4 | trail 16 | number of the first entry 8 | link 32 | entry | entry | ...
    entry   mark 4 | bytes sealed 4 | number 8 | link 32 | head 32 | signature 64 | sealed message

    head       SHA-256(domain, trail, number, link, sealed)
    signature  Ed25519 over domain, trail, number and head
    link       of the first entry 32 zeros, then SHA-256(head, signature) of the entry before

So an entry shows by itself whether it was altered, and its link whether it stands where it was written. Nothing here
needs the key that opens messages. Numbers are big-endian.
"""

import hashlib
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from zweitblick.audit.head import SIGNATURE_BYTES, SignedHead, signed_bytes
from zweitblick.signing.keys import Ed25519Signer

SUFFIX = ".trail"
FILE_MARK = b"zwA\x01"
ENTRY_MARK = b"zwa\x01"
TRAIL_BYTES = 16
NO_LINK = bytes(32)
"""Link of the first entry."""
MOST_SEALED_BYTES = 2**20
"""A sealed message is not longer; the longest of ours has some hundred SOP classes and less than 64 KiB."""

MOST_TRIALS = 1000
"""By chance a mark comes once in 4 GiB of sealed bytes."""

_DOMAIN = b"zweitblick audit entry 1"
_FILE = struct.Struct(f">4s{TRAIL_BYTES}sQ32s")
_ENTRY = struct.Struct(f">4sLQ32s32s{SIGNATURE_BYTES}s")
FILE_HEADER_BYTES = _FILE.size


class NoFrameError(ValueError):
    """Bytes are no file header, or no entry, that is whole and unaltered."""


@dataclass(frozen=True)
class FileHeader:
    """What a file begins with.

    Parameters
    ----------
    trail
        Id of the trail, 16 bytes.
    first
        Number of the first entry.
    link
        Of the first entry.
    """

    trail: bytes
    first: int
    link: bytes

    def packed(self) -> bytes:
        """Return it as it lies in the file."""
        return _FILE.pack(FILE_MARK, self.trail, self.first, self.link)


@dataclass(frozen=True)
class Entry:
    """A sealed audit message on the chain.

    Parameters
    ----------
    number
        From 1.
    link, head, signature
        See the module.
    sealed
        The message, enciphered.
    """

    number: int
    link: bytes
    head: bytes
    signature: bytes
    sealed: bytes

    @property
    def next_link(self) -> bytes:
        """Link of the entry that follows."""
        return hashlib.sha256(self.head + self.signature).digest()

    @property
    def packed_bytes(self) -> int:
        """Length within its file."""
        return _ENTRY.size + len(self.sealed)

    def packed(self) -> bytes:
        """Return it as it lies in the file."""
        fixed = _ENTRY.pack(ENTRY_MARK, len(self.sealed), self.number, self.link, self.head, self.signature)
        return fixed + self.sealed

    def signed_head(self, trail: bytes) -> SignedHead:
        """Return the head of the trail up to here."""
        return SignedHead(trail.hex(), self.number, self.head.hex(), self.signature.hex())


def made_entry(trail: bytes, number: int, link: bytes, sealed: bytes, signer: Ed25519Signer) -> Entry:
    """Put a sealed message on the chain."""
    head = _head(trail, number, link, sealed)
    return Entry(number, link, head, signer.sign(signed_bytes(trail, number, head)), sealed)


def file_header(data: bytes) -> FileHeader:
    """Read a file's header.

    Raises
    ------
    NoFrameError
        If it is none.
    """
    if len(data) < _FILE.size or not data.startswith(FILE_MARK):
        raise NoFrameError
    return FileHeader(*_FILE.unpack_from(data)[1:])


def entry_at(data: bytes, place: int, trail: bytes) -> Entry:
    """Read the entry at a place of a file; its own head is right.

    Raises
    ------
    NoFrameError
        If there is none, or it is not whole, or not as it was written.
    """
    if len(data) < place + _ENTRY.size:
        raise NoFrameError
    mark, size, number, link, head, signature = _ENTRY.unpack_from(data, place)
    if size > MOST_SEALED_BYTES:
        raise NoFrameError
    sealed = data[place + _ENTRY.size : place + _ENTRY.size + size]
    if mark != ENTRY_MARK or len(sealed) != size or head != _head(trail, number, link, sealed):
        raise NoFrameError
    return Entry(number, link, head, signature, sealed)


def next_entry_place(data: bytes, place: int, trail: bytes) -> int:
    """Return where the next unaltered entry behind a place begins, or the end.

    It is looked at `MOST_TRIALS` marks at most, so that nobody can make it take for ever.
    """
    for _ in range(MOST_TRIALS):
        place = data.find(ENTRY_MARK, place + 1)
        if place < 0:
            break
        try:
            entry_at(data, place, trail)
        except NoFrameError:
            continue
        return place
    return len(data)


def is_begun(data: bytes, number: int) -> bool:
    """Tell whether bytes are the beginning of an entry of this number whose end was not written."""
    fixed = struct.pack(">Q", number)
    if data[:4] != ENTRY_MARK[: len(data)] or data[8:16] != fixed[: max(0, len(data) - 8)]:
        return False
    if len(data) < 8:
        return True
    size = int.from_bytes(data[4:8], "big")
    return size <= MOST_SEALED_BYTES and len(data) < _ENTRY.size + size


def trail_files(folder: Path) -> list[Path]:
    """Return the files of a trail, in the order of their entries.

    Raises
    ------
    OSError
        If the folder cannot be read.
    """
    return sorted(path for path in folder.iterdir() if path.suffix == SUFFIX)


def file_name(first: int) -> str:
    """Return what a file is called."""
    return f"{first:016d}{SUFFIX}"


def entries_from(data: bytes, place: int, trail: bytes) -> Iterator[tuple[int, Entry]]:
    """Yield the entries from a place on, each with where it ends, up to the first that is not whole and unaltered."""
    while True:
        try:
            entry = entry_at(data, place, trail)
        except NoFrameError:
            return
        place += entry.packed_bytes
        yield place, entry


def _head(trail: bytes, number: int, link: bytes, sealed: bytes) -> bytes:
    return hashlib.sha256(_DOMAIN + trail + number.to_bytes(8, "big") + link + sealed).digest()
