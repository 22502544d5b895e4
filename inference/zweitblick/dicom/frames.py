"""Planes of an instance and what tells their volumes apart: classic single-frame and enhanced multi-frame images.

A classic image keeps its geometry in the data set itself (Image Plane module, PS3.3 C.7.6.2); an enhanced one in
functional groups, per frame or shared by all (C.7.6.16.1). One look-up serves both: the frame's own groups first,
then the shared ones, then the data set.
"""

from dataclasses import dataclass
from typing import NamedTuple

from pydicom.dataset import Dataset

from zweitblick.dicom.header import integer, items, number, numbers, text, texts
from zweitblick.study import Frame, Instance

GEOMETRY_KEYWORDS = (
    "SharedFunctionalGroupsSequence",
    "PerFrameFunctionalGroupsSequence",
    "NumberOfFrames",
    "Rows",
    "Columns",
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "PixelSpacing",
    "RescaleSlope",
    "RescaleIntercept",
    "ImageType",
    "ComplexImageComponent",
    "StackID",
    "DiffusionBValue",
    "DiffusionGradientOrientation",
    "EchoTime",
    "EchoNumbers",
    "InversionTime",
    "TemporalPositionIdentifier",
    "AcquisitionNumber",
)
"""What `frames` reads of a data set."""


class VolumeKey(NamedTuple):
    """What tells a frame's volume from others of its series; every part as text, empty if absent.

    ``stack`` always parts frames (PS3.3 C.7.6.16.2.2: a stack is what belongs together in space). The others part
    only frames that share a place, in this order, for vendors also change some of them from slice to slice.
    """

    stack: str = ""
    image_type: str = ""
    b_value: str = ""
    gradient: str = ""
    echo_time_ms: str = ""
    echo_number: str = ""
    inversion_time_ms: str = ""
    temporal_position: str = ""
    acquisition: str = ""
    frame_acquisition: str = ""


@dataclass(frozen=True)
class FrameHeader:
    """Where to look for the attributes of one frame.

    Parameters
    ----------
    groups
        Its functional groups: per frame, then shared; none in a classic image.
    image
        The data set.
    """

    groups: tuple[Dataset, ...]
    image: Dataset

    def holder(self, macro: str, keyword: str) -> Dataset:
        """Return the item of sequence ``macro`` that has ``keyword``, or else the data set itself."""
        for group in self.groups:
            found = items(group, macro)
            if found and keyword in found[0]:
                return found[0]
        return self.image

    def text(self, macro: str, keyword: str) -> str:
        """Value as text; see `header.text`."""
        return text(self.holder(macro, keyword), keyword)

    def number(self, macro: str, keyword: str) -> float | None:
        """Return the first value as a number."""
        return number(self.holder(macro, keyword), keyword)

    def numbers(self, macro: str, keyword: str) -> tuple[float, ...]:
        """All values as numbers."""
        return numbers(self.holder(macro, keyword), keyword)


def frame_headers(data: Dataset) -> tuple[FrameHeader, ...]:
    """One `FrameHeader` per frame, in the order of the pixel data."""
    per_frame = items(data, "PerFrameFunctionalGroupsSequence")
    if not per_frame:
        return (FrameHeader((), data),)
    shared = items(data, "SharedFunctionalGroupsSequence")[:1]
    return tuple(FrameHeader((own, *shared), data) for own in per_frame)


def frames(data: Dataset, instance: Instance) -> tuple[Frame, ...]:
    """Every plane of an instance; none at all if one of them has no complete geometry, or there are no pixels."""
    headers = frame_headers(data)
    if not instance.samples_per_pixel or len(headers) != (integer(data, "NumberOfFrames") or 1):
        return ()
    found = [_frame(header, instance, index) for index, header in enumerate(headers, start=1)]
    planes = tuple(frame for frame in found if frame is not None)
    return planes if len(planes) == len(found) else ()


def _frame(header: FrameHeader, instance: Instance, index: int) -> Frame | None:
    """One plane, None if position, orientation, spacing or size is absent or not finite."""
    position = header.numbers("PlanePositionSequence", "ImagePositionPatient")
    orientation = header.numbers("PlaneOrientationSequence", "ImageOrientationPatient")
    spacing = header.numbers("PixelMeasuresSequence", "PixelSpacing")
    shape = (integer(header.image, "Rows") or 0, integer(header.image, "Columns") or 0)
    if (len(position), len(orientation), len(spacing)) != (3, 6, 2) or min(*spacing, *shape) <= 0:
        return None
    row_x, row_y, row_z, column_x, column_y, column_z = orientation
    return Frame(
        instance=instance,
        number=index,
        position_lps=(position[0], position[1], position[2]),
        orientation_lps=(row_x, row_y, row_z, column_x, column_y, column_z),
        spacing_mm=(spacing[0], spacing[1]),
        shape=shape,
        image_type=image_type(header),
        volume_key=_volume_key(header),
        rescale=_rescale(header),
    )


def image_type(header: FrameHeader) -> tuple[str, ...]:
    """Frame Type (0008,9007) of an enhanced, Image Type (0008,0008) of a classic image, upper case."""
    found = texts(header.holder("MRImageFrameTypeSequence", "FrameType"), "FrameType") if header.groups else ()
    return tuple(one.upper() for one in found or texts(header.image, "ImageType"))


def _rescale(header: FrameHeader) -> tuple[float, float]:
    """Slope and intercept (PS3.3 C.11.1, C.7.6.16.2.9); 1 and 0 where a classic MR image has none."""
    slope = header.number("PixelValueTransformationSequence", "RescaleSlope")
    intercept = header.number("PixelValueTransformationSequence", "RescaleIntercept")
    return slope or 1.0, intercept or 0.0


def _volume_key(header: FrameHeader) -> VolumeKey:
    echo = header.number("MREchoSequence", "EffectiveEchoTime") or number(header.image, "EchoTime")
    return VolumeKey(
        stack=header.text("FrameContentSequence", "StackID"),
        image_type="\\".join((*image_type(header), header.text("MRImageFrameTypeSequence", "ComplexImageComponent"))),
        b_value=header.text("MRDiffusionSequence", "DiffusionBValue"),
        gradient=_gradient(header),
        echo_time_ms="" if echo is None else f"{echo:g}",
        echo_number=text(header.image, "EchoNumbers"),
        inversion_time_ms=header.text("MRModifierSequence", "InversionTimes") or text(header.image, "InversionTime"),
        temporal_position=header.text("FrameContentSequence", "TemporalPositionIndex")
        or text(header.image, "TemporalPositionIdentifier"),
        acquisition=text(header.image, "AcquisitionNumber"),
        frame_acquisition=header.text("FrameContentSequence", "FrameAcquisitionNumber"),
    )


def _gradient(header: FrameHeader) -> str:
    """Diffusion gradient: its sequence within MR Diffusion (C.8.13.5.9), or the classic attribute."""
    diffusion = header.holder("MRDiffusionSequence", "DiffusionGradientDirectionSequence")
    direction = items(diffusion, "DiffusionGradientDirectionSequence")
    return text(direction[0] if direction else header.image, "DiffusionGradientOrientation")
