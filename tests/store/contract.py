"""What a store promises on every database; a test class of a database inherits it and says where stores lie."""

import io
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pydicom
import pytest
from sqlalchemy import update

from store.deliveries_contract import DeliveriesContract
from store.listing_contract import ListingContract
from store.lookups_contract import LookupsContract
from store.rounds_contract import RoundsContract, brought_to
from store.shared_contract import SharedStoreContract
from store.stores import (
    ACCESSION,
    PATIENT_ID,
    SENDER,
    Clock,
    Holder,
    encoded,
    file_holder,
    instance,
    opened_store,
    pixels,
    plain_file,
    study_uid,
)
from zweitblick.errors import (
    ActorError,
    EventError,
    KeyHolderError,
    ResultChangedError,
    StoreKeyError,
    StoreVersionError,
    UnknownObjectError,
    UnknownRoundError,
    UnknownStudyError,
)
from zweitblick.store.ingest import Outcome
from zweitblick.store.life import Actor, Event, State
from zweitblick.store.places import StorePlaces
from zweitblick.store.results import ResultName
from zweitblick.store.schema import studies
from zweitblick.store.store import QUIET_TIME, Store


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def holder(tmp_path: Path) -> Holder:
    return Holder(file_holder(tmp_path))


@pytest.fixture
def store(places: StorePlaces, holder: Holder, clock: Clock) -> Iterator[Store]:
    with opened_store(places, holder, clock) as store:
        yield store


class StoreContract(DeliveriesContract, ListingContract, LookupsContract, RoundsContract, SharedStoreContract):
    """Needs a fixture ``places``."""

    def test_an_instance_comes_back_as_the_file_that_it_was_sent_as(self, store: Store) -> None:
        sent = instance()
        store.keep(sent)
        (kept,) = store.instances(store.token(sent.study_instance_uid))
        file = plain_file(store, kept.id)
        read = pydicom.dcmread(io.BytesIO(file))
        assert file.endswith(sent.data)
        assert read.file_meta.MediaStorageSOPInstanceUID == sent.sop_instance_uid == read.SOPInstanceUID
        assert read.file_meta.MediaStorageSOPClassUID == sent.sop_class_uid
        assert read.file_meta.TransferSyntaxUID == sent.transfer_syntax_uid
        assert read.file_meta.SourceApplicationEntityTitle == SENDER
        assert read.PixelData == pixels(1, 1)
        assert (kept.plain_bytes, kept.sop_instance_uid) == (len(file), sent.sop_instance_uid)

    def test_a_part_of_an_instance_is_read_without_the_rest(self, store: Store) -> None:
        data = encoded(1, 1, pixel_bytes=3 * 2**20)
        store.keep(instance(data=data))
        (kept,) = store.instances(store.token(study_uid(1)))
        with store.open(kept.id) as file:
            file.seek(-1000, io.SEEK_END)
            assert file.read() == data[-1000:]
            file.seek(kept.plain_bytes - len(data))
            assert file.read(300) == data[:300]

    def test_a_duplicate_is_stored_once(self, store: Store) -> None:
        for _ in range(3):
            store.keep(instance())
        token = store.token(study_uid(1))
        assert len(store.instances(token)) == 1
        receptions = store.receptions(token)
        assert sorted(each.outcome for each in receptions) == [Outcome.DUPLICATE, Outcome.DUPLICATE, Outcome.NEW]
        assert len({each.object for each in receptions}) == 1
        assert {each.calling_ae_title for each in receptions} == {SENDER}

    def test_other_content_under_the_same_uid_is_kept_apart_and_told(
        self, store: Store, caplog: pytest.LogCaptureFixture
    ) -> None:
        first, other = instance(), instance(data=encoded(1, 2))
        for each in (first, other, first, other):
            store.keep(each)
        kept = store.instances(store.token(study_uid(1)))
        (accepted,) = [each for each in kept if each.conflicts_with is None]
        (conflict,) = [each for each in kept if each.conflicts_with is not None]
        assert conflict.conflicts_with == accepted.id
        assert plain_file(store, accepted.id).endswith(first.data)
        assert plain_file(store, conflict.id).endswith(other.data)
        outcomes = [each.outcome for each in store.receptions(store.token(study_uid(1)))]
        assert sorted(outcomes) == [Outcome.CONFLICT, Outcome.DUPLICATE, Outcome.DUPLICATE, Outcome.NEW]
        store.keep(instance(study=2))
        counts = [store.conflicts(store.token(study_uid(study))) for study in (1, 2)]
        assert counts == [1, 0]
        (line,) = (one for one in caplog.messages if "other content" in one)
        assert store.token(study_uid(1)) in line
        assert study_uid(1) not in line

    def test_the_same_bytes_in_another_transfer_syntax_are_other_content(self, store: Store) -> None:
        store.keep(instance())
        store.keep(replace(instance(), transfer_syntax_uid=pydicom.uid.ImplicitVRLittleEndian))
        assert len(store.instances(store.token(study_uid(1)))) == 2

    def test_a_uid_that_no_standard_allows_names_an_instance_all_the_same(self, store: Store) -> None:
        store.keep(replace(instance(), sop_instance_uid="../../../etc/passwd"))
        (kept,) = store.instances(store.token(study_uid(1)))
        assert kept.sop_instance_uid == "../../../etc/passwd"
        assert b"../../../etc/passwd" in plain_file(store, kept.id)

    def test_what_was_kept_is_there_after_a_restart(self, places: StorePlaces, holder: Holder) -> None:
        with opened_store(places, holder) as store:
            store.keep(instance())
        with opened_store(places, holder) as store:
            store.keep(instance())
            store.keep(instance(number=2))
            token = store.token(study_uid(1))
            assert {plain_file(store, each.id)[-2048:] for each in store.instances(token)} == {
                pixels(1, 1),
                pixels(1, 2),
            }

    def test_a_study_is_found_by_what_its_header_says_and_by_nothing_like_it(self, store: Store) -> None:
        store.keep(instance())
        token = store.token(study_uid(1))
        assert store.studies_of_patient(PATIENT_ID) == []
        store.describe(token, patient_id=PATIENT_ID, accession_number=ACCESSION)
        store.keep(instance(study=2))
        assert store.studies_of_patient(PATIENT_ID) == store.studies_of_accession(ACCESSION) == [token]
        assert store.studies_of_patient(ACCESSION) == store.studies_of_patient(PATIENT_ID[:-1]) == []
        study = store.study(token)
        assert (study.study_instance_uid, study.patient_id) == (study_uid(1), PATIENT_ID)
        store.describe(token, patient_id="", accession_number="")
        assert store.studies_of_patient(PATIENT_ID) == store.studies_of_patient("") == []

    def test_instances_are_found_by_series_and_by_uid(self, store: Store) -> None:
        other = replace(instance(number=3), series_instance_uid=f"{study_uid(1)}.2")
        for each in (instance(number=1), instance(number=2), other, instance(study=2)):
            store.keep(each)
        token = store.token(study_uid(1))
        (found,) = store.instances(token, sop_instance_uid=f"{study_uid(1)}.1.2")
        assert plain_file(store, found.id).endswith(encoded(1, 2))
        (found,) = store.instances(token, series_instance_uid=f"{study_uid(1)}.2")
        assert found.sop_instance_uid == other.sop_instance_uid
        assert len(store.instances(token, series_instance_uid=f"{study_uid(1)}.1")) == 2
        assert store.instances(token, sop_instance_uid=f"{study_uid(1)}.1") == []
        assert store.instances(token, sop_instance_uid=f"{study_uid(2)}.1.1") == []

    def test_what_is_not_there_is_said_not_to_be(self, store: Store) -> None:
        with pytest.raises(UnknownStudyError):
            store.token(study_uid(1))
        with pytest.raises(UnknownStudyError):
            store.study("0" * 32)
        with pytest.raises(UnknownStudyError):
            store.describe("0" * 32, patient_id=PATIENT_ID, accession_number="")
        with pytest.raises(UnknownObjectError):
            store.open("0" * 32)
        with pytest.raises(UnknownRoundError):
            store.advance("0" * 32, Event.COMPLETED, by=Actor.WORKER)

    def test_a_study_is_stable_once_it_was_quiet_for_long_enough(self, store: Store, clock: Clock) -> None:
        for number in range(3):
            store.keep(instance(number=number))
            clock.pass_by(20)
        began = clock.now - timedelta(seconds=20)
        assert store.stable_after(began + QUIET_TIME - timedelta(microseconds=1)) == []
        (quiet,) = store.stable_after(began + QUIET_TIME)
        assert (quiet.study, quiet.state) == (store.token(study_uid(1)), State.RECEIVING)
        store.keep(instance(number=1))
        assert store.stable_after(began + QUIET_TIME) == [], "a duplicate says that the sender is still at it"
        store.advance(quiet.id, Event.COMPLETED, by=Actor.WORKER)
        assert store.stable_after(began + timedelta(days=1)) == []

    def test_quiet_time_is_the_senders(self, places: StorePlaces, holder: Holder, clock: Clock) -> None:
        slow = {"SLOW": timedelta(minutes=10)}
        with Store(places, holder, clock=clock, quiet_time=lambda title: slow.get(title, QUIET_TIME)) as store:
            store.keep(instance(study=1, sender="SLOW"))
            store.keep(instance(study=2))
            clock.pass_by(60)
            assert [each.study for each in store.stable_after(clock.now)] == [store.token(study_uid(2))]
            clock.pass_by(600)
            assert len(store.stable_after(clock.now)) == 2

    def test_the_history_says_what_happened_when_and_by_whom(self, store: Store, clock: Clock) -> None:
        store.keep(instance())
        (first,) = store.rounds(store.token(study_uid(1)))
        clock.pass_by(30)
        store.advance(first.id, Event.COMPLETED, by=Actor.WORKER)
        with pytest.raises(ActorError):
            store.advance(first.id, Event.STARTED, by=Actor.RADIOLOGIST)
        with pytest.raises(EventError):
            store.advance(first.id, Event.ARRIVED, by=Actor.RECEIVER)
        (event,) = store.history(first.study)
        assert (event.event, event.before, event.after) == (Event.COMPLETED, State.RECEIVING, State.STABLE)
        assert (event.actor, event.at, event.round) == (Actor.WORKER, clock.now, first.id)

    def test_one_of_two_workers_gets_a_round(self, store: Store) -> None:
        store.keep(instance())
        first = brought_to(store, State.STABLE)
        got = []

        def start() -> None:
            try:
                got.append(store.advance(first, Event.STARTED, by=Actor.WORKER))
            except EventError:
                got.append(None)

        threads = [threading.Thread(target=start) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(got, key=str) == [None, None, None, State.READING]

    def test_a_result_is_kept_once_and_not_replaced(self, store: Store) -> None:
        store.keep(instance())
        (first,) = store.rounds(store.token(study_uid(1)))
        report = bytes(range(256)) * 10_000
        name = ResultName(first.id, "pdf", "application/pdf")
        kept = store.keep_result(name, io.BytesIO(report))
        assert store.keep_result(name, io.BytesIO(report)) == kept
        assert plain_file(store, kept) == report
        with pytest.raises(ResultChangedError):
            store.keep_result(name, io.BytesIO(report[1:]))
        (result,) = store.results(first.id)
        assert (result.id, result.name, result.media_type) == (kept, "pdf", "application/pdf")
        assert result.plain_bytes == len(report)
        with pytest.raises(UnknownRoundError):
            store.keep_result(replace(name, round="0" * 32), io.BytesIO(report))

    def test_without_its_key_holder_it_takes_nothing_that_needs_a_key(
        self, places: StorePlaces, holder: Holder
    ) -> None:
        with opened_store(places, holder) as store:
            store.keep(instance(study=1))
            store.keep(instance(study=2))
        with opened_store(places, holder) as store:
            store.keep(instance(study=2, number=2))
            holder.away = True
            store.keep(instance(study=2, number=3))
            for study in (1, 3):
                with pytest.raises(KeyHolderError):
                    store.keep(instance(study=study, number=9))
            with pytest.raises(UnknownStudyError):
                store.token(study_uid(3))
            holder.away = False
            store.keep(instance(study=3))
            assert (
                len(store.instances(store.token(study_uid(1)))) == len(store.instances(store.token(study_uid(3)))) == 1
            )

    def test_without_its_key_holder_it_does_not_open(self, places: StorePlaces, holder: Holder) -> None:
        opened_store(places, holder).close()
        holder.away = True
        with pytest.raises(KeyHolderError):
            opened_store(places, holder)

    def test_a_study_that_was_shredded_is_gone_and_may_come_again(self, store: Store, places: StorePlaces) -> None:
        for study in (1, 2):
            store.keep(instance(study=study))
        token = store.token(study_uid(1))
        (kept,) = store.instances(token)
        with store.open(kept.id) as already_open:
            store.shred(token)
            assert already_open.read().endswith(pixels(1, 1)), "who reads it reads it to the end"
        with pytest.raises(UnknownStudyError):
            store.token(study_uid(1))
        with pytest.raises(UnknownObjectError):
            store.open(kept.id)
        assert store.rounds(token) == store.history(token) == store.receptions(token) == store.instances(token) == []
        store.shred(token)
        assert len([path for path in places.objects.rglob("*") if path.is_file() and path.name != "lock"]) == 1
        store.keep(instance())
        assert store.token(study_uid(1)) != token
        assert len(store.instances(store.token(study_uid(2)))) == 1

    def test_a_newer_release_s_database_is_refused(self, places: StorePlaces, holder: Holder) -> None:
        with opened_store(places, holder) as store, store._data.writing() as transaction:
            transaction.exec_driver_sql("UPDATE alembic_version SET version_num = 'data_9999'")
        with pytest.raises(StoreVersionError, match="data_9999"):
            opened_store(places, holder)

    def test_another_store_s_keys_are_refused(self, places: StorePlaces, holder: Holder, tmp_path: Path) -> None:
        with opened_store(places, holder) as store:
            store.keep(instance())
        others = StorePlaces.within(tmp_path / "other")
        opened_store(others, holder).close()
        with pytest.raises(StoreKeyError):
            opened_store(replace(places, keys=others.keys), holder)
        with pytest.raises(StoreKeyError):
            opened_store(replace(places, keys=f"sqlite:///{tmp_path}/new"), holder)

    def test_shredding_that_a_crash_interrupted_is_finished_at_the_next_start(
        self, places: StorePlaces, holder: Holder
    ) -> None:
        with opened_store(places, holder) as store:
            store.keep(instance())
            token = store.token(study_uid(1))
            with store._data.writing() as transaction:
                transaction.execute(update(studies).values(shredding=True))
            store._rooms.keyring.destroy(token)
        with opened_store(places, holder) as store:
            assert store.instances(token) == []
            store.keep(instance())
            assert store.token(study_uid(1)) != token
