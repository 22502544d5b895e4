"""Stored pixel values of instances, whatever their transfer syntax."""

import math
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.pixels.decoders.base import Decoder, get_decoder
from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian, RLELossless

from zweitblick.dicom.decoder import DecodingProcess
from zweitblick.dicom.header import DAMAGE, Header, integer, opened_bytes, quietly, tags_of, text
from zweitblick.errors import DamagedInstanceError, PixelDecodeError, TransferSyntaxError
from zweitblick.study import Instance, NativePixels

_TAGS = tags_of(
    (
        "Rows",
        "Columns",
        "NumberOfFrames",
        "SamplesPerPixel",
        "PhotometricInterpretation",
        "BitsAllocated",
        "BitsStored",
        "HighBit",
        "PixelRepresentation",
        "PixelData",
    )
)

_LAYOUT = ("Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation")
_NO_LENGTH = 0xFFFFFFFF
"""Undefined length (PS3.5 section 7.1.1)."""


def native_pixels(header: Header) -> NativePixels | None:
    """Say where an instance's pixels lie, if they need no decoder: grey, plain little-endian words, all of them there.

    Whatever is amiss, `stored_values` finds it when it decodes.
    """
    data, syntax = header.data, header.transfer_syntax_uid
    if header.pixels is None or syntax not in (ImplicitVRLittleEndian, ExplicitVRLittleEndian):
        return None
    offset, length = header.pixels
    rows, columns, allocated, stored, high, sign = (integer(data, keyword) or 0 for keyword in _LAYOUT)
    frames = integer(data, "NumberOfFrames") or 1
    grey = text(data, "PhotometricInterpretation").startswith("MONOCHROME") and integer(data, "SamplesPerPixel") == 1
    whole = 0 < rows * columns * frames * allocated // 8 <= length < _NO_LENGTH
    if not (grey and whole and frames > 0 and _is_read_depth(allocated, stored, high)):
        return None
    return NativePixels(offset, (frames, rows, columns), allocated, stored, high, signed=sign == 1)


def stored_values(instances: Iterable[Instance]) -> Iterator[tuple[Instance, NDArray[np.integer]]]:
    """Decode all frames of grey instances, one instance after the other.

    Bits beyond Bits Stored (0028,0101) are masked and the sign extended (PS3.5 section 8.1.1); where the retired
    High Bit (0028,0102) differs from Bits Stored - 1, values are first shifted down (PS3.5-2004 section 8.1.1).

    Yields
    ------
    tuple
        The instance and ``(frames, rows, columns)`` integers, before any rescale.

    Raises
    ------
    TransferSyntaxError
        If no decoder is installed.
    DamagedInstanceError
        If the file is cut short or its header damaged.
    PixelDecodeError
        If the pixel data do not decode to the announced size, or are not grey.
    """
    with DecodingProcess() as process:
        for instance in instances:
            native = _native_values(instance)
            yield instance, _values(instance, process) if native is None else native


def _native_values(instance: Instance) -> NDArray[np.integer] | None:
    """Read plain words; None where there are none, or not all of them."""
    native = instance.native
    if native is None:
        return None
    word = np.dtype(f"<{'i' if native.signed else 'u'}{native.allocated // 8}")
    words = _words(instance.source, word, math.prod(native.shape), native.offset)
    if words.size < math.prod(native.shape):
        return None
    return _significant_bits(words.reshape(native.shape), native.allocated, native.stored, native.high)


def _words(source: Path | bytes, word: np.dtype[np.integer], count: int, offset: int) -> NDArray[np.integer]:
    """Read words from an offset on; fewer than asked for where the source ends, none where it cannot be read."""
    if isinstance(source, bytes):
        held = max(len(source) - offset, 0) // word.itemsize
        return np.frombuffer(source, word, min(count, held), offset) if held else np.empty(0, word)
    try:
        return np.fromfile(source, word, count, offset=offset)
    except OSError:
        return np.empty(0, word)


def _values(instance: Instance, process: DecodingProcess) -> NDArray[np.integer]:
    data, decoder = _read(instance), _decoder(instance)
    try:
        with quietly():
            if not _is_raw(instance):
                values = process.values(data, UID(instance.transfer_syntax_uid))
            else:
                # Of the RLE decoders pydicom's own raises on damage; the Rust one panics past every except clause.
                # pydicom annotates each option with the type of all options together.
                values, _ = decoder.as_array(
                    data,
                    raw=True,
                    decoding_plugin="pydicom" if decoder.is_encapsulated else "",
                    correct_unused_bits=False,  # type: ignore[arg-type]  # see above
                )
    except (*DAMAGE, OSError) as error:
        raise PixelDecodeError(
            f"{_name(instance)}: pixel data do not decode ({type(error).__name__}); send the instance again"
        ) from error
    planes = values.reshape(-1, *values.shape[-2:])
    if not _is_raw(instance):
        return planes
    return _significant_bits(planes, data.BitsAllocated, data.BitsStored, data.HighBit)


def _read(instance: Instance) -> Dataset:
    try:
        with opened_bytes(instance.source) as file, quietly():
            data = dcmread(file, force=True, specific_tags=list(_TAGS))
            _check_complete(data, instance)
    except (*DAMAGE, OSError) as error:
        raise DamagedInstanceError(
            f"{_name(instance)}: the instance is damaged ({type(error).__name__}); send it again"
        ) from error
    return data


def _check_complete(data: Dataset, instance: Instance) -> None:
    """Look at what must be there before anything is decoded or allocated."""
    if "PixelData" not in data:
        raise DamagedInstanceError(f"{_name(instance)}: no pixel data; the file is cut short, send it again")
    photometric = text(data, "PhotometricInterpretation")
    if not photometric.startswith("MONOCHROME") or data.SamplesPerPixel != 1:
        raise PixelDecodeError(f"{_name(instance)}: pixels are {photometric or 'of no known kind'}, not grey values")
    allocated, stored, high = data.BitsAllocated, data.BitsStored, data.HighBit
    if not _is_read_depth(allocated, stored, high):
        raise PixelDecodeError(
            f"{_name(instance)}: {allocated} bits allocated, {stored} stored, high bit {high}; 8 or 16 bit is read"
        )
    wanted = data.Rows * data.Columns * (integer(data, "NumberOfFrames") or 1) * allocated // 8
    found = len(data.PixelData)
    if not UID(instance.transfer_syntax_uid).is_encapsulated and found < wanted:
        raise DamagedInstanceError(
            f"{_name(instance)}: {found} bytes of pixel data where the header announces {wanted}; send it again"
        )


def _is_read_depth(allocated: int, stored: int, high: int) -> bool:
    return allocated in (8, 16) and 0 < stored <= high + 1 <= allocated


def _decoder(instance: Instance) -> Decoder:
    try:
        decoder = get_decoder(UID(instance.transfer_syntax_uid))
    except NotImplementedError as error:
        raise _no_decoder(instance) from error
    if not decoder.is_available:
        raise _no_decoder(instance)
    return decoder


def _no_decoder(instance: Instance) -> TransferSyntaxError:
    syntax = UID(instance.transfer_syntax_uid)
    # A private syntax's UID may hold a device's root; the name of a standard one is no identifier.
    label = syntax.name if not syntax.is_private else "a private transfer syntax"
    return TransferSyntaxError(f"{_name(instance)}: {label} is not read; send it uncompressed")


def _is_raw(instance: Instance) -> bool:
    """Whether stored words come as they were written; JPEG decoders return values already."""
    syntax = UID(instance.transfer_syntax_uid)
    return not syntax.is_encapsulated or syntax == RLELossless


def _significant_bits(words: NDArray[np.integer], allocated: int, stored: int, high: int) -> NDArray[np.integer]:
    """Cut the bits above High Bit, then those below; the right shift of a signed word extends its sign."""
    if stored == allocated:
        return words
    return np.asarray(np.right_shift(np.left_shift(words, allocated - 1 - high), allocated - stored))


def _name(instance: Instance) -> str:
    return "an instance without number" if instance.number is None else f"instance {instance.number}"
