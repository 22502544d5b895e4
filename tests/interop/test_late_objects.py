"""What other systems make of a study and send after its reading is kept, and begins no other reading."""

from collections.abc import Iterator
from pathlib import Path

import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import Comprehensive3DSRStorage, ComprehensiveSRStorage, SegmentationStorage, generate_uid
from pynetdicom import evt

from delivery.test_deliverer import PATIENT
from dimse.wire import EXPLICIT, MR, RawPeer, encoded
from peers.fake_peers import PDF, SEG, StorePeer
from quick_reading import quick
from reading_house import House, contents, last, reached
from zweitblick.delivery.deliverer import Deliverer
from zweitblick.delivery.route import Route
from zweitblick.dimse import DicomServer, ListenerConfig
from zweitblick.model.bundle import Bundles
from zweitblick.store.life import State
from zweitblick.store.store import Store


@pytest.fixture
def house(tmp_path: Path, bundles: Bundles) -> House:
    return House(tmp_path, quick(bundles))


@pytest.fixture
def store(house: House) -> Iterator[Store]:
    with house.store() as opened:
        yield opened


@pytest.fixture
def images(quick_files: list[Path]) -> list[Dataset]:
    return [pydicom.dcmread(path) for path in quick_files]


def send(port: int, *data_sets: Dataset) -> None:
    with RawPeer(port) as peer:
        classes = sorted({str(one.SOPClassUID) for one in data_sets})
        peer.associate(*((sop_class, [EXPLICIT]) for sop_class in classes))
        for one in data_sets:
            context = 2 * classes.index(one.SOPClassUID) + 1
            data, uid = encoded(one), str(one.SOPInstanceUID)
            assert peer.store(data, uid, context_id=context, sop_class=str(one.SOPClassUID)) == 0x0000
        peer.release()


def made_of(image: Dataset, sop_class: str) -> Dataset:
    """Make another's object of the study of an image."""
    data = Dataset()
    data.SOPClassUID, data.SOPInstanceUID, data.SeriesInstanceUID = sop_class, generate_uid(), generate_uid()
    data.StudyInstanceUID, data.PatientID = image.StudyInstanceUID, image.PatientID
    return data


def test_a_radiologists_report_after_the_reading_changes_nothing_and_an_image_does(
    house: House, store: Store, images: list[Dataset]
) -> None:
    first, *others = images
    with DicomServer(ListenerConfig(port=0), store) as server, house.worker(store):
        send(server.port, *others)
        token = store.token(first.StudyInstanceUID)
        house.clock.move(30)
        read = reached(store, token, State.AWAITING_REVIEW)
        before, history = contents(store, read.id), store.history(token)
        send(server.port, made_of(first, ComprehensiveSRStorage))
        house.clock.move(60)
        assert [(one.id, one.state) for one in store.rounds(token)] == [(read.id, State.AWAITING_REVIEW)]
        assert (contents(store, read.id), store.history(token)) == (before, history)
        assert [one.sop_class_uid for one in store.instances(token)].count(ComprehensiveSRStorage) == 1
        send(server.port, first)
        assert [one.state for one in store.rounds(token)] == [State.SUPERSEDED, State.RECEIVING]
        house.clock.move(30)
        assert reached(store, token, State.AWAITING_REVIEW).supersedes == read.id


class Answering(StorePeer):
    """An archive with another reader behind it, which answers each outline that comes with one of its own."""

    def __init__(self, image: Dataset) -> None:
        super().__init__(sop_classes=(SEG, Comprehensive3DSRStorage, PDF))
        self.image, self.port = image, 0

    def _store(self, event: evt.Event) -> int:
        status = super()._store(event)
        if event.request.AffectedSOPClassUID == SEG:
            send(self.port, made_of(self.image, SegmentationStorage))
        return status


def test_two_readers_that_answer_each_other_end_after_one_result_each(
    house: House, store: Store, images: list[Dataset]
) -> None:
    with (
        Answering(images[0]) as archive,
        DicomServer(ListenerConfig(port=0), store) as server,
        house.worker(store, deliverer=Deliverer(store, (Route(archive.destination),), patience=PATIENT)),
    ):
        archive.port = server.port
        send(server.port, *images)
        token = store.token(images[0].StudyInstanceUID)
        house.clock.move(30)
        done = reached(store, token, State.AWAITING_REVIEW)
        house.clock.move(60)
        assert last(store, token) == done
    assert [one.sop_class_uid for one in store.instances(token)].count(SegmentationStorage) == 1
    assert len(archive.received) == 3
    assert {one.sop_class_uid for one in store.instances(token)} == {MR, SegmentationStorage}
