"""Elements of a Part 10 file in Explicit VR Little Endian (PS3.5 section 7.1), picked out without parsing all of it.

pydicom makes an object of every element. Where anything is out of the ordinary nothing is returned, and it is asked:
what damage is, it alone decides.
"""

import struct
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from pydicom.config import IGNORE
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.tag import BaseTag
from pydicom.uid import UID

Elements = dict[BaseTag, DataElement | RawDataElement]

_START = 128 + len(b"DICM")
_LONG = frozenset({b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"})
"""VRs whose length has four bytes (PS3.5 section 7.1.2)."""
_SHORT = frozenset(
    {b"AE", b"AS", b"AT", b"CS", b"DA", b"DS", b"DT", b"FD", b"FL", b"IS", b"LO", b"LT", b"PN", b"SH", b"SL", b"SS"}
    | {b"ST", b"TM", b"UI", b"UL", b"US"}
)
_UNDEFINED = 0xFFFFFFFF
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_PIXEL_DATA, _LAST = 0x7FE00010, 0x7FE00008
_META_GROUP_LENGTH, _TRANSFER_SYNTAX = 0x00020000, 0x00020010

_head = struct.Struct("<HH2sH").unpack_from
_length = struct.Struct("<L").unpack_from
_item = struct.Struct("<HHL").unpack_from


class _UnusualError(Exception):
    """Something is out of the ordinary; never leaves this module."""


@dataclass(frozen=True)
class Picked:
    """What was picked out of a file.

    Parameters
    ----------
    meta, data
        Elements of the file meta information, and those of the data set that were wanted, unconverted.
    pixels
        Where the value of Pixel Data begins, and its length; None if there is none.
    """

    meta: Elements
    data: Elements
    pixels: tuple[int, int] | None


class _Element(NamedTuple):
    tag: int
    vr: bytes
    start: int
    length: int


def picked(file: bytes, tags: Collection[int]) -> Picked | None:
    """Pick wanted elements out of the beginning of a file; None if that is better left to pydicom.

    Parameters
    ----------
    file
        From the preamble to somewhere within Pixel Data, or to the end.
    tags
        Those wanted; none of a sequence.
    """
    if file[_START - 4 : _START] != b"DICM":
        return None
    try:
        meta, start = _meta(file)
        return _data(file, start, meta, tags) if _is_explicit_little(meta) else None
    except (_UnusualError, struct.error, RecursionError):
        return None


def _meta(file: bytes) -> tuple[Elements, int]:
    """Return the file meta information, whose length its first element says, and where the data set begins."""
    found: Elements = {}
    end = len(file)
    for element in _elements(file, _START):
        if element.tag >> 16 != 2:
            return found, element.start - (12 if element.vr in _LONG else 8)
        found[BaseTag(element.tag)] = _raw(file, element)
        if element.tag == _META_GROUP_LENGTH:
            end = element.start + 4 + _length(file, element.start)[0]
        if element.start + element.length == end:
            return found, end
    raise _UnusualError


def _is_explicit_little(meta: Elements) -> bool:
    """Whether the data set is Explicit VR Little Endian, whatever its pixels are (PS3.5 annex A)."""
    syntax = meta.get(BaseTag(_TRANSFER_SYNTAX))
    if syntax is None or not syntax.value:
        return False
    uid = UID(syntax.value.decode("ascii", "replace").strip(" \0"), IGNORE)
    known = uid.is_transfer_syntax and not uid.is_private
    return known and uid.is_little_endian and not uid.is_implicit_VR and "Deflate" not in uid.name


def _data(file: bytes, start: int, meta: Elements, tags: Collection[int]) -> Picked:
    found: Elements = {}
    for element in _elements(file, start):
        if element.tag >= _LAST:
            pixels = (element.start, element.length) if element.tag == _PIXEL_DATA else None
            return Picked(meta, found, pixels)
        if element.tag in tags:
            if element.vr == b"SQ" or element.length == _UNDEFINED:
                raise _UnusualError
            found[BaseTag(element.tag)] = _raw(file, element)
    return Picked(meta, found, None)


def _raw(file: bytes, element: _Element) -> RawDataElement:
    value = file[element.start : element.start + element.length]
    vr = element.vr.decode("ascii")
    return RawDataElement(
        BaseTag(element.tag), vr, element.length, value, element.start, is_implicit_VR=False, is_little_endian=True
    )


def _elements(file: bytes, start: int) -> Iterator[_Element]:
    """Elements in ascending order, each passed over to the next; the one that reaches beyond `_LAST` is the last."""
    before = -1
    while start < len(file):
        element = _element(file, start)
        if element.tag <= before:
            raise _UnusualError
        yield element
        if element.tag >= _LAST:
            return
        before = element.tag
        start = _end(file, element)


def _element(file: bytes, start: int) -> _Element:
    group, number, vr, length = _head(file, start)
    tag = group << 16 | number
    if vr in _SHORT:
        return _Element(tag, vr, start + 8, length)
    if vr not in _LONG:
        raise _UnusualError
    return _Element(tag, vr, start + 12, _length(file, start + 8)[0])


def _end(file: bytes, element: _Element) -> int:
    """Return where an element's value ends; a sequence whose length is not defined is walked through."""
    if element.length != _UNDEFINED:
        end = element.start + element.length
    elif element.vr == b"SQ":
        end = _sequence_end(file, element.start)
    else:
        raise _UnusualError
    if end > len(file):
        raise _UnusualError
    return end


def _sequence_end(file: bytes, start: int) -> int:
    while True:
        group, number, length = _item(file, start)
        tag = group << 16 | number
        start += 8
        if tag == _SEQUENCE_END:
            return start
        if tag != _ITEM:
            raise _UnusualError
        start = start + length if length != _UNDEFINED else _item_end(file, start)


def _item_end(file: bytes, start: int) -> int:
    while True:
        group, number, _ = _item(file, start)
        if group << 16 | number == _ITEM_END:
            return start + 8
        start = _end(file, _element(file, start))
