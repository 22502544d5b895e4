"""A frame as a picture: stored values to what a screen shows (PS3.3 section C.11, PS3.4 annex N.2)."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from zweitblick.dicom.frames import FrameHeader, frame_headers
from zweitblick.dicom.header import quietly
from zweitblick.dicom.pixel_frames import PixelFrames
from zweitblick.errors import TransferSyntaxError


@dataclass(frozen=True)
class Window:
    """Center and width, in the values that the rescale leads to."""

    center: float
    width: float


def picture(frames: PixelFrames, number: int, *, window: Window | None = None) -> NDArray[np.uint8]:
    """Return a frame as it is shown.

    Parameters
    ----------
    frames
        Of the instance.
    number
        From 1.
    window
        If None, the first one of the header, or else all values from the lowest to the highest.

    Returns
    -------
    ``(rows, columns)``, or ``(rows, columns, 3)`` red, green and blue.

    Raises
    ------
    TransferSyntaxError
        If the colours are none that is shown here.
    UnknownObjectError, DamagedInstanceError, PixelDecodeError
        As from `PixelFrames.samples`.
    """
    stored = frames.samples(number)
    if not frames.is_grey:
        return _coloured(frames.header, stored)
    with quietly():
        headers = frame_headers(frames.header)
        header = headers[number - 1] if number <= len(headers) else headers[0]
        values = _rescaled(stored, header)
        shown = _windowed(values, window or _window_of(header) or _whole(values))
        inverted = frames.header.get("PhotometricInterpretation") == "MONOCHROME1"
    return 255 - shown if inverted else shown


def _coloured(header: Dataset, stored: NDArray[np.integer]) -> NDArray[np.uint8]:
    if header.get("PhotometricInterpretation") != "RGB" or stored.dtype.itemsize != 1:
        raise TransferSyntaxError("only grey values and RGB of 8 bits are shown; fetch the frame as it is kept")
    return stored.astype(np.uint8)


def _rescaled(stored: NDArray[np.integer], header: FrameHeader) -> NDArray[np.float32]:
    """Apply slope and intercept (PS3.3 section C.11.1.1.2)."""
    slope = header.number("PixelValueTransformationSequence", "RescaleSlope")
    intercept = header.number("PixelValueTransformationSequence", "RescaleIntercept")
    return stored.astype(np.float32) * np.float32(slope or 1) + np.float32(intercept or 0)


def _window_of(header: FrameHeader) -> Window | None:
    center = header.number("FrameVOILUTSequence", "WindowCenter")
    width = header.number("FrameVOILUTSequence", "WindowWidth")
    return Window(center, width) if center is not None and width is not None and width >= 1 else None


def _whole(values: NDArray[np.float32]) -> Window:
    low, high = float(values.min()), float(values.max())
    return Window((low + high + 1) / 2, high - low + 1)


def _windowed(values: NDArray[np.float32], window: Window) -> NDArray[np.uint8]:
    """Apply a linear window (PS3.3 section C.11.2.1.2.1)."""
    if window.width <= 1:
        return np.where(values > window.center - 0.5, 255, 0).astype(np.uint8)
    place = (values - (window.center - 0.5)) / (window.width - 1) + 0.5
    return np.asarray(np.rint(np.clip(place, 0, 1) * 255), np.uint8)
