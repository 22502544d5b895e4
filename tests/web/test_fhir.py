"""FHIR over HTTP: valid by a library that knows the resources, found by exact values alone, and on record."""

import io
import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from typing import Any

import httpx
import pytest
from fhir.resources.R4B.bundle import Bundle
from fhir.resources.R4B.capabilitystatement import CapabilityStatement
from fhir.resources.R4B.operationoutcome import OperationOutcome
from sqlalchemy import delete, update

from audit.book import study_of
from kept_study import Clock, new_store
from readings import STUDY_UID, phantom_reading
from web.web_house import TO_READ, WebHouse
from zweitblick.reading import Reading
from zweitblick.report.fhir import fhir_bundle
from zweitblick.store.received import ReceivedInstance
from zweitblick.store.results import FHIR_BUNDLE, ResultName
from zweitblick.store.schema import wrapped_keys

MEDIA_TYPE = "application/fhir+json"
OTHER_UID, THIRD_UID, UNREAD_UID = "1.2.826.0.1.3680043.8.498.2", "1.2.826.0.1.3680043.8.498.3", "1.2.3.4"
OTHER_PATIENT = r"A,B|C\D"
"""Whose characters all mean something in a search."""

Resource = dict[str, Any]


def read(house: WebHouse, reading: Reading, study_uid: str, patient_id: str) -> None:
    """Keep an image of a study, and a reading of it."""
    house.clock.move(60)
    house.store.keep(
        ReceivedInstance(
            "1.2.3", f"{study_uid}.{house.clock.now:%H%M%S}", "1.2.840.10008.1.2.1", study_uid, "1.2", "AE", b""
        )
    )
    house.store.describe(house.store.token(study_uid), patient_id=patient_id, accession_number="")
    named = replace(reading.study, uid=study_uid, patient=replace(reading.study.patient, id=patient_id))
    content = io.BytesIO(fhir_bundle(replace(reading, study=named)))
    house.store.keep_result(ResultName(house.last(study_uid).id, FHIR_BUNDLE, MEDIA_TYPE), content)
    house.happen(study_uid, *TO_READ)


@pytest.fixture(scope="module")
def reading(tmp_path_factory: pytest.TempPathFactory) -> Reading:
    return phantom_reading(tmp_path_factory.mktemp("phantom"))


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory, reading: Reading) -> Iterator[WebHouse]:
    """Two studies of a patient and one of another, all read, and one that was not read; nothing is changed here."""
    clock = Clock()
    with new_store(tmp_path_factory.mktemp("house"), clock) as store, closing(WebHouse(store, clock)) as house:
        read(house, reading, STUDY_UID, "ZB-0815")
        read(house, reading, OTHER_UID, OTHER_PATIENT)
        read(house, reading, THIRD_UID, "ZB-0815")
        store.keep(ReceivedInstance("1.2.3", "1.2.3.5", "1.2.840.10008.1.2.1", UNREAD_UID, "1.2", "AE", b""))
        yield house


@pytest.fixture(autouse=True)
def nothing_on_record(request: pytest.FixtureRequest) -> None:
    if "kept" in request.fixturenames:
        request.getfixturevalue("kept").book.events.clear()


def resource(answer: httpx.Response) -> Resource:
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == MEDIA_TYPE
    assert answer.headers["Cache-Control"] == "no-store"
    found: Resource = answer.json()
    return found


def found(house: WebHouse, search: str, **parameters: str) -> list[Resource]:
    """Matches of a search, in their order, judged valid."""
    bundle = resource(house.client.get(f"/fhir/{search}", params=parameters))
    Bundle.model_validate(bundle)
    assert bundle["type"] == "searchset"
    assert all(entry["fullUrl"].endswith(f"{search}/{entry['resource']['id']}") for entry in bundle.get("entry", []))
    return [entry["resource"] for entry in bundle.get("entry", [])]


def studies_of(house: WebHouse, **parameters: str) -> list[str]:
    """Study UIDs that a search for ImagingStudy finds."""
    return [
        one["identifier"][0]["value"].removeprefix("urn:oid:") for one in found(house, "ImagingStudy", **parameters)
    ]


def problem(answer: httpx.Response) -> tuple[int, str, str]:
    """Status, issue type and our code of an error."""
    OperationOutcome.model_validate(answer.json())
    assert answer.headers["Content-Type"] == MEDIA_TYPE
    (issue,) = answer.json()["issue"]
    return answer.status_code, issue["code"], issue.get("diagnostics", "")


def test_it_says_what_it_serves(kept: WebHouse) -> None:
    statement = resource(kept.client.get("/fhir/metadata"))
    CapabilityStatement.model_validate(statement)
    assert statement["fhirVersion"] == "4.0.1"
    (rest,) = statement["rest"]
    for one in rest["resource"]:
        for parameter in one.get("searchParam", []):
            assert found(kept, one["type"], **{parameter["name"]: "nothing"}) == []
    assert {one["type"] for one in rest["resource"] if "searchParam" in one} == {
        "DiagnosticReport",
        "Observation",
        "ImagingStudy",
    }


def test_a_report_and_all_that_it_refers_to_are_read_as_they_were_written(kept: WebHouse, reading: Reading) -> None:
    (report,) = found(kept, "DiagnosticReport", **{"study.identifier": STUDY_UID})
    written = {one["fullUrl"]: one["resource"] for one in json.loads(fhir_bundle(reading))["entry"]}
    references = [report["subject"], *report["result"], *report["imagingStudy"]]
    read_back = [resource(kept.client.get(f"/fhir/{one['reference']}")) for one in references]
    entries = [{"resource": one} for one in [report, *read_back]]
    Bundle.model_validate({"resourceType": "Bundle", "type": "collection", "entry": entries})
    for one, reference in zip([report, *read_back], [{"reference": "itself"}, *references], strict=True):
        assert reference["reference"] in (f"{one['resourceType']}/{one['id']}", "itself")
        assert without_references(one) in [without_references(other) for other in written.values()]
    observation = next(one for one in read_back if one["resourceType"] == "Observation")
    assert resource(kept.client.get(f"/fhir/{observation['device']['reference']}"))["resourceType"] == "Device"


def without_references(one: Resource) -> str:
    """What a resource says beside its id and what it refers to."""

    def kept_of(node: Any) -> Any:
        if isinstance(node, dict):
            return {key: kept_of(value) for key, value in node.items() if key != "reference"}
        return [kept_of(value) for value in node] if isinstance(node, list) else node

    return json.dumps(kept_of({key: value for key, value in one.items() if key not in ("id", "meta")}), sort_keys=True)


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({}, [THIRD_UID, OTHER_UID, STUDY_UID]),
        ({"identifier": OTHER_UID}, [OTHER_UID]),
        ({"identifier": f"urn:oid:{OTHER_UID}"}, [OTHER_UID]),
        ({"identifier": f"urn:dicom:uid|urn:oid:{OTHER_UID}"}, [OTHER_UID]),
        ({"identifier": f"urn:other|urn:oid:{OTHER_UID}"}, []),
        ({"identifier": OTHER_UID[:-1]}, []),
        ({"identifier": f"{OTHER_UID}*"}, []),
        ({"identifier": UNREAD_UID}, []),
        ({"patient.identifier": "ZB-0815"}, [THIRD_UID, STUDY_UID]),
        ({"patient.identifier": "|ZB-0815"}, [THIRD_UID, STUDY_UID]),
        ({"patient.identifier": "urn:system|ZB-0815"}, []),
        ({"patient.identifier": "zb-0815"}, []),
        ({"patient.identifier": "ZB-081"}, []),
        ({"patient.identifier": "ZB-0815 "}, []),
        ({"patient.identifier": ""}, []),
        ({"patient.identifier": r"A\,B\|C\\D"}, [OTHER_UID]),
        ({"patient.identifier": "ZB-0815", "identifier": STUDY_UID}, [STUDY_UID]),
        ({"patient.identifier": "ZB-0815", "identifier": OTHER_UID}, []),
    ],
)
def test_exact_values_are_found_newest_first(kept: WebHouse, parameters: dict[str, str], expected: list[str]) -> None:
    assert studies_of(kept, **parameters) == expected


def test_what_is_referred_to_finds_what_refers_to_it(kept: WebHouse) -> None:
    (report,) = found(kept, "DiagnosticReport", **{"study.identifier": OTHER_UID})
    patient, study = report["subject"]["reference"], report["imagingStudy"][0]["reference"]
    for parameters in (
        {"patient": patient},
        {"subject": patient.split("/")[1]},
        {"study": study},
        {"_id": report["id"]},
    ):
        assert [one["id"] for one in found(kept, "DiagnosticReport", **parameters)] == [report["id"]]
    results = [one["reference"].split("/")[1] for one in report["result"]]
    assert [one["id"] for one in found(kept, "Observation", study=study)] == results
    assert found(kept, "DiagnosticReport", patient=study) == []


def test_a_form_finds_the_same_and_its_values_are_in_no_address(kept: WebHouse) -> None:
    answer = kept.client.post("/fhir/ImagingStudy/_search", data={"patient.identifier": "ZB-0815"})
    assert [one["resource"]["id"] for one in resource(answer)["entry"]] == [
        one["id"] for one in found(kept, "ImagingStudy", **{"patient.identifier": "ZB-0815"})
    ]
    assert "ZB-0815" not in str(answer.request.url)
    query = next(event for event in kept.book.events if event.id.meaning == "Query")
    assert b"ZB-0815" in query.objects[0].query


def test_pages_of_a_form_are_had_by_the_same_form_and_no_link_tells_its_values(kept: WebHouse) -> None:
    form = {"patient.identifier": "ZB-0815", "_count": "1"}
    ids, following = [], "/fhir/ImagingStudy/_search"
    while following:
        bundle = resource(kept.client.post(following, data=form))
        assert not [one for one in bundle["link"] if "ZB-0815" in one["url"]]
        ids += [one["resource"]["id"] for one in bundle["entry"]]
        following = next((one["url"] for one in bundle["link"] if one["relation"] == "next"), "")
    assert ids == [one["id"] for one in found(kept, "ImagingStudy", **{"patient.identifier": "ZB-0815"})]
    assert len(ids) == 2


def test_pages_of_a_form_keep_what_its_address_said(kept: WebHouse) -> None:
    answer = kept.client.post("/fhir/Observation/_search?_id=nothing", data={"patient.identifier": "ZB-0815"})
    (link,) = resource(answer)["link"]
    assert link["url"].endswith("/fhir/Observation/_search?_id=nothing")


def test_pages_together_are_the_whole(kept: WebHouse) -> None:
    whole = found(kept, "Observation")
    pages, following = [], "/fhir/Observation?_count=3"
    while following:
        bundle = resource(kept.client.get(following))
        assert len(bundle["entry"]) <= 3
        pages += [one["resource"] for one in bundle["entry"]]
        following = next((one["url"] for one in bundle["link"] if one["relation"] == "next"), "")
    assert pages == whole
    assert len(whole) > 9


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("Observation?patient.name=Gr%C3%BCn", (400, "invalid", "request.query")),
        ("Observation?patient.identifier:contains=ZB", (400, "invalid", "request.query")),
        ("Observation?patient.identifier=A,B", (400, "invalid", "request.query")),
        ("Observation?_count=0", (400, "invalid", "request.query")),
        ("Observation?_count=201", (400, "invalid", "request.query")),
        ("Observation?_id=a&_id=b", (400, "invalid", "request.query")),
        ("Observation?_format=xml", (406, "not-supported", "request.not-acceptable")),
        ("Patient", (404, "not-found", "store.object-unknown")),
        ("Medication", (404, "not-found", "store.object-unknown")),
        ("Medication/1", (404, "not-found", "store.object-unknown")),
        ("Observation/1", (404, "not-found", "store.object-unknown")),
        (f"Observation/{'0' * 32}.1", (404, "not-found", "store.object-unknown")),
    ],
)
def test_what_cannot_be_answered_is_an_outcome_that_quotes_nothing(
    kept: WebHouse, path: str, expected: tuple[int, str, str]
) -> None:
    answer = kept.client.get(f"/fhir/{path}")
    assert problem(answer) == expected
    assert "ZB" not in answer.text
    assert "Gr" not in answer.text


def test_another_type_of_the_same_id_is_not_read(kept: WebHouse) -> None:
    (report,) = found(kept, "DiagnosticReport", **{"study.identifier": STUDY_UID})
    assert problem(kept.client.get(f"/fhir/Patient/{report['id']}"))[0] == 404


def test_forms_that_are_none_are_an_outcome(kept: WebHouse) -> None:
    address = "/fhir/Observation/_search"
    assert problem(kept.client.post(address, json={}))[0] == 415
    too_long = kept.client.post(address, data={"_id": "a" * 70_000})
    assert problem(too_long)[0] == 413
    assert too_long.headers["Connection"] == "close", "the rest of the body is not waited for"


@pytest.mark.parametrize("path", ["metadata", "DiagnosticReport", "DiagnosticReport/1", "Nothing"])
def test_without_the_token_nothing_is_told(kept: WebHouse, path: str) -> None:
    assert problem(kept.stranger.get(f"/fhir/{path}")) == (401, "login", "http.token")
    assert kept.stranger.get(f"/fhir/{path}").headers["WWW-Authenticate"] == "Bearer"


def test_who_is_shown_a_study_is_on_record_before(web_house: WebHouse, reading: Reading) -> None:
    read(web_house, reading, STUDY_UID, "ZB-0815")
    read(web_house, reading, OTHER_UID, "ZB-0816")
    shown = found(web_house, "ImagingStudy", **{"patient.identifier": "ZB-0815"})
    query, access = web_house.book.events
    assert (query.id.meaning, access.id.meaning) == ("Query", "DICOM Instances Accessed")
    assert study_of(access) == STUDY_UID
    web_house.book.is_away = True
    other = web_house.client.get("/fhir/ImagingStudy", params={"identifier": OTHER_UID})
    assert problem(other) == (503, "transient", "audit.write")
    web_house.book.is_away = False
    (third,) = found(web_house, "ImagingStudy", identifier=OTHER_UID)
    web_house.book.is_away = True
    assert resource(web_house.client.get(f"/fhir/ImagingStudy/{shown[0]['id']}")), "told shortly before"
    assert third["id"] != shown[0]["id"]


def test_a_newer_reading_takes_the_place_of_an_older(web_house: WebHouse, reading: Reading) -> None:
    read(web_house, reading, STUDY_UID, "ZB-0815")
    (before,) = found(web_house, "DiagnosticReport")
    read(web_house, reading, STUDY_UID, "ZB-0815")
    (after,) = found(web_house, "DiagnosticReport")
    assert after["id"] != before["id"]
    assert problem(web_house.client.get(f"/fhir/DiagnosticReport/{before['id']}"))[0] == 404
    web_house.store.shred(web_house.store.token(STUDY_UID))
    assert problem(web_house.client.get(f"/fhir/DiagnosticReport/{after['id']}"))[0] == 404
    assert found(web_house, "DiagnosticReport") == []


@pytest.mark.parametrize("is_gone", [True, False], ids=["its key is gone", "its key is damaged"])
def test_a_study_that_cannot_be_opened_hides_no_other(
    web_house: WebHouse, reading: Reading, is_gone: bool, caplog: pytest.LogCaptureFixture
) -> None:
    for uid in (STUDY_UID, OTHER_UID, THIRD_UID):
        read(web_house, reading, uid, "ZB-0815")
    token = web_house.store.token(OTHER_UID)
    change = delete(wrapped_keys) if is_gone else update(wrapped_keys).values(ciphertext=bytes(40))
    with web_house.store._rooms.keyring._database.writing() as transaction:
        transaction.execute(change.where(wrapped_keys.c.owner == token))
    web_house.store._rooms.keyring.forget(token)
    assert studies_of(web_house) == [THIRD_UID, STUDY_UID]
    listed = web_house.client.get("/api/v1/reads").json()["reads"]
    assert [one["study_uid"] for one in listed] == [THIRD_UID, STUDY_UID]
    said = [record for record in caplog.records if f"study {token} is not shown" in record.getMessage()]
    by = set() if is_gone else {"zweitblick.web.fhir.search", "zweitblick.web.reads"}
    assert {record.name for record in said} == by
