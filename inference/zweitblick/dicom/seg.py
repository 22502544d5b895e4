"""Reading to DICOM SEG (PS3.3 A.51): three disjoint binary segments on the reference series' own grid."""

from collections.abc import Sequence

import numpy as np
from highdicom import AlgorithmIdentificationSequence, PlanePositionSequence
from highdicom.color import CIELabColor
from highdicom.seg import SegmentAlgorithmTypeValues, Segmentation, SegmentationTypeValues, SegmentDescription
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian

from zweitblick.dicom.codes import ABNORMAL_STRUCTURE, ARTIFICIAL_INTELLIGENCE, BRAIN, SEGMENT_CODES, item
from zweitblick.dicom.context import (
    MANUFACTURER,
    SEG,
    attributes,
    header,
    instance_uid,
    part10,
    series_uid,
    settled,
    tumour_model,
)
from zweitblick.dicom.header import numbers
from zweitblick.dicom.planes import reference_planes
from zweitblick.overlay import LABEL_RGB
from zweitblick.reading import Reading
from zweitblick.study import Frame

_OF_EACH_SLICE = (
    *("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID"),
    *("Rows", "Columns", "PixelSpacing", "SliceThickness", "ImagePositionPatient", "ImageOrientationPatient"),
    *("NumberOfFrames", "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"),
)
"""What highdicom reads of each source image; all else it copies from the first."""


def segmentation(reading: Reading) -> bytes:
    """Write the outline as a DICOM Segmentation.

    Segments are those of core, oedema and enhancing tumour that have a voxel, numbered from 1 in that order, with
    frames only where something is. Where nothing was found, all three are described and every frame is written empty:
    a SEG must have a frame (PS3.3 C.7.6.16), and this one says that each slice was searched.

    Parameters
    ----------
    reading
        Its prediction is brought to the reference grid by `Prediction.labels_on`.

    Returns
    -------
    bytes
        Part 10, Explicit VR Little Endian, BINARY.

    Raises
    ------
    GeometryError
        If the reference volume does not lie on the reference series' frames.
    """
    labels = reading.prediction.labels_on(reading.reference_volume.grid)
    present = [label for label in SEGMENT_CODES if (labels == label).any()]
    described = present or list(SEGMENT_CODES)
    planes = reference_planes(reading)
    sources = source_headers(reading, planes)
    dataset = Segmentation(
        source_images=sources[:1] if "NumberOfFrames" in sources[0] else sources,
        pixel_array=_numbered(labels, described),
        segmentation_type=SegmentationTypeValues.BINARY,
        segment_descriptions=[_description(reading, n, label=label) for n, label in enumerate(described, start=1)],
        series_instance_uid=series_uid(reading, SEG),
        series_number=SEG.number,
        sop_instance_uid=instance_uid(reading, SEG),
        instance_number=1,
        manufacturer=MANUFACTURER,
        manufacturer_model_name=MANUFACTURER,
        software_versions=reading.version,
        device_serial_number=reading.version,
        plane_positions=[PlanePositionSequence("PATIENT", frame.position_lps) for frame in planes],
        omit_empty_frames=bool(present),
        content_label="ZWEITBLICK",
        content_description="Glioma outline by AI, not verified",
        transfer_syntax_uid=ExplicitVRLittleEndian,
    )
    _number_dimensions(dataset, reading)
    return part10(settled(dataset, reading, output=SEG))


def source_headers(reading: Reading, planes: Sequence[Frame]) -> list[Dataset]:
    """Headers of the instances that hold these frames, each once, in the frames' order.

    highdicom wants one orientation and one pixel size for all; `reference_planes` has shown that they agree, so the
    first slice's stand for all (headers differ in the last digit).
    """
    instances = {frame.instance.sop_instance_uid: frame.instance for frame in planes}
    first, *others = instances.values()
    headers = [header(first), *(attributes(instance, _OF_EACH_SLICE) for instance in others)]
    for dataset in headers:
        if "FrameOfReferenceUID" not in dataset:
            dataset.FrameOfReferenceUID = reading.uid("frame of reference")
        if "NumberOfFrames" in dataset:
            _share_geometry(dataset, planes[0].number)
            _complete(dataset.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0], reading)
        else:
            dataset.ImageOrientationPatient = headers[0].ImageOrientationPatient
            dataset.PixelSpacing = headers[0].PixelSpacing
            _complete(dataset, reading)
    return headers


def _complete(measures: Dataset, reading: Reading) -> None:
    """Where Slice Thickness (0018,0050) is no one positive number, the distance of slices stands for it."""
    written_mm = numbers(measures, "SliceThickness")
    if len(written_mm) != 1 or written_mm[0] <= 0:
        measures.SliceThickness = f"{reading.reference_volume.spacing_mm[0]:.6g}"


def _share_geometry(dataset: Dataset, frame_number: int) -> None:
    """Copy orientation and pixel measures of one frame to the shared groups of an enhanced image, where absent."""
    shared = dataset.SharedFunctionalGroupsSequence[0]
    frame = dataset.PerFrameFunctionalGroupsSequence[frame_number - 1]
    for keyword in ("PlaneOrientationSequence", "PixelMeasuresSequence"):
        if keyword not in shared:
            setattr(shared, keyword, frame[keyword].value)


def _numbered(labels: NDArray[np.uint8], described: Sequence[int]) -> NDArray[np.uint8]:
    """Label map with segment numbers in place of labels."""
    number = np.zeros(256, np.uint8)
    number[list(described)] = np.arange(1, len(described) + 1)
    return np.asarray(number[labels], np.uint8)


def _description(reading: Reading, number: int, *, label: int) -> SegmentDescription:
    code = SEGMENT_CODES[label]
    description = SegmentDescription(
        segment_number=number,
        segment_label=code.label,
        segmented_property_category=ABNORMAL_STRUCTURE,
        segmented_property_type=code.kind,
        algorithm_type=SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=_algorithm(reading),
        tracking_uid=reading.uid(f"segment {label}"),
        tracking_id=code.label,
        anatomic_regions=[BRAIN],
        display_color=CIELabColor.from_rgb(*LABEL_RGB[label]),
    )
    if code.modifier is not None:
        # Within the type's own item (PS3.3 Table C.8.20-4).
        kind = description.SegmentedPropertyTypeCodeSequence[0]
        kind.SegmentedPropertyTypeModifierCodeSequence = [item(code.modifier)]
    return description


def _algorithm(reading: Reading) -> AlgorithmIdentificationSequence:
    model = tumour_model(reading)
    return AlgorithmIdentificationSequence(
        name=f"zweitblick {model.name}",
        family=ARTIFICIAL_INTELLIGENCE,
        version=model.version,
        source="zweitblick",
        parameters={"sha256": model.digest, "software": reading.version},
    )


def _number_dimensions(dataset: Dataset, reading: Reading) -> None:
    """Replace the random Dimension Organization UID (PS3.3 C.7.6.17)."""
    uid = reading.uid("seg/dimensions")
    for dimension in (*dataset.DimensionOrganizationSequence, *dataset.DimensionIndexSequence):
        dimension.DimensionOrganizationUID = uid
