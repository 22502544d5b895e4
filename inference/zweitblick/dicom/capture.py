"""Reading to a secondary-capture series: the outline burnt into pictures, for archives that show neither SEG nor SR."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from highdicom.sc import SCImage
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from pydicom.dataset import Dataset
from pydicom.uid import (
    EnhancedMRColorImageStorage,
    EnhancedMRImageStorage,
    ExplicitVRLittleEndian,
    LegacyConvertedEnhancedMRImageStorage,
)

from zweitblick.dicom.context import CAPTURE, MANUFACTURER, header, instance_uid, part10, series_uid, settled
from zweitblick.dicom.planes import reference_planes
from zweitblick.overlay import LABEL_NAMES, LABEL_RGB, grey, outlined, window
from zweitblick.reading import RESEARCH_USE, Reading
from zweitblick.study import Frame
from zweitblick.volume import Float64

MULTI_FRAME = (EnhancedMRImageStorage, EnhancedMRColorImageStorage, LegacyConvertedEnhancedMRImageStorage)
MARK = "AI, not verified"
_WHITE = (255, 255, 255)
_OPPOSITE = {"L": "R", "R": "L", "A": "P", "P": "A", "H": "F", "F": "H"}

SMALLEST_SIDE = 512
"""Slices are enlarged to at least this many pixels, so that the text stays small beside the head."""


def secondary_capture(reading: Reading) -> tuple[bytes, ...]:
    """Draw the outline over each reference slice that holds tumour, or over the middle slice if none does.

    Returns
    -------
    tuple of bytes
        Part 10, one RGB Secondary Capture Image (PS3.3 A.8.1) for each slice, in the order of the reference grid.

    Raises
    ------
    GeometryError
        If the reference volume does not lie on the reference series' frames.
    """
    on_reference = reading.on_reference()
    labels = on_reference.labels()
    shown = window(reading.reference_volume.voxels, on_reference.brain)
    planes = reference_planes(reading)
    slices = [int(k) for k in np.flatnonzero(labels.any(axis=(1, 2)))] or [len(planes) // 2]
    source = header(planes[slices[0]].instance)
    written = []
    for number, k in enumerate(slices, start=1):
        picture = Picture(planes[k], grey(reading.reference_volume.voxels[k], shown), labels[k])
        written.append(part10(_image(reading, source, picture=picture, number=number)))
    return tuple(written)


@dataclass(frozen=True, eq=False)
class Picture:
    """One slice to be drawn.

    Parameters
    ----------
    frame
        Of the reference series.
    grey, labels
        ``(J, I)`` uint8.
    """

    frame: Frame
    grey: NDArray[np.uint8]
    labels: NDArray[np.uint8]

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in square pixels, the shorter side at least `SMALLEST_SIDE`."""
        height, width = np.array(self.grey.shape) * np.array(self.frame.spacing_mm)
        pixel_mm = min(*self.frame.spacing_mm, min(height, width) / SMALLEST_SIDE)
        return round(width / pixel_mm), round(height / pixel_mm)

    @property
    def directions(self) -> tuple[str, str]:
        """Patient direction, to the nearest axis, along a row and down a column (PS3.3 C.7.6.1.1.1)."""
        row, column = np.array(self.frame.orientation_lps).reshape(2, 3)
        return _direction(row), _direction(column)

    def drawn(self) -> NDArray[np.uint8]:
        """``(H, W, 3)`` uint8 with outline, marks and legend. Outlines follow the voxels that the SEG has."""
        background = np.asarray(Image.fromarray(self.grey).resize(self.size, Image.Resampling.BILINEAR))
        labels = np.asarray(Image.fromarray(self.labels).resize(self.size, Image.Resampling.NEAREST))
        image = Image.fromarray(outlined(background, labels, pixels=2))
        self._mark(ImageDraw.Draw(image), np.unique(labels).tolist())
        return np.asarray(image)

    def _mark(self, draw: ImageDraw.ImageDraw, present: Sequence[int]) -> None:
        width, height = self.size
        right, down = self.directions
        font = ImageFont.load_default(size=height / 36)
        lines = [(MARK, _WHITE), *((LABEL_NAMES[label], LABEL_RGB[label]) for label in LABEL_NAMES if label in present)]
        marks = [((6.0, 4.0 + number * height / 28), "la", text, colour) for number, (text, colour) in enumerate(lines)]
        marks.append(((6.0, height - 4.0), "ld", RESEARCH_USE, _WHITE))
        for x, y, anchor, letter in (
            (6.0, height / 2, "lm", _OPPOSITE[right]),
            (width - 6.0, height / 2, "rm", right),
            (width / 2, 4.0, "ma", _OPPOSITE[down]),
            (width / 2, height - 4.0 - height / 28, "md", down),
        ):
            marks.append(((x, y), anchor, letter, _WHITE))
        for place, anchor, text, colour in marks:
            draw.text(place, text, colour, font, anchor=anchor, stroke_width=1, stroke_fill=(0, 0, 0))


def _direction(lps: Float64) -> str:
    axis = int(np.argmax(np.abs(lps)))
    return ("LPH" if lps[axis] > 0 else "RAF")[axis]


def _image(reading: Reading, source: Dataset, *, picture: Picture, number: int) -> Dataset:
    pixels = picture.drawn()
    height, width = np.array(picture.grey.shape) * np.array(picture.frame.spacing_mm) / pixels.shape[:2]
    dataset = SCImage(
        pixel_array=pixels,
        photometric_interpretation="RGB",
        bits_allocated=8,
        coordinate_system="PATIENT",
        patient_orientation=picture.directions,
        pixel_spacing=(float(height), float(width)),
        study_instance_uid=source.StudyInstanceUID,
        series_instance_uid=series_uid(reading, CAPTURE),
        series_number=CAPTURE.number,
        sop_instance_uid=instance_uid(reading, CAPTURE, number=number),
        instance_number=number,
        manufacturer=MANUFACTURER,
        transfer_syntax_uid=ExplicitVRLittleEndian,
    )
    dataset.copy_patient_and_study_information(source)
    dataset.ConversionType = "WSD"
    dataset.BodyPartExamined = "BRAIN"
    dataset.BurnedInAnnotation = "YES"
    dataset.ImageComments = f"{MARK}. {RESEARCH_USE}"
    dataset.DerivationDescription = f"Outline by zweitblick {reading.version} burnt into the reference series"
    dataset.SourceImageSequence = [_source(picture.frame)]
    settled(dataset, reading, output=CAPTURE)
    dataset.DateOfSecondaryCapture, dataset.TimeOfSecondaryCapture = dataset.ContentDate, dataset.ContentTime
    return dataset


def _source(frame: Frame) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = frame.instance.sop_class_uid
    item.ReferencedSOPInstanceUID = frame.instance.sop_instance_uid
    if frame.instance.sop_class_uid in MULTI_FRAME:
        item.ReferencedFrameNumber = frame.number
    return item
