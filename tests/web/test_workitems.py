"""UPS-RS over HTTP: the life of a work item between a requester and a performer, and events over the WebSocket."""

import json
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest
from argon2 import PasswordHasher
from argon2.profiles import CHEAPEST
from pydicom import Dataset
from pydicom.sr import codes
from pynetdicom import sop_class
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from kept_study import Clock, new_store
from worklist.work import PATIENT, STUDY_UID, UID, code, discontinued, new_item, performed
from zweitblick.access.emergencies import Emergencies
from zweitblick.access.principal import Role
from zweitblick.access.sessions import Sessions
from zweitblick.access.users import Users
from zweitblick.store.received import ReceivedInstance
from zweitblick.store.store import Store
from zweitblick.web import Doors, HttpServer, Service, create_app
from zweitblick.worklist import Notices, Worklist

TOKEN = "a token that is never printed"  # noqa: S105 -- of this test alone
PASSWORD = "correct horse battery staple"  # noqa: S105 -- of this test alone
CLAIM = "1.2.3.4"
ITEMS = "/dicom-web/workitems"
ALL = "1.2.840.10008.5.1.4.34.5"


class House:
    """A served worklist."""

    def __init__(self, store: Store, clock: Clock, users: Path) -> None:
        self.store, self.clock = store, clock
        self.users = Users(users, PasswordHasher.from_parameters(CHEAPEST))
        doors = Doors(Sessions(clock), Emergencies(clock), token=TOKEN, users=self.users)
        worklist = Worklist(store.workitems, Notices(), clock)
        service = Service(store, lambda _: None, lambda: True, worklist)
        self.server = HttpServer(create_app(service, doors=doors), host="127.0.0.1", port=0)
        self.bearer = {"Authorization": f"Bearer {TOKEN}"}
        self.client = httpx.Client(base_url=self.server.address, headers=self.bearer)

    def close(self) -> None:
        self.client.close()
        self.server.close()

    def create(self, item: Dataset | None = None, *, uid: str = UID) -> httpx.Response:
        return self.client.post(f"{ITEMS}?{uid}", content=(item or new_item()).to_json())

    def update(self, change: Dataset, *, transaction: str = CLAIM) -> int:
        return self.client.post(f"{ITEMS}/{UID}?transaction={transaction}", content=change.to_json()).status_code

    def state(self, asked: str, *, transaction: str = CLAIM) -> httpx.Response:
        body = Dataset()
        body.ProcedureStepState, body.TransactionUID = asked, transaction
        return self.client.put(f"{ITEMS}/{UID}/state", content=body.to_json())

    def item(self) -> Dataset:
        answer = self.client.get(f"{ITEMS}/{UID}")
        assert (answer.status_code, answer.headers["content-type"]) == (200, "application/dicom+json")
        return Dataset.from_json(answer.json()[0])

    def listening(self, **headers: str):
        place = self.server.address.replace("http", "ws")
        return connect(f"{place}/dicom-web/subscribers/WATCHER", additional_headers=headers or self.bearer)

    def closed_with(self, socket) -> int:
        with pytest.raises(ConnectionClosed) as closed:
            socket.recv(timeout=10)
        return closed.value.rcvd.code


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    clock = Clock()
    with new_store(tmp_path, clock) as store, closing(House(store, clock, tmp_path / "users.json")) as made:
        yield made


def test_a_work_item_is_created_once_and_retrieved_as_it_was_made(house: House) -> None:
    made = house.create()
    assert (made.status_code, made.headers["location"]) == (201, f"{ITEMS}/{UID}")
    item = house.item()
    assert item.SOPInstanceUID == UID
    assert item.PatientName == PATIENT
    assert item.InputInformationSequence == new_item().InputInformationSequence
    again = house.create()
    assert (again.status_code, again.json()["code"]) == (409, "workitem.exists")


def test_a_work_item_without_a_uid_is_given_one(house: House) -> None:
    place = house.client.post(ITEMS, content=new_item().to_json()).headers["location"]
    assert house.client.get(place).status_code == 200


def test_it_is_claimed_reported_and_completed_by_whoever_has_its_transaction_uid(house: House) -> None:
    house.create()
    assert house.state("COMPLETED").status_code == 409
    assert house.state("IN PROGRESS").status_code == 200
    assert house.state("IN PROGRESS", transaction="1.2.5").status_code == 409
    assert house.update(performed(), transaction="1.2.5") == 409
    assert house.state("COMPLETED").json()["code"] == "workitem.state"  # nothing says how it was performed
    assert house.update(performed()) == 200
    assert house.state("COMPLETED", transaction="1.2.5").json()["code"] == "workitem.transaction"
    assert house.state("COMPLETED").status_code == 200
    assert house.item().ProcedureStepState == "COMPLETED"
    assert "TransactionUID" not in house.item()
    assert "already in the requested state" in house.state("COMPLETED").headers["warning"]
    assert house.update(performed()) == 409
    assert house.client.post(f"{ITEMS}/{UID}/cancelrequest").status_code == 409


def test_what_nobody_has_claimed_is_cancelled_when_asked(house: House) -> None:
    """PS3.4 CC.2.2.3: it is in progress first; what it says of why and when is where PS3.3 C.30.1 has it."""
    house.create()
    house.client.post(f"{ITEMS}/{UID}/subscribers/WATCHER")
    request = Dataset()
    request.ReasonForCancellation = "wrong patient"
    request.ProcedureStepDiscontinuationReasonCodeSequence = [code("110514", "DCM")]
    with house.listening() as socket:
        assert house.client.post(f"{ITEMS}/{UID}/cancelrequest", content=request.to_json()).status_code == 202
        reports = [Dataset.from_json(remove_command(json.loads(socket.recv(timeout=10)))) for _ in range(3)]
    assert [report.get("ProcedureStepState") for report in reports] == [None, "IN PROGRESS", "CANCELED"]
    assert [report.get("ReasonForCancellation") for report in reports] == ["wrong patient", None, "wrong patient"]
    item = house.item()
    [progress] = item.ProcedureStepProgressInformationSequence
    assert (item.ProcedureStepState, progress.ReasonForCancellation) == ("CANCELED", "wrong patient")
    assert progress.ProcedureStepCancellationDateTime == "20261127080000.000000+0000"
    for told in (progress, reports[0], reports[2]):
        assert told.ProcedureStepDiscontinuationReasonCodeSequence[0].CodeValue == "110514"
    again = house.client.post(f"{ITEMS}/{UID}/cancelrequest")
    assert (again.status_code, "CANCELED" in again.headers["warning"]) == (202, True)
    assert house.state("CANCELED").json()["code"] == "workitem.transaction"


@pytest.mark.parametrize("is_claimed", [False, True])
def test_what_is_cancelled_without_a_reason_has_the_code_for_none(house: House, is_claimed: bool) -> None:
    """PS3.4 Table CC.2.5-3 asks for a code, and section CC.2.5.1.3.2 has steps cancelled by who sets nothing."""
    house.create()
    if is_claimed:
        house.state("IN PROGRESS")
        assert house.state("CANCELED").status_code == 200
    else:
        assert house.client.post(f"{ITEMS}/{UID}/cancelrequest").status_code == 202
    [progress] = house.item().ProcedureStepProgressInformationSequence
    [why] = progress.ProcedureStepDiscontinuationReasonCodeSequence
    expected = codes.cid9300.DiscontinuedForUnspecifiedReason
    assert (why.CodeValue, why.CodingSchemeDesignator, why.CodeMeaning) == tuple(expected)[:3]
    assert progress.ProcedureStepCancellationDateTime == "20261127080000.000000+0000"
    assert "ReasonForCancellation" not in progress


def test_what_its_performer_says_of_why_and_when_stays(house: House) -> None:
    house.create()
    house.state("IN PROGRESS")
    said = discontinued("wrong patient", code("110514", "DCM"))
    said.ProcedureStepProgressInformationSequence[0].ProcedureStepCancellationDateTime = "20261127075900"
    assert house.update(said) == 200
    assert house.state("CANCELED").status_code == 200
    assert house.item().ProcedureStepProgressInformationSequence == said.ProcedureStepProgressInformationSequence


def remove_command(report: dict[str, object]) -> dict[str, object]:
    """Return an event report without its command set (PS3.7 annex E)."""
    return {tag: element for tag, element in report.items() if not tag.startswith("0000")}


def test_work_items_are_found_by_state_and_patient(house: House) -> None:
    assert house.client.get(ITEMS).status_code == 204
    house.create()
    house.clock.move(1)
    house.create(new_item(study_uid="1.2.7"), uid="2.25.2")
    house.state("IN PROGRESS")

    def found(**keys: str) -> list[str]:
        answer = house.client.get(ITEMS, params=keys)
        return [one["00080018"]["Value"][0] for one in answer.json()] if answer.status_code == 200 else []

    assert found() == [UID, "2.25.2"]
    assert found(limit="1", offset="1") == ["2.25.2"]
    assert found(ProcedureStepState="SCHEDULED") == ["2.25.2"]
    assert found(**{"InputInformationSequence.StudyInstanceUID": STUDY_UID}) == [UID]
    assert found(PatientID="PID-2") == []
    more = "There are 1 additional results that can be requested"
    warning = house.client.get(ITEMS, params={"limit": 1}).headers["warning"]
    assert warning == f'299 {house.client.base_url}/dicom-web: "{more}"'
    assert "warning" not in house.client.get(ITEMS, params={"limit": 1, "offset": 1}).headers
    for bad in ({"PatientID": "PID*"}, {"NoSuch": "1"}, {"fuzzymatching": "true"}):
        assert house.client.get(ITEMS, params=bad).status_code == 400


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("?../../etc/passwd", new_item().to_json()),
        (f"?{'1.' * 40}1", new_item().to_json()),
        ("", "no json"),
        ("", "[]"),
        ("", json.dumps([{}, {}])),
        ("", json.dumps({"00400010": {"vr": "SQ", "Value": [[[[1]]]]}})),
        ("", " " * (2**20 + 1)),
    ],
)
def test_bad_requests_are_refused_and_keep_nothing(house: House, path: str, body: str) -> None:
    answer = house.client.post(ITEMS + path, content=body)
    assert (answer.status_code, answer.headers["content-type"]) == (400, "application/problem+json")
    assert house.client.get(ITEMS).status_code == 204


def test_what_is_not_there_is_not_found(house: House) -> None:
    assert house.client.get(f"{ITEMS}/1.2.3").status_code == 404
    assert house.client.post(f"{ITEMS}/1.2.3/subscribers/WATCHER").status_code == 404
    assert house.client.delete(f"{ITEMS}/{ALL}/subscribers/WATCHER").status_code == 404
    assert house.client.post(f"{ITEMS}/{ALL}/subscribers/WATCHER/suspend").status_code == 404
    assert house.client.post(f"{ITEMS}/{ALL}/subscribers/{'W' * 17}").status_code == 400


def test_nothing_is_told_without_the_token(house: House) -> None:
    house.create()
    for method, path in (("GET", ITEMS), ("GET", f"{ITEMS}/{UID}"), ("POST", ITEMS), ("PUT", f"{ITEMS}/{UID}/state")):
        assert httpx.request(method, house.server.address + path).status_code == 401
    place = f"{house.server.address.replace('http', 'ws')}/dicom-web/subscribers/WATCHER"
    with pytest.raises(Exception, match="403"), connect(place):
        pass


def test_subscribers_are_told_over_the_websocket(house: House) -> None:
    house.create()
    answer = house.client.post(f"{ITEMS}/{UID}/subscribers/WATCHER")
    assert answer.status_code == 201
    assert answer.headers["content-location"].endswith("/dicom-web/subscribers/WATCHER")
    with house.listening() as socket:
        house.state("IN PROGRESS")
        house.update(progress(50))
        house.client.post(f"{ITEMS}/{UID}/cancelrequest")
        reports = [json.loads(socket.recv(timeout=10)) for _ in range(3)]
    assert [report["00001002"]["Value"] for report in reports] == [[1], [3], [2]]
    assert all(report["00001000"]["Value"] == [UID] for report in reports)
    assert reports[0]["00741000"]["Value"] == ["IN PROGRESS"]
    assert reports[1]["00741002"]["Value"][0]["00741004"]["Value"] == [50]


def progress(percent: int) -> Dataset:
    item = Dataset()
    item.ProcedureStepProgress = percent
    change = Dataset()
    change.ProcedureStepProgressInformationSequence = [item]
    return change


def test_a_subscription_to_all_brings_what_is_made_later_until_it_is_suspended(house: House) -> None:
    house.client.post(f"{ITEMS}/{ALL}/subscribers/WATCHER")
    with house.listening() as socket:
        house.create()
        assert json.loads(socket.recv(timeout=10))["00001000"]["Value"] == [UID]
        assert house.client.post(f"{ITEMS}/{ALL}/subscribers/WATCHER/suspend").status_code == 200
        house.create(uid="2.25.2")
        house.state("IN PROGRESS")
        told = json.loads(socket.recv(timeout=10))
        assert (told["00001000"]["Value"], told["00741000"]["Value"]) == ([UID], ["IN PROGRESS"])
        assert house.client.delete(f"{ITEMS}/{ALL}/subscribers/WATCHER").status_code == 200


def without_its_role(house: House, path: Path) -> None:
    path.write_text(path.read_text().replace("service", "researcher"))


@pytest.mark.parametrize("end", [lambda house, _: house.users.remove("watcher"), without_its_role])
def test_who_may_listen_no_longer_is_told_nothing_more(
    house: House, tmp_path: Path, end: Callable[[House, Path], None]
) -> None:
    token = house.users.add_machine("watcher", [Role.SERVICE])
    house.client.post(f"{ITEMS}/{ALL}/subscribers/WATCHER")
    with house.listening(Authorization=f"Bearer {token}") as socket:
        house.create()
        assert json.loads(socket.recv(timeout=10))["00001000"]["Value"] == [UID]
        end(house, tmp_path / "users.json")
        house.create(uid="2.25.2")
        assert house.closed_with(socket) == 3000


def test_the_channel_of_who_has_logged_out_is_closed_without_an_event(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("zweitblick.web.subscribers.CHECKED_EVERY_S", 0.05)
    house.users.add_person("anna", PASSWORD, [Role.RADIOLOGIST])
    with httpx.Client(base_url=house.server.address) as browser:
        browser.post("/login", json={"name": "anna", "password": PASSWORD})
        cookie, origin = f"zweitblick={browser.cookies['zweitblick']}", house.server.address
        with house.listening(Cookie=cookie, Origin=origin) as socket:
            csrf = browser.get("/api/v1/session").json()["csrf_token"]
            assert browser.delete("/api/v1/session", headers={"X-CSRF-Token": csrf}).status_code == 204
            assert house.closed_with(socket) == 3000


def test_a_channel_ends_with_the_service(house: House) -> None:
    with house.listening() as socket:
        house.server.close()
        with pytest.raises(ConnectionClosed):
            socket.recv(timeout=10)


def test_a_work_item_goes_with_its_study(house: House) -> None:
    house.store.keep(instance())
    house.create()
    house.store.shred(house.store.token(STUDY_UID))
    assert house.client.get(f"{ITEMS}/{UID}").status_code == 404


def test_nothing_of_a_work_item_is_kept_in_clear(house: House, tmp_path: Path) -> None:
    house.create()
    kept = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert kept
    for secret in (*PATIENT.split("^"), "PID-1", UID, STUDY_UID):
        assert not any(secret.encode() in content for content in kept)


def instance() -> ReceivedInstance:
    return ReceivedInstance(
        sop_class_uid=sop_class.MRImageStorage,
        sop_instance_uid=f"{STUDY_UID}.1.1",
        transfer_syntax_uid="1.2.840.10008.1.2.1",
        study_instance_uid=STUDY_UID,
        series_instance_uid=f"{STUDY_UID}.1",
        calling_ae_title="SCANNER",
        data=b"data",
    )
