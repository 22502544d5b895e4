"""An action is on record before it is done, and its failure after."""

import pytest

from audit.book import Book
from audit.happenings import access
from zweitblick.audit.auditor import Unrecorded, recorded
from zweitblick.errors import AuditWriteError, StoreFullError

READ = ("DICOM Instances Accessed", "R", 0)
FAILED = ("DICOM Instances Accessed", "R", 8)


def test_it_is_on_record_when_it_is_done() -> None:
    book = Book()
    with recorded(book, access()):
        assert book.told() == [READ]
    assert book.told() == [READ]


@pytest.mark.parametrize(
    ("error", "code"),
    [(StoreFullError("full"), "store.full"), (OSError(), "internal"), (KeyboardInterrupt(), "internal")],
)
def test_a_failure_is_on_record_with_its_code(error: BaseException, code: str) -> None:
    book = Book()
    with pytest.raises(type(error)), recorded(book, access()):
        raise error
    assert book.told() == [READ, FAILED]
    assert book.events[1].outcome_description == code


def test_what_cannot_be_put_on_record_is_not_done() -> None:
    book = Book()
    book.is_away = True
    done = []
    with pytest.raises(AuditWriteError), recorded(book, access()):
        done.append(True)
    assert not done


def test_parts_that_are_used_alone_record_nothing() -> None:
    with recorded(Unrecorded(), access()):
        pass
