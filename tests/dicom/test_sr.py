import io
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import highdicom as hd
import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset

from changes import changed
from readings import FRAME_UID, LESION_CENTER, ORIENTATIONS, SERIES_UID, SHAPE, Phantom, phantom_reading
from zweitblick.change import NoProposal
from zweitblick.dicom.seg import segmentation
from zweitblick.dicom.sr import structured_report
from zweitblick.findings import Side
from zweitblick.reading import POPULATION, RESEARCH_USE, Reading


def report(reading: Reading) -> Dataset:
    return pydicom.dcmread(io.BytesIO(structured_report(reading, segmentation(reading))))


@pytest.fixture(scope="module")
def reading(tmp_path_factory: pytest.TempPathFactory) -> Reading:
    return phantom_reading(tmp_path_factory.mktemp("source"))


@pytest.fixture(scope="module")
def sr(reading: Reading) -> Dataset:
    return report(reading)


def items(dataset: Dataset) -> Iterator[Dataset]:
    """Every content item below this one."""
    for item in dataset.get("ContentSequence", []):
        yield item
        yield from items(item)


def groups(sr: Dataset) -> dict[str, Dataset]:
    """Measurement groups by tracking identifier."""
    found = {}
    for item in items(sr):
        if item.ValueType == "CONTAINER" and name(item) == "Measurement Group":
            (identifier,) = (child.TextValue for child in item.ContentSequence if name(child) == "Tracking Identifier")
            found[identifier] = item
    return found


def name(item: Dataset) -> str:
    return str(item.ConceptNameCodeSequence[0].CodeMeaning)


def numbers(group: Dataset) -> dict[str, tuple[float, str]]:
    """Value and unit code of each measurement of a group."""
    return {
        name(item): (
            float(item.MeasuredValueSequence[0].NumericValue),
            str(item.MeasuredValueSequence[0].MeasurementUnitsCodeSequence[0].CodeValue),
        )
        for item in group.ContentSequence
        if item.ValueType == "NUM"
    }


def texts(sr: Dataset, concept: str) -> list[str]:
    return [item.TextValue for item in items(sr) if item.ValueType == "TEXT" and name(item) == concept]


def test_nobody_is_said_to_have_verified_it(sr: Dataset) -> None:
    assert (sr.CompletionFlag, sr.VerificationFlag, sr.PreliminaryFlag) == ("PARTIAL", "UNVERIFIED", "PRELIMINARY")
    assert "VerifyingObserverSequence" not in sr
    observers = [i.ConceptCodeSequence[0].CodeMeaning for i in items(sr) if name(i) == "Observer Type"]
    assert observers == ["Device"]
    assert sr.ContentTemplateSequence[0].TemplateIdentifier == "1500"


def test_a_lesions_numbers_are_the_findings(sr: Dataset) -> None:
    assert numbers(groups(sr)["Lesion 1, whole tumour"]) == {
        "Volume": (17.157, "ml"),
        "Diameter": (32.0, "mm"),
        "Distance of centre to midsagittal plane": (24.0, "mm"),
        "Mean probability of whole tumour": (0.93, "1"),
    }
    assert numbers(groups(sr)["Lesion 1, tumour core"]) == {"Volume": (4.189, "ml")}
    assert numbers(groups(sr)["Lesion 1, enhancing tumour"]) == {
        "Volume": (3.284, "ml"),
        "Long axis": (20.0, "mm"),
        "Short axis": (18.75, "mm"),
        "Product of long axis and short axis": (375.0, "mm2"),
    }


def test_the_sums_and_the_segments_share_out_the_same_volume(sr: Dataset) -> None:
    volumes = {identifier: numbers(group)["Volume"][0] for identifier, group in groups(sr).items()}
    segments = ("Necrotic or non-enhancing core", "Oedema", "Enhancing tumour")
    assert sum(volumes[segment] for segment in segments) == pytest.approx(17.157)
    assert volumes["All lesions, whole tumour"] == 17.157
    assert volumes["All lesions, tumour core"] == 4.189
    assert numbers(groups(sr)["All lesions, enhancing tumour"])["Sum of products of long axis and short axis"] == (
        375.0,
        "mm2",
    )


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_the_side_is_left_however_the_series_lies(tmp_path: Path, orientation: str) -> None:
    sr = report(phantom_reading(tmp_path, Phantom(orientation)))
    sides = [i.ConceptCodeSequence[0].CodeMeaning for i in items(sr) if name(i) == "Laterality"]
    assert sides == ["Left"] * 3


def test_a_midline_lesion_has_a_topographical_modifier(reading: Reading) -> None:
    (lesion,) = reading.findings.lesions
    findings = replace(reading.findings, lesions=(replace(lesion, side=Side.MIDLINE),))
    sr = report(replace(reading, findings=findings))
    assert not [i for i in items(sr) if name(i) == "Laterality"]
    modifiers = [i.ConceptCodeSequence[0].CodeMeaning for i in items(sr) if name(i) == "Topographical modifier"]
    assert modifiers == ["Midline"] * 3


def test_centre_and_axes_lie_in_the_frame_of_reference(sr: Dataset) -> None:
    places = [i for i in items(sr) if i.ValueType == "SCOORD3D"]
    assert {place.ReferencedFrameOfReferenceUID for place in places} == {FRAME_UID}
    (point,) = (place for place in places if place.GraphicType == "POINT")
    assert list(point.GraphicData) == list(LESION_CENTER)
    assert sum(place.GraphicType == "POLYLINE" for place in places) == 2


def test_each_segment_group_references_its_segment_of_the_seg(reading: Reading) -> None:
    written = segmentation(reading)
    sr = pydicom.dcmread(io.BytesIO(structured_report(reading, written)))
    seg = pydicom.dcmread(io.BytesIO(written))
    referenced = [i.ReferencedSOPSequence[0] for i in items(sr) if name(i) == "Referenced Segment"]
    assert [item.ReferencedSOPInstanceUID for item in referenced] == [seg.SOPInstanceUID] * 3
    assert [item.ReferencedSegmentNumber for item in referenced] == [1, 2, 3]


def test_everything_read_is_evidence(sr: Dataset, reading: Reading) -> None:
    evidence = {
        instance.ReferencedSOPInstanceUID
        for sequence in ("CurrentRequestedProcedureEvidenceSequence", "PertinentOtherEvidenceSequence")
        for study in sr.get(sequence, [])
        for series in study.ReferencedSeriesSequence
        for instance in series.ReferencedSOPSequence
    }
    sources = {f"{SERIES_UID}.{100 + number}" for number in range(1, SHAPE[0] + 1)}
    assert evidence == sources | {reading.uid("seg/1")}


def test_every_group_names_the_algorithm(sr: Dataset) -> None:
    for group in groups(sr).values():
        said = [i.TextValue for i in group.ContentSequence if name(i).startswith("Algorithm")]
        assert said[:3] == ["zweitblick tumour", "0.1.0", f"sha256={'ab12' * 16}"]


def test_the_remarks_say_what_a_reader_must_know(sr: Dataset, reading: Reading) -> None:
    assert texts(sr, "Finding") == [reading.findings.statement]
    comments = texts(sr, "Comment")
    assert comments[:2] == ["T1 was not there.", "T2 was not there."]
    assert sum(POPULATION in comment for comment in comments) == 1
    assert comments.count(RESEARCH_USE) == 1


def test_what_was_dropped_is_said(reading: Reading) -> None:
    sr = report(replace(reading, findings=replace(reading.findings, dropped=3, dropped_ml=0.42)))
    (said,) = (comment for comment in texts(sr, "Comment") if "smaller" in comment)
    assert said.startswith("3 smaller components, 0.42 ml in all")


def test_without_enhancement_the_axes_are_the_whole_tumours(tmp_path: Path) -> None:
    sr = report(phantom_reading(tmp_path, Phantom(enhancing=False)))
    assert numbers(groups(sr)["Lesion 1, whole tumour"])["Long axis"] == (32.0, "mm")
    assert "Long axis" not in numbers(groups(sr)["Lesion 1, enhancing tumour"])


def test_further_enhancing_parts_have_their_own_groups(reading: Reading) -> None:
    (lesion,) = reading.findings.lesions
    (part,) = lesion.enhancing
    second = replace(part, volume_ml=0.777)
    findings = replace(reading.findings, lesions=(replace(lesion, enhancing=(part, second)),))
    group = groups(report(replace(reading, findings=findings)))["Lesion 1, enhancing part 2"]
    assert numbers(group)["Volume"] == (0.777, "ml")


def test_where_nothing_was_found_the_report_says_so(tmp_path: Path) -> None:
    sr = report(phantom_reading(tmp_path, Phantom(lesions=0)))
    assert texts(sr, "Finding") == ["No glioma-like lesion above 0.5 ml."]
    assert not [identifier for identifier in groups(sr) if identifier.startswith("Lesion ")]
    assert {numbers(group)["Volume"][0] for group in groups(sr).values()} == {0.0}


def test_tracking_uids_differ_and_highdicom_reads_it(reading: Reading) -> None:
    document = hd.sr.srread(io.BytesIO(structured_report(reading, segmentation(reading))))
    found = document.content.get_volumetric_roi_measurement_groups()
    assert [group.tracking_identifier for group in found] == [
        "Necrotic or non-enhancing core",
        "Oedema",
        "Enhancing tumour",
    ]
    uids = [i.UID for i in items(document) if name(i) == "Tracking Unique Identifier"]
    assert len(uids) == len(set(uids)) == 9


def test_change_is_measured_beside_the_present_volumes_and_never_as_one(reading: Reading) -> None:
    sr = report(changed(reading))
    assert numbers(groups(sr)["Change, whole tumour"]) == {
        "Volume in the earlier study": (8.579, "ml"),
        "Difference of volume to the earlier study": (8.579, "ml"),
        "Difference of volume in percent of the earlier study's": (100.0, "%"),
        "Days since the earlier study": (87.0, "d"),
    }
    assert numbers(groups(sr)["Change of lesion 1, enhancing tumour"])["Volume in the earlier study"] == (1.642, "ml")
    without = {name: numbers(group) for name, group in groups(report(reading)).items()}
    assert {name: numbers(group) for name, group in groups(sr).items() if not name.startswith("Change")} == without


def test_what_became_of_lesions_and_the_proposal_are_texts(reading: Reading) -> None:
    sr = report(changed(reading))
    _, statement, *lesions = texts(sr, "Finding")
    assert statement.startswith("Change since the study 87 days before: whole tumour 8.6 to 17.2 ml (+8.6 ml, +100 %).")
    assert lesions == [
        "Lesion 1, before lesion 1: whole tumour 8.6 to 17.2 ml.",
        "Lesion 2: new.",
        "Lesion 2 of the earlier study: vanished.",
    ]
    (rano,) = texts(sr, "Response Evaluation")
    assert rano.startswith("RANO, imaging part only, proposal for a reader: progressive disease")


def test_without_matching_and_category_the_report_says_why(reading: Reading) -> None:
    sr = report(changed(reading, proposal=NoProposal("treatment not known"), matched=False))
    assert texts(sr, "Finding")[1].endswith("Lesions were not matched: the earlier images are not at hand.")
    assert texts(sr, "Response Evaluation") == ["No RANO category: treatment not known."]
    assert not [name for name in groups(sr) if name.startswith("Change of")]


@pytest.mark.parametrize("region", [0, 2], ids=["all of it enhances", "oedema alone"])
def test_an_outline_of_one_segment_is_reported(tmp_path: Path, region: int) -> None:
    reading = phantom_reading(tmp_path)
    whole = reading.prediction.probabilities[2]
    shown = np.stack([whole if channel >= region else np.zeros_like(whole) for channel in range(3)])
    reading = replace(reading, prediction=replace(reading.prediction, probabilities=shown))
    seg = pydicom.dcmread(io.BytesIO(segmentation(reading)))
    [segment] = seg.SegmentSequence
    [(_, group)] = [one for one in groups(report(reading)).items() if one[0] == segment.SegmentLabel]
    [referenced] = [item for item in group.ContentSequence if name(item) == "Referenced Segment"]
    assert referenced.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == seg.SOPInstanceUID
    assert referenced.ReferencedSOPSequence[0].ReferencedSegmentNumber == 1
