"""PixelFrames: single frames of an instance's pixel data, taken from the file without the others."""

import io
from types import TracebackType
from typing import BinaryIO, Self

import numpy as np
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, get_frame
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian

from zweitblick.dicom.decoder import DecodingProcess
from zweitblick.dicom.header import DAMAGE, Header, header_of, integer, quietly, text
from zweitblick.errors import DamagedInstanceError, PixelDecodeError, TransferSyntaxError, UnknownObjectError

MEDIA_TYPES = {
    "1.2.840.10008.1.2.5": "image/dicom-rle",
    "1.2.840.10008.1.2.4.50": "image/jpeg",
    "1.2.840.10008.1.2.4.51": "image/jpeg",
    "1.2.840.10008.1.2.4.57": "image/jpeg",
    "1.2.840.10008.1.2.4.70": "image/jpeg",
    "1.2.840.10008.1.2.4.80": "image/jls",
    "1.2.840.10008.1.2.4.81": "image/jls",
    "1.2.840.10008.1.2.4.90": "image/jp2",
    "1.2.840.10008.1.2.4.91": "image/jp2",
    "1.2.840.10008.1.2.4.92": "image/jpx",
    "1.2.840.10008.1.2.4.93": "image/jpx",
    "1.2.840.10008.1.2.4.201": "image/jphc",
    "1.2.840.10008.1.2.4.202": "image/jphc",
    "1.2.840.10008.1.2.4.203": "image/jphc",
}
"""Of a compressed frame, by transfer syntax (PS3.18 table 8.7.3-5)."""

NATIVE = "application/octet-stream"
_LAYOUT = ("Rows", "Columns", "BitsAllocated")


class PixelFrames:
    """The frames of one instance; used in a ``with``, which ends the process that decodes.

    Parameters
    ----------
    file
        A DICOM file; seekable, and nobody else may move it meanwhile.

    Raises
    ------
    DamagedInstanceError
        If it has no header that can be read.
    UnknownObjectError
        If it has no pixel data.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        with quietly():
            self._header = header_of(file, None)
            data = self._header.data
            self._rows, self._columns, self._bits = (integer(data, keyword) or 0 for keyword in _LAYOUT)
            self._samples = integer(data, "SamplesPerPixel") or 1
            self._declared = integer(data, "NumberOfFrames") or 1
            self._photometric = text(data, "PhotometricInterpretation")
        if self._header.pixels is None or min(self._rows, self._columns, self._bits) <= 0:
            raise UnknownObjectError("the instance has no pixel data; ask for its metadata")
        self._start, self._length = _placed(self._header)
        self._decoder = DecodingProcess()
        if self._syntax == DeflatedExplicitVRLittleEndian:
            self._file = _inflated(file)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._decoder.__exit__(kind, error, trace)

    @property
    def header(self) -> Dataset:
        """What stands before the pixel data."""
        return self._header.data

    @property
    def count(self) -> int:
        """Number of frames."""
        return self._declared

    @property
    def is_grey(self) -> bool:
        """Whether there is one sample per pixel that is no index of a palette."""
        return self._samples == 1 and self._photometric.startswith("MONOCHROME")

    @property
    def transfer_syntax_uid(self) -> str:
        """How frames are kept."""
        return str(self._syntax)

    @property
    def media_type(self) -> str:
        """Of frames as they are kept (PS3.18 table 8.7.3-5).

        Raises
        ------
        TransferSyntaxError
            If DICOMweb has none for the transfer syntax.
        """
        if not self._syntax.is_compressed or self._syntax == DeflatedExplicitVRLittleEndian:
            return NATIVE
        if self._syntax not in MEDIA_TYPES:
            raise TransferSyntaxError(f"frames of {_label(self._syntax)} have no media type; fetch the whole instance")
        return MEDIA_TYPES[self._syntax]

    def kept(self, number: int) -> bytes:
        """Return a frame as it is kept, or in little endian if it is not compressed.

        Parameters
        ----------
        number
            From 1.

        Raises
        ------
        UnknownObjectError
            If there is no such frame.
        DamagedInstanceError
            If the pixel data end before it does.
        """
        self._check_number(number)
        return self._compressed(number) if self.media_type != NATIVE else self._native(number)

    def native(self, number: int) -> bytes:
        """Return a frame in explicit little endian (PS3.5 section 8.1 and annex D), decoded if it is compressed.

        Raises
        ------
        UnknownObjectError, DamagedInstanceError
            As from `kept`.
        TransferSyntaxError
            If it is compressed and not grey, or not of 8 or 16 bits: ask for it as it is kept.
        PixelDecodeError
            If it does not decode.
        """
        self._check_number(number)
        if self.media_type == NATIVE:
            return self._native(number)
        if not self.is_grey or self._bits not in (8, 16):
            raise TransferSyntaxError("compressed colours are not decoded; ask for transfer-syntax=*")
        values = self._decoded(self._compressed(number))
        if values.size != self._rows * self._columns or values.itemsize * 8 != self._bits:
            raise PixelDecodeError("a frame decodes to another size than the header says; send the instance again")
        return values.astype(values.dtype.newbyteorder("<")).tobytes()

    def samples(self, number: int) -> NDArray[np.integer]:
        """Return the stored samples of a frame, ``(rows, columns)`` or ``(rows, columns, samples)``.

        Raises
        ------
        UnknownObjectError, DamagedInstanceError, TransferSyntaxError, PixelDecodeError
            As from `native`.
        """
        frame = self.native(number)
        if self._bits == 1:
            bits = np.unpackbits(np.frombuffer(frame, np.uint8), bitorder="little")
            return bits[: self._rows * self._columns].reshape(self._rows, self._columns)
        signed = integer(self.header, "PixelRepresentation") == 1
        word = np.dtype(f"<{'i' if signed else 'u'}{self._bits // 8}")
        values: NDArray[np.integer] = np.frombuffer(frame, word)
        if self._samples == 1:
            return values.reshape(self._rows, self._columns)
        if integer(self.header, "PlanarConfiguration") == 1:
            return np.moveaxis(values.reshape(self._samples, self._rows, self._columns), 0, -1)
        return values.reshape(self._rows, self._columns, self._samples)

    @property
    def _syntax(self) -> UID:
        return UID(self._header.transfer_syntax_uid)

    def _check_number(self, number: int) -> None:
        if not 0 < number <= self._declared:
            raise UnknownObjectError(f"the instance has {self._declared} frames, and none of number {number}")

    def _native(self, number: int) -> bytes:
        """Read one frame; those of single bits begin anywhere within a byte (PS3.5 section 8.1.1)."""
        bits = self._rows * self._columns * self._samples * self._bits
        first, shift = divmod((number - 1) * bits, 8)
        size = (shift + bits + 7) // 8
        self._file.seek(self._start + first)
        frame = self._file.read(size)
        if first + size > self._length or len(frame) < size:
            raise DamagedInstanceError(f"the pixel data end before frame {number} does; send the instance again")
        if shift or bits % 8:
            whole = np.unpackbits(np.frombuffer(frame, np.uint8), bitorder="little")[shift : shift + bits]
            return np.packbits(whole, bitorder="little").tobytes()
        return self._swapped(frame) if self._syntax == ExplicitVRBigEndian else frame

    def _swapped(self, frame: bytes) -> bytes:
        if self._bits not in (16, 32):
            raise TransferSyntaxError(f"big endian of {self._bits} bits is not turned; fetch the whole instance")
        return np.frombuffer(frame, f">u{self._bits // 8}").astype(f"<u{self._bits // 8}").tobytes()

    def _compressed(self, number: int) -> bytes:
        offsets = [self.header.get(keyword) for keyword in ("ExtendedOffsetTable", "ExtendedOffsetTableLengths")]
        extended = (offsets[0], offsets[1]) if all(isinstance(one, bytes) for one in offsets) else None
        self._file.seek(self._start)
        try:
            with quietly():
                return get_frame(self._file, number - 1, number_of_frames=self._declared, extended_offsets=extended)
        except (*DAMAGE, OSError) as error:
            raise DamagedInstanceError(
                f"frame {number} is not there whole ({type(error).__name__}); send the instance again"
            ) from error

    def _decoded(self, frame: bytes) -> NDArray[np.integer]:
        alone = Dataset()
        for keyword in ("BitsStored", "HighBit", "PixelRepresentation", "PhotometricInterpretation", *_LAYOUT):
            if keyword in self.header:
                alone[keyword] = self.header[keyword]
        alone.SamplesPerPixel = 1
        alone.NumberOfFrames = 1
        alone.PixelData = encapsulate([frame])
        alone["PixelData"].VR = "OB"
        try:
            with quietly():
                return self._decoder.values(alone, self._syntax)
        except (*DAMAGE, OSError) as error:
            raise PixelDecodeError(
                f"the frame does not decode ({type(error).__name__}); ask for transfer-syntax=*"
            ) from error


def _placed(header: Header) -> tuple[int, int]:
    if header.pixels is None or header.transfer_syntax_uid == DeflatedExplicitVRLittleEndian:
        return 0, _UNBOUNDED
    return header.pixels


_UNBOUNDED = 0xFFFFFFFF


def _inflated(file: BinaryIO) -> BinaryIO:
    """Return the pixel data of a deflated data set; how large it inflates was checked with its header."""
    file.seek(0)
    try:
        with quietly():
            return io.BytesIO(dcmread(file, specific_tags=["PixelData"]).PixelData)
    except (*DAMAGE, OSError) as error:
        raise DamagedInstanceError("the deflated data set cannot be inflated; send the instance again") from error


def _label(syntax: UID) -> str:
    """Name a standard syntax; a private one's UID may hold a device's root."""
    return "a private transfer syntax" if syntax.is_private else syntax.name
