"""Attributes of a DICOM data set as plain Python values, and the file that holds it, opened without its pixels."""

import io
import logging
import math
import re
import struct
import warnings
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import date, datetime, time
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO

from pydicom.datadict import tag_for_keyword
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.filereader import read_dataset, read_partial
from pydicom.multival import MultiValue
from pydicom.sequence import Sequence
from pydicom.tag import BaseTag, Tag
from pydicom.uid import DeflatedExplicitVRLittleEndian

from zweitblick.dicom.explicit import picked
from zweitblick.errors import DamagedInstanceError

DAMAGE = (
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    EOFError,
    ArithmeticError,
    RuntimeError,
    MemoryError,
    AssertionError,
    struct.error,
    zlib.error,
    InvalidDicomError,
    BytesLengthException,
)
"""What pydicom and its decoders raise on damaged bytes (found by flipping bits; there is no common base class)."""

_PREAMBLE_BYTES = 128
_HEADER_BYTES = 2**18
"""Headers end within this, but for those of vendors who add large private elements."""
_CHARACTER_SET = 0x00080005
_ASCII_VRS = frozenset({"AE", "AS", "CS", "DA", "DS", "DT", "TM", "UI"})
"""VRs that Specific Character Set does not concern (PS3.5 section 6.1.2.3), and whose text is their value."""
_INFLATED_BYTES = 2**30
_DATE = re.compile(r"(\d{4})\.?(\d{2})\.?(\d{2})")
_TIME = re.compile(r"(\d{2}):?(\d{2})?:?(\d{2})?(?:\.(\d{1,6}))?")


_QUIET: ContextVar[bool] = ContextVar("quiet", default=False)


def _is_heard(_record: logging.LogRecord) -> bool:
    return not _QUIET.get()


@contextmanager
def quietly() -> Iterator[None]:
    """Silence pydicom's warnings and log lines here and in this thread only: they quote values of patients.

    Whoever reads attributes does so within this: pydicom converts, and complains, on access.
    """
    for name in ("pydicom", "pydicom.pixels.decoders.base", "pydicom.pixels.utils"):
        logging.getLogger(name).addFilter(_is_heard)  # added once however often it is called
    token = _QUIET.set(True)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        _QUIET.reset(token)


def opened_bytes(source: Path | bytes) -> BinaryIO:
    """Open a file, or bytes held in memory, for reading."""
    return io.BytesIO(source) if isinstance(source, bytes) else source.open("rb")


@dataclass(frozen=True)
class Header:
    """A data set read up to its pixel data.

    Parameters
    ----------
    data
        The attributes asked for.
    pixels
        Where the value of (7FE0,0010) Pixel Data begins in the file (in the inflated data set, if it is deflated) and
        its length in bytes, 0xFFFFFFFF where that is not defined; None if there is none.
    pixels_vr
        Its value representation; OW where the file does not say.
    """

    data: Dataset
    pixels: tuple[int, int] | None
    pixels_vr: str = "OW"

    @property
    def transfer_syntax_uid(self) -> str:
        """(0002,0010), or what the encoding of a file without meta header is (PS3.5 section 10)."""
        meta = text(self.data.file_meta, "TransferSyntaxUID")
        if meta:
            return meta
        implicit, little = self.data.original_encoding
        if implicit:
            return "1.2.840.10008.1.2"
        return "1.2.840.10008.1.2.1" if little else "1.2.840.10008.1.2.2"


def read_header(source: Path | bytes, tags: list[int]) -> Header:
    """Attributes ``tags`` of a Part 10 file, or of a data set stored without meta header.

    Raises
    ------
    DamagedInstanceError
        If the source is no DICOM data set or its header is damaged.
    """
    try:
        with opened_bytes(source) as file:
            return header_of(file, tags)
    except OSError as error:
        raise _damaged(error) from error


def header_of(file: BinaryIO, tags: list[int] | None) -> Header:
    """Attributes ``tags`` of an open file, all of them if None; otherwise as `read_header`. Pixels are not read.

    Raises
    ------
    DamagedInstanceError
        If the file is no DICOM data set or its header is damaged.
    """
    if tags is not None:
        if (plain := _plain_header(file, tags)) is not None:
            return plain
        file.seek(0)
    found: list[tuple[int, int]] = []
    represented: list[str] = []

    def at_pixels(tag: BaseTag, vr: str | None, length: int) -> bool:
        if tag == 0x7FE00010:
            found.append((file.tell(), length))
            represented.append(vr or "OW")
        return bool(tag >= 0x7FE00008)

    try:
        _check_start(file)
        data = read_partial(file, stop_when=at_pixels, force=True, specific_tags=tags and list(tags))
    except (*DAMAGE, OSError) as error:
        raise _damaged(error) from error
    return Header(data, found[0], represented[0]) if found else Header(data, None)


def _damaged(error: Exception) -> DamagedInstanceError:
    return DamagedInstanceError(f"the header is damaged ({type(error).__name__}); send the file again")


def _plain_header(file: BinaryIO, tags: list[int]) -> Header | None:
    """Header of a file in Explicit VR Little Endian without oddities; None if it may be anything else."""
    start = file.read(_HEADER_BYTES)
    found = picked(start, {*tags, _CHARACTER_SET})
    if found is None or (found.pixels is None and len(start) == _HEADER_BYTES):
        return None
    data = Dataset(found.data)
    data.file_meta = FileMetaDataset(found.meta)
    data.set_original_encoding(is_implicit_vr=False, is_little_endian=True)
    return Header(data, found.pixels)


def _check_start(file: BinaryIO) -> None:
    """Refuse what is no DICOM by its first bytes, and a deflated data set that would inflate beyond measure."""
    head = file.read(_PREAMBLE_BYTES + 4)
    if not head:
        raise DamagedInstanceError("the file is empty")
    has_prefix = head[_PREAMBLE_BYTES:] == b"DICM"
    if not has_prefix and not _begins_with_element(head):
        raise DamagedInstanceError("not a DICOM file")
    file.seek(_PREAMBLE_BYTES + 4 if has_prefix else 0)
    _check_deflated(file)
    file.seek(0)


def _begins_with_element(head: bytes) -> bool:
    """Whether a data set without preamble starts here: a meta or identifying element of plausible length."""
    if len(head) < 8:
        return False
    group, element, length = struct.unpack("<HHL", head[:8])
    explicit = head[4:6].isalpha() and head[4:6].isupper()
    return group in (0x0002, 0x0008) and element <= 0x0100 and (explicit or length <= 256)


def _check_deflated(file: BinaryIO) -> None:
    meta = read_dataset(
        file, is_implicit_VR=False, is_little_endian=True, stop_when=lambda tag, _vr, _n: tag >> 16 != 2
    )
    if text(meta, "TransferSyntaxUID") != DeflatedExplicitVRLittleEndian:
        return
    inflater, total = zlib.decompressobj(-zlib.MAX_WBITS), 0
    while chunk := file.read(1 << 14):
        # DEFLATE makes at most 1032 bytes of one (RFC 1951), so a chunk stays below 17 MB.
        total += len(inflater.decompress(chunk))
        if total > _INFLATED_BYTES:
            raise DamagedInstanceError(f"the deflated data set inflates to more than {_INFLATED_BYTES} bytes")


def value(data: Dataset, key: str | int) -> Any:
    """Value of an attribute by keyword or tag, None if it is absent, empty or cannot be converted."""
    tag = _tag(key)
    try:
        found = data[tag].value if tag in data else None
    except DAMAGE:
        return None
    return None if found in ("", b"", [], None) else found


@cache
def _tag(key: str | int) -> BaseTag:
    """Tag of a keyword; the few that are asked for, again for every instance, are found once."""
    return Tag(key)


def text(data: Dataset, key: str | int) -> str:
    """Value as text without padding; several values are joined by a backslash; empty if absent."""
    return "\\".join(texts(data, key))


def texts(data: Dataset, key: str | int) -> tuple[str, ...]:
    """Every value of a multi-valued attribute as text without padding."""
    if (plain := _plain_texts(data, key)) is not None:
        return plain
    found = value(data, key)
    if found is None:
        return ()
    several = found if isinstance(found, MultiValue | list | tuple) else [found]
    return tuple(str(one).strip(" \0") for one in several)


def _plain_texts(data: Dataset, key: str | int) -> tuple[str, ...] | None:
    """Values that are written in ASCII and not converted yet, as `texts` gives them; None if pydicom must be asked."""
    tag = _tag(key)
    element: object = data.get_item(tag, keep_deferred=True) if tag in data else None
    if not isinstance(element, RawDataElement) or element.VR not in _ASCII_VRS or element.value is None:
        return None
    try:
        written = element.value.decode("ascii").rstrip(" \0")
        found = tuple(one.strip(" \0") for one in written.split("\\")) if written else ()
        is_value = element.VR != "DS" or all(math.isfinite(float(one)) for one in found if one)
    except ValueError:
        return None
    return found if is_value else None


def numbers(data: Dataset, key: str | int) -> tuple[float, ...]:
    """Every value as a finite number; empty if one of them is none."""
    try:
        found = tuple(float(one) for one in texts(data, key))
    except ValueError:
        return ()
    return found if all(math.isfinite(one) for one in found) else ()


def number(data: Dataset, key: str | int) -> float | None:
    """First value as a finite number."""
    found = numbers(data, key)
    return found[0] if found else None


def integer(data: Dataset, keyword: str) -> int | None:
    """First value as a whole number."""
    found = number(data, keyword)
    return None if found is None else int(found)


def items(data: Dataset, keyword: str) -> tuple[Dataset, ...]:
    """Items of a sequence; empty if it is absent."""
    found = value(data, keyword)
    return tuple(found) if isinstance(found, Sequence) else ()


def tags_of(keywords: Iterable[str]) -> list[int]:
    """Tags of attributes by keyword."""
    return [tag for keyword in keywords if (tag := tag_for_keyword(keyword)) is not None]


def day(written: str) -> date | None:
    """Date of a DA value (PS3.5 section 6.2); None if it is none."""
    match = _DATE.match(written)
    try:
        return date(*map(int, match.groups())) if match else None
    except ValueError:
        return None


def moment(written_day: str, written_time: str) -> datetime | None:
    """Moment of a DA and a TM value (or of the two parts of a DT value); an offset from UTC is left out."""
    on, match = day(written_day), _TIME.match(written_time)
    if on is None:
        return None
    hour, minute, second, fraction = match.groups() if match else (0, 0, 0, "")
    microsecond = int((fraction or "").ljust(6, "0"))
    try:
        at = time(int(hour or 0), int(minute or 0), min(int(second or 0), 59), microsecond)
    except ValueError:
        at = time()
    return datetime.combine(on, at)
