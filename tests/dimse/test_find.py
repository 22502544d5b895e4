"""C-FIND: pynetdicom asks, and what pydicom reads of the files says what must be found."""

import warnings
from collections.abc import Iterator, Mapping
from io import BytesIO
from pathlib import Path

import numpy as np
import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import Dataset
from pynetdicom import AE
from pynetdicom.association import Association
from pynetdicom.sop_class import MRImageStorage, StudyRootQueryRetrieveInformationModelFind

from audit.book import Book
from dicom_writer import StudyHeader, write_series
from dimse.wire import EXPLICIT, IMPLICIT, RawPeer, command_set, encoded, fragment, message
from kept_study import Clock, new_store, sent
from zweitblick.audit.message import AuditEvent
from zweitblick.catalogue.search import Search
from zweitblick.dimse import DicomServer, ListenerConfig
from zweitblick.dimse.buffer import BoundedBuffer
from zweitblick.dimse.find import Find, asked
from zweitblick.dimse.messages import Request
from zweitblick.dimse.services import Services
from zweitblick.errors import QueryError, RequestError
from zweitblick.volume import Volume, axis_aligned_grid

FIND = StudyRootQueryRetrieveInformationModelFind
GRID = axis_aligned_grid((0.0, 0.0, 0.0), (3, 8, 8), 2.0)
ERIKA = StudyHeader(patient_name="Müster^Erika")
MAX = StudyHeader(seed="max", patient_id="PAT-0002", date="20250101", attributes={"AccessionNumber": "A2"})


def head(seed: int) -> Volume:
    return Volume(np.random.default_rng(seed).integers(0, 400, GRID.shape).astype(np.float32), GRID)


def with_keys(keys: Mapping[str, object]) -> Dataset:
    """Return an identifier, whether its values are what their VR allows or not."""
    data = Dataset()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for keyword, value in keys.items():
            setattr(data, keyword, value)
    return data


class Answering:
    """A store that is asked over DIMSE."""

    def __init__(self, folder: Path) -> None:
        self.book = Book()
        self.files = [
            *write_series(folder / "t1", head(0), number=1, description="t1", study=ERIKA),
            *write_series(folder / "t2", head(1), number=2, description="t2", study=ERIKA),
            *write_series(folder / "max", head(2), study=MAX),
        ]

    def ask(self, **keys: object) -> tuple[list[Dataset], int, str]:
        """Return what matches, and the last status with its comment."""
        found = list(self.association.send_c_find(with_keys(keys), FIND))
        *pending, last = found
        assert {status.Status for status, _ in pending} <= {0xFF00}
        return [data for _, data in pending], last[0].Status, last[0].get("ErrorComment", "")

    def headers(self) -> list[Dataset]:
        return [pydicom.dcmread(path, stop_before_pixels=True) for path in self.files]


@pytest.fixture(scope="module")
def answering(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Answering]:
    folder = tmp_path_factory.mktemp("find")
    made = Answering(folder)
    with new_store(folder, Clock()) as store:
        for path in made.files:
            store.keep(sent(path))
        made.search = Search(store)
        with DicomServer(
            ListenerConfig(port=0), store, audit=made.book, services=Services(search=made.search)
        ) as server:
            made.port = server.port
            entity = AE("VIEWER")
            entity.add_requested_context(FIND)
            made.association = entity.associate("127.0.0.1", server.port, ae_title="OURS")
            assert isinstance(made.association, Association)
            yield made
            made.association.release()


def test_studies_are_found_by_exact_values(answering: Answering) -> None:
    for keys in (
        {"PatientID": "PAT-0001"},
        {"StudyDate": "20220101-20221231"},
        {"StudyInstanceUID": [ERIKA.uid, "1.2.3"]},
        {"PatientID": "PAT-0001", "ModalitiesInStudy": "MR", "PatientName": "*"},
    ):
        found, status, _ = answering.ask(QueryRetrieveLevel="STUDY", **({"StudyInstanceUID": ""} | keys))
        assert [one.StudyInstanceUID for one in found] == [ERIKA.uid], keys
        assert status == 0x0000
    for keys in ({"PatientID": "PAT-000"}, {"StudyInstanceUID": "1.2.3"}, {"AccessionNumber": "A9"}):
        assert answering.ask(QueryRetrieveLevel="STUDY", **keys) == ([], 0x0000, "")


def test_what_was_asked_for_is_returned_and_no_more(answering: Answering) -> None:
    [found], _, _ = answering.ask(
        QueryRetrieveLevel="STUDY",
        PatientID="PAT-0001",
        PatientName="",
        StudyDate="",
        NumberOfStudyRelatedInstances="",
        Modality="",
        PregnancyStatus=None,
    )
    first = answering.headers()[0]
    assert (found.PatientName, found.PatientID, found.StudyDate) == (first.PatientName, "PAT-0001", first.StudyDate)
    assert found.NumberOfStudyRelatedInstances == 6
    assert found.QueryRetrieveLevel == "STUDY"
    # what is below the level, and what nobody has written, are there and empty
    assert (found.Modality, found.PregnancyStatus) == ("", None)
    assert {element.keyword for element in found} == {
        *("SpecificCharacterSet", "QueryRetrieveLevel", "PatientID", "PatientName", "StudyDate", "StudyInstanceUID"),
        *("NumberOfStudyRelatedInstances", "Modality", "PregnancyStatus"),
    }


def test_series_and_images_are_found_below_what_is_named(answering: Answering) -> None:
    headers = [one for one in answering.headers() if one.StudyInstanceUID == ERIKA.uid]
    series, _, _ = answering.ask(QueryRetrieveLevel="SERIES", StudyInstanceUID=ERIKA.uid, SeriesDescription="")
    assert {(one.SeriesInstanceUID, one.SeriesDescription) for one in series} == {
        (one.SeriesInstanceUID, one.SeriesDescription) for one in headers
    }
    wanted = headers[0].SeriesInstanceUID
    images, status, _ = answering.ask(
        QueryRetrieveLevel="IMAGE", StudyInstanceUID=ERIKA.uid, SeriesInstanceUID=wanted, InstanceNumber=""
    )
    assert status == 0x0000
    assert {(one.SOPInstanceUID, one.InstanceNumber) for one in images} == {
        (one.SOPInstanceUID, one.InstanceNumber) for one in headers if one.SeriesInstanceUID == wanted
    }


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"QueryRetrieveLevel": "STUDY", "PatientName": "Muster*"}, "matched"),
        ({"QueryRetrieveLevel": "STUDY", "PatientID": "PAT-000?"}, "PatientID"),
        ({"QueryRetrieveLevel": "STUDY", "StudyDescription": "MR"}, "matched"),
        ({"QueryRetrieveLevel": "STUDY", "StudyInstanceUID": "../.."}, "UID"),
        ({"QueryRetrieveLevel": "STUDY", "Modality": "MR"}, "level"),
        ({"QueryRetrieveLevel": "PATIENT", "PatientID": "1"}, "QueryRetrieveLevel"),
        ({"PatientID": "1"}, "QueryRetrieveLevel"),
        ({"QueryRetrieveLevel": "SERIES"}, "level"),
        ({"QueryRetrieveLevel": "IMAGE", "StudyInstanceUID": "1.2.3"}, "level"),
        ({"QueryRetrieveLevel": "SERIES", "StudyInstanceUID": ["1.2.3", "1.2.4"]}, "level"),
    ],
)
def test_what_is_not_matched_is_refused(answering: Answering, keys: dict[str, object], said: str) -> None:
    found, status, comment = answering.ask(**keys)
    assert (found, status) == ([], 0xA900)
    assert said in comment
    assert "Muster" not in comment


def test_a_query_is_on_record_before_it_is_answered(answering: Answering) -> None:
    answering.book.events.clear()
    answering.ask(QueryRetrieveLevel="STUDY", PatientID="PAT-0001")
    [event] = answering.book.events
    assert event.id.meaning == "Query"
    assert asked_in(event) == {"QueryRetrieveLevel": "STUDY", "PatientID": "PAT-0001"}
    assert [one.ae_titles for one in event.participants] == [("VIEWER",), ("OURS",)]
    answering.book.is_away = True
    try:
        assert answering.ask(QueryRetrieveLevel="STUDY", PatientID="PAT-0001")[:2] == ([], 0xA700)
    finally:
        answering.book.is_away = False


def asked_in(event: AuditEvent) -> dict[str, str]:
    """Keys of a recorded query, which is in implicit little endian (PS3.15 section A.5.3.10)."""
    query = pydicom.filereader.read_dataset(BytesIO(event.objects[0].query), is_implicit_VR=True, is_little_endian=True)
    return {element.keyword: element.value for element in query}


def find_rq(message_id: int) -> bytes:
    return command_set({0x0002: FIND, 0x0100: 0x0020, 0x0110: message_id, 0x0700: 0, 0x0800: 1})


def test_what_cannot_be_read_is_answered_and_the_association_goes_on(answering: Answering) -> None:
    damaged = encoded(identifier(PatientID="PAT-0001"), EXPLICIT).replace(b"LO", b"ZZ")
    with RawPeer(answering.port) as peer:
        peer.associate((FIND, [EXPLICIT]))
        for content, status in ((damaged, 0xC000), (b"", 0xA900)):
            peer.send(message(1, find_rq(1), content))
            assert peer.status() == status
        peer.send(message(1, find_rq(2), encoded(identifier(PatientID="none"), EXPLICIT)))
        assert peer.status() == 0x0000
        peer.release()


def identifier(**keys: str) -> Dataset:
    return with_keys({"QueryRetrieveLevel": "STUDY"} | keys)


class Endless(Search):
    """Finds the same study until nobody wants any more."""

    def studies(self, query: object) -> Iterator[object]:
        [study] = super().studies(query)
        while True:
            self.asked_for += 1
            if self.asked_for == 3:
                self.cancel()
            yield study


def test_a_query_that_is_cancelled_ends(answering: Answering, tmp_path: Path) -> None:
    """The C-CANCEL is on its way while the third match is looked for; one of the next ends the query."""
    cancel_rq = command_set({0x0100: 0x0FFF, 0x0120: 7, 0x0800: 0x0101})
    with new_store(tmp_path, Clock()) as store:
        store.keep(sent(answering.files[0]))
        search = Endless(store)
        search.asked_for = 0
        with (
            DicomServer(ListenerConfig(port=0), store, services=Services(search=search)) as server,
            RawPeer(server.port) as peer,
        ):
            peer.associate((FIND, [IMPLICIT]))
            search.cancel = lambda: peer.send(fragment(1, 3, cancel_rq))
            peer.send(message(1, find_rq(7), encoded(identifier(StudyInstanceUID=ERIKA.uid), IMPLICIT)))
            statuses = []
            while not statuses or statuses[-1] == 0xFF00:
                statuses.append(peer.status())
                if statuses[-1] == 0xFF00:
                    peer.receive()  # its identifier
            assert statuses[-1] == 0xFE00
            assert statuses[:2] == [0xFF00, 0xFF00]
            peer.release()


class Many(Search):
    """Finds one study more than is answered."""

    def studies(self, query: object) -> Iterator[object]:
        [study] = super().studies(query)
        return (study for _ in range(21))


def test_more_than_can_be_answered_is_no_success(answering: Answering, tmp_path: Path) -> None:
    with new_store(tmp_path, Clock()) as store:
        store.keep(sent(answering.files[0]))
        data = BoundedBuffer(1000)
        data.write(encoded(identifier(StudyInstanceUID=ERIKA.uid), IMPLICIT))
        [context] = answering.association.accepted_contexts
        responses = Find(Many(store), Book(), most=20).serve(
            Request(1, 0x0020, 1, FIND, "", data), context, answering.association.requestor
        )
        statuses = [one.status for one in responses]
    assert statuses == [0xFF00] * 20 + [0xA700]


def test_without_a_search_queries_are_not_negotiated(answering: Answering, tmp_path: Path) -> None:
    with new_store(tmp_path, Clock()) as store, DicomServer(ListenerConfig(port=0), store) as server:
        entity = AE("VIEWER")
        entity.requested_contexts = []
        entity.add_requested_context(FIND)
        entity.add_requested_context(MRImageStorage)
        association = entity.associate("127.0.0.1", server.port)
        assert [one.abstract_syntax for one in association.accepted_contexts] == [MRImageStorage]
        association.release()


keywords = st.sampled_from(
    ["PatientID", "PatientName", "StudyDate", "StudyInstanceUID", "Modality", "StudyDescription"]
)
values = st.text("0123456789.*?-\\ AZ", max_size=20)


@settings(max_examples=50)
@given(st.dictionaries(keywords, values), st.sampled_from(["STUDY", "SERIES", "IMAGE", "X", ""]))
def test_an_identifier_is_read_or_refused(keys: dict[str, str], level: str) -> None:
    try:
        found = asked(with_keys({"QueryRetrieveLevel": level} | keys))
    except RequestError:
        return
    assert found.level == level
    assert not any("*" in value for several in found.query.match.values() for value in several)


def test_a_sequence_is_matched_by_nothing() -> None:
    data = identifier(PatientID="1")
    item = Dataset()
    item.CodeValue = "X"
    data.ProcedureCodeSequence = [item]
    with pytest.raises(QueryError):
        asked(data)
    data.ProcedureCodeSequence = [Dataset()]
    assert asked(data).query.match == {"00100020": ("1",)}
