"""Orthanc has an earlier study: it comes by C-FIND and C-MOVE or by QIDO-RS and WADO-RS, and is compared.

What is read of it goes there only once somebody sends it.
"""

import json
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime
from pathlib import Path
from threading import Event

import pydicom
import pytest

from interop.orthanc import Orthanc
from kept_study import Clock, files_of
from quick_reading import quick
from reading_house import House, contents, keep, last, reached
from zweitblick.delivery.deliverer import Deliverer
from zweitblick.delivery.route import Route
from zweitblick.dimse import DicomServer, ListenerConfig
from zweitblick.model.bundle import Bundles
from zweitblick.peers.destination import Destination, StoreDestination, StowDestination
from zweitblick.retrieval.lookup import PriorLookup
from zweitblick.retrieval.source import Source
from zweitblick.sample import SampleSpec, follow_up, write_sample
from zweitblick.store.life import State

DELIVERED = ["DOC", "MR", "SEG", "SR"]
"""Modalities of a study's series once its results are there."""


class Ticking(Clock):
    """A millisecond passes whenever it is asked, so that of two readings one is the earlier."""

    def __call__(self) -> datetime:
        self.move(0.001)
        return self.now


@pytest.fixture(scope="module")
def studies(tmp_path_factory: pytest.TempPathFactory) -> list[list[Path]]:
    """T1 with contrast of a patient, and of 45 days later."""
    folder, first = tmp_path_factory.mktemp("studies"), SampleSpec(slice_mm=6.0)
    for number, spec in enumerate((first, follow_up(first, day=45))):
        write_sample(folder / str(number), spec=spec)
    return [files_of(folder / str(number), "T1c") for number in (0, 1)]


@pytest.fixture
def orthanc(tmp_path_factory: pytest.TempPathFactory, studies: list[list[Path]]) -> Iterator[Orthanc]:
    """Holds both studies; the present one is not earlier than itself."""
    with closing(Orthanc(tmp_path_factory.mktemp("orthanc") / "orthanc", "ORTHANC")) as made:
        made.start()
        made.upload([*studies[0], *studies[1]])
        yield made


def over_dimse(orthanc: Orthanc, port: int) -> Destination:
    us = {"AET": "ZWEITBLICK", "Host": "127.0.0.1", "Port": port}
    assert orthanc.client.put("/modalities/zweitblick", json=us).status_code == 200
    return StoreDestination("ORTHANC", "127.0.0.1", orthanc.dicom_port, "ORTHANC")


def over_http(orthanc: Orthanc, port: int) -> Destination:
    return StowDestination("ORTHANC", f"http://127.0.0.1:{orthanc.http_port}/dicom-web")


def study_uid(files: list[Path]) -> str:
    return str(pydicom.dcmread(files[0], stop_before_pixels=True).StudyInstanceUID)


def modalities(orthanc: Orthanc, uid: str) -> list[str]:
    """Return the modality of each series that Orthanc has of a study."""
    series = orthanc.get(f"/studies/{id_of(orthanc, uid)}/series")
    return sorted(one["MainDicomTags"]["Modality"] for one in series)


def send(orthanc: Orthanc, uid: str, port: int) -> None:
    """Send a study of several that are there to us."""
    orthanc.send(id_of(orthanc, uid), str(port))


def id_of(orthanc: Orthanc, uid: str) -> str:
    (found,) = orthanc.client.post("/tools/lookup", content=uid).json()
    return str(found["ID"])


@pytest.mark.parametrize("way", [over_dimse, over_http])
def test_the_earlier_study_comes_and_is_compared(
    orthanc: Orthanc, studies: list[list[Path]], tmp_path: Path, bundles: Bundles, way: object
) -> None:
    house = House(tmp_path, quick(bundles))
    house.clock = Ticking()
    with house.store() as store, DicomServer(ListenerConfig(port=0), store) as server:
        place = way(orthanc, server.port)
        lookup = PriorLookup(store, [place], clock=house.clock, audit=house.book)
        before = study_uid(studies[0])
        with house.worker(store, lookup=lookup, deliverer=Deliverer(store, [Route(place)])) as worker:
            token = keep(store, studies[1])
            worker.submit(last(store, token))
            told = json.loads(contents(store, reached(store, token, State.AWAITING_REVIEW).id)["json"])
            fetched = reached(store, store.token(before), State.AWAITING_REVIEW)
            assert [modalities(orthanc, uid) for uid in (before, study_uid(studies[1]))] == [["MR"], DELIVERED]
            assert [event for event, _, _ in house.book.told()].count("Query") == 2
            # it was fetched for another one, so nothing is fetched for it
            assert store.lookups.outcome(fetched.id) is None
            source = Source(place, store, house.book)
            source.fetch(before, source.series(before), closing=Event())
            assert (last(store, fetched.study).id, store.lookups.was_fetched(fetched.study)) == (fetched.id, True)
            send(orthanc, before, server.port)
            assert last(store, fetched.study).supersedes == fetched.id
            worker.submit(last(store, fetched.study))
            reached(store, fetched.study, State.AWAITING_REVIEW)
            assert modalities(orthanc, before) == DELIVERED
        assert told["change"]["earlier_study_instance_uid"] == before
        assert told["change"]["days_between"] == 45
        assert not {"prior-none", "prior-not-had"} & {one["code"] for one in told["notices"]}
        kept = store.instances(store.token(before))
        assert {one.sop_instance_uid for one in kept} == {pydicom.dcmread(one).SOPInstanceUID for one in studies[0]}


def test_a_study_is_read_again_with_an_earlier_one_that_came_since(
    studies: list[list[Path]], tmp_path: Path, bundles: Bundles
) -> None:
    house = House(tmp_path, quick(bundles))
    house.clock = Ticking()
    with house.store() as store, house.worker(store) as worker:
        for files in reversed(studies):
            token = keep(store, files)
            worker.submit(last(store, token))
            reached(store, token, State.AWAITING_REVIEW)
        token = store.token(pydicom.dcmread(studies[1][0]).StudyInstanceUID)
        first = last(store, token)
        alone = contents(store, first.id)
        assert json.loads(alone["json"])["change"] is None
        worker.submit(store.work.read_again(token))
        told = json.loads(contents(store, reached(store, token, State.AWAITING_REVIEW).id)["json"])
        assert told["change"]["earlier_study_instance_uid"] == pydicom.dcmread(studies[0][0]).StudyInstanceUID
        assert [one.state for one in store.rounds(token)] == [State.SUPERSEDED, State.AWAITING_REVIEW]
        assert contents(store, first.id) == alone
