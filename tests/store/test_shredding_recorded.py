"""That a study is shredded is on record before it is, and what cannot be put there is not shredded."""

from pathlib import Path

import pytest

from audit.book import Book, patient_of, study_of
from store.stores import Clock, file_holder, instance, study_uid
from zweitblick.errors import AuditWriteError
from zweitblick.store.places import StorePlaces
from zweitblick.store.store import Store

DELETED = ("DICOM Study Deleted", "D", 0)


def opened(folder: Path, book: Book) -> Store:
    return Store(StorePlaces.within(folder), file_holder(folder), clock=Clock(), audit=book)


def test_shredding_is_on_record_once_with_study_and_patient(tmp_path: Path) -> None:
    book = Book()
    with opened(tmp_path, book) as store:
        store.keep(instance())
        token = store.token(study_uid(1))
        store.describe(token, patient_id="P-17", accession_number="A-3")
        store.shred(token)
        store.shred(token)
        store.shred("of no study")
    assert book.told() == [DELETED]
    assert (study_of(book.events[0]), patient_of(book.events[0])) == (study_uid(1), "P-17")


def test_what_cannot_be_put_on_record_is_not_shredded(tmp_path: Path) -> None:
    book = Book()
    with opened(tmp_path, book) as store:
        store.keep(instance())
        token = store.token(study_uid(1))
        book.is_away = True
        with pytest.raises(AuditWriteError):
            store.shred(token)
        (kept,) = store.instances(token)
        store.open(kept.id).close()
