"""What findings.json says, read back; its text is the published form, not our own objects."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from readings import SERIES_UID, STUDY_UID, phantom_reading
from zweitblick.errors import PriorDamagedError, PriorVersionError
from zweitblick.findings import DiameterBasis, Diameters, EnhancingPart, Findings, Lesion, Side
from zweitblick.prediction import Region
from zweitblick.reading import Alignment, Reading
from zweitblick.report.findings_json import findings_json
from zweitblick.report.findings_reader import read_findings
from zweitblick.study import Sequence

thousandths = st.integers(-300_000, 300_000).map(lambda number: number / 1000)
sizes = st.integers(0, 300_000).map(lambda number: number / 1000)
points = st.tuples(thousandths, thousandths, thousandths)
lines = st.tuples(points, points)
volumes = st.fixed_dictionaries(dict.fromkeys(Region, sizes))
diameters = st.builds(Diameters, st.sampled_from(DiameterBasis), sizes, sizes, lines, lines, measurable=st.booleans())
parts = st.lists(st.builds(EnhancingPart, sizes, points, diameters), max_size=3).map(tuple)
lesions = st.builds(
    Lesion,
    st.integers(1, 99),
    volumes,
    points,
    st.sampled_from(Side),
    sizes,
    st.booleans(),
    sizes,
    diameters,
    parts,
    st.integers(0, 1000).map(lambda number: number / 1000),
)
all_findings = st.builds(
    Findings,
    st.lists(lesions, max_size=4).map(tuple),
    volumes,
    sizes,
    sizes,
    st.none() | sizes,
    st.integers(0, 20),
    sizes,
    sizes,
)


@pytest.fixture(scope="module")
def reading(tmp_path_factory: pytest.TempPathFactory) -> Reading:
    return phantom_reading(tmp_path_factory.mktemp("source"))


@settings(max_examples=60)
@given(all_findings)
def test_findings_come_back_as_they_were_written(reading: Reading, findings: Findings) -> None:
    assert read_findings(findings_json(replace(reading, findings=findings))).findings == findings


def test_numbers_are_those_of_the_file(reading: Reading) -> None:
    told: dict[str, Any] = json.loads(findings_json(reading))
    read = read_findings(findings_json(reading)).findings
    assert read.lesions[0].volume_ml[Region.WT] == told["findings"]["lesions"][0]["volume_ml"]["WT"]
    assert read.lesions[0].diameters.product_mm2 == told["findings"]["lesions"][0]["diameters"]["product_mm2"]


def test_study_series_and_models_are_told(reading: Reading) -> None:
    moved = np.eye(4)
    moved[:3, :3] = [[0, -1, 0], [1, 0, 0], [0, 0, 1]]
    moved[:3, 3] = (1.25, -0.5, 3)
    document = read_findings(findings_json(replace(reading, alignments={Sequence.FLAIR: Alignment(moved, "rigid", 9)})))
    assert document.study_uid == STUDY_UID
    assert document.models == reading.models
    assert set(document.series) == {Sequence.FLAIR}
    assert document.series[Sequence.FLAIR].uid == SERIES_UID
    assert np.array_equal(document.series[Sequence.FLAIR].own_from_reference_lps, moved)
    assert STUDY_UID not in repr(document)
    assert SERIES_UID not in repr(document.series)


@pytest.mark.parametrize("version", ["1.0", "1.1", "1.7"])
def test_every_version_with_the_same_first_part_is_read(reading: Reading, version: str) -> None:
    told = json.loads(findings_json(reading)) | {"schema_version": version}
    if version == "1.0":
        del told["change"]
    assert read_findings(json.dumps(told).encode()).findings.lesions


def test_a_newer_form_is_refused(reading: Reading) -> None:
    told = json.loads(findings_json(reading)) | {"schema_version": "2.0"}
    with pytest.raises(PriorVersionError, match=r"'2\.0'"):
        read_findings(json.dumps(told).encode())


@pytest.mark.parametrize("written", [b"", b"{}", b"[]", b"null", b"\xff", b'{"schema_version": "1.1"}', b"[" * 100_000])
def test_what_is_none_of_ours_is_refused(written: bytes) -> None:
    with pytest.raises(PriorDamagedError):
        read_findings(written)


json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=5), lambda inner: st.lists(inner, max_size=4)
)


@settings(max_examples=100)
@given(st.data(), json_values)
def test_a_damaged_file_is_an_error_of_ours_or_findings(reading: Reading, data: st.DataObject, put: Any) -> None:
    told = json.loads(findings_json(reading))
    node: Any = told
    while True:
        key = data.draw(st.sampled_from(sorted(node) if isinstance(node, dict) else range(len(node))))
        if not isinstance(node[key], dict | list) or not node[key] or data.draw(st.booleans()):
            break
        node = node[key]
    node[key] = put
    try:
        document = read_findings(json.dumps(told).encode())
    except (PriorDamagedError, PriorVersionError):
        return
    assert isinstance(document.findings, Findings)


def test_an_alignment_that_is_no_rigid_map_is_refused(reading: Reading) -> None:
    told = json.loads(findings_json(reading))
    told["sequences"][0]["alignment"]["moving_from_reference_lps"][0][0] = 2.0
    with pytest.raises(PriorDamagedError):
        read_findings(json.dumps(told).encode())


@pytest.mark.parametrize(
    ("field", "wrong"),
    [("number", 1e400), ("number", 1.5), ("mean_probability", 10**400), ("crosses_midline", "no"), ("side", "up")],
)
def test_a_number_that_is_none_is_refused(reading: Reading, field: str, wrong: object) -> None:
    told = json.loads(findings_json(reading))
    told["findings"]["lesions"][0][field] = wrong
    with pytest.raises(PriorDamagedError):
        read_findings(json.dumps(told).encode())


def test_a_path_is_no_findings(tmp_path: Path) -> None:
    with pytest.raises(PriorDamagedError):
        read_findings(str(tmp_path).encode())
