"""The FHIR bundle is valid by a library that knows the resources, says what was found, and names nobody else."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fhir.resources.R4B.bundle import Bundle

from changes import EARLIER_UID, PROPOSAL, changed
from readings import STUDY_UID, Phantom, phantom_reading
from zweitblick.change import NoProposal, Proposal
from zweitblick.findings import Side
from zweitblick.reading import RESEARCH_USE, Reading
from zweitblick.report.fhir import fhir_bundle
from zweitblick.study import Patient


def resources(reading: Reading) -> dict[str, list[dict[str, Any]]]:
    """Resources by type, each link between them checked, all judged valid."""
    written = json.loads(fhir_bundle(reading))
    Bundle.model_validate(written)
    urls = {entry["fullUrl"] for entry in written["entry"]}
    assert len(urls) == len(written["entry"])
    assert set(references(written)) == urls - {entry["fullUrl"] for entry in written["entry"][:1]}
    found: dict[str, list[dict[str, Any]]] = {}
    for entry in written["entry"]:
        found.setdefault(entry["resource"]["resourceType"], []).append(entry["resource"])
    return found


def references(node: object) -> list[str]:
    if isinstance(node, dict):
        own = [node["reference"]] if "reference" in node else []
        return own + [one for value in node.values() for one in references(value)]
    return [one for value in node for one in references(value)] if isinstance(node, list) else []


def german(concept: dict[str, Any]) -> str:
    lang, content = concept["_text"]["extension"][0]["extension"]
    assert lang["valueCode"] == "de"
    return content["valueString"]


@pytest.mark.parametrize(
    "phantom",
    [Phantom(), Phantom("reversed"), Phantom(lesions=0), Phantom(enhancing=False), Phantom(missing=())],
    ids=["axial", "reversed", "no lesion", "not enhancing", "nothing missing"],
)
def test_every_reading_makes_a_valid_bundle_with_its_numbers(tmp_path: Path, phantom: Phantom) -> None:
    reading = phantom_reading(tmp_path, phantom)
    found = resources(reading)
    values = {
        one["code"]["coding"][-1]["code"]: one["valueQuantity"]
        for one in found["Observation"]
        if "valueQuantity" in one
    }
    expected = {f"volume-{str(region).lower()}": volume for region, volume in reading.findings.volume_ml.items()}
    expected["axes-product-sum"] = reading.findings.sum_of_products_mm2
    assert {code: value["value"] for code, value in values.items()} == pytest.approx(expected, abs=1e-3)
    assert {value["code"] for value in values.values()} == {"mL", "mm2"}
    lesions = [one for one in found["Observation"] if "component" in one]
    assert len(lesions) == len(reading.findings.lesions)
    for one, lesion in zip(lesions, reading.findings.lesions, strict=True):
        parts = {part["code"]["coding"][-1]["code"]: part for part in one["component"]}
        assert parts["272741003"]["valueCodeableConcept"]["coding"][0]["display"] == "Left"
        assert parts["103339001"]["valueQuantity"]["value"] == pytest.approx(lesion.diameters.major_mm, abs=1e-3)
        assert lesion.side is Side.LEFT
    notices = [one["valueString"] for one in found["Observation"] if "valueString" in one]
    assert notices == [notice.text for notice in reading.notices]


def test_the_report_is_preliminary_and_says_what_it_is_not_for_in_both_languages(tmp_path: Path) -> None:
    found = resources(phantom_reading(tmp_path))
    [report] = found["DiagnosticReport"]
    assert report["status"] == "preliminary"
    assert report["conclusion"].startswith("1 glioma-like lesion above 0.5 ml, 17.2 ml in all.")
    assert RESEARCH_USE in report["conclusion"]
    translated = report["_conclusion"]["extension"][0]["extension"][1]["valueString"]
    assert translated.startswith("1 gliomartige Läsion über 0,5 ml, zusammen 17,2 ml.")
    assert "kein Medizinprodukt" in translated
    assert {german(one["code"]) for one in found["Observation"]} >= {"Läsion 1", "Volumen des Tumorkerns", "Hinweis"}


def test_nothing_found_by_a_model_that_was_never_validated_is_said_in_both_languages(tmp_path: Path) -> None:
    reading = phantom_reading(tmp_path, Phantom(lesions=0))
    [report] = resources(replace(reading, findings=replace(reading.findings, validated_ml=None)))["DiagnosticReport"]
    assert report["conclusion"].startswith("No glioma-like lesion was found; from which size on")
    translated = report["_conclusion"]["extension"][0]["extension"][1]["valueString"]
    assert translated.startswith("Keine gliomartige Läsion gefunden; ab welcher Größe")


def test_the_study_is_named_by_its_uid_and_the_patient_as_in_the_study(tmp_path: Path) -> None:
    found = resources(phantom_reading(tmp_path))
    [study], [patient] = found["ImagingStudy"], found["Patient"]
    assert study["identifier"][0] == {"system": "urn:dicom:uid", "value": f"urn:oid:{STUDY_UID}"}
    assert patient == {
        "resourceType": "Patient",
        "identifier": [{"value": "ZB-0815"}],
        "name": [{"family": "Grün", "given": ["Anna"]}],
        "gender": "female",
        "birthDate": "1961-04-02",
    }


@pytest.mark.parametrize("name", ["", "^", "Only", "Fam^Giv^Mid^Dr", "Fam^^^", "Yamada^Tarou=山田^太郎"])
def test_a_patient_of_whom_little_is_known_is_valid_too(tmp_path: Path, name: str) -> None:
    reading = phantom_reading(tmp_path)
    resources(replace(reading, study=replace(reading.study, patient=Patient(name=name, sex="X"))))


def test_the_same_reading_makes_the_same_bytes(tmp_path: Path) -> None:
    reading = phantom_reading(tmp_path)
    assert fhir_bundle(reading) == fhir_bundle(reading)


@pytest.mark.parametrize("is_matched", [True, False], ids=["matched", "not matched"])
@pytest.mark.parametrize("proposal", [PROPOSAL, NoProposal("no lesion is measurable")], ids=["RANO", "no RANO"])
def test_a_change_is_told_with_its_numbers(
    tmp_path: Path, *, is_matched: bool, proposal: Proposal | NoProposal
) -> None:
    reading = changed(phantom_reading(tmp_path), proposal=proposal, matched=is_matched)
    found = resources(reading)
    by_code: dict[str, list[dict[str, Any]]] = {}
    for one in found["Observation"]:
        by_code.setdefault(one["code"]["coding"][-1]["code"], []).append(one)
    for region, volume in reading.change.volume.items():
        (observed,) = by_code[f"volume-change-{str(region).lower()}"]
        parts = {part["code"]["coding"][0]["code"]: part["valueQuantity"] for part in observed["component"]}
        assert observed["valueQuantity"]["value"] == pytest.approx(volume.now_ml - volume.before_ml, abs=1e-3)
        assert parts["before"]["value"] == pytest.approx(volume.before_ml, abs=1e-3)
        assert parts["now"]["value"] == pytest.approx(volume.now_ml, abs=1e-3)
        assert parts["percent"] == parts["percent"] | {"value": pytest.approx(100, abs=1e-3), "code": "%"}
        earlier = observed["derivedFrom"][1]
        assert earlier == {
            "type": "ImagingStudy",
            "identifier": {"system": "urn:dicom:uid", "value": f"urn:oid:{EARLIER_UID}"},
        }
    fates = [one["valueCodeableConcept"]["text"] for one in by_code["lesion-change"] if "valueCodeableConcept" in one]
    assert fates == (["matched", "new", "vanished"] if is_matched else [])
    (rano,) = by_code["rano-imaging"]
    assert ("valueCodeableConcept" in rano) == (proposal is PROPOSAL)
    assert rano["note"][0]["text"] == proposal.statement
    [report] = found["DiagnosticReport"]
    assert reading.change.statement in report["conclusion"]
    translated = report["_conclusion"]["extension"][0]["extension"][1]["valueString"]
    assert "Untersuchung vor 87 Tagen: Tumor und Ödem 8,6 auf 17,2 ml (+8,6 ml, +100 %)" in translated
    assert ("1 neu" in translated) == is_matched
    assert ("Progression" in translated) == (proposal is PROPOSAL)
