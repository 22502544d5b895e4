"""A sender corrects images under their own UIDs: what came first is read, and everybody who looks is told so."""

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pydicom
import pytest
from pydicom.dataset import Dataset

from dimse.wire import EXPLICIT, MR, RawPeer, encoded
from pdf_text import shown
from quick_reading import quick
from reading_house import House, contents, reached
from zweitblick.dimse import DicomServer, ListenerConfig
from zweitblick.metrics import Metrics
from zweitblick.model.bundle import Bundles
from zweitblick.store.life import State
from zweitblick.store.store import Store
from zweitblick.web import HttpServer, Service, create_app, one_token
from zweitblick.worklist import Notices, Worklist

TOKEN = "of this test alone"  # noqa: S105 -- as it says
SAID = "Images that came again with other content, and were kept apart and not read: 2."


@pytest.fixture
def house(tmp_path: Path, bundles: Bundles) -> House:
    return House(tmp_path, quick(bundles))


@pytest.fixture
def store(house: House) -> Iterator[Store]:
    with house.store() as opened:
        yield opened


@pytest.fixture
def metrics(house: House, store: Store) -> Metrics:
    return Metrics(store.standing, clock=house.clock)


@pytest.fixture
def client(house: House, store: Store, metrics: Metrics) -> Iterator[httpx.Client]:
    service = Service(
        store, lambda _: None, lambda: True, Worklist(store.workitems, Notices(), house.clock), house.book
    )
    app = create_app(service, doors=one_token(TOKEN), exposition=metrics.exposition)
    with (
        closing(HttpServer(app, host="127.0.0.1", port=0)) as server,
        httpx.Client(base_url=server.address, headers={"Authorization": f"Bearer {TOKEN}"}) as found,
    ):
        yield found


def send(port: int, images: list[Dataset]) -> None:
    with RawPeer(port) as peer:
        peer.associate((MR, [EXPLICIT]))
        assert {peer.store(encoded(one), str(one.SOPInstanceUID)) for one in images} == {0x0000}
        peer.release()


def black(image: Dataset) -> Dataset:
    """Return another image of the same UID."""
    other = Dataset(image)
    other.PixelData = bytes(len(image.PixelData))
    return other


def test_images_that_come_again_with_other_content_are_told_wherever_the_reading_is(
    house: House,
    store: Store,
    metrics: Metrics,
    client: httpx.Client,
    quick_files: list[Path],
) -> None:
    images = [pydicom.dcmread(path) for path in quick_files]
    uid = str(images[0].StudyInstanceUID)
    with DicomServer(ListenerConfig(port=0), store, observer=metrics) as server:
        send(server.port, images)
        assert client.get(f"/api/v1/reads/{uid}").json()["conflicts"] == 0
        send(server.port, [black(one) for one in images[:2]])
        told = client.get(f"/api/v1/reads/{uid}").json()
        assert (told["round"], told["state"], told["conflicts"]) == (1, "receiving", 2)
        token = store.token(uid)
        with house.worker(store):
            house.clock.move(30)
            done = reached(store, token, State.AWAITING_REVIEW)
        late = [black(one) for one in images[2:3]]
        send(server.port, late)
    told = client.get(f"/api/v1/reads/{uid}").json()
    assert (told["round"], told["state"], told["conflicts"]) == (1, "awaiting review", 3)
    assert told["findings"]["notices"][0] == {"code": "conflicting-images", "text": SAID}
    made = contents(store, done.id)
    assert SAID.encode() in made["sr"]
    assert "Images that came again" in " ".join(shown(made["pdf"]))
    assert SAID in json.dumps(json.loads(made["fhir"]))
    assert "zweitblick_conflicting_instances_total 3.0" in client.get("/metrics").text
