"""Verification of a trail by somebody who can open none of its messages.

What an entry says of itself shows whether it was altered; numbers and links, whether it stands where it was written;
signatures, whether whoever wrote it had the service's key; and a signed head that was kept elsewhere, in a receipt or
by a syslog receiver, that nothing up to it was cut off or written anew.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
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
from zweitblick.audit.head import SignedHead, is_signed, signed_bytes
from zweitblick.errors import AuditReadError, TrailBrokenError

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
    """Something in a file: an entry that is whole, or bytes that are none."""

    entry: Entry | None
    data: bytes = b""


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
    files = _read(folder)
    trail = _trail_id(files, head)
    pieces = [piece for _, data in files for piece in _pieces(data, trail)]
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


def _read(folder: Path) -> list[tuple[Path, bytes]]:
    try:
        files = [(path, path.read_bytes()) for path in trail_files(folder)]
    except OSError as error:
        raise AuditReadError(f"audit trail {folder} cannot be read ({error.strerror}); give its folder") from error
    if not files:
        raise AuditReadError(f"{folder} holds no audit trail; give its folder")
    return files


def _trail_id(files: list[tuple[Path, bytes]], head: SignedHead | None) -> bytes:
    """Return the id that the head names, or most of the files."""
    if head is not None:
        return bytes.fromhex(head.trail)
    ids = Counter(data[4:20] for _, data in files)
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
            yield _Piece(entry)
        place = end


def _unfinished(pieces: list[_Piece], entries: list[Entry], head: SignedHead | None) -> int:
    """Return how many bytes at the end are an entry that was never finished; a head covers no such entry."""
    last = max((entry.number for entry in entries), default=0)
    is_covered = head is not None and head.count > last
    if not pieces or pieces[-1].entry is not None or is_covered or not is_begun(pieces[-1].data, last + 1):
        return 0
    return len(pieces[-1].data)


def _file_faults(files: list[tuple[Path, bytes]], trail: bytes, entries: list[Entry]) -> Iterator[Fault]:
    """Find headers and names that do not tell of the entries that follow."""
    links = {1: NO_LINK} | {entry.number + 1: entry.next_link for entry in entries}
    for path, data in files:
        inside = (piece.entry.number for piece in _pieces(data, trail) if piece.entry is not None)
        first = next(inside, max(links))
        try:
            header = file_header(data)
        except NoFrameError:
            yield Fault(FaultKind.HEADER, first, first)
            continue
        expected = FileHeader(trail, header.first, links.get(header.first, header.link))
        if header != expected or path.name != file_name(header.first):
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
    numbers = {piece.entry.number for piece in pieces if piece.entry}
    damaged_after = _damage(pieces[:-1] if unfinished else pieces)
    last = max(numbers, default=0)
    for first, end in _runs(sorted(set(range(1, last + 1)) - numbers)):
        yield Fault(FaultKind.ALTERED if first - 1 in damaged_after else FaultKind.REMOVED, first, end)
        damaged_after.discard(first - 1)
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


def _runs(numbers: list[int]) -> Iterator[tuple[int, int]]:
    """Group numbers that follow each other."""
    for index, number in enumerate(numbers):
        if index and numbers[index - 1] == number - 1:
            continue
        end = number
        while index + 1 < len(numbers) and numbers[index + 1] == end + 1:
            index, end = index + 1, end + 1  # noqa: PLW2901 -- looks ahead
        yield number, end


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
    if head is not None:
        for entry in entries:
            if entry.number == head.count and entry.signed_head(trail) != head:
                yield Fault(FaultKind.REWRITTEN, 1, head.count)


def _told(faults: Sequence[Fault]) -> str:
    more = f" and {len(faults) - _NAMED} more" if len(faults) > _NAMED else ""
    named = "; ".join(map(str, faults[:_NAMED]))
    return f"the audit trail is not as it was written: {named}{more}; restore it from what a receiver or a backup has"
