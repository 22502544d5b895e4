"""Only what may be MR is opened, and how urgent a study is follows from images and senders."""

from dataclasses import replace
from pathlib import Path

import pydicom
import pytest
from pydicom.uid import (
    CTImageStorage,
    EncapsulatedPDFStorage,
    EnhancedMRImageStorage,
    MRImageStorage,
    SecondaryCaptureImageStorage,
    SegmentationStorage,
)

from kept_study import Clock, new_store, sent
from reading_house import keep_renamed, last, received
from zweitblick.errors import SealBrokenError
from zweitblick.store.store import Store
from zweitblick.study import Priority
from zweitblick.vault.envelope import SEGMENT_BYTES
from zweitblick.worker.faults import Fault
from zweitblick.worker.inputs import conflict_notices, inputs
from zweitblick.worker.priority import priority, rank

PHILIPS_PRIVATE = "1.3.46.670589.11.0.0.12.1"
OTHERS = [CTImageStorage, SecondaryCaptureImageStorage, SegmentationStorage, EncapsulatedPDFStorage]
SENDERS = {"EMERGENCY": Priority.HIGH, "RESEARCH": Priority.LOW}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    with new_store(tmp_path, Clock()) as store:
        yield store


def test_what_is_not_mr_and_our_own_results_stay_closed(store: Store, quick_files: list[Path]) -> None:
    image = sent(quick_files[0])
    for number, sop_class in enumerate([*OTHERS, MRImageStorage, EnhancedMRImageStorage, PHILIPS_PRIVATE]):
        store.keep(replace(image, sop_class_uid=sop_class, sop_instance_uid=f"1.2.3.{number}"))
    opened = inputs(store, store.token(image.study_instance_uid), 1)
    assert [one.sop_class_uid for one in opened] == [MRImageStorage, EnhancedMRImageStorage, PHILIPS_PRIVATE]


def test_later_rounds_and_conflicts_stay_closed(store: Store, quick_files: list[Path]) -> None:
    image = sent(quick_files[0])
    store.keep(image)
    store.keep(replace(image, data=image.data + bytes(2)))
    assert len(inputs(store, store.token(image.study_instance_uid), 1)) == 1
    assert inputs(store, store.token(image.study_instance_uid), 0) == []


def test_a_notice_says_how_many_images_were_kept_apart(store: Store, quick_files: list[Path]) -> None:
    image, other = sent(quick_files[0]), sent(quick_files[1])
    report = replace(image, sop_class_uid=EncapsulatedPDFStorage, sop_instance_uid="1.2.3")
    for each in (image, other, report):
        store.keep(each)
    token = store.token(image.study_instance_uid)
    assert conflict_notices(store, token, 1) == ()
    store.keep(replace(report, data=report.data + bytes(2)))
    assert conflict_notices(store, token, 1) == (), "no image was kept apart"
    for each in (image, image, other):
        store.keep(replace(each, data=each.data + bytes(2)))
    store.keep(replace(image, data=image.data + bytes(4)))
    (notice,) = conflict_notices(store, token, 1)
    assert notice.code == "conflicting-images"
    assert notice.text.endswith(": 3.")
    assert conflict_notices(store, token, 0) == ()


@pytest.mark.parametrize(
    ("header", "sender", "expected"),
    [
        (None, "SCANNER", "routine"),
        ("STAT", "SCANNER", "stat"),
        ("HIGH ", "SCANNER", "high"),
        ("URGENT", "SCANNER", "routine"),
        ("LOW", "SCANNER", "low"),
        (None, "EMERGENCY", "high"),
        (None, "RESEARCH", "low"),
        ("STAT", "RESEARCH", "stat"),
        ("ROUTINE", "EMERGENCY", "high"),
        ("ROUTINE", "RESEARCH", "routine"),
    ],
)
def test_the_more_urgent_of_header_and_sender_counts(
    store: Store, quick_files: list[Path], header: str | None, sender: str, expected: str
) -> None:
    said = {} if header is None else {"RequestedProcedurePriority": header}
    token = keep_renamed(store, quick_files[:2], "1", calling_ae_title=sender, **said)
    assert priority(store, last(store, token), SENDERS) == expected


def test_a_study_whose_images_are_damaged_is_routine(store: Store, quick_files: list[Path]) -> None:
    image = sent(quick_files[0])
    store.keep(replace(image, data=b"no data set"))
    assert priority(store, last(store, store.token(image.study_instance_uid)), SENDERS) is Priority.ROUTINE


def test_of_an_image_no_more_than_its_head_is_opened(tmp_path: Path, store: Store, quick_files: list[Path]) -> None:
    """The sealed bytes are damaged in the middle, where a reader of the whole would stumble."""
    data = pydicom.dcmread(quick_files[0])
    data.RequestedProcedurePriority, data.PixelData = "STAT", bytes(6 * SEGMENT_BYTES)
    image = received(data)
    store.keep(image)
    (pack,) = (path for path in tmp_path.rglob("objects/??/*") if path.is_file())
    with pack.open("r+b") as file:
        file.seek(3 * SEGMENT_BYTES)
        file.write(b"damage")
    token = store.token(image.study_instance_uid)
    assert priority(store, last(store, token), SENDERS) is Priority.STAT
    with pytest.raises(SealBrokenError), store.open(store.instances(token)[0].id) as opened:
        opened.read()


def test_the_most_urgent_has_the_lowest_rank() -> None:
    assert [rank(Priority(one)) for one in ("stat", "high", "routine", "medium", "low")] == [1, 2, 3, 4, 5]


def test_an_error_that_is_not_ours_tells_its_type_alone() -> None:
    told = Fault.of(ValueError("Kowalczyk^Wilhelmine"))
    assert (told.code, told.may_pass) == ("internal", False)
    assert "Kowalczyk" not in told.message
    assert Fault.of(OSError(24, "too many open files")).may_pass
