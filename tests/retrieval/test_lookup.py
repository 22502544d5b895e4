"""Whatever comes of looking for an earlier study, a round is read; `interop.test_priors` has one that is compared."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dicom_writer import StudyHeader, write_series
from kept_study import wait_until
from reading_house import House, keep, last
from retrieval.archives import DimseArchive, WebArchive
from zweitblick.dimse import DicomServer, ListenerConfig
from zweitblick.errors import UnknownRoundError, UnknownStudyError
from zweitblick.model.bundle import Bundles
from zweitblick.peers.destination import Destination
from zweitblick.priors import with_lookup
from zweitblick.reading import Notice
from zweitblick.retrieval.lookup import PriorLookup
from zweitblick.store.life import State
from zweitblick.store.store import Store
from zweitblick.volume import Volume, axis_aligned_grid

EARLIER = StudyHeader(seed="earlier", date="20210304")
PRESENT = StudyHeader(date="20220304")


def one_image(folder: Path, study: StudyHeader) -> list[Path]:
    """Write a study that is no volume, so that its reading fails at once."""
    grid = axis_aligned_grid((0.0, 0.0, 0.0), (1, 8, 8), 2.0)
    return write_series(folder / study.seed, Volume(np.zeros(grid.shape, np.float32), grid), study=study)


class Lookups:
    """A house whose studies cannot be read, and what came of the lookups for them."""

    def __init__(self, house: House, store: Store) -> None:
        self.house, self.store = house, store

    def outcome(self, study: StudyHeader, *places: Destination) -> str | None:
        lookup = PriorLookup(self.store, places, clock=self.house.clock, audit=self.house.book)
        with self.house.worker(self.store, lookup=lookup) as worker:
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


def test_a_lookup_is_noted_of_a_round_that_is_kept(lookups: Lookups) -> None:
    kept = lookups.store.lookups
    for note in (lambda: kept.begin("0" * 32, "1.2.3"), lambda: kept.end("0" * 32, "none")):
        with pytest.raises(UnknownRoundError):
            note()
    token = keep(lookups.store, one_image(lookups.house.folder, PRESENT))
    one = last(lookups.store, token)
    kept.begin(one.id, "1.2.3")
    assert kept.is_under_way(one.id, "1.2.3")
    assert not kept.is_under_way(one.id, "1.2.4")
    kept.begin(one.id, "1.2.4")
    kept.begin(one.id, "1.2.4")
    kept.end(one.id, "none")
    assert kept.outcome(one.id) == "none"
    assert not kept.is_under_way(one.id, "1.2.4")
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
