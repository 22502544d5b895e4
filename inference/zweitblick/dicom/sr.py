"""Reading and SEG to a DICOM structured report: TID 1500 in a Comprehensive 3D SR, as IHE AI Results asks."""

import io
import uuid
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pydicom
from highdicom import sr as hd
from pydicom.dataset import Dataset
from pydicom.sr.coding import Code

from zweitblick.change import Fate, Matching, VolumeChange, named
from zweitblick.dicom import codes
from zweitblick.dicom.context import (
    MANUFACTURER,
    SR,
    header,
    instance_uid,
    part10,
    series_uid,
    settled,
    tumour_model,
)
from zweitblick.dicom.planes import reference_planes
from zweitblick.dicom.predecessor import succeeding
from zweitblick.findings import DiameterBasis, Diameters, Findings, Lesion, Point, Side
from zweitblick.prediction import CORE, ENHANCING, OEDEMA, Region
from zweitblick.reading import POPULATION, RESEARCH_USE, Reading
from zweitblick.study import Instance

_REGION_NAMES = {Region.ET: "enhancing tumour", Region.TC: "tumour core", Region.WT: "whole tumour"}
_BASIS_REGION = {DiameterBasis.ENHANCING: Region.ET, DiameterBasis.WHOLE_TUMOUR: Region.WT}

Group = hd.VolumetricROIMeasurementsAndQualitativeEvaluations | hd.MeasurementsAndQualitativeEvaluations


def structured_report(reading: Reading, segmentation: bytes) -> bytes:
    """Write the findings as measurement groups.

    One group for each segment (TID 1411, it references the SEG), one for all lesions together, and for each lesion
    one for the whole, its core and its enhancing tumour, with the diameters as lines in the patient (TID 1501: a
    segment spans all lesions, so none of them is a lesion's own region). Where there is an earlier reading, one for the
    change of each region, and of each lesion that was there before. The observer is the device, never a person;
    the document is PARTIAL, PRELIMINARY and UNVERIFIED. It names the reports that it supersedes.

    Parameters
    ----------
    reading
        Its findings are what the report says; no number is computed here but core and oedema as differences.
    segmentation
        What `zweitblick.dicom.seg.segmentation` made of the same reading.

    Returns
    -------
    bytes
        Part 10 bytes.
    """
    seg = _with_segments_by_frame(pydicom.dcmread(io.BytesIO(segmentation)))
    report = hd.MeasurementReport(
        observation_context=_observer(reading),
        procedure_reported=codes.MR_OF_BRAIN,
        imaging_measurements=[
            *_segment_groups(reading, seg),
            *_summary_groups(reading),
            *_lesion_groups(reading, seg.FrameOfReferenceUID),
            *_change_groups(reading),
        ],
        title=codes.TITLE,
    )
    report[0].ContentSequence.append(_remarks(reading))
    dataset = hd.Comprehensive3DSR(
        evidence=_evidence(reading, seg),
        content=report,
        series_instance_uid=series_uid(reading, SR),
        series_number=SR.number,
        sop_instance_uid=instance_uid(reading, SR),
        instance_number=1,
        coding_schemes=[codes.private_scheme()],
    )
    return part10(settled(succeeding(dataset, reading), reading, output=SR))


def _with_segments_by_frame(seg: Dataset) -> Dataset:
    """Repeat in each frame which segment it is of; where there is one for all, it is written once, and not found there.

    highdicom writes the shared functional group (PS3.3 C.8.20.3.1), and does not look there when it makes a reference.
    """
    shared = seg.SharedFunctionalGroupsSequence[0]
    if "SegmentIdentificationSequence" in shared:
        for frame in seg.PerFrameFunctionalGroupsSequence:
            frame.SegmentIdentificationSequence = shared.SegmentIdentificationSequence
    return seg


def _evidence(reading: Reading, seg: Dataset) -> list[Dataset]:
    """Everything that was read, and the SEG; patient and study are copied from the first, a source image."""
    first = header(reference_planes(reading)[0].instance)
    read = [
        _reference(reading, instance, series_uid=choice.series_uid)
        for choice in reading.choices.values()
        for instance in reading.study.series_by_uid(choice.series_uid).instances
        if instance.sop_instance_uid != first.SOPInstanceUID
    ]
    read.sort(key=lambda dataset: (dataset.SeriesInstanceUID, dataset.SOPInstanceUID))
    return [first, *read, seg]


def _reference(reading: Reading, instance: Instance, *, series_uid: str) -> Dataset:
    dataset = Dataset()
    dataset.StudyInstanceUID = reading.study.uid
    dataset.SeriesInstanceUID = series_uid
    dataset.SOPClassUID = instance.sop_class_uid
    dataset.SOPInstanceUID = instance.sop_instance_uid
    return dataset


def _observer(reading: Reading) -> hd.ObservationContext:
    device = hd.DeviceObserverIdentifyingAttributes(
        uid=f"2.25.{uuid.uuid5(uuid.NAMESPACE_OID, f'zweitblick/{reading.version}').int}",
        name=f"zweitblick {reading.version}",
        manufacturer_name=MANUFACTURER,
        model_name="zweitblick",
    )
    kind = hd.CodedConcept.from_code(codes.DEVICE)
    context = hd.ObserverContext(observer_type=kind, observer_identifying_attributes=device)
    return hd.ObservationContext(observer_device_context=context)


def _algorithm(reading: Reading) -> hd.AlgorithmIdentification:
    model = tumour_model(reading)
    return hd.AlgorithmIdentification(
        name=f"zweitblick {model.name}",
        version=model.version,
        parameters=[f"sha256={model.digest}", f"software={reading.version}", f"population={POPULATION}"],
    )


def _segment_groups(reading: Reading, seg: Dataset) -> Iterator[Group]:
    """TID 1411 for each segment: what it is, where it is outlined, how much of it the reported lesions hold."""
    for segment in seg.SegmentSequence:
        label = next(label for label, code in codes.SEGMENT_CODES.items() if code.label == segment.SegmentLabel)
        yield hd.VolumetricROIMeasurementsAndQualitativeEvaluations(
            tracking_identifier=hd.TrackingIdentifier(uid=segment.TrackingUID, identifier=segment.TrackingID),
            referenced_segment=hd.ReferencedSegment.from_segmentation(seg, segment_number=segment.SegmentNumber),
            finding_category=codes.ABNORMAL_STRUCTURE,
            finding_type=codes.SEGMENT_FINDING[label],
            finding_sites=[hd.FindingSite(codes.BRAIN)],
            algorithm_id=_algorithm(reading),
            measurements=[_volume(_segment_ml(reading.findings.volume_ml, label))],
        )


def _segment_ml(volume_ml: Mapping[Region, float], label: int) -> float:
    """Volume of one of three disjoint labels from those of three nested regions."""
    et, tc, wt = (volume_ml[region] for region in Region)
    return {CORE: tc - et, OEDEMA: wt - tc, ENHANCING: et}[label]


def _summary_groups(reading: Reading) -> Iterator[Group]:
    """Write the sums over all lesions, one group for each region; the product sum belongs to the enhancing tumour."""
    for region in reversed(Region):
        measurements = [_volume(reading.findings.volume_ml[region])]
        if region is Region.ET:
            products = reading.findings.sum_of_products_mm2
            measurements.append(_measurement(codes.AXES_PRODUCT_SUM, products, unit=codes.SQUARE_MILLIMETRE))
        yield _group(
            reading,
            f"All lesions, {_REGION_NAMES[region]}",
            region=region,
            measurements=measurements,
            site=hd.FindingSite(codes.BRAIN),
        )


def _lesion_groups(reading: Reading, frame_of_reference_uid: str) -> Iterator[Group]:
    """Whole tumour, core and enhancing tumour of each lesion, then each further enhancing part."""
    for lesion in reading.findings.lesions:
        site = _site(lesion.side)
        for region in reversed(Region):
            name = f"Lesion {lesion.number}, {_REGION_NAMES[region]}"
            measurements = [_volume(lesion.volume_ml[region])]
            if region is Region.WT:
                measurements += _whole_lesion(lesion, frame_of_reference_uid)
            if region is _BASIS_REGION[lesion.diameters.basis]:
                measurements += _axes(lesion.diameters, frame_of_reference_uid)
            yield _group(reading, name, region=region, measurements=measurements, site=site)
        for number, part in enumerate(lesion.enhancing[1:], start=2):
            measurements = [_volume(part.volume_ml), *_axes(part.diameters, frame_of_reference_uid)]
            yield _group(
                reading,
                f"Lesion {lesion.number}, enhancing part {number}",
                region=Region.ET,
                measurements=measurements,
                site=site,
            )


def _change_groups(reading: Reading) -> Iterator[Group]:
    """Write the change of the sums, one group for each region, then that of each lesion that was there before."""
    if reading.change is None:
        return
    whole = hd.FindingSite(codes.BRAIN)
    days = [_measurement(codes.DAYS_BETWEEN, float(each), unit=codes.DAY) for each in reading.change.days]
    for region in reversed(Region):
        measurements = _volume_change(reading.change.volume[region])
        measurements += days if region is Region.WT else []
        yield _group(reading, f"Change, {_REGION_NAMES[region]}", region=region, measurements=measurements, site=whole)
    matched = reading.change.matching.of(Fate.MATCHED) if isinstance(reading.change.matching, Matching) else ()
    for lesion in matched:
        name = f"Change of {named(lesion.now)}"
        for region in reversed(Region):
            yield _group(
                reading,
                f"{name}, {_REGION_NAMES[region]}",
                region=region,
                measurements=_volume_change(lesion.volume[region]),
                site=_site(lesion.now[0].side),
            )


def _volume_change(volume: VolumeChange) -> list[hd.Measurement]:
    return [
        _measurement(codes.EARLIER_VOLUME, volume.before_ml, unit=codes.MILLILITRE),
        _measurement(codes.VOLUME_DIFFERENCE, volume.difference_ml, unit=codes.MILLILITRE),
        *(_measurement(codes.VOLUME_PERCENT, percent, unit=codes.PERCENT) for percent in volume.percents),
    ]


def _group(
    reading: Reading,
    name: str,
    *,
    region: Region,
    measurements: Sequence[hd.Measurement],
    site: hd.FindingSite,
) -> Group:
    return hd.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=hd.TrackingIdentifier(uid=reading.uid(name), identifier=name),
        finding_category=codes.ABNORMAL_STRUCTURE,
        finding_type=codes.REGION_FINDING[region],
        finding_sites=[site],
        algorithm_id=_algorithm(reading),
        measurements=measurements,
    )


def _site(side: Side) -> hd.FindingSite:
    """Brain with its side; CID 244 has no midline, so that is a topographical modifier."""
    if side is Side.MIDLINE:
        return hd.FindingSite(codes.BRAIN, topographical_modifier=codes.SIDE[side])
    return hd.FindingSite(codes.BRAIN, laterality=codes.SIDE[side])


def _whole_lesion(lesion: Lesion, frame_of_reference_uid: str) -> list[hd.Measurement]:
    center = _coordinates("POINT", [lesion.center_lps], frame_of_reference_uid=frame_of_reference_uid)
    return [
        _measurement(codes.DIAMETER, lesion.max_3d_mm, unit=codes.MILLIMETRE, derivation=codes.MAXIMUM),
        _measurement(codes.MIDLINE_DISTANCE, lesion.midline_mm, unit=codes.MILLIMETRE, where=center),
        _measurement(codes.MEAN_PROBABILITY, lesion.mean_probability, unit=codes.NO_UNITS),
    ]


def _axes(diameters: Diameters, frame_of_reference_uid: str) -> list[hd.Measurement]:
    major, minor = (
        _coordinates("POLYLINE", ends, frame_of_reference_uid=frame_of_reference_uid)
        for ends in (diameters.major_lps, diameters.minor_lps)
    )
    return [
        _measurement(codes.LONG_AXIS, diameters.major_mm, unit=codes.MILLIMETRE, where=major),
        _measurement(codes.SHORT_AXIS, diameters.minor_mm, unit=codes.MILLIMETRE, where=minor),
        _measurement(codes.AXES_PRODUCT, diameters.product_mm2, unit=codes.SQUARE_MILLIMETRE),
    ]


def _volume(volume_ml: float) -> hd.Measurement:
    return _measurement(codes.VOLUME, volume_ml, unit=codes.MILLILITRE)


def _measurement(
    name: Code,
    value: float,
    *,
    unit: Code,
    derivation: Code | None = None,
    where: hd.CoordinatesForMeasurement3D | None = None,
) -> hd.Measurement:
    """TID 300; rounded to a thousandth, far below what the method resolves."""
    places = None if where is None else [where]
    return hd.Measurement(name, round(value, 3), unit, derivation=derivation, referenced_coordinates=places)


def _coordinates(kind: str, points: Sequence[Point], *, frame_of_reference_uid: str) -> hd.CoordinatesForMeasurement3D:
    return hd.CoordinatesForMeasurement3D(kind, np.array(points, np.float64), frame_of_reference_uid)


def _remarks(reading: Reading) -> hd.ContainerContentItem:
    """Qualitative Evaluations of TID 1500: what was found in one sentence, and everything a reader must know."""
    container = hd.ContainerContentItem(codes.QUALITATIVE_EVALUATIONS, relationship_type="CONTAINS")
    comments = [notice.text for notice in reading.notices]
    if reading.findings.dropped:
        comments.append(_dropped(reading.findings))
    comments += [f"Population that the model knows: {POPULATION}.", RESEARCH_USE]
    texts = [
        (codes.FINDING, reading.findings.statement),
        *_change_texts(reading),
        *((codes.COMMENT, comment) for comment in comments),
    ]
    container.ContentSequence = hd.ContentSequence(
        [hd.TextContentItem(name, text, relationship_type="CONTAINS") for name, text in texts]
    )
    return container


def _change_texts(reading: Reading) -> Iterator[tuple[Code, str]]:
    """Say what changed, what became of each lesion, and what RANO's imaging part would give or why it is not known."""
    if reading.change is None:
        return
    yield codes.FINDING, reading.change.statement
    if isinstance(reading.change.matching, Matching):
        yield from ((codes.FINDING, lesion.statement) for lesion in reading.change.matching.lesions)
    yield codes.RESPONSE_EVALUATION, reading.change.rano.statement


def _dropped(findings: Findings) -> str:
    return (
        f"{findings.dropped} smaller components, {findings.dropped_ml:.2f} ml in all, "
        "are in the segmentation but not in these sums."
    )
