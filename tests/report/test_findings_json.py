import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest

from changes import EARLIER_UID, changed
from readings import LESION_CENTER, ORIENTATIONS, STUDY_UID, Phantom, phantom_reading
from zweitblick.change import NoProposal
from zweitblick.reading import RESEARCH_USE, Alignment, Reading
from zweitblick.report.findings_json import findings_json, schema
from zweitblick.study import Patient


def document(reading: Reading) -> dict[str, Any]:
    """Parsed and held against the published schema, formats too."""
    result: dict[str, Any] = json.loads(findings_json(reading))
    checker = jsonschema.Draft202012Validator.FORMAT_CHECKER
    assert "date-time" in checker.checkers
    jsonschema.Draft202012Validator(schema(), format_checker=checker).validate(result)
    return result


@pytest.fixture
def reading(tmp_path: Path) -> Reading:
    return phantom_reading(tmp_path)


def test_the_schema_is_a_schema_and_says_that_no_name_is_inside() -> None:
    jsonschema.Draft202012Validator.check_schema(schema())
    assert schema()["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert "no patient name" in schema()["description"]


@pytest.mark.parametrize(
    "phantom",
    [
        *(Phantom(orientation) for orientation in ORIENTATIONS),
        Phantom(lesions=0),
        Phantom(enhancing=False),
        Phantom(missing=()),
    ],
    ids=lambda phantom: f"{phantom.orientation}-{phantom.lesions}-{phantom.enhancing}-{len(phantom.missing)}",
)
def test_every_reading_obeys_the_schema(tmp_path: Path, phantom: Phantom) -> None:
    findings = document(phantom_reading(tmp_path, phantom))["findings"]
    assert [lesion["side"] for lesion in findings["lesions"]] == ["left"] * phantom.lesions
    for lesion in findings["lesions"]:
        assert lesion["center_lps_mm"][:2] == list(LESION_CENTER[:2])


def test_what_was_never_validated_obeys_the_schema(reading: Reading) -> None:
    unknown = replace(reading, findings=replace(reading.findings, validated_ml=None))
    assert document(unknown)["findings"]["validated_ml"] is None


def test_numbers_carry_their_unit_and_are_the_findings(reading: Reading) -> None:
    findings = document(reading)["findings"]
    (lesion,) = findings["lesions"]
    assert findings["volume_ml"] == {"ET": 3.284, "TC": 4.189, "WT": 17.157}
    assert lesion["diameters"]["major_mm"] == 20.0
    assert lesion["diameters"]["product_mm2"] == 375.0
    assert lesion["max_3d_diameter_mm"] == 32.0
    assert findings["statement"] == "1 glioma-like lesion above 0.5 ml, 17.2 ml in all."


def test_what_was_read_and_what_was_not_is_told(reading: Reading) -> None:
    told = document(reading)
    assert told["study"] == {"study_instance_uid": STUDY_UID, "unreadable_files": 0}
    assert told["missing"] == ["T1", "T2", "T1c"]
    (sequence,) = told["sequences"]
    assert sequence["reasons"] == ["long TI and long TE", "description"]
    assert sequence["passed_over"] == [{"series": "8", "reason": "thicker slices"}]
    assert told["rejected"] == [{"series": "9", "reason": "a localizer"}]
    assert told["models"][0] == {"name": "tumour", "version": "0.1.0", "sha256": "ab12" * 16}
    assert told["research_use"] == RESEARCH_USE
    assert told["read_at"] == "2026-11-20T14:30:15+00:00"


def test_no_name_id_or_date_of_the_patient_is_inside(reading: Reading) -> None:
    text = findings_json(reading).decode()
    for secret in ("Grün", "Anna", "ZB-0815", "1961", "t2_flair", "ACC1", "2026-11-19"):
        assert secret not in text


def test_names_do_not_change_it(reading: Reading) -> None:
    other = replace(reading, study=replace(reading.study, patient=Patient("Other^Name", "77")))
    assert findings_json(other) == findings_json(reading)


def test_an_alignment_is_written_in_full(reading: Reading) -> None:
    moved = np.eye(4)
    moved[:3, 3] = (1.25, -0.5, 1e-9)
    alignment = Alignment(moved, "rigid", 1.35)
    (sequence,) = document(replace(reading, alignments=dict.fromkeys(reading.alignments, alignment)))["sequences"]
    assert sequence["alignment"]["moving_from_reference_lps"][0] == [1.0, 0.0, 0.0, 1.25]
    assert sequence["alignment"]["motion_mm"] == 1.35


@pytest.mark.parametrize("wrong", [{"findings": {}}, {"missing": ["T9"]}, {"extra": 1}, {"models": []}])
def test_the_schema_refuses_what_is_not_a_reading(reading: Reading, wrong: dict[str, Any]) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft202012Validator(schema()).validate(document(reading) | wrong)


def test_without_an_earlier_reading_there_is_no_change(reading: Reading) -> None:
    assert document(reading)["change"] is None


def test_a_change_obeys_the_schema_and_says_before_and_now(reading: Reading) -> None:
    told = document(changed(reading))["change"]
    assert told["earlier_study_instance_uid"] == EARLIER_UID
    assert told["days_between"] == 87
    assert told["volume"]["WT"] == {
        "before_ml": 8.579,
        "now_ml": 17.157,
        "difference_ml": 8.579,
        "difference_percent": 100.0,
    }
    assert told["matching"]["earlier_from_present_lps"][0] == [1.0, 0.0, 0.0, 3.5]
    assert [(one["fate"], one["before"]["numbers"], one["now"]["numbers"]) for one in told["matching"]["lesions"]] == [
        ("matched", [1], [1]),
        ("new", [], [2]),
        ("vanished", [2], []),
    ]
    assert told["matching"]["lesions"][1]["volume"]["ET"]["difference_percent"] is None
    assert told["matching"]["lesions"][1]["before"]["diameters"] == []
    assert told["rano"]["category"] == "progressive disease"
    assert "clinical state" in told["rano"]["not_known"]


def test_a_change_without_matching_and_category_obeys_the_schema(reading: Reading) -> None:
    told = document(changed(reading, proposal=NoProposal("treatment not known"), matched=False))["change"]
    assert told["matching"] == {"matched": False, "reason": "the earlier images are not at hand"}
    assert told["rano"] == {"proposed": False, "statement": "No RANO category: treatment not known."}


def test_a_change_without_days_obeys_the_schema(reading: Reading) -> None:
    with_change = changed(reading)
    undated = replace(with_change, change=replace(with_change.change, days=()))
    assert document(undated)["change"]["days_between"] is None
