"""What a store promises to whoever lists what is in it, on every database."""

import io
from dataclasses import replace
from typing import BinaryIO

import pytest

from store.stores import ACCESSION, PATIENT_ID, Clock, encoded, instance, pixels, plain_file, study_uid
from zweitblick.dicom.performed_step import BegunStep
from zweitblick.errors import UnknownObjectError
from zweitblick.store import headers
from zweitblick.store.life import Actor, Event
from zweitblick.store.results import ResultName
from zweitblick.store.store import Store


class Maker:
    """Makes a header of an object's first bytes, and counts."""

    def __init__(self) -> None:
        self.made = 0

    def __call__(self, file: BinaryIO) -> bytes:
        self.made += 1
        return file.read(400)


class ListingContract:
    """Needs fixtures ``store`` and ``clock``."""

    def test_studies_are_listed_by_their_last_instance(self, store: Store, clock: Clock) -> None:
        for study in (1, 2, 3, 1):
            clock.pass_by(1)
            store.keep(instance(study, number=int(clock.now.timestamp())))
        order = [store.token(study_uid(study)) for study in (1, 3, 2)]
        found = store.listing.newest(limit=10)
        assert [place.study for place in found] == order
        assert [place.study for place in store.listing.newest(limit=1, offset=1)] == order[1:2]
        assert [place.study for place in store.listing.newest(limit=10, after=found[0])] == order[1:]
        assert store.listing.newest(limit=10, after=found[2]) == []
        store.shred(order[0])
        assert [place.study for place in store.listing.newest(limit=10)] == order[1:]

    def test_studies_of_one_moment_are_all_listed(self, store: Store) -> None:
        for study in range(5):
            store.keep(instance(study))
        found, after = [], None
        while page := store.listing.newest(limit=2, after=after):
            found += page
            after = page[-1]
        assert sorted(place.study for place in found) == sorted(store.token(study_uid(study)) for study in range(5))

    def test_series_are_counted_without_those_in_conflict(self, store: Store) -> None:
        for number in range(3):
            store.keep(instance(number=number))
        store.keep(replace(instance(number=9), series_instance_uid=f"{study_uid(1)}.2"))
        store.keep(instance(number=0, data=encoded(1, 0) + bytes(2)))
        token = store.token(study_uid(1))
        kept = {one.id: one for one in store.instances(token)}
        found = {kept[one.first].series_instance_uid: one.instances for one in store.listing.series(token)}
        assert found == {f"{study_uid(1)}.1": 3, f"{study_uid(1)}.2": 1}
        assert all(kept[one.first].conflicts_with is None for one in store.listing.series(token))

    def test_a_header_is_made_once_and_kept_sealed(self, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        for number in range(5):
            store.keep(instance(number=number))
        token = store.token(study_uid(1))
        ids = [one.id for one in store.instances(token)]
        make = Maker()
        expected = [plain_file(store, one)[:400] for one in ids]
        assert list(store.headers(token, ids[:2], make)) == expected[:2]
        assert list(store.headers(token, [*ids, ids[0]], make)) == [*expected, expected[0]]
        assert make.made == len(ids)
        monkeypatch.setattr(headers, "VERSION", headers.VERSION + 1)
        assert list(store.headers(token, ids, make)) == expected
        assert make.made == 2 * len(ids)

    def test_a_header_of_what_is_not_there_is_an_error(self, store: Store) -> None:
        store.keep(instance())
        token = store.token(study_uid(1))
        (kept,) = store.instances(token)
        list(store.headers(token, [kept.id], Maker()))
        with pytest.raises(UnknownObjectError):
            list(store.headers(token, ["0" * 32], Maker()))

    def test_the_last_round_that_was_read_is_told(self, store: Store) -> None:
        store.keep(instance())
        token = store.token(study_uid(1))
        assert store.listing.last_read(token) is None
        (first,) = store.rounds(token)
        for event in (Event.COMPLETED, Event.STARTED, Event.READ):
            store.advance(first.id, event, by=Actor.WORKER)
        assert store.listing.last_read(token) == first.id
        store.keep(instance(number=2))
        assert store.listing.last_read(token) == first.id
        second = store.rounds(token)[-1]
        for event in (Event.COMPLETED, Event.STARTED):
            store.advance(second.id, event, by=Actor.WORKER)
        assert store.listing.last_read(token) == first.id
        store.advance(second.id, Event.READ, by=Actor.WORKER)
        assert store.listing.last_read(token) == second.id

    def test_the_round_that_the_last_of_some_instances_came_with_is_told(self, store: Store) -> None:
        for number in (1, 2):
            store.keep(instance(number=number))
        token, uids = store.token(study_uid(1)), [f"{study_uid(1)}.1.{number}" for number in (1, 2, 3)]
        for event in (Event.COMPLETED, Event.STARTED):
            store.advance(store.rounds(token)[-1].id, event, by=Actor.WORKER)
        store.keep(instance(number=1, data=encoded(1, 1) + bytes(2)))  # kept apart: not the one that is meant
        assert store.listing.round_with(token, uids) is None
        store.keep(instance(number=3))
        assert store.listing.round_with(token, uids) == 2
        assert store.listing.round_with(token, uids[:2]) == 1
        assert store.listing.round_with(token, ()) is None

    def test_an_instance_and_a_result_lead_to_their_study(self, store: Store) -> None:
        store.keep(instance())
        token = store.token(study_uid(1))
        (first,) = store.rounds(token)
        result = ResultName(first.id, "seg", "application/dicom", f"{study_uid(1)}.9")
        store.keep_result(result, io.BytesIO(pixels(1, 1)))
        assert store.listing.with_instance(f"{study_uid(1)}.1.1") == [token]
        assert store.listing.with_instance(f"{study_uid(1)}.9") == [token]
        assert store.listing.with_instance(f"{study_uid(1)}.8") == []

    def test_studies_that_nothing_is_known_of_are_told(self, store: Store) -> None:
        for study in (1, 2, 3):
            store.keep(instance(study))
        one, two, three = (store.token(study_uid(study)) for study in (1, 2, 3))
        store.describe(one, patient_id=PATIENT_ID, accession_number="")
        store.describe(two, patient_id="", accession_number=ACCESSION)
        store.describe(three, patient_id="", accession_number="")
        assert store.listing.undescribed() == [three]

    def test_studies_that_are_known_by_their_steps_alone_are_not_looked_into(self, store: Store) -> None:
        store.keep(instance(1))
        store.procedure_steps.begin("1.2.276.0.4712.77", BegunStep(study_uid(2)))
        for undescribed in (store.listing.undescribed, store._rooms.studies.undescribed):
            assert undescribed() == [store.token(study_uid(1))]
