"""Studies that are asked for and fetched, over DIMSE and over HTTP, are in the store as the archive has them."""

import io
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest

from audit.book import Book
from dicom_writer import StudyHeader, write_series
from kept_study import Clock, new_store
from retrieval.archives import DimseArchive, WebArchive, body_of
from zweitblick.dimse import DicomServer, ListenerConfig
from zweitblick.errors import (
    PeerAnswerError,
    PeerBrokenOffError,
    PeerBusyError,
    PeerError,
    PeerRefusedError,
    PeerTimeoutError,
    PeerUnreachableError,
    UnknownStudyError,
)
from zweitblick.peers.archive import RemoteSeries
from zweitblick.retrieval.bounds import Bounds
from zweitblick.retrieval.source import Source
from zweitblick.store.absence import HandedBack
from zweitblick.store.store import Store
from zweitblick.volume import Volume, axis_aligned_grid

GRID = axis_aligned_grid((0.0, 0.0, 0.0), (3, 8, 8), 2.0)
ERIKA = StudyHeader(date="20210304", time="081500")
OTHER = StudyHeader(seed="other", patient_id="PAT-0002")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("archive")

    def head(seed: int) -> Volume:
        return Volume(np.random.default_rng(seed).integers(0, 400, GRID.shape).astype(np.float32), GRID)

    return [
        *write_series(folder / "t1", head(0), number=1, study=ERIKA, attributes={"BodyPartExamined": "BRAIN"}),
        *write_series(folder / "t2", head(1), number=2, study=ERIKA),
        *write_series(folder / "other", head(2), study=OTHER),
    ]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with new_store(tmp_path, Clock()) as kept:
        yield kept


Archive = DimseArchive | WebArchive


@pytest.fixture(params=[DimseArchive, WebArchive])
def archive(request: pytest.FixtureRequest, files: list[Path], store: Store) -> Iterator[Archive]:
    with ExitStack() as stack:
        made = stack.enter_context(request.param(files))
        if isinstance(made, DimseArchive):
            config = ListenerConfig(port=0, ae_title="US")
            made.port = stack.enter_context(DicomServer(config, store)).port
        yield made


def fetched(source: Source, study_uid: str) -> None:
    source.fetch(study_uid, source.series(study_uid), closing=threading.Event())


def contents(store: Store, study_uid: str) -> dict[str, pydicom.Dataset]:
    found = {}
    for one in store.instances(store.token(study_uid)):
        with store.open(one.id) as file:
            found[one.sop_instance_uid] = pydicom.dcmread(io.BytesIO(file.read()))
    return found


def test_what_the_archive_says_is_what_is_there(archive: Archive, store: Store, files: list[Path]) -> None:
    source, header = Source(archive.destination, store, Book()), pydicom.dcmread(files[0])
    [study] = source.studies("PAT-0001", until="20220101")
    assert (study.uid, study.patient_id, study.date, study.time) == (ERIKA.uid, "PAT-0001", "20210304", "081500")
    assert (study.birth_date, study.sex, study.modalities) == (header.PatientBirthDate, "F", frozenset({"MR"}))
    series = {one.uid: one for one in source.series(study.uid)}
    assert series[header.SeriesInstanceUID] == RemoteSeries(header.SeriesInstanceUID, "MR", "BRAIN", 3)
    assert {one.body_part for one in series.values()} == {"BRAIN", "HEAD"}
    assert source.studies("nobody", until="20220101") == []


def test_a_study_that_is_fetched_is_kept_as_the_archive_has_it(
    archive: Archive, store: Store, files: list[Path]
) -> None:
    fetched(Source(archive.destination, store, Book()), ERIKA.uid)
    expected = {one.SOPInstanceUID: one for one in map(pydicom.dcmread, files) if one.StudyInstanceUID == ERIKA.uid}
    assert contents(store, ERIKA.uid) == expected
    with pytest.raises(UnknownStudyError):
        store.token(OTHER.uid)


def test_queries_and_transfers_are_on_record(files: list[Path], store: Store) -> None:
    book = Book()
    with WebArchive(files) as archive:
        source = Source(archive.destination, store, book)
        source.studies("PAT-0001", until="20220101")
        fetched(source, ERIKA.uid)
    assert b"PatientID=PAT-0001" in book.events[0].objects[0].query
    assert [meaning for meaning, _, outcome in book.told() if outcome == 0] == [
        *("Query", "Query"),
        *["Begin Transferring DICOM Instances", "DICOM Instances Transferred"] * 2,
    ]
    book.is_away = True
    asked = len(archive.shelf.asked)
    with pytest.raises(Exception, match="away"):
        source.studies("PAT-0001", until="20220101")
    assert len(archive.shelf.asked) == asked


def test_an_archive_that_refuses_is_told_apart(archive: Archive, store: Store) -> None:
    archive.manner = "refusing"
    with pytest.raises(PeerBusyError):
        Source(archive.destination, store, Book()).studies("PAT-0001", until="20220101")


def test_an_archive_that_is_away_is_told_apart(archive: Archive, store: Store) -> None:
    there = archive.destination
    gone = replace(there, port=1) if isinstance(archive, DimseArchive) else replace(there, url="http://127.0.0.1:1")
    with pytest.raises(PeerUnreachableError):
        Source(gone, store, Book()).studies("PAT-0001", until="20220101")


def test_more_instances_than_are_taken_are_not_begun(archive: Archive, store: Store) -> None:
    source = Source(archive.destination, store, Book(), bounds=Bounds(instances=5))
    with pytest.raises(PeerAnswerError, match="more than 5"):
        fetched(source, ERIKA.uid)
    with pytest.raises(UnknownStudyError):
        store.token(ERIKA.uid)


def test_what_takes_too_long_or_is_not_wanted_any_more_ends(archive: Archive, store: Store) -> None:
    source, closing = Source(archive.destination, store, Book(), bounds=Bounds(fetch_s=0.0)), threading.Event()
    series = source.series(ERIKA.uid)
    with pytest.raises(PeerTimeoutError):
        source.fetch(ERIKA.uid, series, closing=closing)
    closing.set()
    with pytest.raises(HandedBack):
        source.fetch(ERIKA.uid, series, closing=closing)


def test_a_transfer_that_is_handed_back_has_an_end_on_record(files: list[Path], store: Store) -> None:
    book, closing = Book(), threading.Event()

    def closed(body: bytes) -> bytes:
        closing.set()
        return body

    with WebArchive(files) as archive:
        archive.change = closed
        source = Source(archive.destination, store, book)
        with pytest.raises(HandedBack):
            source.fetch(ERIKA.uid, source.series(ERIKA.uid), closing=closing)
    begun, ended = book.told()[-2:]
    assert begun[0] == "Begin Transferring DICOM Instances"
    assert ended[0] == "DICOM Instances Transferred"
    assert ended[2] != 0


@pytest.mark.parametrize(("manner", "error"), [("unknown", PeerRefusedError), ("short", PeerAnswerError)])
def test_a_c_move_that_brings_not_all_fails(
    files: list[Path], store: Store, manner: str, error: type[PeerError]
) -> None:
    with DimseArchive(files) as archive, DicomServer(ListenerConfig(port=0), store) as server:
        archive.port, archive.manner = server.port, manner
        with pytest.raises(error):
            fetched(Source(archive.destination, store, Book()), ERIKA.uid)


def test_a_c_move_that_is_not_wanted_any_more_is_broken_off(files: list[Path], store: Store) -> None:
    # the archive ends first: pynetdicom leaves its connection to a receiver open that was faster
    with DicomServer(ListenerConfig(port=0), store) as server, DimseArchive(files) as archive:
        archive.port, archive.manner = server.port, "slow"
        source, closing = Source(archive.destination, store, Book()), threading.Event()
        series = source.series(ERIKA.uid)
        ending = threading.Thread(target=lambda: archive.reached.wait(20) and closing.set())
        ending.start()
        with pytest.raises(HandedBack):
            source.fetch(ERIKA.uid, series, closing=closing)
        ending.join()
        assert closing.is_set()


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (lambda body: body[:-100], PeerAnswerError),
        (lambda _: b"--cut\r\n\r\nno DICOM\r\n--cut--\r\n", PeerAnswerError),
        (lambda _: b"--cut--\r\n", PeerAnswerError),
        (lambda body: body * 3, PeerAnswerError),
    ],
)
def test_an_answer_that_is_no_study_fails(files: list[Path], store: Store, change: object, error: type) -> None:
    book = Book()
    with WebArchive(files) as archive:
        archive.change = change
        source = Source(archive.destination, store, book, bounds=Bounds(instances=6, content_bytes=6000))
        with pytest.raises(error):
            fetched(source, ERIKA.uid)
    assert book.told()[-1] in (
        ("DICOM Instances Transferred", "C", 8),
        ("DICOM Instances Transferred", "C", 0),  # of an empty answer, which is a study that did not come
    )


def test_another_study_than_was_asked_for_is_not_kept(files: list[Path], store: Store) -> None:
    other = [one for one in map(pydicom.dcmread, files) if one.StudyInstanceUID == OTHER.uid]
    with WebArchive(files) as archive:
        archive.change = lambda _: body_of(other)
        with pytest.raises(PeerAnswerError, match="another study"):
            fetched(Source(archive.destination, store, Book()), ERIKA.uid)
    with pytest.raises(UnknownStudyError):
        store.token(OTHER.uid)


def test_an_archive_leads_nowhere_else(files: list[Path], store: Store) -> None:
    """A redirection is no answer: nothing but the settings decides whom we ask."""
    with WebArchive(files) as archive:
        archive.manner = "moved"
        with pytest.raises(PeerAnswerError, match="302"):
            Source(archive.destination, store, Book()).studies("PAT-0001", until="20220101")


def test_a_connection_that_breaks_is_told_apart(files: list[Path], store: Store) -> None:
    with WebArchive(files) as archive:
        archive.manner = "rude"
        with pytest.raises((PeerBrokenOffError, PeerAnswerError)):
            fetched(Source(archive.destination, store, Book()), ERIKA.uid)
