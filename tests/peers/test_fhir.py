"""A FHIR server has what was written, in the same places each time; taken is what it has answered for."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import pytest
from fhir.resources.R4B.bundle import Bundle

from peers.fake_peers import free_port
from peers.fhir_peer import OUTCOME, FhirPeer, Json
from peers.test_senders import HASTY, PATIENT
from readings import phantom_reading
from zweitblick.errors import (
    PeerAnswerError,
    PeerBrokenOffError,
    PeerBusyError,
    PeerCredentialsError,
    PeerError,
    PeerRefusedError,
    PeerTimeoutError,
    PeerUnreachableError,
)
from zweitblick.peers.association import Patience
from zweitblick.peers.destination import Destination
from zweitblick.peers.instance import FHIR, JOSE, document
from zweitblick.peers.sender import sender
from zweitblick.report.fhir import fhir_bundle

SAID = {
    **dict.fromkeys((400, 403, 404, 412, 422), PeerRefusedError),
    **dict.fromkeys((408, 429, 500, 503), PeerBusyError),
    401: PeerCredentialsError,
    302: PeerAnswerError,
}
"""By any server over HTTP."""


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return fhir_bundle(phantom_reading(tmp_path_factory.mktemp("phantom")))


@pytest.fixture
def peer() -> Iterator[FhirPeer]:
    with FhirPeer() as found:
        yield found


def send(there: Destination, content: bytes, kind: str = FHIR, *, patience: Patience = PATIENT) -> None:
    one = document(lambda: BytesIO(content), size=len(content), media_type=kind)
    assert sender(there, patience=patience).send([one]).warnings == ()


def in_places(written: bytes) -> dict[str, Json]:
    """Resources by their places, each link written anew in the text."""
    text = written.decode()
    for entry in json.loads(written)["entry"]:
        uuid = entry["fullUrl"].removeprefix("urn:uuid:")
        link = f"{entry['resource']['resourceType']}/{uuid}"
        text = text.replace(f'"reference": "urn:uuid:{uuid}"', f'"reference": "{link}"')
    entries = json.loads(text)["entry"]
    ids = [entry["fullUrl"].removeprefix("urn:uuid:") for entry in entries]
    found = [entry["resource"] | {"id": one} for entry, one in zip(entries, ids, strict=True)]
    return {f"{one['resourceType']}/{one['id']}": one for one in found}


def test_the_server_has_what_was_written_and_each_link_leads_there(peer: FhirPeer, written: bytes) -> None:
    send(peer.destination, written)
    assert peer.kept == in_places(written)
    assert "urn:uuid" not in json.dumps(list(peer.kept.values()))
    assert len(peer.kept) == len(json.loads(written)["entry"])


def test_what_is_sent_is_a_valid_transaction(peer: FhirPeer, written: bytes) -> None:
    send(replace(peer.destination, url=f"{peer.destination.url}/"), written)
    (body,), (request,) = peer.bodies, peer.requests
    sent = Bundle.model_validate(json.loads(body))
    assert sent.type == "transaction"
    urls = [entry.fullUrl for entry in sent.entry]
    assert urls == [f"{peer.destination.url}/{place}" for place in in_places(written)]
    assert (request["path"], request["content-type"], request["accept"]) == ("/fhir/", FHIR, FHIR)


def test_after_an_answer_that_was_lost_the_same_is_put_in_the_same_places(peer: FhirPeer, written: bytes) -> None:
    peer.lost = 1
    with pytest.raises(PeerBrokenOffError):
        send(peer.destination, written)
    before = dict(peer.kept)
    peer.statuses = [200] * len(before)  # of an update
    send(peer.destination, written)
    assert peer.bodies[0] == peer.bodies[1]
    assert peer.kept == before == in_places(written)


@pytest.mark.parametrize(("status", "error"), [*SAID.items(), (409, PeerBusyError)])
def test_what_is_refused_is_not_taken_and_what_is_said_of_it_is_not_told(
    peer: FhirPeer, written: bytes, status: int, error: type[PeerError]
) -> None:
    peer.statuses = [201, status]
    with pytest.raises(error, match=f"EHR.*{status}") as of_an_entry:
        send(peer.destination, written)
    peer.status, peer.answer = status, json.dumps(OUTCOME).encode()
    with pytest.raises(error, match=f"EHR.*{status}") as of_all:
        send(peer.destination, written)
    assert not any(word in f"{of_an_entry.value}{of_all.value}" for word in ("Grün", "ZB-0815", "issue"))


def response(status: object, count: int, kind: str = "transaction-response") -> bytes:
    entries = [{"response": {"status": status}}] * count
    return json.dumps({"resourceType": "Bundle", "type": kind, "entry": entries}).encode()


NO_ANSWERS: dict[str, Callable[[int], bytes]] = {
    "nothing": lambda _: b"",
    "XML": lambda _: b"<Bundle/>",
    "a list": lambda _: b"[]",
    "a number": lambda _: b"7",
    "an empty object": lambda _: b"{}",
    "deep": lambda _: b"[" * 100_000,
    "long": lambda _: b" " * (2**22 + 1),
    "an outcome": lambda _: json.dumps(OUTCOME).encode(),
    "one too few": lambda count: response("201", count - 1),
    "one too many": lambda count: response("201", count + 1),
    "a status that is a number": lambda count: response(201, count),
    "a status in words": lambda count: response("fine", count),
    "for a batch": lambda count: response("201", count, "batch-response"),
    "entries without a response": lambda count: response("201", count).replace(b"response", b"outcome"),
    "entries that are a number": lambda _: b'{"type": "transaction-response", "entry": 3}',
}


@pytest.mark.parametrize("answer", NO_ANSWERS)
def test_an_answer_that_is_not_for_each_resource_is_no_acknowledgement(
    peer: FhirPeer, written: bytes, answer: str
) -> None:
    count = len(json.loads(written)["entry"])
    peer.answer = NO_ANSWERS[answer](count)
    with pytest.raises(PeerAnswerError):
        send(peer.destination, written)
    peer.answer = response("200 OK", count)
    send(peer.destination, written)


def test_nobody_who_answers(peer: FhirPeer, written: bytes) -> None:
    peer.manner = "silent"
    with pytest.raises(PeerTimeoutError):
        send(peer.destination, written, patience=HASTY)
    with pytest.raises(PeerUnreachableError, match="EHR"):
        send(replace(peer.destination, url=f"http://127.0.0.1:{free_port()}/fhir"), written)


def test_the_token_is_shown(peer: FhirPeer, written: bytes, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("secret\n")
    for there, kind in ((peer.destination, FHIR), (peer.inbox, JOSE)):
        send(replace(there, token_file=tmp_path / "token"), written, kind)
    assert [request["authorization"] for request in peer.requests] == ["Bearer secret"] * 2


def test_what_is_sealed_is_posted_as_it_is(peer: FhirPeer) -> None:
    send(peer.inbox, b"eyJ.a.b.c.d", JOSE)
    (request,) = peer.requests
    assert (request["path"], request["content-type"], peer.bodies) == ("/inbox", JOSE, [b"eyJ.a.b.c.d"])


@pytest.mark.parametrize("status", [201, 202, 204])
def test_what_is_sealed_may_be_taken_in_several_ways(peer: FhirPeer, status: int) -> None:
    peer.status = status
    send(peer.inbox, b"eyJ", JOSE)


@pytest.mark.parametrize(("status", "error"), [*SAID.items(), (409, PeerRefusedError)])
def test_what_is_sealed_may_be_refused(peer: FhirPeer, status: int, error: type[PeerError]) -> None:
    peer.status = status
    with pytest.raises(error, match=f"CLINIC.*{status}"):
        send(peer.inbox, b"eyJ", JOSE)
