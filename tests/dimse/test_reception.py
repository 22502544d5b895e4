"""What an association brings goes on record once for each study, before anything of it is kept."""

import pydicom
import pytest

from audit.book import Book, counts_of, patient_of, study_of
from dimse.wire import EXPLICIT, MR, Counts, Kept, RawPeer, encoded, instance
from zweitblick.audit.message import Participant
from zweitblick.audit.reception import MOST_STUDIES, Reception
from zweitblick.dimse import DicomServer, ListenerConfig, Received
from zweitblick.errors import StoreFullError

BEGUN = ("Begin Transferring DICOM Instances", "E", 0)
DONE = ("DICOM Instances Transferred", "C", 0)
FAILED = ("DICOM Instances Transferred", "C", 8)


class Watched(Kept):
    """Remembers what was on record when an instance came."""

    def __init__(self, book: Book, refused: frozenset[str] = frozenset()) -> None:
        super().__init__()
        self.book, self.refused = book, refused
        self.seen: list[int] = []

    def keep(self, instance: Received) -> None:
        self.seen.append(len(self.book.events))
        if instance.sop_instance_uid in self.refused:
            raise StoreFullError("full")
        super().keep(instance)


def of_study(study: str, uid: str, patient: str) -> bytes:
    data = pydicom.Dataset(instance())
    data.StudyInstanceUID, data.SOPInstanceUID, data.PatientID = study, uid, patient
    return encoded(data)


def sent(book: Book, keeper: Kept, instances: list[tuple[str, str, str]], *, abort: bool = False) -> list[int]:
    """Send instances of some studies in one association, and return their statuses once it has ended."""
    counts = Counts()
    config = ListenerConfig(port=0)
    with DicomServer(config, keeper, observer=counts, audit=book) as server, RawPeer(server.port) as peer:
        peer.associate((MR, [EXPLICIT]))
        statuses = [peer.store(of_study(*one), one[1]) for one in instances]
        if not abort:
            peer.release()
    return statuses  # the server has waited for its associations


@pytest.mark.parametrize("abort", [False, True])
def test_each_study_has_a_beginning_before_its_first_instance_and_an_end(abort: bool) -> None:
    book = Book()
    keeper = Watched(book)
    sending = [("1.2.1", "1.1", "A"), ("1.2.2", "1.2", "B"), ("1.2.1", "1.3", "A")]
    assert sent(book, keeper, sending, abort=abort) == [0, 0, 0]
    assert book.told() == [BEGUN, BEGUN, DONE, DONE]
    assert keeper.seen == [1, 2, 2]
    assert [(study_of(event), patient_of(event)) for event in book.events] == [
        ("1.2.1", "A"),
        ("1.2.2", "B"),
        ("1.2.1", "A"),
        ("1.2.2", "B"),
    ]
    assert [counts_of(event) for event in book.events[2:]] == [{MR: 2}, {MR: 1}]
    sender, receiver = book.events[0].participants
    assert (sender.address, sender.ae_titles, sender.is_requestor) == ("127.0.0.1", ("RAW",), True)
    assert (receiver.user_id, receiver.ae_titles, receiver.is_requestor) == ("4242", ("ANY",), False)


def test_what_was_refused_goes_on_record_apart() -> None:
    book = Book()
    keeper = Watched(book, frozenset({"1.2"}))
    assert sent(book, keeper, [("1.2.1", "1.1", "A"), ("1.2.1", "1.2", "A")]) == [0, 0xA700]
    assert book.told() == [BEGUN, DONE, FAILED]
    assert [counts_of(event) for event in book.events[1:]] == [{MR: 1}, {MR: 1}]
    assert book.events[2].outcome_description == "store.full"


def test_what_cannot_be_put_on_record_is_not_kept() -> None:
    book = Book()
    book.is_away = True
    keeper = Watched(book)
    assert sent(book, keeper, [("1.2.1", "1.1", "A")]) == [0xA700]
    assert keeper.seen == []


def test_an_end_that_cannot_be_put_on_record_is_said(caplog: pytest.LogCaptureFixture) -> None:
    book = Book()

    class Leaving(Kept):
        def keep(self, instance: Received) -> None:
            super().keep(instance)
            book.is_away = True

    assert sent(book, Leaving(), [("1.2.1", "1.1", "A")]) == [0]
    assert book.told() == [BEGUN]
    assert "the end of a transfer is not on record: audit.write" in caplog.text


def test_nothing_is_on_record_of_an_association_without_images() -> None:
    book = Book()
    assert sent(book, Kept(), []) == []
    assert book.events == []


def test_an_association_of_very_many_studies_is_ended_in_between() -> None:
    book = Book()
    reception = Reception(book)
    for number in range(MOST_STUDIES + 1):
        with reception.of(received(f"1.2.{number}"), sender=Participant("RAW")):
            pass
    reception.end()
    assert book.told().count(BEGUN) == book.told().count(DONE) == MOST_STUDIES + 1
    assert book.told()[MOST_STUDIES] == DONE


def received(study: str) -> Received:
    return Received(MR, "1", EXPLICIT, study, "1", "RAW", b"", "A")
