"""What a store promises of shredding, on every database: who is found, and what stands in nobody's way."""

import io
import json
from dataclasses import replace

import pydicom
import pytest
from sqlalchemy import delete, update

from audit.book import Book, study_of
from store.keys_contract import STUDIES, filled, keys_of
from store.stores import ACCESSION, PATIENT_ID, Clock, Holder, encoded, instance, opened_store, plain_file, study_uid
from zweitblick.errors import UnknownStudyError
from zweitblick.store.lost import LOST
from zweitblick.store.places import StorePlaces
from zweitblick.store.schema import objects, wrapped_keys
from zweitblick.store.shredding import PatientStudies
from zweitblick.store.store import Store


class ShreddingContract:
    """Inherited for each database; ``places`` says where the store is."""

    def test_a_patient_s_studies_are_found_whether_anybody_has_described_them_or_not(
        self, places: StorePlaces, holder: Holder
    ) -> None:
        other = pydicom.dcmread(io.BytesIO(encoded(4, 1)), force=True)
        other.PatientID = f"{PATIENT_ID}1"
        buffer = io.BytesIO()
        pydicom.dcmwrite(buffer, other, implicit_vr=False, little_endian=True)
        with opened_store(places, holder) as store:
            for study in (1, 2, 3):
                store.keep(instance(study=study))
            store.keep(instance(study=4, data=buffer.getvalue()))
            store.keep(replace(instance(study=5), data=b"\x08\x00no data set at all"))
            for study, patient in ((1, PATIENT_ID), (3, "SOMEBODY")):
                store.describe(store.token(study_uid(study)), patient_id=patient, accession_number=ACCESSION)
            tokens = {study: store.token(study_uid(study)) for study in range(1, 6)}
            found = store.all_studies_of_patient(PATIENT_ID)
            assert found == PatientStudies(sorted([tokens[1], tokens[2]]), [])
            assert store.all_studies_of_patient("SOMEBODY").found == [tokens[3]]
            for nobody in (PATIENT_ID[:-1], ""):
                assert store.all_studies_of_patient(nobody) == PatientStudies([], [])
            for token in found.found:
                store.shred(token)
            for study in (1, 2):
                with pytest.raises(UnknownStudyError):
                    store.token(study_uid(study))
            assert all(len(store.instances(tokens[study])) == 1 for study in (3, 4, 5))

    def test_a_study_that_was_asked_for_and_never_came_is_its_patient_s(
        self, places: StorePlaces, holder: Holder
    ) -> None:
        with opened_store(places, holder) as store:
            for study, patient in ((1, PATIENT_ID), (2, "SOMEBODY")):
                content = json.dumps({"00100020": {"vr": "LO", "Value": [patient]}})
                store.workitems.add(uid=f"2.25.{study}", study_uid=study_uid(study), state="SCHEDULED", content=content)
            (token,) = store.all_studies_of_patient(PATIENT_ID).found
            assert token == store.token(study_uid(1))
            store.shred(token)
            assert [item.uid for item in store.workitems.items()] == ["2.25.2"]

    def test_a_patient_is_found_by_the_other_images_of_a_study_with_a_damaged_one(
        self, places: StorePlaces, holder: Holder
    ) -> None:
        with opened_store(places, holder) as store:
            for number in (1, 2):
                store.keep(instance(number=number))
            token = store.token(study_uid(1))
            first, _ = store.instances(token)
            with store._rooms.database.writing() as transaction:
                cut = update(objects).values(sealed_bytes=objects.c.sealed_bytes - 1)
                transaction.execute(cut.where(objects.c.id == first.id))
            assert store.all_studies_of_patient(PATIENT_ID) == PatientStudies([token], [])
            assert store.all_studies_of_patient("SOMEBODY") == PatientStudies([], [token])

    @pytest.mark.parametrize("is_gone", [True, False], ids=["its key is gone", "its key is damaged"])
    def test_a_study_that_cannot_be_opened_keeps_no_other_from_being_found_and_can_be_shredded(
        self, places: StorePlaces, holder: Holder, is_gone: bool
    ) -> None:
        filled(places, holder)
        book, keys = Book(), keys_of(places)
        with Store(places, holder, clock=Clock(), audit=book) as store:
            token = store.token(study_uid(2))
            store.workitems.add(uid="2.25.1", study_uid=study_uid(2), state="SCHEDULED", content="{}")
            with keys.writing() as transaction:
                mine = wrapped_keys.c.owner == token
                change = delete(wrapped_keys) if is_gone else update(wrapped_keys).values(ciphertext=bytes(40))
                transaction.execute(change.where(mine))
            store._rooms.keyring.forget(token)
            others = sorted(store.token(study_uid(study)) for study in range(STUDIES) if study != 2)
            assert store.all_studies_of_patient(PATIENT_ID) == PatientStudies(others, [token])
            assert store.workitems.items() == []
            with pytest.raises(LOST):
                store.keep(instance(study=2, number=2))
            store.shred(token)
            assert [study_of(event) for event in book.events] == [token], "nobody can tell its UID any more"
            store.keep(instance(study=2, number=2))
            (kept,) = store.instances(store.token(study_uid(2)))
            assert plain_file(store, kept.id).endswith(encoded(2, 2))
        keys.close()
