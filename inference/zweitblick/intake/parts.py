"""Parts of a multipart body (RFC 2046 section 5.1), as they come; python-multipart finds the boundaries."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from zweitblick.errors import MalformedBodyError, UnsupportedMediaError
from zweitblick.intake.file import IncomingFile

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

MOST_PARTS = 50_000
"""As many as a study may have files (`zweitblick.dicom.source.Limits`)."""
MOST_HEADERS = 16
"""Of one part."""
LONGEST_HEADER_BYTES = 4096
_LONGEST_BOUNDARY_BYTES = 200
"""RFC 2046 section 5.1.1 allows 70, which Orthanc's two UUIDs exceed."""


class MediaType(NamedTuple):
    """A media type with its parameters.

    Parameters
    ----------
    essence
        As in ``multipart/related``, lower case.
    parameters
        By name in lower case.
    """

    essence: str
    parameters: dict[str, str]


class Part(NamedTuple):
    """A part that came whole.

    Parameters
    ----------
    media_type
        None if it does not say.
    name
        File name that a form gives it; empty if it is no file.
    file
        What it holds.
    """

    media_type: MediaType | None
    name: str
    file: IncomingFile


def media_type(header: str) -> MediaType:
    """Parse a Content-Type, or what else is written like one."""
    essence, parameters = parse_options_header(header.encode("latin-1", "replace"))
    named = {_text(name).lower(): _text(value) for name, value in parameters.items()}
    return MediaType(_text(essence), named)


def boundary_of(kind: MediaType) -> bytes:
    """Return what parts the body of a multipart media type.

    Raises
    ------
    UnsupportedMediaError
        If it has no boundary, or one that none may be.
    """
    boundary = kind.parameters.get("boundary", "").encode()
    if not 0 < len(boundary) <= _LONGEST_BOUNDARY_BYTES:
        raise UnsupportedMediaError("the Content-Type has no boundary of 1 to 200 characters; say what parts the body")
    return boundary


def parts(body: Iterable[bytes], boundary: bytes) -> Iterator[Part]:
    """Yield the parts of a body, each once it is there whole.

    Raises
    ------
    MalformedBodyError
        If it is cut short or no multipart body, or if it has too many parts or a part too many or too long headers. The
        parts before have been yielded.
    """
    gathering = _Gathering()
    parser = MultipartParser(
        boundary,
        gathering.callbacks(),
        max_header_count=MOST_HEADERS,
        max_header_size=LONGEST_HEADER_BYTES,
    )
    for piece in body:
        try:
            parser.write(piece)
        except FormParserError as error:
            raise MalformedBodyError("the body is not parted as it says; the parts before are kept") from error
        yield from gathering.taken()
    if not gathering.ended:
        raise MalformedBodyError("the body ends before its closing boundary; the parts before are kept, send it again")


class _Gathering:
    """What the parser has found so far; it holds one part."""

    def __init__(self) -> None:
        self.ended = False
        self._whole: list[Part] = []
        self._count = 0
        self._headers: dict[str, str] = {}
        self._field, self._value = bytearray(), bytearray()
        self._file = IncomingFile()

    def callbacks(self) -> "MultipartCallbacks":
        return {
            "on_part_begin": self._begin,
            "on_part_data": lambda data, start, end: self._file.write(data[start:end]),
            "on_part_end": self._end_part,
            "on_header_field": lambda data, start, end: self._field.extend(data[start:end]),
            "on_header_value": lambda data, start, end: self._value.extend(data[start:end]),
            "on_header_end": self._end_header,
            "on_end": self._end,
        }

    def taken(self) -> list[Part]:
        whole, self._whole = self._whole, []
        return whole

    def _begin(self) -> None:
        self._count += 1
        if self._count > MOST_PARTS:
            raise MalformedBodyError(f"the body has more than {MOST_PARTS} parts; send fewer at once")
        self._headers, self._file = {}, IncomingFile()

    def _end_header(self) -> None:
        self._headers[self._field.decode("latin-1").lower()] = self._value.decode("latin-1")
        self._field, self._value = bytearray(), bytearray()

    def _end_part(self) -> None:
        said = self._headers.get("content-type")
        disposition = media_type(self._headers.get("content-disposition", ""))
        name = disposition.parameters.get("filename", "")
        self._whole.append(Part(media_type(said) if said else None, name, self._file))

    def _end(self) -> None:
        self.ended = True


def _text(value: bytes) -> str:
    return value.decode("utf-8", "replace")
