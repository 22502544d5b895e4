"""Which documents of a study's earlier rounds those of a round supersede."""

import io
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from kept_study import Clock, new_store, sent
from pdf_text import shown
from reading_house import last
from readings import STAMP, phantom_reading
from zweitblick.dicom.pdf import encapsulated_pdf
from zweitblick.dicom.predecessor import predecessor
from zweitblick.dicom.seg import segmentation
from zweitblick.dicom.sr import structured_report
from zweitblick.reading import Predecessor, Reading
from zweitblick.report.pdf import pdf
from zweitblick.store.life import Actor, Event, State
from zweitblick.store.results import ResultName
from zweitblick.store.rounds import Round
from zweitblick.store.store import Store
from zweitblick.worker.predecessors import predecessors, superseding

DICOM = "application/dicom"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    with new_store(tmp_path, Clock()) as store:
        yield store


@pytest.fixture(scope="module")
def reading(tmp_path_factory: pytest.TempPathFactory) -> Reading:
    return phantom_reading(tmp_path_factory.mktemp("source"))


@pytest.fixture(scope="module")
def written(reading: Reading) -> list[dict[str, bytes]]:
    """Documents of two readings of a study."""
    later = replace(reading, stamp=replace(STAMP, time=STAMP.time + timedelta(hours=1)))
    return [
        {"sr": structured_report(one, segmentation(one)), "encapsulated-pdf": encapsulated_pdf(one, b"%PDF-1.7")}
        for one in (reading, later)
    ]


def come(store: Store, file: Path) -> Round:
    """Keep an image, and have the round that it belongs to be read."""
    store.keep(sent(file))
    begun = last(store, store.token(sent(file).study_instance_uid))
    store.advance(begun.id, Event.COMPLETED, by=Actor.WORKER)
    store.work.advance(begun.id, Event.STARTED, turn=1)
    return last(store, begun.study)


def keep(store: Store, one: Round, documents: dict[str, bytes]) -> Round:
    """Keep what was made of a round, and return it as it is after that."""
    uids = {name: predecessor(content).sop_instance_uid for name, content in documents.items()}
    results = [(ResultName(one.id, name, DICOM, uids[name]), io.BytesIO(documents[name])) for name in documents]
    store.work.keep_reading(one.id, results, turn=1)
    return last(store, one.study)


def named(*documents: dict[str, bytes]) -> tuple[Predecessor, ...]:
    return tuple(predecessor(content) for one in documents for content in one.values())


def test_all_that_were_kept_before_are_superseded_and_nothing_later_changes_it(
    store: Store, quick_files: list[Path], written: list[dict[str, bytes]]
) -> None:
    first = come(store, quick_files[0])
    assert predecessors(store, first) == ()
    keep(store, first, written[0])
    assert predecessors(store, first) == ()
    second = come(store, quick_files[1])
    assert predecessors(store, second) == named(written[0])
    keep(store, second, written[1])
    third = come(store, quick_files[2])
    assert [one.state for one in store.rounds(first.study)] == [State.SUPERSEDED, State.SUPERSEDED, State.READING]
    assert predecessors(store, third) == named(written[1], written[0])
    assert predecessors(store, second) == named(written[0])


def test_a_round_that_was_not_read_is_passed_over(
    store: Store, quick_files: list[Path], written: list[dict[str, bytes]]
) -> None:
    keep(store, come(store, quick_files[0]), written[0])
    come(store, quick_files[1])  # it is being read when the next image comes
    failed = come(store, quick_files[2])
    store.work.give_up(failed.id, "study.missing-sequence", "neither T1c nor FLAIR", turn=1)
    assert predecessors(store, come(store, quick_files[3])) == named(written[0])


def test_a_round_that_failed_leaves_nothing_to_supersede(store: Store, quick_files: list[Path]) -> None:
    failed = come(store, quick_files[0])
    store.work.give_up(failed.id, "study.missing-sequence", "neither T1c nor FLAIR", turn=1)
    assert predecessors(store, come(store, quick_files[1])) == ()


def test_what_could_not_be_delivered_is_superseded(
    store: Store, quick_files: list[Path], written: list[dict[str, bytes]]
) -> None:
    refused = keep(store, come(store, quick_files[0]), written[0])
    store.advance(refused.id, Event.SEALED, by=Actor.WORKER)
    store.work.give_up(refused.id, "peers.refused", "the archive refuses it", turn=1)
    assert predecessors(store, come(store, quick_files[1])) == named(written[0])


def test_a_study_that_was_shredded_begins_anew(
    store: Store, quick_files: list[Path], written: list[dict[str, bytes]]
) -> None:
    shredded = keep(store, come(store, quick_files[0]), written[0])
    store.shred(shredded.study)
    assert predecessors(store, come(store, quick_files[0])) == ()


def test_a_document_that_is_damaged_is_not_named(
    store: Store, tmp_path: Path, quick_files: list[Path], written: list[dict[str, bytes]]
) -> None:
    first = come(store, quick_files[0])
    before = set(tmp_path.rglob("objects/??/*"))
    keep(store, first, {"sr": written[0]["sr"]})
    (report,) = set(tmp_path.rglob("objects/??/*")) - before
    report.write_bytes(report.read_bytes()[:-1])
    keep(store, come(store, quick_files[1]), written[1])
    assert predecessors(store, come(store, quick_files[2])) == named(written[1])


def test_people_are_told_first_which_report_is_replaced(reading: Reading, written: list[dict[str, bytes]]) -> None:
    assert superseding(reading, ()) is reading
    later = superseding(reading, named(written[1], written[0]))
    assert later.predecessors == named(written[1], written[0])
    assert [one.code for one in later.notices] == ["supersedes", *(one.code for one in reading.notices)]
    assert "This report replaces that of 2026-11-20 15:30 UTC." in shown(pdf(later))
    assert "replaces" not in " ".join(shown(pdf(reading)))
