"""Sealed objects: authenticated encryption in segments, written as a stream and read at any place.

A sealed object is a version mark and then, byte for byte, a ciphertext of Tink's AES-GCM-HKDF streaming AEAD
(https://developers.google.com/tink/streaming-aead/aes_gcm_hkdf_streaming) with HKDF-SHA256, AES-256 and segments of
1 MiB, whose proof is that of Hoang and Shen, "Security of Streaming Encryption in Google's Tink Library", CCS 2020::

    mark 4 | header: its length 1, salt 32, nonce prefix 7 | segment 0 | segment 1 | ... | last segment

    subkey   HKDF-SHA256(data key, salt, info = mark, study, name), 32 bytes
    segment  AES-256-GCM(subkey, nonce = prefix 7 | number 4 | is last 1), tag of 16 bytes at its end

The header belongs to the first segment, which is shorter by its length. Salt and prefix are drawn for every object
that is written, so that no key and nonce come twice. A segment that was changed, or stands at another number, in
another object or in another study, is refused, and so is the end of an object that was cut or extended.
"""

import io
import secrets
from types import TracebackType
from typing import TYPE_CHECKING, BinaryIO, Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from zweitblick.errors import SealBrokenError, SealVersionError, SinkError
from zweitblick.vault.data_key import KEY_BYTES, DataKey

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer, WriteableBuffer

MARK = b"zwb\x01"
"""What a sealed object begins with: three letters and the version of this layout."""
SEGMENT_BYTES = 2**20
"""Ciphertext of one segment, its tag included, as in Tink's template AES256_GCM_HKDF_1MB."""
SALT_BYTES = 32
PREFIX_BYTES = 7
HEADER_BYTES = 1 + SALT_BYTES + PREFIX_BYTES
TAG_BYTES = 16
PLAIN_BYTES = SEGMENT_BYTES - TAG_BYTES
"""Plaintext of every segment but the first, which the header shortens, and the last."""


def sealed(plain: "ReadableBuffer", key: DataKey, *, study: str, name: str) -> bytes:
    """Seal a small object; a large one goes through `SealingWriter`.

    Parameters
    ----------
    plain
        Any bytes, also none.
    key
        The study's data key.
    study, name
        Where the object belongs. It opens only under the same two.

    Returns
    -------
    Version mark, header and segments; 60 bytes longer than the object, and 16 more for every further MiB.
    """
    sink = io.BytesIO()
    with SealingWriter(sink, key, study=study, name=name) as writer:
        writer.write(plain)
    return sink.getvalue()


def opened(data: bytes, key: DataKey, *, study: str, name: str) -> bytes:
    """Open a small object; a large one goes through `OpeningReader`.

    Raises
    ------
    SealVersionError
        If the data do not begin with the version mark.
    SealBrokenError
        If they were changed or cut, belong to another study or object, or were sealed with another key.
    """
    return OpeningReader(io.BytesIO(data), key, study=study, name=name).readall()


class SealingWriter:
    """Seal what is written, as it comes; holds one segment in memory.

    Used with ``with``. If the block or the sink raises, the last segment is not written: the object never opens.
    It is no ``io.IOBase``, because the collector closes those: a writer that was left half done would be completed.

    Parameters
    ----------
    sink
        Takes the sealed bytes; buffered, so that it takes all it is given. It stays open, and flushing is the caller's.
    key
        The study's data key.
    study, name
        Where the object belongs. It opens only under the same two.

    Raises
    ------
    SinkError
        Here, from `write` or from `close`, if the sink did not take all of a segment.
    """

    def __init__(self, sink: BinaryIO, key: DataKey, *, study: str, name: str) -> None:
        header = bytes([HEADER_BYTES]) + secrets.token_bytes(SALT_BYTES + PREFIX_BYTES)
        self._sink = sink
        self._segments = _Segments(header, key, study, name)
        self._number = 0
        self._plain = bytearray()
        self._waiting = 0
        self._closed = False
        self._put(MARK + header)

    def write(self, data: "ReadableBuffer") -> int:
        """Seal some bytes; a segment is passed on once there is more than it holds, since the last one is marked.

        Raises
        ------
        ValueError
            If the writer is closed.
        """
        if self._closed:
            raise ValueError("write to a closed SealingWriter")
        view = memoryview(data).cast("B")
        size = len(view)
        while len(view) > (room := _plain_bytes(self._number) - self._waiting):
            self._put_segment(view[:room], last=False)
            view = view[room:]
        self._keep(view)
        return size

    def close(self) -> None:
        """Write the last segment, which makes the object complete. The second time nothing happens."""
        if not self._closed:
            self._closed = True
            self._put_segment(memoryview(b""), last=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        self._closed = True
        self._plain = bytearray()

    def _keep(self, part: memoryview) -> None:
        """Let bytes wait for the rest of their segment; the room for them, once grown, is used again."""
        end = self._waiting + len(part)
        self._plain[self._waiting : end] = part
        self._waiting = end

    def _put_segment(self, end: memoryview, *, last: bool) -> None:
        """Seal what waits and the end of the segment; not copied together where the end is all."""
        if self._waiting:
            self._keep(end)
            end = memoryview(self._plain)[: self._waiting]
        data = self._segments.sealed(end, self._number, last=last)
        self._number += 1
        self._waiting = 0
        self._put(data)

    def _put(self, data: bytes) -> None:
        # Closed meanwhile, and for good if the sink raises: an object with a hole must not be completed.
        closed, self._closed = self._closed, True
        taken = self._sink.write(data)
        if taken != len(data):
            raise SinkError(f"only {taken} of {len(data)} sealed bytes were written; give a buffered file with room")
        self._closed = closed


class OpeningReader(io.RawIOBase):
    """Read a sealed object at any place; no byte is given out before its segment is verified.

    The last segment is verified at once, so that the object's length is sure and a cut is seen before the first byte.
    Holds one segment in memory. One read ends where a segment does; an ``io.BufferedReader`` around it reads on.
    Not for several threads at once.

    Parameters
    ----------
    source
        The sealed bytes; seekable. It stays open, and nobody else may move it meanwhile.
    key
        The study's data key.
    study, name
        Where the object belongs, as they were given when it was sealed.

    Raises
    ------
    SealVersionError
        If the source does not begin with the version mark.
    SealBrokenError
        Here or from reading, if the source was changed or cut, belongs to another study or object, or was sealed
        with another key.
    """

    def __init__(self, source: BinaryIO, key: DataKey, *, study: str, name: str) -> None:
        super().__init__()
        self._source = source
        self._position = 0
        stream_bytes = source.seek(0, io.SEEK_END) - len(MARK)
        self._segments = _Segments(self._header(), key, study, name)
        self._last = max(0, stream_bytes - 1) // SEGMENT_BYTES
        self._size = stream_bytes - HEADER_BYTES - (self._last + 1) * TAG_BYTES
        self._number, self._plain = self._last, self._opened(self._last)

    def readable(self) -> bool:
        """Tell that it can be read."""
        return True

    def seekable(self) -> bool:
        """Tell that it can be read at any place."""
        return True

    def tell(self) -> int:
        """Return the position in the plaintext, in bytes."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Go to a position in the plaintext, in bytes; behind the end there is nothing to read.

        Raises
        ------
        ValueError
            If it lies before the start, or ``whence`` is none of the three of `io`.
        """
        starts = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}
        if whence not in starts:
            raise ValueError(f"whence is 0, 1 or 2, not {whence}")
        position = starts[whence] + offset
        if position < 0:
            raise ValueError(f"{position} is no position; it must not be negative")
        self._position = position
        return position

    def readinto(self, buffer: "WriteableBuffer", /) -> int:
        """Fill a buffer with verified bytes up to the end of a segment, and return their number, 0 at the end."""
        target = memoryview(buffer).cast("B")
        part = self._part(len(target))
        target[: len(part)] = part
        return len(part)

    def readall(self) -> bytes:
        """Return everything from the position on, once all of it is verified."""
        return b"".join(iter(lambda: self._part(PLAIN_BYTES), b""))

    def _part(self, most: int) -> memoryview:
        """Take the next bytes, up to the end of a segment and to a number."""
        if self.closed:
            raise ValueError("read of a closed OpeningReader")
        if self._position >= self._size:
            return memoryview(b"")
        number, start = divmod(self._position + HEADER_BYTES, PLAIN_BYTES)
        if number == 0:
            start -= HEADER_BYTES
        if number != self._number:
            self._plain = self._opened(number)
            self._number = number
        part = memoryview(self._plain)[start : start + most]
        self._position += len(part)
        return part

    def _header(self) -> bytes:
        self._source.seek(0)
        if self._source.read(len(MARK)) != MARK:
            raise SealVersionError("the data do not begin as a sealed object of version 1 does; open what was sealed")
        header = self._source.read(HEADER_BYTES)
        if len(header) != HEADER_BYTES or header[0] != HEADER_BYTES:
            raise SealBrokenError(f"the header is not one of {HEADER_BYTES} bytes; restore the object from a backup")
        return header

    def _opened(self, number: int) -> bytes:
        start = number * SEGMENT_BYTES if number else HEADER_BYTES
        self._source.seek(len(MARK) + start)
        data = self._source.read((number + 1) * SEGMENT_BYTES - start)
        try:
            return self._segments.opened(data, number, last=number == self._last)
        except InvalidTag as error:
            raise SealBrokenError(
                f"segment {number} of 0 to {self._last} was changed, cut or moved, or is opened with another study, "
                "name or key; check these, then restore the object from a backup"
            ) from error


class _Segments:
    """Subkey and nonces of one object."""

    def __init__(self, header: bytes, key: DataKey, study: str, name: str) -> None:
        salt, self._prefix = header[1 : 1 + SALT_BYTES], header[1 + SALT_BYTES :]
        self._gcm = AESGCM(HKDF(SHA256(), KEY_BYTES, salt=salt, info=_info(study, name)).derive(key.secret))

    def sealed(self, plain: memoryview, number: int, *, last: bool) -> bytes:
        return self._gcm.encrypt(self._nonce(number, last=last), plain, None)

    def opened(self, data: bytes, number: int, *, last: bool) -> bytes:
        return self._gcm.decrypt(self._nonce(number, last=last), data, None)

    def _nonce(self, number: int, *, last: bool) -> bytes:
        """12 bytes; four of them count segments, which ends at 4 PiB with an OverflowError."""
        return self._prefix + number.to_bytes(4, "big") + bytes([last])


def _info(study: str, name: str) -> bytes:
    """Bind a subkey to its use: mark, then each name after its length, so that no two pairs read the same."""
    parts = (part.encode("utf-8", "surrogatepass") for part in (study, name))
    return MARK + b"".join(len(part).to_bytes(4, "big") + part for part in parts)


def _plain_bytes(number: int) -> int:
    return PLAIN_BYTES if number else PLAIN_BYTES - HEADER_BYTES
