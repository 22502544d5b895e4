"""Findings go to a FHIR server inside as they are, and to somebody outside as a JWE that nobody else opens."""

import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from jwcrypto.jwe import JWE
from jwcrypto.jws import JWS

from audit.book import counts_of, study_of
from delivery.test_deliverer import shown
from delivery.test_recorded import BEGUN, DONE
from delivery.test_sealer import Office, kept_round
from peers.fake_peers import SR, made
from peers.fhir_peer import FhirPeer
from reading_house import House, contents, reached
from readings import STUDY_UID, phantom_reading
from vault.cms_house import NOW, recipient, signer
from vault.test_jose import private, public
from zweitblick.delivery.deliverer import Deliverer
from zweitblick.delivery.route import Route
from zweitblick.delivery.seal import Form
from zweitblick.errors import CmsKeyError
from zweitblick.report.fhir import fhir_bundle
from zweitblick.store.life import State
from zweitblick.store.results import ERROR, FHIR_BUNDLE, ResultName
from zweitblick.store.rounds import Round
from zweitblick.store.store import Store


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return fhir_bundle(phantom_reading(tmp_path_factory.mktemp("phantom")))


@pytest.fixture
def house(tmp_path: Path) -> House:
    """Without networks, since nothing is read."""
    return House(tmp_path, None)


@contextmanager
def delivered(house: House, written: bytes, route: Route, end: State) -> Iterator[tuple[Store, Round]]:
    """Keep a study as if it had been read, and deliver it."""
    with house.store() as store:
        one = kept_round(store, made(SR)[1])
        store.keep_result(ResultName(one.id, FHIR_BUNDLE, "application/fhir+json"), io.BytesIO(written))
        deliverer = Deliverer(store, [route], delay_s=lambda _: 0.01, audit=house.book)
        with house.worker(store, deliverer=deliverer) as worker:
            worker.submit(one)
            reached(store, one.study, end)
        yield store, one


def test_a_server_has_it_once_though_an_answer_was_lost(house: House, written: bytes) -> None:
    with FhirPeer() as peer:
        peer.lost = 1
        route = Route(peer.destination, (FHIR_BUNDLE,))
        with delivered(house, written, route, State.AWAITING_REVIEW) as (store, one):
            assert shown(store, one) == [("EHR", "delivered", 2, None)]
            assert study_of(house.book.events[0]) == store.study(one.study).study_instance_uid
        assert peer.bodies[0] == peer.bodies[1]
        assert len(peer.kept) == len(json.loads(written)["entry"])
        (study,) = [one for one in peer.kept.values() if one["resourceType"] == "ImagingStudy"]
        assert study["identifier"][0]["value"] == f"urn:oid:{STUDY_UID}"
    sendings = [event for event in house.book.events if event.id.meaning in (BEGUN[0], DONE[0])]
    assert [(event.id.meaning, int(event.outcome)) for event in sendings] == [
        (BEGUN[0], 0),
        (DONE[0], 8),
        (BEGUN[0], 0),
        (DONE[0], 0),
    ]
    assert [counts_of(event) for event in sendings] == [{}] * 4, "nothing of it is a DICOM instance"


@pytest.mark.parametrize("status", [401, 409], ids=["an expired token", "a conflict with our own repetition"])
def test_what_may_pass_is_sent_again(house: House, written: bytes, status: int) -> None:
    with FhirPeer() as peer:
        peer.statuses = [status]
        route = Route(peer.destination, (FHIR_BUNDLE,))
        with delivered(house, written, route, State.AWAITING_REVIEW) as (store, one):
            assert shown(store, one) == [("EHR", "delivered", 2, None)]


def test_a_resource_that_is_refused_fails_the_round(house: House, written: bytes) -> None:
    with FhirPeer() as peer:
        peer.statuses = [201, 201, 422]
        route = Route(peer.destination, (FHIR_BUNDLE,))
        with delivered(house, written, route, State.FAILED) as (store, one):
            assert shown(store, one) == [("EHR", "refused", 1, "peer.refused")]
            fault = contents(store, one.id)[ERROR].decode()
    assert json.loads(fault)["code"] == "peer.refused"
    assert "Grün" not in fault
    assert "ZB-0815" not in fault


def test_outside_only_the_recipient_opens_it_and_it_is_the_same_each_time(
    house: House, tmp_path: Path, written: bytes
) -> None:
    with FhirPeer() as peer:
        peer.lost = 1
        route = Route(peer.inbox, (FHIR_BUNDLE,), seal=Office(tmp_path).seal(Form.JWE))
        with delivered(house, written, route, State.AWAITING_REVIEW) as (store, one):
            assert shown(store, one) == [("CLINIC", "delivered", 2, None)]
        first, second = peer.bodies
    assert first == second
    outer, inner = JWE(), JWS()
    outer.deserialize(first.decode(), private("hospital"))
    inner.deserialize(outer.payload.decode(), public(signer().certificate))
    assert inner.payload == written
    assert inner.jose_header["cty"] == "fhir+json"


def test_a_jwe_is_for_one_recipient(tmp_path: Path) -> None:
    seal = Office(tmp_path).seal(Form.JWE)
    assert seal.parties(NOW).recipients.only == recipient().certificate
    with pytest.raises(CmsKeyError, match="one recipient, and 2"):
        replace(seal, recipients=seal.recipients * 2).parties(NOW)
