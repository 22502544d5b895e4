"""Verification of a trail by somebody who can open none of its messages.

What an entry says of itself shows whether it was altered; numbers and links, whether it stands where it was written;
signatures, whether whoever wrote it had the service's key; and a signed head that was kept elsewhere, in a receipt or
by a syslog receiver, that nothing up to it was cut off or written anew.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import pairwise
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from zweitblick.audit.frames import (
    FILE_HEADER_BYTES,
    NO_LINK,
    Entry,
    FileHeader,
    NoFrameError,
    entry_at,
    file_header,
    file_name,
    is_begun,
    next_entry_place,
    trail_files,
)
from zweitblick.audit.head import SignedHead, signed_bytes
from zweitblick.errors import AuditReadError, TrailBrokenError
from zweitblick.signing.keys import is_signed

_NAMED = 20
"""So many faults an error names; all of them are in its ``faults``."""


class FaultKind(StrEnum):
    """What was done to entries."""

    ALTERED = "altered"
    REMOVED = "removed"
    REORDERED = "moved to another place"
    REPEATED = "repeated"
    CUT_OFF = "cut off"
    FORGED = "not signed by this key"
    REWRITTEN = "written anew, since they do not lead to the signed head"
    HEADER = "in a file whose header was altered"


@dataclass(frozen=True)
class Fault:
    """What was done to which entries.

    Parameters
    ----------
    kind
        What.
    first, last
        Numbers of the entries.
    """

    kind: FaultKind
    first: int
    last: int

    def __str__(self) -> str:
        """Say it in words."""
        which = f"entry {self.first}" if self.first == self.last else f"entries {self.first} to {self.last}"
        return f"{which}: {self.kind}"


@dataclass(frozen=True)
class Verified:
    """A trail in which nothing was found.

    Parameters
    ----------
    head
        Where its entries lead to.
    unfinished_bytes
        What stands behind the last entry: one that is being written, or was when the service ended.
    """

    head: SignedHead
    unfinished_bytes: int


@dataclass(frozen=True)
class _Piece:
    """Something in a file: an entry that is whole, without its message; or bytes that are none."""

    entry: Entry | None
    data: bytes = b""


@dataclass(frozen=True)
class _File:
    path: Path
    start: bytes
    pieces: Sequence[_Piece]


def verify_trail(folder: Path, *, head: SignedHead | None = None, keys: Sequence[Ed25519PublicKey] = ()) -> Verified:
    """Verify a trail; its signatures too if keys are given.

    Parameters
    ----------
    folder
        Of the trail, or of a copy. It may be being written.
    head
        That was kept elsewhere. Without one, an end that was cut off is not seen.
    keys
        Public keys of the service. Without one, a trail that was wholly written anew is not seen but by a head.

    Raises
    ------
    TrailBrokenError
        If anything was done to it; names every entry.
    HeadError
        If the head is not signed by one of the keys.
    AuditReadError
        If there is no trail.
    """
    if head is not None and keys:
        head.check(keys)
    try:
        files = _files(folder, head)
    except OSError as error:
        raise AuditReadError(f"audit trail {folder} cannot be read ({error.strerror}); give its folder") from error
    trail = _trail_id([file.start for file in files], head)
    pieces = [piece for file in files for piece in file.pieces]
    entries = [piece.entry for piece in pieces if piece.entry is not None]
    unfinished = _unfinished(pieces, entries, head)
    faults = sorted(
        {
            *_file_faults(files, trail, entries),
            *_order_faults(entries),
            *_gaps(pieces, head, unfinished=unfinished),
            *_link_faults(entries),
            *_signature_faults(entries, trail, keys),
            *_head_faults(entries, trail, head),
        },
        key=lambda fault: (fault.first, fault.last, fault.kind),
    )
    if faults:
        raise TrailBrokenError(_told(faults), faults=faults)
    if not entries:
        raise AuditReadError(f"the audit trail {folder} has no entry; give the folder of one")
    return Verified(entries[-1].signed_head(trail), unfinished)


def _files(folder: Path, head: SignedHead | None) -> list[_File]:
    """Take the files of a trail apart, one after the other, and keep no message of them."""
    paths = trail_files(folder)
    if not paths:
        raise AuditReadError(f"{folder} holds no audit trail; give its folder")
    starts = [_start(path) for path in paths]
    trail = _trail_id(starts, head)
    return [
        _File(path, start, list(_pieces(path.read_bytes(), trail))) for path, start in zip(paths, starts, strict=True)
    ]


def _start(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(FILE_HEADER_BYTES)


def _trail_id(starts: Sequence[bytes], head: SignedHead | None) -> bytes:
    """Return the id that the head names, or most of the files."""
    if head is not None:
        return bytes.fromhex(head.trail)
    ids = Counter(start[4:20] for start in starts)
    return ids.most_common(1)[0][0].ljust(16, b"\0")


def _pieces(data: bytes, trail: bytes) -> Iterator[_Piece]:
    place = FILE_HEADER_BYTES
    while place < len(data):
        try:
            entry = entry_at(data, place, trail)
        except NoFrameError:
            end = next_entry_place(data, place, trail)
            yield _Piece(None, data[place:end])
        else:
            end = place + entry.packed_bytes
            yield _Piece(replace(entry, sealed=b""))
        place = end


def _unfinished(pieces: list[_Piece], entries: list[Entry], head: SignedHead | None) -> int:
    """Return how many bytes at the end are an entry that was never finished; a head covers no such entry."""
    last = max((entry.number for entry in entries), default=0)
    is_covered = head is not None and head.count > last
    if not pieces or pieces[-1].entry is not None or is_covered or not is_begun(pieces[-1].data, last + 1):
        return 0
    return len(pieces[-1].data)


def _file_faults(files: list[_File], trail: bytes, entries: list[Entry]) -> Iterator[Fault]:
    """Find headers and names that do not tell of the entries that follow."""
    links = {1: NO_LINK} | {entry.number + 1: entry.next_link for entry in entries}
    links |= {
        entry.number: entry.link for entry in entries
    }  # if the one before was altered, the header tells the truth
    for file in files:
        first = next((piece.entry.number for piece in file.pieces if piece.entry is not None), max(links))
        try:
            header = file_header(file.start)
        except NoFrameError:
            yield Fault(FaultKind.HEADER, first, first)
            continue
        expected = FileHeader(trail, header.first, links.get(header.first, header.link))
        if header != expected or file.path.name != file_name(header.first):
            yield Fault(FaultKind.HEADER, first, first)


def _order_faults(entries: list[Entry]) -> Iterator[Fault]:
    """Find entries that stand behind one of a higher number, or twice."""
    highest = 0
    seen: set[int] = set()
    for entry in entries:
        if entry.number in seen:
            yield Fault(FaultKind.REPEATED, entry.number, entry.number)
        elif entry.number < highest:
            yield Fault(FaultKind.REORDERED, entry.number, entry.number)
        seen.add(entry.number)
        highest = max(highest, entry.number)


def _gaps(pieces: list[_Piece], head: SignedHead | None, *, unfinished: int) -> Iterator[Fault]:
    """Find entries that are not there, and tell whether something is in their place."""
    numbers = sorted({0, *(piece.entry.number for piece in pieces if piece.entry)})
    damaged_after = _damage(pieces[:-1] if unfinished else pieces)
    last = numbers[-1]
    for number, following in pairwise(numbers):
        if following > number + 1:
            kind = FaultKind.ALTERED if number in damaged_after else FaultKind.REMOVED
            yield Fault(kind, number + 1, following - 1)
            damaged_after.discard(number)
    if head is not None and head.count > last:
        yield Fault(FaultKind.ALTERED if last in damaged_after else FaultKind.CUT_OFF, last + 1, head.count)
        damaged_after.discard(last)
    for number in damaged_after:  # more than was ever written there
        yield Fault(FaultKind.ALTERED, number + 1, number + 1)


def _damage(pieces: list[_Piece]) -> set[int]:
    """Return the numbers of the entries behind which there are bytes that are none."""
    after: set[int] = set()
    number = 0
    for piece in pieces:
        if piece.entry is None:
            after.add(number)
        else:
            number = piece.entry.number
    return after


def _link_faults(entries: list[Entry]) -> Iterator[Fault]:
    """Find entries that are whole and not those that were there when the next one was written."""
    links = {entry.number: entry.link for entry in entries}
    if links.get(1, NO_LINK) != NO_LINK:
        yield Fault(FaultKind.ALTERED, 1, 1)
    for entry in entries:
        if links.get(entry.number + 1, entry.next_link) != entry.next_link:
            yield Fault(FaultKind.ALTERED, entry.number, entry.number)


def _signature_faults(entries: list[Entry], trail: bytes, keys: Sequence[Ed25519PublicKey]) -> Iterator[Fault]:
    if keys:
        for entry in entries:
            if not is_signed(signed_bytes(trail, entry.number, entry.head), entry.signature, keys):
                yield Fault(FaultKind.FORGED, entry.number, entry.number)


def _head_faults(entries: list[Entry], trail: bytes, head: SignedHead | None) -> Iterator[Fault]:
    if head is None:
        return
    for entry in entries:
        if entry.number == head.count and entry.signed_head(trail) != head:
            if entry.head.hex() == head.head:  # only its signature is another
                yield Fault(FaultKind.ALTERED, entry.number, entry.number)
            else:
                yield Fault(FaultKind.REWRITTEN, 1, head.count)


def _told(faults: Sequence[Fault]) -> str:
    more = f" and {len(faults) - _NAMED} more" if len(faults) > _NAMED else ""
    named = "; ".join(map(str, faults[:_NAMED]))
    return f"the audit trail is not as it was written: {named}{more}; restore it from what a receiver or a backup has"
