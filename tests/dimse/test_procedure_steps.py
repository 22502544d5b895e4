"""A modality tells of its work: what is heard, what is refused and how, and that nothing of it lies in clear."""

import sqlite3
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from itertools import count
from pathlib import Path

import pytest
from pydicom import Dataset

from audit.book import Book, patient_of, study_of
from dimse.modality import STEP, begun, ended, modality, raw
from dimse.wire import EXPLICIT, MR, PATIENT, Kept, RawPeer, command_set, encoded, fragment, instance
from kept_study import Clock, new_store
from zweitblick.dicom.performed_step import PERFORMED_STEP, BegunStep
from zweitblick.dimse import DicomServer, ListenerConfig
from zweitblick.dimse.services import Services
from zweitblick.errors import (
    KeyHolderError,
    StepExistsError,
    StoreFullError,
    StoreUnavailableError,
)
from zweitblick.store.store import Store

STUDY = "1.2.3"
NUMBERS = count(1)
IMAGES = ["1.2.3.4.1", "1.2.3.4.2"]


class House:
    """A store behind a port, with everything on record."""

    def __init__(self, folder: Path, store: Store, clock: Clock) -> None:
        self.folder, self.store, self.clock, self.book = folder, store, clock, Book()
        self.server = DicomServer(
            ListenerConfig(port=0), store, audit=self.book, services=Services(steps=store.procedure_steps)
        )
        self.port = self.server.port

    def send(self, number: int) -> None:
        with RawPeer(self.port) as peer:
            peer.associate((MR, [EXPLICIT]))
            assert peer.store(encoded(instance(number)), f"{STUDY}.4.{number}") == 0x0000
            peer.release()

    def is_complete(self) -> bool:
        return bool(self.store.stable_after(self.clock.now))


@contextmanager
def house_in(folder: Path) -> Iterator[House]:
    clock = Clock()
    with new_store(folder, clock) as store:
        made = House(folder, store, clock)
        with made.server:
            yield made


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with house_in(tmp_path) as made:
        yield made


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with house_in(tmp_path_factory.mktemp("shared")) as made:
        yield made


@pytest.fixture
def step() -> str:
    """A UID that no step has yet."""
    return f"{STEP}.{next(NUMBERS)}"


def test_a_study_is_complete_once_all_images_are_there_that_the_modality_lists(house: House) -> None:
    with modality(house.port) as scanner:
        assert scanner.create(begun(STUDY)) == 0x0000
        house.send(1)
        assert scanner.set(ended("COMPLETED", IMAGES[:1], IMAGES[1:])) == 0x0000
        assert not house.is_complete()
        house.send(2)
        assert house.is_complete()


def test_what_is_answered_with_success_is_durable_and_in_clear_nowhere(house: House) -> None:
    with modality(house.port) as scanner:
        assert scanner.create(begun(STUDY)) == 0x0000
        assert scanner.set(ended("COMPLETED", IMAGES)) == 0x0000
        with closing(sqlite3.connect(house.folder / "data" / "data" / "store.sqlite")) as other:
            assert other.execute("SELECT state FROM procedure_steps").fetchall() == [("COMPLETED",)]
            assert other.execute("SELECT count(*) FROM listed_instances").fetchone() == (2,)
    for path in house.folder.rglob("*"):
        content = path.read_bytes() if path.is_file() else b""
        assert not [secret for secret in (PATIENT, "geheime-nummer", STEP, *IMAGES) if secret.encode() in content]


def commented() -> Dataset:
    attributes = Dataset()
    attributes.CommentsOnThePerformedProcedureStep = PATIENT
    return attributes


def without(keyword: str) -> Dataset:
    attributes = begun(STUDY)
    del attributes[keyword]
    return attributes


def with_state(state: str) -> Dataset:
    attributes = begun(STUDY)
    attributes.PerformedProcedureStepStatus = state
    return attributes


def of_study(uid: str) -> Dataset:
    attributes = begun(STUDY)
    attributes.ScheduledStepAttributesSequence[0]["StudyInstanceUID"]._value = uid  # pydicom would warn of it
    return attributes


@pytest.mark.parametrize(
    ("attributes", "status"),
    [
        (without("PerformedProcedureStepStatus"), 0x0120),
        (without("ScheduledStepAttributesSequence"), 0x0120),
        (with_state(""), 0x0120),
        (of_study(""), 0x0120),
        (with_state("COMPLETED"), 0x0106),
        (with_state("READY"), 0x0106),
        (of_study("../../etc/passwd"), 0x0106),
        (of_study("1." * 40 + "1"), 0x0106),
    ],
)
def test_a_step_that_says_too_little_or_wrong_is_not_begun(
    shared: House, step: str, attributes: Dataset, status: int
) -> None:
    with modality(shared.port) as scanner:
        assert scanner.create(attributes, step) == status
        assert scanner.set(ended("COMPLETED", []), step) == 0x0112
        assert scanner.create(begun(STUDY), step) == 0x0000


def test_a_step_is_begun_once_changed_while_it_goes_on_and_then_never(house: House) -> None:
    with modality(house.port) as scanner:
        assert scanner.set(ended("IN PROGRESS", IMAGES)) == 0x0112
        assert scanner.create(begun(STUDY)) == 0x0000
        assert scanner.create(begun(STUDY)) == 0x0111
        assert scanner.set(ended("IN PROGRESS", IMAGES[:1])) == 0x0000
        assert scanner.set(ended("READY", [])) == 0x0106
        assert scanner.set(commented()) == 0x0000
        assert scanner.set(ended("DISCONTINUED", IMAGES[:1])) == 0x0000
        assert scanner.set(ended("COMPLETED", IMAGES)) == 0x0110
        assert scanner.create(begun(STUDY)) == 0x0111


CREATE = encoded(begun(STUDY))
SCHEDULED = b"\x40\x00\x70\x02SQ"
"""(0040,0270), a sequence."""


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (raw(0x0140, "", CREATE), 0x0117),
        (raw(0x0140, "../1", CREATE), 0x0117),
        (raw(0x0120, "1..2", CREATE), 0x0117),
        (raw(0x0140, STEP, CREATE, sop_class=MR), 0x0118),
        (raw(0x0140, STEP, b""), 0x0120),
        (raw(0x0140, STEP, CREATE[: CREATE.index(SCHEDULED)] + SCHEDULED + b"\0\0" + b"\xff" * 4 + b"\1" * 40), 0x0110),
        (raw(0x0140, STEP, CREATE + b"\x40\x00\x53\x0a" + bytes(2**22)), 0x0213),
        (fragment(1, 3, command_set({2: PERFORMED_STEP, 0x100: 0x140, 0x110: 7, 0x800: 0x101, 0x1000: STEP})), 0x0110),
    ],
    ids=["no UID", "a path", "dots", "another class", "no attributes", "cut", "huge", "no data set"],
)
def test_what_is_no_request_of_a_step_is_refused(shared: House, step: str, request_: bytes, status: int) -> None:
    with RawPeer(shared.port) as peer:
        peer.associate((PERFORMED_STEP, [EXPLICIT]))
        peer.send(request_)
        assert peer.status() == status
        peer.send(raw(0x0140, step, CREATE))
        assert peer.status() == 0x0000
        peer.release()


def test_everything_is_on_record_before_it_is_done(house: House) -> None:
    with modality(house.port) as scanner:
        scanner.create(begun(STUDY))
        scanner.create(begun(STUDY))
        scanner.set(ended("COMPLETED", IMAGES))
        name = "Procedure Record"
        assert house.book.told() == [(name, "C", 0), (name, "C", 0), (name, "C", 8), (name, "U", 0)]
        assert {study_of(event) for event in house.book.events} == {STUDY}
        assert patient_of(house.book.events[0]) == "geheime-nummer"
        assert house.book.events[0].participants[0].ae_titles == ("SCANNER",)
        house.book.is_away = True
        assert scanner.create(begun(STUDY), "1.2.3.9") == 0x0213
        house.book.is_away = False
        assert scanner.set(ended("COMPLETED", IMAGES), "1.2.3.9") == 0x0112


class Keeper:
    """Begins nothing until ``gate`` opens, and then raises ``error`` if there is one."""

    def __init__(self, error: Exception | None = None) -> None:
        self.reached, self.gate, self.begun = threading.Event(), threading.Event(), []
        self._error = error

    def begin(self, uid: str, step: BegunStep) -> None:
        self.reached.set()
        assert self.gate.wait(20)
        if self._error is not None:
            raise self._error
        self.begun.append((uid, step))


def test_success_is_said_after_keeping() -> None:
    keeper = Keeper()
    with (
        DicomServer(ListenerConfig(port=0), Kept(), services=Services(steps=keeper)) as server,
        ThreadPoolExecutor() as pool,
        modality(server.port) as scanner,
    ):
        answer = pool.submit(scanner.create, begun(STUDY))
        assert keeper.reached.wait(20)
        assert not answer.done()
        keeper.gate.set()
        assert answer.result(20) == 0x0000
    assert keeper.begun == [(STEP, BegunStep(STUDY, "geheime-nummer"))]


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (StoreFullError("full"), 0x0213),
        (KeyHolderError("away"), 0x0213),
        (StoreUnavailableError("away"), 0x0110),
        (StepExistsError("twice"), 0x0111),
        (ValueError("a bug"), 0x0110),
    ],
)
def test_what_the_keeper_raises_becomes_a_status(error: Exception, status: int) -> None:
    keeper = Keeper(error)
    keeper.gate.set()
    with (
        DicomServer(ListenerConfig(port=0), Kept(), services=Services(steps=keeper)) as server,
        modality(server.port) as scanner,
    ):
        assert scanner.create(begun(STUDY)) == status
