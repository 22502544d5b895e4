"""Media types of answers: what a client accepts (RFC 9110 section 12.5.1, PS3.18 section 8.7), and multipart bodies."""

import secrets
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from zweitblick.errors import NotAcceptableError
from zweitblick.intake.parts import MediaType, media_type

DICOM = "application/dicom"
DICOM_JSON = "application/dicom+json"
OCTETS = "application/octet-stream"
RELATED = "multipart/related"
ANY_SYNTAX = "*"

EXPLICIT_LITTLE_ENDIAN = "1.2.840.10008.1.2.1"


@dataclass(frozen=True)
class Accepted:
    """One thing that a client takes.

    Parameters
    ----------
    essence
        Media type, or a range such as ``image/*``; of a multipart answer that of its parts.
    transfer_syntax
        UID; `ANY_SYNTAX` for any, empty if nothing is said.
    is_multipart
        Whether the answer has parts.
    quality
        From 0 to 1; what has 0 is not taken.
    """

    essence: str
    transfer_syntax: str
    is_multipart: bool
    quality: float

    def covers(self, essence: str) -> bool:
        """Tell whether a media type is this one, or within its range."""
        kind, _, _ = essence.partition("/")
        return self.essence in ("*/*", f"{kind}/*", essence)


def accepted(header: str) -> list[Accepted]:
    """Parse an Accept header; what is liked best comes first. Without one anything is taken."""
    found = [_accepted(media_type(one)) for one in _split(header or "*/*")]
    return sorted((one for one in found if one.quality > 0), key=lambda one: -one.quality)


def check_json(header: str) -> None:
    """Check that a client takes the DICOM JSON model.

    Raises
    ------
    NotAcceptableError
        If it does not.
    """
    kinds = (DICOM_JSON, "application/json")
    if not any(one.covers(kind) for one in accepted(header) for kind in kinds if not one.is_multipart):
        raise NotAcceptableError(f"the answer is {DICOM_JSON}; accept that")


def check_files(header: str, syntaxes: Iterable[str]) -> None:
    """Check that a client takes DICOM files in the transfer syntaxes in which they are kept.

    Who names no transfer syntax gets what is kept, too: a file says in which one it is.

    Raises
    ------
    NotAcceptableError
        If it does not.
    """
    taken = {one.transfer_syntax for one in accepted(header) if one.covers(DICOM)}
    if not taken:
        raise NotAcceptableError(f'the answer is {RELATED}; type="{DICOM}"; accept that')
    if not taken & {"", ANY_SYNTAX} and not set(syntaxes) <= taken:
        raise NotAcceptableError("instances are given in the transfer syntax in which they came; accept any by *")


def in_parts(parts: Iterable[tuple[str, Iterable[bytes]]], kind: str) -> tuple[str, Iterator[bytes]]:
    """Make a multipart body (RFC 2387) as it is sent.

    Parameters
    ----------
    parts
        Content-Type and content of each.
    kind
        Media type of the first.

    Returns
    -------
    tuple
        Content-Type of the whole, and its pieces.
    """
    boundary = secrets.token_hex(16)  # in no content but by a chance that never happens
    return f'{RELATED}; type="{kind}"; boundary={boundary}', _pieces(parts, boundary)


def _pieces(parts: Iterable[tuple[str, Iterable[bytes]]], boundary: str) -> Iterator[bytes]:
    before = ""
    for kind, content in parts:
        yield f"{before}--{boundary}\r\nContent-Type: {kind}\r\n\r\n".encode()
        yield from content
        before = "\r\n"
    yield f"\r\n--{boundary}--\r\n".encode()


def _accepted(kind: MediaType) -> Accepted:
    is_multipart = kind.essence == RELATED
    return Accepted(
        essence=kind.parameters.get("type", "*/*").lower() if is_multipart else kind.essence,
        transfer_syntax=kind.parameters.get("transfer-syntax", ""),
        is_multipart=is_multipart,
        quality=_quality(kind.parameters.get("q", "1")),
    )


def _quality(written: str) -> float:
    try:
        return min(max(float(written), 0.0), 1.0)
    except ValueError:
        return 1.0


def _split(header: str) -> list[str]:
    """Part at commas that are not within quotes."""
    parts, quoted = [""], False
    for character in header:
        quoted ^= character == '"'
        if character == "," and not quoted:
            parts.append("")
        else:
            parts[-1] += character
    return [part.strip() for part in parts if part.strip()]
