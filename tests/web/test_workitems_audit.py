"""What is done with work items is on record before it is done: made, changed, shown and listened to."""

import json
from collections.abc import Callable

import httpx
import pytest
from pydicom import Dataset
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from audit.book import patient_of, study_of
from web.web_house import PROBLEM, TOKEN, WebHouse
from worklist.work import PATIENT, STUDY_UID, UID, new_item, performed

ITEMS = "/dicom-web/workitems"
ALL = "1.2.840.10008.5.1.4.34.5"
CLAIM = "1.2.3.4"
MADE, CHANGED, SHOWN, REFUSED = (("Procedure Record", *rest) for rest in (("C", 0), ("U", 0), ("R", 0), ("U", 8)))
ASKED = ("Query", "E", 0)

Request = Callable[[WebHouse], httpx.Response]


def create(house: WebHouse, uid: str = UID) -> httpx.Response:
    return house.client.post(f"{ITEMS}?{uid}", content=new_item().to_json())


def update(house: WebHouse, claim: str = CLAIM) -> httpx.Response:
    return house.client.post(f"{ITEMS}/{UID}?transaction={claim}", content=performed().to_json())


def claim(house: WebHouse) -> httpx.Response:
    body = Dataset()
    body.ProcedureStepState, body.TransactionUID = "IN PROGRESS", CLAIM
    return house.client.put(f"{ITEMS}/{UID}/state", content=body.to_json())


def ask_to_cancel(house: WebHouse) -> httpx.Response:
    return house.client.post(f"{ITEMS}/{UID}/cancelrequest")


def retrieve(house: WebHouse) -> httpx.Response:
    return house.client.get(f"{ITEMS}/{UID}")


def subscribe(house: WebHouse) -> httpx.Response:
    return house.client.post(f"{ITEMS}/{UID}/subscribers/WATCHER")


def listening(house: WebHouse) -> ClientConnection:
    place = house.server.address.replace("http", "ws")
    return connect(f"{place}/dicom-web/subscribers/WATCHER", additional_headers={"Authorization": f"Bearer {TOKEN}"})


def kept(house: WebHouse) -> list[tuple[str, str]]:
    return [(one.uid, one.content) for one in house.store.workitems.items()]


def test_who_makes_and_changes_a_work_item_is_on_record_with_its_study_and_patient(web_house: WebHouse) -> None:
    for request in (create, claim, update, ask_to_cancel):
        assert request(web_house).is_success
    assert web_house.book.told() == [MADE, CHANGED, CHANGED, CHANGED]
    for event in web_house.book.events:
        assert (study_of(event), patient_of(event), event.objects[1].name) == (STUDY_UID, "PID-1", PATIENT)
        who, process = event.participants
        assert (who.user_id, who.address, who.is_requestor) == ("bearer of the token", "127.0.0.1", True)
        assert (process.user_id, process.is_requestor) == ("4242", False)


def test_a_change_that_is_refused_is_on_record_as_such(web_house: WebHouse) -> None:
    create(web_house)
    claim(web_house)
    assert update(web_house, "1.2.3.5").status_code == 409
    assert web_house.book.told()[2:] == [CHANGED, REFUSED]
    assert web_house.book.events[-1].outcome_description == "workitem.transaction"


def test_who_is_shown_a_work_item_is_on_record(web_house: WebHouse) -> None:
    create(web_house)
    assert retrieve(web_house).status_code == 200
    assert web_house.book.told()[1:] == [SHOWN]
    assert study_of(web_house.book.events[1]) == STUDY_UID


@pytest.mark.parametrize("request_of", [update, claim, ask_to_cancel, retrieve, subscribe])
def test_what_cannot_be_put_on_record_is_neither_changed_nor_shown(web_house: WebHouse, request_of: Request) -> None:
    create(web_house)
    before = kept(web_house)
    web_house.book.is_away = True
    answer = request_of(web_house)
    assert (answer.status_code, answer.headers["Content-Type"], answer.json()["code"]) == (503, PROBLEM, "audit.write")
    assert kept(web_house) == before
    assert web_house.store.workitems.subscribers(web_house.store.workitems.item(UID)) == set()


def test_what_cannot_be_put_on_record_is_not_made(web_house: WebHouse) -> None:
    web_house.book.is_away = True
    assert create(web_house).status_code == 503
    assert kept(web_house) == []
    web_house.book.is_away = False
    assert create(web_house).status_code == 201


def test_subscriptions_and_their_ends_are_on_record_as_they_were_asked_for(web_house: WebHouse) -> None:
    create(web_house)
    assert subscribe(web_house).is_success
    assert web_house.client.post(f"{ITEMS}/{ALL}/subscribers/WATCHER").is_success
    assert web_house.client.post(f"{ITEMS}/{ALL}/subscribers/WATCHER/suspend").is_success
    assert web_house.client.delete(f"{ITEMS}/{UID}/subscribers/WATCHER").is_success
    assert web_house.book.told()[1:] == [ASKED] * 4
    assert [event.objects[0].query.decode() for event in web_house.book.events[1:]] == [
        f"POST {ITEMS}/{UID}/subscribers/WATCHER",
        f"POST {ITEMS}/{ALL}/subscribers/WATCHER",
        f"POST {ITEMS}/{ALL}/subscribers/WATCHER/suspend",
        f"DELETE {ITEMS}/{UID}/subscribers/WATCHER",
    ]


def test_who_listens_is_on_record_before_anything_is_told(web_house: WebHouse) -> None:
    create(web_house)
    subscribe(web_house)
    with listening(web_house) as socket:
        claim(web_house)
        assert json.loads(socket.recv(timeout=10))["00001000"]["Value"] == [UID]
    assert web_house.book.told() == [MADE, ASKED, ASKED, CHANGED]
    assert web_house.book.events[2].objects[0].query == b"WEBSOCKET /dicom-web/subscribers/WATCHER"


def test_who_cannot_be_put_on_record_does_not_listen(web_house: WebHouse) -> None:
    web_house.book.is_away = True
    with listening(web_house) as socket, pytest.raises(ConnectionClosed) as closed:
        socket.recv(timeout=10)
    assert closed.value.rcvd.code == 1013  # try again later
