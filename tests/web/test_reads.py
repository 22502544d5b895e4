"""Over HTTP: the states of a study, its results as they were kept, and nothing without the token."""

import io
import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from pynetdicom import sop_class

from audit.book import Book, patient_of, study_of
from kept_study import Clock, new_store
from zweitblick.errors import SettingsError
from zweitblick.store.deliveries import Attempt, DeliveryState
from zweitblick.store.life import Actor, Event, State
from zweitblick.store.received import ReceivedInstance
from zweitblick.store.results import ResultName
from zweitblick.store.rounds import Round
from zweitblick.store.store import Store
from zweitblick.web import HttpServer, Service, create_app, one_token
from zweitblick.worklist import Notices, Worklist

TOKEN = "a token that is never printed"  # noqa: S105 -- of this test alone
UID = "1.2.276.0.4711"
PROBLEM = "application/problem+json"
RESULTS = {"seg": ("application/dicom", b"outline" * 300_000), "json": ("application/json", b'{"statement": "none"}')}
NOTHING_ELSE = {"conflicts": 0, "error": None, "deliveries": [], "earlier": []}
TO_READ = (Event.COMPLETED, Event.STARTED, Event.READ)


class House:
    """A store with one study, and what the application asked of the worker."""

    def __init__(self, store: Store) -> None:
        self.store, self.submitted, self.is_working = store, [], True
        self.book = Book()
        worklist = Worklist(store.workitems, Notices(), Clock())
        service = Service(store, self.submitted.append, lambda: self.is_working, worklist, self.book)
        self.server = HttpServer(create_app(service, doors=one_token(TOKEN)), host="127.0.0.1", port=0)
        self.stranger = httpx.Client(base_url=self.server.address)
        self.client = httpx.Client(base_url=self.server.address, headers={"Authorization": f"Bearer {TOKEN}"})

    def close(self) -> None:
        self.stranger.close()
        self.client.close()
        self.server.close()

    def receive(self, number: int = 1) -> Round:
        self.store.keep(
            ReceivedInstance(
                sop_class_uid=sop_class.MRImageStorage,
                sop_instance_uid=f"{UID}.1.{number}",
                transfer_syntax_uid="1.2.840.10008.1.2.1",
                study_instance_uid=UID,
                series_instance_uid=f"{UID}.1",
                calling_ae_title="SCANNER",
                data=b"Geheim^Patientin",
            )
        )
        return self.last()

    def last(self) -> Round:
        return self.store.rounds(self.store.token(UID))[-1]

    def happen(self, *events: Event) -> None:
        for event in events:
            self.store.advance(self.last().id, event, by=Actor.WORKER)

    def keep_results(self) -> None:
        for name, (media_type, content) in RESULTS.items():
            self.store.keep_result(ResultName(self.last().id, name, media_type), io.BytesIO(content))

    def read(self) -> dict[str, object]:
        answer = self.client.get(f"/api/v1/reads/{UID}")
        assert answer.status_code == 200
        return answer.json()


def lose_objects(folder: Path) -> None:
    for path in (folder / "data" / "data" / "objects").rglob("*"):
        if path.is_file() and len(path.name) == 32:
            path.unlink()


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with new_store(tmp_path, Clock()) as store, closing(House(store)) as made:
        yield made


def test_a_study_that_is_being_received_has_a_state_and_no_more(house: House) -> None:
    house.receive()
    assert house.read() == {"round": 1, "state": "receiving", "findings": None, "results": [], **NOTHING_ELSE}


def test_results_are_shown_once_they_are_all_there(house: House) -> None:
    house.receive()
    house.happen(Event.COMPLETED, Event.STARTED)
    house.keep_results()
    assert house.read()["results"] == []
    assert house.client.get(f"/api/v1/reads/{UID}/results/seg").status_code == 404
    house.happen(Event.READ)
    shown = house.read()
    assert shown["findings"] == {"statement": "none"}
    assert [(one["name"], one["bytes"]) for one in shown["results"]] == [("json", 21), ("seg", 2_100_000)]


@pytest.mark.parametrize("name", RESULTS)
def test_a_result_comes_as_it_was_kept(house: House, name: str) -> None:
    house.receive()
    house.keep_results()
    house.happen(*TO_READ)
    answer = house.client.get(f"/api/v1/reads/{UID}/results/{name}")
    assert (answer.headers["content-type"], answer.content) == RESULTS[name]


def test_nothing_of_a_study_is_stored_on_the_way(house: House) -> None:
    house.receive()
    house.keep_results()
    house.happen(*TO_READ)
    for path in (UID, f"{UID}/results/seg", f"{UID}/results/json"):
        headers = house.client.get(f"/api/v1/reads/{path}").headers
        assert (headers["cache-control"], headers["x-content-type-options"]) == ("no-store", "nosniff")


def assert_only_the_first_was_read(shown: dict[str, Any], state: State) -> None:
    assert (shown["round"], shown["state"], shown["findings"], shown["results"]) == (2, state, None, [])
    (earlier,) = shown["earlier"]
    assert (earlier["round"], [one["name"] for one in earlier["results"]]) == (1, sorted(RESULTS))


def test_after_a_late_image_the_earlier_results_can_still_be_fetched(house: House) -> None:
    house.receive()
    house.keep_results()
    house.happen(*TO_READ)
    house.receive(2)
    assert_only_the_first_was_read(house.read(), State.RECEIVING)
    assert house.book.told() == [("DICOM Instances Accessed", "R", 0)]
    for name, (_, content) in RESULTS.items():
        path = f"/api/v1/reads/{UID}/results/{name}"
        assert house.client.get(path).status_code == 404
        assert house.client.get(path, params={"round": 1}).content == content
        for number in (2, 3, 0, -1):
            assert house.client.get(path, params={"round": number}).status_code == 404


def test_a_round_that_was_superseded_before_it_was_read_is_not_told(house: House) -> None:
    house.receive()
    house.keep_results()
    house.happen(Event.COMPLETED, Event.STARTED)
    house.receive(2)
    assert house.read()["earlier"] == []
    assert house.client.get(f"/api/v1/reads/{UID}/results/seg", params={"round": 1}).status_code == 404
    assert house.book.told() == []


def test_a_failure_is_shown_with_its_code(house: House) -> None:
    house.receive()
    house.happen(Event.COMPLETED, Event.STARTED)
    fault = {"code": "study.missing-sequence", "message": "neither T1c nor FLAIR"}
    content = io.BytesIO(json.dumps(fault).encode())
    house.store.keep_result(ResultName(house.last().id, "error", "application/json"), content)
    house.happen(Event.GAVE_UP)
    failed = {"round": 1, "state": "failed", "findings": None, "results": []}
    assert house.read() == {**failed, **NOTHING_ELSE, "error": fault}


def test_complete_has_the_last_round_read_once(house: House) -> None:
    received = house.receive()
    answer = house.client.post(f"/api/v1/reads/{UID}/complete")
    assert (answer.status_code, house.submitted) == (202, [received])
    house.happen(*TO_READ)
    answer = house.client.post(f"/api/v1/reads/{UID}/complete")
    assert (answer.status_code, answer.json()["state"]) == (202, State.READ)
    assert house.submitted == [received]


def test_complete_has_a_study_read_again_that_was_fetched_to_compare_another_with_it(house: House) -> None:
    """What was read of it is not delivered."""
    first = house.receive()
    house.keep_results()
    house.happen(*TO_READ)
    house.store.lookups.begin(first.id, UID)
    house.store.lookups.complete(first.id, UID)
    house.book.is_away = True
    assert house.client.post(f"/api/v1/reads/{UID}/complete").status_code == 503
    assert house.last().id == first.id
    house.book.is_away = False
    answer = house.client.post(f"/api/v1/reads/{UID}/complete")
    assert answer.status_code == 202
    assert_only_the_first_was_read(answer.json(), State.STABLE)
    assert house.submitted == [house.last()]
    assert not house.store.lookups.was_fetched(first.study)
    assert house.book.told()[0] == ("DICOM Instances Accessed", "U", 0)


def test_a_study_that_was_read_is_read_again_in_its_next_round(house: House) -> None:
    first = house.receive()
    house.keep_results()
    house.happen(*TO_READ)
    answer = house.client.post(f"/api/v1/reads/{UID}/priors")
    assert answer.status_code == 202
    assert_only_the_first_was_read(answer.json(), State.STABLE)
    assert house.last().supersedes == first.id
    assert house.submitted == [house.last()]
    assert len(house.store.results(first.id)) == len(RESULTS)
    assert house.book.told() == [("DICOM Instances Accessed", "U", 0), ("DICOM Instances Accessed", "R", 0)]


@pytest.mark.parametrize("events", [[], [Event.COMPLETED], [Event.COMPLETED, Event.STARTED]])
def test_a_study_that_is_received_or_read_just_now_is_not_read_again(house: House, events: list[Event]) -> None:
    before = house.receive()
    house.happen(*events)
    answer = house.client.post(f"/api/v1/reads/{UID}/priors")
    assert (answer.status_code, answer.headers["content-type"]) == (409, PROBLEM)
    assert (answer.json()["code"], UID in answer.text) == ("store.event", False)
    assert (house.last().id, house.submitted, house.book.told()) == (before.id, [], [])


def test_that_a_study_is_to_be_read_again_is_on_record_first(house: House) -> None:
    before = house.receive()
    house.happen(*TO_READ)
    house.book.is_away = True
    assert house.client.post(f"/api/v1/reads/{UID}/priors").status_code == 503
    assert (house.last().id, house.submitted) == (before.id, [])


def test_it_is_not_ready_while_the_key_holder_is_away_and_is_again_after_that(house: House, tmp_path: Path) -> None:
    """The key file is the holder here."""
    key = tmp_path / "key"
    assert house.stranger.get("/ready").status_code == 200
    for _ in range(2):
        gone = key.rename(key.with_name("gone"))
        answer = house.stranger.get("/ready")
        assert (answer.status_code, answer.json()["code"]) == (503, "vault.key-holder")
        assert "0 new studies can be taken" in answer.json()["detail"]
        assert house.stranger.get("/health").status_code == 200
        gone.rename(key)
        assert house.stranger.get("/ready").status_code == 200


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", f"{UID}.9"),
        ("GET", f"{UID}.9/results/seg"),
        ("POST", f"{UID}.9/complete"),
        ("POST", f"{UID}.9/priors"),
        ("GET", "..%2f..%2fetc"),
    ],
)
def test_a_study_that_is_not_there_is_a_problem(house: House, method: str, path: str) -> None:
    house.receive()
    answer = house.client.request(method, f"/api/v1/reads/{path}")
    assert (answer.status_code, answer.headers["content-type"]) == (404, PROBLEM)
    assert answer.json()["status"] == 404
    assert UID not in answer.text


@pytest.mark.parametrize(
    "headers",
    [{}, {"Authorization": "Bearer wrong"}, {"Authorization": f"Basic {TOKEN}"}, {"Authorization": "Bearer äöü"}],
)
def test_without_the_token_nothing_is_told(house: House, headers: dict[str, str]) -> None:
    house.receive()
    encoded = {name: value.encode("utf-8") for name, value in headers.items()}
    paths = (("GET", UID), ("GET", f"{UID}/results/seg"), ("POST", f"{UID}/complete"), ("POST", f"{UID}/priors"))
    for method, path in (*paths, ("GET", "1.2")):
        answer = house.stranger.request(method, f"/api/v1/reads/{path}", headers=encoded)
        assert (answer.status_code, answer.headers["content-type"]) == (401, PROBLEM)
        assert answer.headers["www-authenticate"] == "Bearer"
        assert answer.json()["code"] == "http.token"
    assert house.submitted == []


def test_health_and_readiness_need_no_token(house: House) -> None:
    assert house.stranger.get("/health").json() == {"status": "ok"}
    assert house.stranger.get("/ready").json() == {"status": "ok"}
    house.is_working = False
    answer = house.stranger.get("/ready")
    assert (answer.status_code, answer.headers["content-type"]) == (503, PROBLEM)
    assert house.stranger.get("/health").status_code == 200


def test_a_failure_of_the_store_is_a_problem_with_its_code(house: House, tmp_path: Path) -> None:
    house.receive()
    house.keep_results()
    house.happen(*TO_READ)
    lose_objects(tmp_path)
    answer = house.client.get(f"/api/v1/reads/{UID}")
    assert (answer.status_code, answer.headers["content-type"]) == (500, PROBLEM)
    assert answer.json()["code"] == "store.damaged"


def test_what_http_refuses_is_a_problem_too(house: House) -> None:
    for method, path, status in (("GET", "/nothing", 404), ("DELETE", "/health", 405)):
        answer = house.client.request(method, path)
        assert (answer.status_code, answer.headers["content-type"]) == (status, PROBLEM)


def test_the_interface_describes_itself(house: House) -> None:
    described = house.client.get("/api/v1/openapi.json").json()
    assert {"/health", "/ready", "/api/v1/reads/{study_uid}", "/api/v1/reads/{study_uid}/complete"} <= set(
        described["paths"]
    )
    assert "bearer" in json.dumps(described["components"]["securitySchemes"])


def test_no_log_line_names_a_study(house: House, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    house.receive()
    house.keep_results()
    house.happen(*TO_READ)
    with caplog.at_level("DEBUG"):
        house.read()
        house.stranger.get(f"/api/v1/reads/{UID}.9?secret=1")
        lose_objects(tmp_path)
        house.client.get(f"/api/v1/reads/{UID}?secret=1")
    ours = [record.getMessage() for record in caplog.records if record.name.split(".")[0] in ("zweitblick", "uvicorn")]
    assert "a request failed: store.damaged" in ours
    assert not [line for line in ours if UID in line or "secret" in line or TOKEN in line]


def test_an_address_that_is_taken_is_named_by_its_key(house: House) -> None:
    port = int(house.server.address.rsplit(":", 1)[1])
    with pytest.raises(SettingsError, match=f"^http: port {port}"):
        HttpServer(FastAPI(), host="127.0.0.1", port=port)


def test_who_is_shown_findings_or_results_is_on_record(house: House) -> None:
    house.receive()
    house.store.describe(house.store.token(UID), patient_id="P-17", accession_number="A-3")
    house.read()
    assert house.book.events == []  # that a study is here is no finding
    house.happen(*TO_READ)
    house.keep_results()
    house.read()
    house.client.get(f"/api/v1/reads/{UID}/results/seg")
    assert house.book.told() == [("DICOM Instances Accessed", "R", 0)] * 2
    for event in house.book.events:
        assert (study_of(event), patient_of(event)) == (UID, "P-17")
        who, process = event.participants
        assert (who.is_requestor, who.address, process.user_id) == (True, "127.0.0.1", "4242")


def test_nothing_is_shown_that_cannot_be_put_on_record(house: House) -> None:
    house.receive()
    house.happen(*TO_READ)
    house.keep_results()
    house.book.is_away = True
    for path in ("", "/results/seg"):
        answer = house.client.get(f"/api/v1/reads/{UID}{path}")
        assert (answer.status_code, answer.headers["Content-Type"]) == (503, PROBLEM)
        assert answer.json()["code"] == "audit.write"


def test_that_a_study_is_said_to_be_complete_is_on_record_first(house: House) -> None:
    house.receive()
    house.book.is_away = True
    assert house.client.post(f"/api/v1/reads/{UID}/complete").status_code == 503
    assert house.submitted == []
    house.book.is_away = False
    assert house.client.post(f"/api/v1/reads/{UID}/complete").status_code == 202
    assert house.book.told() == [("DICOM Instances Accessed", "U", 0)]


def test_deliveries_are_shown_by_destination(house: House) -> None:
    house.receive()
    house.happen(*TO_READ, Event.SEALED)
    house.keep_results()
    assert house.read()["deliveries"] == []
    archive, pacs = house.store.deliveries.begin(house.last().id, ["ARCHIVE", "PACS"])
    house.store.deliveries.note(pacs.id, Attempt(1, DeliveryState.WAITING, "peer.busy"))
    house.store.deliveries.note(archive.id, Attempt(1, DeliveryState.DELIVERED))
    shown, at = house.read(), "2026-11-27T08:00:00Z"
    assert shown["state"] == "delivering"
    assert shown["deliveries"] == [
        {"destination": "ARCHIVE", "state": "delivered", "attempts": 1, "error": None, "acknowledged_at": at},
        {"destination": "PACS", "state": "waiting", "attempts": 1, "error": "peer.busy", "acknowledged_at": None},
    ]


def test_findings_are_shown_though_a_destination_refuses_them(house: House) -> None:
    last = house.receive()
    house.happen(*TO_READ, Event.SEALED)
    house.keep_results()
    (pacs,) = house.store.deliveries.begin(last.id, ["PACS"])
    fault = json.dumps({"code": "peer.refused", "message": "PACS refused it"}).encode()
    house.store.keep_result(ResultName(last.id, "error", "application/json"), io.BytesIO(fault))
    house.store.deliveries.note(pacs.id, Attempt(1, DeliveryState.REFUSED, "peer.refused"))
    shown = house.read()
    assert shown["state"] == "failed"
    assert shown["error"]["code"] == "peer.refused"
    assert shown["findings"] == {"statement": "none"}
    assert [one["name"] for one in shown["results"]] == sorted(RESULTS)
