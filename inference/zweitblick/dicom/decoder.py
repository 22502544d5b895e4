"""JPEG family frames, decoded in a process of their own.

The decoders (GDCM, CharLS, OpenJPEG) are C and C++: on damaged bytes they abort, fault or allocate without end, about
once in fifty damaged frames. In a process of its own this ends that process and becomes a `PixelDecodeError` here.

Both sides speak in turns over a pipe: a Part 10 file that holds nothing but the image pixel module goes in, a NumPy
file comes out, each after its length in eight bytes.
"""

import io
import struct
import subprocess
import sys
from threading import Timer
from types import TracebackType
from typing import IO, Self

import numpy as np
from numpy.typing import NDArray
from pydicom import dcmread, dcmwrite
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import UID

from zweitblick.dicom.header import DAMAGE, integer

if sys.platform != "win32":
    import resource

    from zweitblick.core_dumps import forbid_core_dumps

LIMIT_SECONDS = 10.0
LIMIT_SECONDS_PER_MEGAPIXEL = 1.0
"""Time for one instance: a healthy megapixel takes about 0.05 s."""

LIMIT_BYTES = 8 * 2**30
"""Address space of the decoding process, where the system can limit it."""

_LENGTH = struct.Struct("<Q")


class DecodingProcess:
    """Decodes one data set after another; started with the first, ended with the ``with`` block."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()

    def values(self, data: Dataset, transfer_syntax: UID) -> NDArray[np.integer]:
        """Return the stored values of an image pixel module, ``(frames, rows, columns)`` or ``(rows, columns)``.

        Raises
        ------
        ValueError
            If the data do not decode, or the process died or took too long.
        """
        process = self._started()
        timer = Timer(_limit_seconds(data), process.kill)
        timer.start()
        try:
            if process.stdin is None or process.stdout is None:
                raise ValueError("the decoding process has no pipes")
            _send(process.stdin, _part10(data, transfer_syntax))
            answer = _receive(process.stdout)
        except (OSError, EOFError) as error:
            raise ValueError("the decoding process died") from error
        finally:
            timer.cancel()
        if not answer:
            raise ValueError("the decoder refused the data")
        return np.asarray(np.load(io.BytesIO(answer), allow_pickle=False))

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            # -P: a module in the working directory, which may be a study's folder, must not shadow ours.
            self._process = subprocess.Popen(  # noqa: S603  # our own interpreter and module
                [sys.executable, "-P", "-m", __name__],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
        return self._process


def _limit_seconds(data: Dataset) -> float:
    megapixels = data.Rows * data.Columns * (integer(data, "NumberOfFrames") or 1) / 1e6
    return LIMIT_SECONDS + LIMIT_SECONDS_PER_MEGAPIXEL * float(megapixels)


def _part10(data: Dataset, transfer_syntax: UID) -> bytes:
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = transfer_syntax
    data.file_meta = meta
    written = io.BytesIO()
    dcmwrite(written, data, implicit_vr=False, little_endian=True)
    return written.getvalue()


def _send(pipe: IO[bytes], message: bytes) -> None:
    pipe.write(_LENGTH.pack(len(message)))
    pipe.write(message)
    pipe.flush()


def _receive(pipe: IO[bytes]) -> bytes:
    head = pipe.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        raise EOFError
    (length,) = _LENGTH.unpack(head)
    message = pipe.read(length)
    if len(message) < length:
        raise EOFError
    return message


def decode(part10: bytes) -> bytes:
    """NumPy file of the stored values, empty if they do not decode."""
    try:
        data = dcmread(io.BytesIO(part10), force=True)
        values, _ = get_decoder(data.file_meta.TransferSyntaxUID).as_array(data, raw=True)
    except (*DAMAGE, OSError):
        return b""
    written = io.BytesIO()
    np.save(written, values, allow_pickle=False)
    return written.getvalue()


def serve(requests: IO[bytes], answers: IO[bytes]) -> None:
    """Answer requests until the other side closes the pipe."""
    while True:
        try:
            request = _receive(requests)
        except EOFError:
            return
        _send(answers, decode(request))


if __name__ == "__main__":
    if sys.platform != "win32":
        forbid_core_dumps()
        resource.setrlimit(resource.RLIMIT_AS, (LIMIT_BYTES, LIMIT_BYTES))
    serve(sys.stdin.buffer, sys.stdout.buffer)
