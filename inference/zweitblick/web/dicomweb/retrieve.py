"""WADO-RS (PS3.18 section 10.4): instances, metadata, bulk data, frames and pictures."""

import io
import json
from collections.abc import Iterable, Iterator
from contextlib import closing
from itertools import chain
from typing import BinaryIO, NamedTuple

from PIL import Image

from zweitblick.catalogue.catalogue import Catalogue, Entry, first
from zweitblick.dicom.json_model import BULK_FOLDER, bulk_value
from zweitblick.dicom.picture import Window, picture
from zweitblick.dicom.pixel_frames import NATIVE, PixelFrames
from zweitblick.errors import NotAcceptableError, QueryError, UnknownObjectError
from zweitblick.store.store import Store
from zweitblick.web.dicomweb.media import (
    ANY_SYNTAX,
    DICOM,
    DICOM_JSON,
    EXPLICIT_LITTLE_ENDIAN,
    Accepted,
    accepted,
    check_files,
    check_json,
    in_parts,
)

MOST_FRAMES = 10_000
"""Of one request."""
LARGEST_PICTURE_PIXELS = 2**26

_PIECE_BYTES = 2**20
_PIXELS = "7FE00010"
_ENCAPSULATED_DOCUMENT = "00420011"
_MEDIA_TYPE_OF_DOCUMENT = "00420012"
_PICTURES = {"image/jpeg": "JPEG", "image/png": "PNG"}
_AS_KEPT = f'"BulkDataURI":"{BULK_FOLDER}/'.encode()
"""As headers are written; the quotes would be escaped within a value."""


class Given(NamedTuple):
    """An answer.

    Parameters
    ----------
    media_type
        Of all of it.
    pieces
        Bytes; the first one is made already, so that what fails fails before the answer begins.
    """

    media_type: str
    pieces: Iterator[bytes]


class Retrieval:
    """Answers retrievals.

    Parameters
    ----------
    store
        Where instances are.
    root
        URL of the service.
    """

    def __init__(self, store: Store, root: str) -> None:
        self._catalogue = Catalogue(store)
        self._root = root

    def entries(self, study_uid: str, *, series_uid: str = "", sop_uid: str = "") -> list[Entry]:
        """Return the instances of a study, of a series, or one.

        Raises
        ------
        UnknownStudyError, UnknownObjectError
            If there is nothing of these UIDs.
        """
        found = self._catalogue.instances(self._catalogue.token(study_uid), series_uid=series_uid, sop_uid=sop_uid)
        if not found:
            raise UnknownObjectError("no instance of these UIDs is kept; search for what there is")
        return found

    def files(self, entries: list[Entry], accept: str) -> Given:
        """Give instances as DICOM files, each as it is kept.

        Raises
        ------
        NotAcceptableError
            If that is not what is accepted.
        """
        check_files(accept, {one.transfer_syntax_uid for one in entries})
        if len(entries) == 1 and not any(one.is_multipart for one in accepted(accept) if one.covers(DICOM)):
            return _begun(DICOM, _content(self._catalogue.open(entries[0])))
        parts = ((_typed(DICOM, one.transfer_syntax_uid), _content(self._catalogue.open(one))) for one in entries)
        return _begun(*in_parts(parts, DICOM))

    def metadata(self, entries: list[Entry], accept: str) -> Given:
        """Give the headers of instances.

        Raises
        ------
        NotAcceptableError
            If DICOM JSON is not what is accepted.
        """
        check_json(accept)
        return _begun(DICOM_JSON, self._metadata(entries))

    def frames(self, entry: Entry, numbers: list[int], accept: str) -> Given:
        """Give frames, as they are kept or in explicit little endian, as is accepted.

        Raises
        ------
        NotAcceptableError
            If neither is.
        UnknownObjectError
            If a frame is not there.
        DamagedInstanceError, PixelDecodeError, TransferSyntaxError
            As from `zweitblick.dicom.pixel_frames.PixelFrames`.
        """
        with self._catalogue.open(entry) as file, PixelFrames(file) as frames:
            numbers = numbers or list(range(1, frames.count + 1))
            kind, is_kept = _frame_kind(frames, accepted(accept))
        return _begun(*in_parts(self._frame_parts(entry, numbers, kind, is_kept=is_kept), kind.partition(";")[0]))

    def bulk_data(self, entry: Entry, path: str, accept: str) -> Given:
        """Give the value that a BulkDataURI names; pixel data as all their frames.

        Raises
        ------
        DamagedInstanceError
            If there is none.
        NotAcceptableError
            If it cannot be given as is accepted.
        """
        if path == _PIXELS:
            return self.frames(entry, [], accept)
        with self._catalogue.open(entry) as file:
            value = bulk_value(file, path)
        kind = NATIVE
        if path == _ENCAPSULATED_DOCUMENT:
            header = json.loads(next(self._catalogue.headers([entry])))
            kind = first(header, _MEDIA_TYPE_OF_DOCUMENT) or NATIVE
        return _value_given(value, kind, accepted(accept))

    def rendered(self, entry: Entry, number: int, accept: str, window: Window | None) -> Given:
        """Give a frame as a picture.

        Raises
        ------
        NotAcceptableError
            If neither PNG nor JPEG is accepted, or the frame is too large for either.
        UnknownObjectError, DamagedInstanceError, PixelDecodeError, TransferSyntaxError
            As from `zweitblick.dicom.picture.picture`.
        """
        kind = next((kind for one in accepted(accept) for kind in _PICTURES if one.covers(kind)), None)
        if kind is None:
            raise NotAcceptableError("pictures are image/jpeg or image/png; accept one of them")
        with self._catalogue.open(entry) as file, PixelFrames(file) as frames:
            pixels = picture(frames, number, window=window)
        if pixels.shape[0] * pixels.shape[1] > LARGEST_PICTURE_PIXELS:
            raise NotAcceptableError(f"the frame has more than {LARGEST_PICTURE_PIXELS} pixels; fetch it as it is kept")
        written = io.BytesIO()
        Image.fromarray(pixels).save(written, _PICTURES[kind], quality=90)
        return Given(kind, iter((written.getvalue(),)))

    def _metadata(self, entries: list[Entry]) -> Iterator[bytes]:
        before = b"["
        for entry, header in zip(entries, self._catalogue.headers(entries), strict=True):
            place = f'"BulkDataURI":"{self._root}/{entry.path}/{BULK_FOLDER}/'.encode()
            yield before + header.replace(_AS_KEPT, place)
            before = b","
        yield b"]"

    def _frame_parts(
        self, entry: Entry, numbers: list[int], kind: str, *, is_kept: bool
    ) -> Iterator[tuple[str, Iterable[bytes]]]:
        with self._catalogue.open(entry) as file, PixelFrames(file) as frames:
            for number in numbers:
                yield kind, (frames.kept(number) if is_kept else frames.native(number),)


def frame_numbers(written: str) -> list[int]:
    """Read a list of frames, as in ``1,2,3``.

    Raises
    ------
    QueryError
        If it is none.
    """
    parts = written.split(",")
    if len(parts) > MOST_FRAMES or not all(one.isascii() and one.isdecimal() and len(one) < 10 for one in parts):
        raise QueryError(f"frames are numbers from 1 on with commas between, at most {MOST_FRAMES}")
    return [int(one) for one in parts]


def window_of(written: str | None) -> Window | None:
    """Read a window, as in ``40,400,linear`` (PS3.18 section 8.3.5.1.4).

    Raises
    ------
    QueryError
        If it is none, or not linear.
    """
    if written is None:
        return None
    center, _, rest = written.partition(",")
    width, _, function = rest.partition(",")
    try:
        window = Window(float(center), float(width))
    except ValueError:
        raise QueryError("a window is a center and a width, as in 40,400,linear") from None
    if function.lower() not in ("", "linear") or not abs(window.center) < 1e9 or not 1 <= window.width < 1e9:
        raise QueryError("a window is linear, with a finite center and a width of 1 or more")
    return window


def _frame_kind(frames: PixelFrames, wanted: list[Accepted]) -> tuple[str, bool]:
    """Choose between a frame as it is kept and in explicit little endian; return its Content-Type, and whether kept."""
    as_kept, syntax = frames.media_type, frames.transfer_syntax_uid
    is_native = as_kept == NATIVE
    for one in wanted:
        asked = one.transfer_syntax
        if not is_native and asked in ("", ANY_SYNTAX, syntax) and _takes_compressed(one, as_kept):
            return _typed(as_kept, syntax), True
        if one.covers(NATIVE) and asked in ("", ANY_SYNTAX, EXPLICIT_LITTLE_ENDIAN):
            return _typed(NATIVE, EXPLICIT_LITTLE_ENDIAN), is_native
    raise NotAcceptableError(
        f"frames are kept as {as_kept} and given so, or as {NATIVE} in explicit little endian; accept one of them"
    )


def _takes_compressed(one: Accepted, kind: str) -> bool:
    """Whoever asks for octets in any transfer syntax takes compressed ones, too: viewers ask so."""
    return one.covers(kind) or (one.covers(NATIVE) and one.transfer_syntax == ANY_SYNTAX)


def _value_given(value: bytes, kind: str, wanted: list[Accepted]) -> Given:
    for one in wanted:
        for offered in (kind, NATIVE):
            if one.covers(offered):
                if one.is_multipart:
                    return _begun(*in_parts(((offered, (value,)),), offered))
                return Given(offered, iter((value,)))
    raise NotAcceptableError(f"the value is {kind}; accept that, or {NATIVE}")


def _content(file: BinaryIO) -> Iterator[bytes]:
    with closing(file):
        while piece := file.read(_PIECE_BYTES):
            yield piece


def _typed(kind: str, syntax: str) -> str:
    return f"{kind}; transfer-syntax={syntax}"


def _begun(kind: str, pieces: Iterator[bytes]) -> Given:
    beginning = [piece for _, piece in zip(range(2), pieces, strict=False)]
    return Given(kind, chain(beginning, pieces))
