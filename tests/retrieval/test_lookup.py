"""Whatever comes of looking for an earlier study, a round is read; `interop.test_priors` has one that is compared."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import pytest
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage
from pynetdicom import AE

from dicom_writer import StudyHeader, write_series
from kept_study import PATIENCE_S, wait_until
from reading_house import House, keep, last
from retrieval.archives import DimseArchive, WebArchive
from zweitblick.dimse import DicomServer, ListenerConfig
from zweitblick.errors import StoreUnavailableError, UnknownRoundError, UnknownStudyError
from zweitblick.model.bundle import Bundles
from zweitblick.peers.destination import Destination
from zweitblick.priors import with_lookup
from zweitblick.reading import Notice
from zweitblick.retrieval.bounds import BOUNDS, Bounds
from zweitblick.retrieval.lookup import AT_ONCE, LONGEST_HOLD, PriorLookup
from zweitblick.store import life
from zweitblick.store import lookups as kept_lookups
from zweitblick.store.life import State
from zweitblick.store.store import Store
from zweitblick.volume import Volume, axis_aligned_grid
from zweitblick.worker.launch import WORKFLOWS

EARLIER = StudyHeader(seed="earlier", date="20210304")
PRESENT = StudyHeader(date="20220304")


def one_image(folder: Path, study: StudyHeader, *, number: int = 1) -> list[Path]:
    """Write a series that is no volume, so that its study's reading fails at once."""
    grid = axis_aligned_grid((0.0, 0.0, 0.0), (1, 8, 8), 2.0)
    image = Volume(np.zeros(grid.shape, np.float32), grid)
    return write_series(folder / study.seed / str(number), image, number=number, study=study)


def of_years(*years: int) -> list[StudyHeader]:
    return [replace(EARLIER, seed=str(year), date=f"{year}0304") for year in years]


class Lookups:
    """A house whose studies cannot be read, and what came of the lookups for them."""

    def __init__(self, house: House, store: Store) -> None:
        self.house, self.store = house, store

    def lookup(self, *places: Destination, bounds: Bounds = BOUNDS) -> PriorLookup:
        return PriorLookup(self.store, places, clock=self.house.clock, audit=self.house.book, bounds=bounds)

    def outcome(self, study: StudyHeader, *places: Destination, bounds: Bounds = BOUNDS) -> str | None:
        with self.house.worker(self.store, lookup=self.lookup(*places, bounds=bounds)) as worker:
            token = keep(self.store, one_image(self.house.folder, study))
            worker.submit(last(self.store, token))
            wait_until(lambda: last(self.store, token).state is State.FAILED)
        return self.store.lookups.outcome(last(self.store, token).id)


@pytest.fixture
def lookups(tmp_path: Path, bundles: Bundles) -> Iterator[Lookups]:
    house = House(tmp_path, bundles)
    with house.store() as store:
        yield Lookups(house, store)


@pytest.mark.parametrize("kind", [DimseArchive, WebArchive])
def test_an_earlier_study_comes_once_and_not_those_before_it(lookups: Lookups, tmp_path: Path, kind: type) -> None:
    first = replace(EARLIER, seed="first", date="20200304")
    files = [one for study in (first, EARLIER) for one in one_image(tmp_path / "archive", study)]
    with ExitStack() as stack:
        archive = stack.enter_context(kind(files))
        if kind is DimseArchive:
            archive.port = stack.enter_context(DicomServer(ListenerConfig(port=0), lookups.store)).port
        # it comes and cannot be read, and the one before it likewise; neither brings what is before itself
        assert lookups.outcome(PRESENT, archive.destination) == "unread"
        assert len(archive.shelf.asked) == 5  # for studies, and of each for its series and the images
        assert lookups.outcome(replace(PRESENT, seed="next", date="20230304"), archive.destination) == "unread"
        assert len(archive.shelf.asked) == 6
    for study in (first, EARLIER):
        fetched = last(lookups.store, lookups.store.token(study.uid))
        assert fetched.state is State.FAILED
        assert lookups.store.lookups.was_fetched(fetched.study)
        assert lookups.store.lookups.outcome(fetched.id) is None


def test_an_archive_is_asked_again_where_a_person_asks_for_it(lookups: Lookups, tmp_path: Path) -> None:
    """Of the study itself, and of one that was fetched for another."""
    house, store = lookups.house, lookups.store
    tokens = []
    for study in (PRESENT, EARLIER):
        tokens.append(keep(store, one_image(house.folder, study)))
        for happens in (life.Event.COMPLETED, life.Event.STARTED, life.Event.READ):
            store.advance(last(store, tokens[-1]).id, happens, by=life.Actor.WORKER)
    first = last(store, tokens[0])
    store.lookups.begin(first.id, EARLIER.uid)
    store.lookups.complete(first.id, EARLIER.uid)
    store.lookups.end(first.id, "none")
    with WebArchive(one_image(tmp_path / "archive", replace(EARLIER, seed="other", patient_id="OTHER"))) as archive:
        asked = [store.work.read_again(token) for token in tokens]
        with house.worker(store, lookup=lookups.lookup(archive.destination)):
            wait_until(lambda: {last(store, token).state for token in tokens} == {State.FAILED})
        assert [store.lookups.outcome(one.id) for one in asked] == ["none", "none"]
        assert len(archive.shelf.asked) == 2
    assert not store.lookups.was_fetched(tokens[1])


def test_what_an_archive_does_not_have_is_told(lookups: Lookups, tmp_path: Path) -> None:
    with WebArchive(one_image(tmp_path / "archive", PRESENT)) as archive:
        assert lookups.outcome(PRESENT, archive.destination) == "none"
        away = replace(archive.destination, url="http://127.0.0.1:1")
        assert lookups.outcome(replace(PRESENT, seed="2"), away, archive.destination) == "peer.unreachable"
        asked = len(archive.shelf.asked)
        assert lookups.outcome(replace(PRESENT, seed="3", patient_id="PAT*"), archive.destination) == "unnamed"
        assert lookups.outcome(replace(PRESENT, seed="4")) is None
        assert len(archive.shelf.asked) == asked


def test_a_study_of_another_part_of_the_body_is_not_fetched(lookups: Lookups, tmp_path: Path) -> None:
    grid = axis_aligned_grid((0.0, 0.0, 0.0), (1, 8, 8), 2.0)
    spine = Volume(np.zeros(grid.shape, np.float32), grid)
    files = write_series(tmp_path / "spine", spine, study=EARLIER, attributes={"BodyPartExamined": "LSPINE"})
    with WebArchive(files) as archive:
        assert lookups.outcome(PRESENT, archive.destination) == "none"
    with pytest.raises(UnknownStudyError):
        lookups.store.token(EARLIER.uid)


def test_a_lookup_ends_after_so_many_tries_and_so_much_time(lookups: Lookups, tmp_path: Path) -> None:
    before = of_years(2018, 2019, 2020, 2021)
    with WebArchive([one for study in before for one in one_image(tmp_path / "archive", study)]) as archive:
        archive.change = lambda _body: b""
        assert lookups.outcome(PRESENT, archive.destination) == "peer.answer"
        assert len(archive.shelf.asked) == 1 + 2 * BOUNDS.studies
        at_once = replace(BOUNDS, lookup_s=0.0)
        assert lookups.outcome(replace(PRESENT, seed="2"), archive.destination, bounds=at_once) == "peer.timeout"


def test_a_study_that_is_here_in_part_is_fetched_again(lookups: Lookups, tmp_path: Path) -> None:
    files = [one for number in (1, 2) for one in one_image(tmp_path / "archive", EARLIER, number=number)]

    def first_alone(body: bytes) -> bytes:
        archive.change = lambda _body: b""
        return body

    with WebArchive(files) as archive:
        archive.change = first_alone
        assert lookups.outcome(PRESENT, archive.destination) == "peer.answer"
        token = lookups.store.token(EARLIER.uid)
        assert len(lookups.store.instances(token)) == 1
        archive.change = lambda body: body
        assert lookups.outcome(replace(PRESENT, seed="2"), archive.destination) == "unread"
    assert len(lookups.store.instances(token)) == len(files)


def test_a_study_is_not_read_while_it_is_being_fetched(lookups: Lookups, tmp_path: Path) -> None:
    """Its quiet time passes between two series; what is there is read once nobody fetches it any more."""
    house, store = lookups.house, lookups.store
    files = [one for number in (1, 2) for one in one_image(tmp_path / "archive", EARLIER, number=number)]
    reached, goes_on = Event(), Event()

    def second_breaks_off(body: bytes) -> bytes:
        archive.change = breaks_off
        return body

    def breaks_off(_body: bytes) -> bytes:
        reached.set()
        assert goes_on.wait(PATIENCE_S)
        return b""

    with WebArchive(files) as archive:
        archive.change = second_breaks_off
        with house.worker(store, lookup=lookups.lookup(archive.destination)) as worker:
            token = keep(store, one_image(house.folder, PRESENT))
            worker.submit(last(store, token))
            assert reached.wait(PATIENCE_S)
            house.clock.move(3600)
            other = keep(store, one_image(house.folder, replace(PRESENT, seed="other", patient_id="")))
            worker.submit(last(store, other))
            wait_until(lambda: last(store, other).state is State.FAILED)  # so it was looked what is complete
            early = store.token(EARLIER.uid)
            assert last(store, early).state is State.RECEIVING
            goes_on.set()
            wait_until(lambda: {last(store, one).state for one in (early, token)} == {State.FAILED})
    assert store.lookups.outcome(last(store, token).id) == "peer.answer"
    assert store.lookups.is_partial(EARLIER.uid)


@pytest.mark.parametrize(("originator", "is_ours"), [("US", True), ("VIEWER", False), (None, False)])
def test_what_an_archive_moves_late_is_not_sent_by_somebody(
    lookups: Lookups, tmp_path: Path, originator: str | None, is_ours: bool
) -> None:
    """Whoever asked for it is named with each image (PS3.7 section 9.1.1.1.6)."""
    store = lookups.store
    (file,) = one_image(tmp_path / "archive", EARLIER)
    present = last(store, keep(store, one_image(lookups.house.folder, PRESENT)))
    store.lookups.begin(present.id, EARLIER.uid)
    store.lookups.end(present.id, "peer.timeout")
    archive = AE("ARCHIVE")
    archive.add_requested_context(MRImageStorage, ExplicitVRLittleEndian)
    with DicomServer(ListenerConfig(port=0), store) as server:
        association = archive.associate("127.0.0.1", server.port, ae_title="US")
        answer = association.send_c_store(file, originator_aet=originator, originator_id=originator and 7)
        association.release()
    assert answer.Status == 0
    assert store.lookups.was_fetched(store.token(EARLIER.uid)) is is_ours


def test_a_study_that_is_here_and_cannot_be_read_is_no_try(lookups: Lookups, tmp_path: Path) -> None:
    before, first = of_years(2021, 2020)
    assert lookups.outcome(before) is None
    with WebArchive([one for study in (before, first) for one in one_image(tmp_path / "archive", study)]) as archive:
        once = replace(BOUNDS, studies=1)
        assert lookups.outcome(PRESENT, archive.destination, bounds=once) == "unread"
    assert lookups.store.lookups.was_fetched(lookups.store.token(first.uid))


def test_studies_that_come_the_newest_first_do_not_wait_for_each_other_in_vain(
    lookups: Lookups, tmp_path: Path
) -> None:
    house, store = lookups.house, lookups.store
    studies = of_years(*range(2020, 2020 - AT_ONCE - 2, -1))
    with WebArchive([one for study in studies for one in one_image(tmp_path / "archive", study)]) as archive:
        tokens = []
        for study in studies:
            house.clock.move(1.0)
            tokens.append(keep(store, one_image(house.folder, study)))
        lookup = lookups.lookup(archive.destination, bounds=replace(BOUNDS, begun_s=0.0))
        with house.worker(store, lookup=lookup) as worker:
            for token in tokens:
                worker.submit(last(store, token))
            wait_until(lambda: {last(store, token).state for token in tokens} == {State.FAILED})


def test_a_study_is_not_held_for_ever_and_its_report_says_so(lookups: Lookups, tmp_path: Path) -> None:
    house, store = lookups.house, lookups.store
    reached, goes_on = Event(), Event()

    def held_up(body: bytes) -> bytes:
        reached.set()
        assert goes_on.wait(PATIENCE_S)
        return body

    with WebArchive(one_image(tmp_path / "archive", EARLIER)) as archive:
        archive.change = held_up
        with house.worker(store, lookup=lookups.lookup(archive.destination)) as worker:
            token = keep(store, one_image(house.folder, PRESENT))
            worker.submit(last(store, token))
            assert reached.wait(PATIENCE_S)
            assert last(store, token).state is State.STABLE
            house.clock.move(LONGEST_HOLD.total_seconds())
            wait_until(lambda: last(store, token).state is State.FAILED)
            goes_on.set()
    assert store.lookups.outcome(last(store, token).id) == "late"
    assert with_lookup(None, "late").code == "prior-not-had"


@pytest.mark.parametrize("version", ["2", WORKFLOWS], ids=["of an older release", "taken and never begun"])
def test_a_lookup_that_lies_in_the_queue_holds_no_round(
    lookups: Lookups, tmp_path: Path, version: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The round was held for two hours."""
    monkeypatch.setattr("zweitblick.queue_place.SETTLE_S", 0.1)
    house, store = lookups.house, lookups.store
    with (
        WebArchive(one_image(tmp_path / "archive", replace(EARLIER, patient_id="OTHER"))) as archive,
        house.worker(store, lookup=lookups.lookup(archive.destination)) as worker,
    ):
        token = keep(store, one_image(house.folder, PRESENT))
        one = last(store, token)
        house.take_from_queue("look up", f"look-up-{one.id}-{version}", one.study, one.id, version=version)
        worker.submit(one)
        wait_until(lambda: last(store, token).state is State.FAILED)
    assert store.lookups.outcome(one.id) == "none"


class AwayAtFirst(Store):
    """Is away when the outcome of a lookup is noted first."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.lookups = _LookupsAwayAtFirst(self._rooms)


class _LookupsAwayAtFirst(kept_lookups.Lookups):
    is_away = True

    def end(self, round_id: str, outcome: str) -> None:
        if self.is_away:
            self.is_away = False
            raise StoreUnavailableError("the database is away")
        super().end(round_id, outcome)


def test_what_came_of_it_is_noted_once_the_store_is_there(
    tmp_path: Path, bundles: Bundles, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("zweitblick.store.absence.AWAY_S", 0.05)
    house = House(tmp_path, bundles)
    with house.store(AwayAtFirst) as store, WebArchive(one_image(tmp_path / "archive", PRESENT)) as archive:
        assert Lookups(house, store).outcome(PRESENT, archive.destination) == "none"


def test_a_lookup_is_noted_of_a_round_that_is_kept(lookups: Lookups) -> None:
    kept = lookups.store.lookups
    for note in (lambda: kept.begin("0" * 32, "1.2.3"), lambda: kept.end("0" * 32, "none")):
        with pytest.raises(UnknownRoundError):
            note()
    token = keep(lookups.store, one_image(lookups.house.folder, PRESENT))
    one = last(lookups.store, token)
    for uid in ("1.2.3", "1.2.4", "1.2.4"):
        kept.begin(one.id, uid)
    kept.complete(one.id, "1.2.4")
    assert [kept.is_partial(uid) for uid in ("1.2.3", "1.2.4", "1.2.5")] == [True, False, False]
    for outcome in ("none", "had"):
        kept.end(one.id, outcome)
    assert kept.outcome(one.id) == "none"
    lookups.store.shred(token)
    assert kept.outcome(one.id) is None


def test_the_reading_says_what_came_of_it() -> None:
    other = Notice("prior-other-patient", "…")
    assert with_lookup(None, None) is None
    assert with_lookup(None, "had") is None
    assert with_lookup(other, "none") == other
    assert with_lookup(None, "none") == Notice(
        "prior-none", "No earlier MR study of this patient was found in the archive."
    )
    told = with_lookup(None, "peer.timeout")
    assert isinstance(told, Notice)
    assert told.code == "prior-not-had"
    assert "peer.timeout" in told.text
