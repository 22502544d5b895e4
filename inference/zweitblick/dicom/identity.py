"""Identity: the UIDs at the head of an encoded data set, read with nothing decoded."""

import re
import struct
import zlib
from dataclasses import dataclass, field

from zweitblick.errors import DamagedInstanceError

IMPLICIT_LITTLE_ENDIAN = "1.2.840.10008.1.2"
EXPLICIT_BIG_ENDIAN = "1.2.840.10008.1.2.2"
DEFLATED = frozenset({"1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.4.95", "1.2.840.10008.1.2.4.205"})
"""Transfer syntaxes that deflate the whole data set (PS3.5 sections A.5, A.7 and A.12)."""

HEAD_BYTES = 16 * 2**20
"""At most so much of a deflated data set is inflated in the search for its UIDs."""

HEAD_ELEMENTS = 2**18
"""At most so many elements are visited, which takes a fraction of a second."""

_SOP_CLASS, _SOP_INSTANCE, _STUDY, _SERIES = 0x00080016, 0x00080018, 0x0020000D, 0x0020000E
_PATIENT_ID = 0x00100020
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_UNDEFINED = 0xFFFFFFFF
_LONG = frozenset({b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"})
"""Value representations whose length takes four bytes (PS3.5 table 7.1-1)."""
_UID = re.compile(rb"[0-9]+(?:\.[0-9]+)*")
_AE_TITLE = re.compile(r"(?! )[\x20-\x5B\x5D-\x7E]{1,16}(?<! )")
_UID_BYTES = 64
_TEXT_BYTES = 256
"""64 characters of LO (PS3.5 table 6.2-1), of four bytes at most."""


@dataclass(frozen=True)
class Identity:
    """The UIDs that place an instance in its study, as the data set has them.

    Parameters
    ----------
    sop_class_uid, sop_instance_uid
        (0008,0016) and (0008,0018).
    study_instance_uid, series_instance_uid
        (0020,000D) and (0020,000E).
    patient_id
        (0010,0020), for the record only; empty if there is none.
    """

    sop_class_uid: str = field(repr=False)
    sop_instance_uid: str = field(repr=False)
    study_instance_uid: str = field(repr=False)
    series_instance_uid: str = field(repr=False)
    patient_id: str = field(default="", repr=False)


def identity(data: bytes, transfer_syntax_uid: str) -> Identity:
    """Read the identifying UIDs of an encoded data set, and nothing behind them.

    Elements are stepped over without a look at their values, so that no warning or log line can quote one. Within
    sequences of undefined length every element is visited and none is taken.

    Raises
    ------
    DamagedInstanceError
        If the data set cannot be walked, or lacks one of the UIDs, or has something else in its place.
    """
    head = _inflated(data) if transfer_syntax_uid in DEFLATED else data
    found = _Walk(head, transfer_syntax_uid).uids()
    texts = [_uid(found.get(tag), tag) for tag in (_SOP_CLASS, _SOP_INSTANCE, _STUDY, _SERIES)]
    texts.append(_text(found.get(_PATIENT_ID, b"")))
    return Identity(*texts)


def is_uid(value: str | bytes) -> bool:
    """Tell whether a value is a UID (PS3.5 section 9.1), leading zeros of its components let pass."""
    encoded = value.encode("ascii", "replace") if isinstance(value, str) else value
    return len(encoded) <= _UID_BYTES and _UID.fullmatch(encoded) is not None


def is_ae_title(value: str) -> bool:
    """Tell whether a text is an AE title, without padding (PS3.5 section 6.2)."""
    return _AE_TITLE.fullmatch(value) is not None


def _inflated(data: bytes) -> bytes:
    try:
        return zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, HEAD_BYTES)
    except zlib.error as error:
        raise DamagedInstanceError("the deflated data set cannot be inflated; send the instance again") from error


def _uid(value: bytes | None, tag: int) -> str:
    """Check a UID (PS3.5 section 9.1); it becomes part of keys and names, so nothing but digits and dots passes."""
    uid = (value or b"").rstrip(b"\0 ")
    if not is_uid(uid):
        raise DamagedInstanceError(
            f"({tag >> 16:04X},{tag & 0xFFFF:04X}) is absent or no UID; have the sender repair the instance"
        )
    return uid.decode("ascii")


def _text(value: bytes) -> str:
    """Read an identifier whose character set nobody has looked up; it is written down, never compared."""
    return value[:_TEXT_BYTES].strip(b"\0 ").decode("utf-8", "replace")


class _Walk:
    """Steps from element to element up to (0020,000E); ``depth`` counts open sequences and items.

    A sequence of undefined length within UN is encoded as implicit VR little endian (PS3.5 section 6.2.2).
    """

    def __init__(self, data: bytes, transfer_syntax_uid: str) -> None:
        self._data = data
        self._place = 0
        self._order = ">" if transfer_syntax_uid == EXPLICIT_BIG_ENDIAN else "<"
        self._implicit = transfer_syntax_uid == IMPLICIT_LITTLE_ENDIAN
        self._depth = 0
        self._unknown_from: int | None = None

    def uids(self) -> dict[int, bytes]:
        """Values of the four UIDs and of the Patient ID outside of any sequence."""
        found: dict[int, bytes] = {}
        for _ in range(HEAD_ELEMENTS):
            if self._place + 8 > len(self._data):
                break
            tag, length = self._element()
            if not self._depth and tag > _SERIES:
                break
            if tag in (_ITEM_END, _SEQUENCE_END):
                self._leave()
            elif length == _UNDEFINED:
                self._depth += 1
            else:
                if not self._depth and tag in (_SOP_CLASS, _SOP_INSTANCE, _PATIENT_ID, _STUDY, _SERIES):
                    found[tag] = self._value(length)
                self._place += length
        return found

    def _value(self, length: int) -> bytes:
        if self._place + length > len(self._data):
            raise DamagedInstanceError("the data set ends within an element; send the instance again")
        return self._data[self._place : self._place + length]

    def _element(self) -> tuple[int, int]:
        """Tag and length of the element at hand; moves to its value."""
        inside_unknown = self._unknown_from is not None
        order = "<" if inside_unknown else self._order
        group, element = struct.unpack_from(f"{order}HH", self._data, self._place)
        tag = group << 16 | element
        self._place += 8
        if inside_unknown or self._implicit or group == 0xFFFE:
            return tag, struct.unpack_from(f"{order}L", self._data, self._place - 4)[0]
        vr = self._data[self._place - 4 : self._place - 2]
        if vr not in _LONG:
            return tag, struct.unpack_from(f"{order}H", self._data, self._place - 2)[0]
        length = struct.unpack(f"{order}L", self._value(4))[0]
        self._place += 4
        if vr == b"UN" and length == _UNDEFINED:
            self._unknown_from = self._depth
        return tag, length

    def _leave(self) -> None:
        self._depth -= 1
        if self._depth < 0:
            raise DamagedInstanceError("a sequence ends that did not begin; send the instance again")
        if self._depth == self._unknown_from:
            self._unknown_from = None
