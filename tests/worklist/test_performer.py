"""The performer claims what asks for a second read once its input is there, and ends it as the reading ended."""

import io
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom import Dataset
from pydicom.datadict import tag_for_keyword
from pydicom.sr import codes
from pydicom.sr.coding import Code
from pydicom.uid import ExplicitVRLittleEndian

from audit.book import study_of
from dicom_writer import StudyHeader, write_series
from kept_study import wait_until
from retrieval.archives import WebArchive
from worklist.work import STUDY_UID, UID, Office, code, new_item, office, received
from zweitblick.errors import TransactionError
from zweitblick.peers.destination import Destination, StoreDestination, StowDestination
from zweitblick.store.life import Actor, Event, State
from zweitblick.store.results import ResultName
from zweitblick.store.rounds import Round
from zweitblick.volume import Volume, axis_aligned_grid
from zweitblick.worklist import Inputs, Performer
from zweitblick.worklist.inputs import has_input

OTHER_UID = "1.2.276.0.4713"
INSTANCES = (f"{STUDY_UID}.1.1", f"{STUDY_UID}.1.2")


class Room(Office):
    """An office with a reader who has done nothing yet."""

    def receive(self, uid: str, *, study_uid: str = STUDY_UID) -> None:
        self.store.keep(received(uid, study_uid=study_uid))

    def submit(self, complete: Round) -> None:
        self.store.advance(complete.id, Event.COMPLETED, by=Actor.WORKER)

    def happen(self, *events: Event) -> None:
        for event in events:
            self.store.advance(self.last().id, event, by=Actor.WORKER)

    def last(self) -> Round:
        return self.store.rounds(self.store.token(STUDY_UID))[-1]

    def performing(self, *places: Destination) -> Performer:
        inputs = Inputs(self.store, places)
        return Performer(self.worklist, self.store, self.submit, clock=self.clock, inputs=inputs)

    def reaches(self, state: str) -> Dataset:
        wait_until(lambda: self.worklist.item(UID).ProcedureStepState == state)
        return self.worklist.item(UID)


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    with office(tmp_path) as made:
        yield Room(made.store, made.clock)


def segmentation() -> bytes:
    made = Dataset()
    made.SOPClassUID, made.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.66.4", "2.25.99"
    made.SeriesInstanceUID = "2.25.98"
    buffer = io.BytesIO()
    made.ensure_file_meta()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def test_it_claims_once_all_input_is_there_and_completes_with_what_was_made(room: Room) -> None:
    room.worklist.create(new_item(*INSTANCES), uid=UID)
    room.receive(INSTANCES[0])
    with room.performing():
        room.receive(INSTANCES[1])
        room.reaches("IN PROGRESS")
        wait_until(lambda: room.last().state is State.STABLE)
        with pytest.raises(TransactionError):
            room.worklist.change_state(UID, "COMPLETED", transaction_uid="1.2.3")
        room.store.keep_result(
            ResultName(room.last().id, "seg", "application/dicom", "2.25.99"), io.BytesIO(segmentation())
        )
        room.happen(Event.STARTED, Event.READ)
        done = room.reaches("COMPLETED")
    performed = done.UnifiedProcedureStepPerformedProcedureSequence[0]
    [output] = performed.OutputInformationSequence
    assert (output.StudyInstanceUID, output.SeriesInstanceUID) == (STUDY_UID, "2.25.98")
    assert output.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == "2.25.99"
    assert done.ProcedureStepProgressInformationSequence[0].ProcedureStepProgress == 100


def test_it_waits_for_input_that_is_missing(room: Room) -> None:
    room.worklist.create(new_item(*INSTANCES), uid=UID)
    room.receive(INSTANCES[0])
    with room.performing() as performer:
        performer._look()
        assert room.worklist.item(UID).ProcedureStepState == "SCHEDULED"
        assert room.last().state is State.RECEIVING


@pytest.mark.parametrize("is_read", [True, False], ids=["after the reading has begun", "before"])
def test_images_that_the_input_does_not_name_wait_for_their_quiet_time(room: Room, is_read: bool) -> None:
    """A look of the performer ended the reception of each of them, so that a study was read in parts."""
    room.worklist.create(new_item(*INSTANCES), uid=UID)
    for uid in INSTANCES:
        room.receive(uid)
    with room.performing():
        wait_until(lambda: room.last().state is State.STABLE)
    if is_read:
        room.happen(Event.STARTED)
    room.receive(f"{STUDY_UID}.2.1")
    later = room.last()
    assert (later.number, later.state) == (2 if is_read else 1, State.RECEIVING)
    with room.performing() as performer:
        performer._look()
        assert room.last() == later
        room.happen(Event.COMPLETED, Event.STARTED, Event.READ)
        room.reaches("COMPLETED")


def test_a_list_of_what_was_read_before_says_nothing_of_images_that_are_coming(room: Room) -> None:
    for uid in INSTANCES:
        room.receive(uid)
    room.happen(Event.COMPLETED, Event.STARTED, Event.READ)
    room.receive(f"{STUDY_UID}.2.1")
    room.worklist.create(new_item(*INSTANCES), uid=UID)
    with room.performing() as performer:
        room.reaches("IN PROGRESS")
        performer._look()
        assert (room.last().number, room.last().state) == (2, State.RECEIVING)


def test_a_study_that_was_fetched_to_compare_another_with_it_is_read_again_where_it_is_ordered(room: Room) -> None:
    room.receive(INSTANCES[0])
    first = room.last()
    room.happen(Event.COMPLETED, Event.STARTED, Event.READ, Event.SEALED, Event.REVIEW_ASKED)
    room.store.lookups.begin(first.id, STUDY_UID)
    room.worklist.create(new_item(INSTANCES[0]), uid=UID)
    with room.performing():
        room.reaches("IN PROGRESS")
        again = room.last()
        assert (again.supersedes, again.state) == (first.id, State.STABLE)
        assert not room.store.lookups.was_fetched(first.study)
        room.happen(Event.STARTED, Event.READ)
        room.reaches("COMPLETED")


def test_a_round_is_submitted_that_was_not_when_it_was_claimed(room: Room) -> None:
    """The service ended in between."""
    room.worklist.create(new_item(*INSTANCES), uid=UID)
    for uid in INSTANCES:
        room.receive(uid)
    submit, room.submit = room.submit, lambda _complete: None  # type: ignore[method-assign]  # of this room
    with room.performing():
        room.reaches("IN PROGRESS")
    assert room.last().state is State.RECEIVING
    room.submit = submit  # type: ignore[method-assign]  # as it was
    with room.performing():
        wait_until(lambda: room.last().state is State.STABLE)


def test_a_study_without_a_list_of_instances_is_claimed_when_it_is_complete(room: Room) -> None:
    room.worklist.create(new_item(), uid=UID)
    room.receive(INSTANCES[0])
    with room.performing() as performer:
        performer._look()
        assert room.worklist.item(UID).ProcedureStepState == "SCHEDULED"
        room.happen(Event.COMPLETED)
        room.reaches("IN PROGRESS")


def test_what_it_does_is_on_record_and_waits_for_the_record(room: Room) -> None:
    room.worklist.create(new_item(INSTANCES[0]), uid=UID)
    room.receive(INSTANCES[0])
    room.book.is_away = True
    with room.performing():
        wait_until(lambda: room.book.refusals > 0)
        assert room.worklist.item(UID).ProcedureStepState == "SCHEDULED"
        room.book.is_away = False
        room.reaches("IN PROGRESS")
    claim = room.book.events[1]
    assert (claim.id.meaning, claim.action, study_of(claim)) == ("Procedure Record", "U", STUDY_UID)
    (process,) = claim.participants
    assert (process.user_id, process.is_requestor) == ("4242", True)


def test_a_study_that_cannot_be_read_ends_the_work_item(room: Room) -> None:
    room.worklist.create(new_item(INSTANCES[0]), uid=UID)
    room.receive(INSTANCES[0])
    with room.performing():
        wait_until(lambda: room.last().state is State.STABLE)
        room.happen(Event.STARTED, Event.GAVE_UP)
        [progress] = room.reaches("CANCELED").ProcedureStepProgressInformationSequence
    assert "not read" in progress.ReasonForCancellation
    assert progress.ProcedureStepCancellationDateTime == "20261127080000.000000+0000"
    [why] = progress.ProcedureStepDiscontinuationReasonCodeSequence
    assert Code(why.CodeValue, why.CodingSchemeDesignator, why.CodeMeaning) in codes.cid9300.concepts.values()
    assert progress.ProcedureStepProgress == 0


def test_results_that_no_destination_takes_complete_the_work_item(room: Room) -> None:
    """It fails after it was read, while no performer looks."""
    room.worklist.create(new_item(INSTANCES[0]), uid=UID)
    room.receive(INSTANCES[0])
    with room.performing():
        wait_until(lambda: room.last().state is State.STABLE)
    room.store.keep_result(
        ResultName(room.last().id, "seg", "application/dicom", "2.25.99"), io.BytesIO(segmentation())
    )
    room.happen(Event.STARTED, Event.READ, Event.SEALED, Event.DELIVERY_STARTED, Event.GAVE_UP)
    assert room.last().state is State.FAILED
    with room.performing():
        done = room.reaches("COMPLETED")
    [performed] = done.UnifiedProcedureStepPerformedProcedureSequence
    assert performed.OutputInformationSequence[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID == "2.25.99"


def test_a_claim_outlives_the_performer(room: Room) -> None:
    room.worklist.create(new_item(INSTANCES[0]), uid=UID)
    room.receive(INSTANCES[0])
    with room.performing():
        wait_until(lambda: room.last().state is State.STABLE)
    room.happen(Event.STARTED, Event.READ)
    with room.performing():
        room.reaches("COMPLETED")


def test_what_asks_for_something_else_is_left_to_others(room: Room) -> None:
    item = new_item(INSTANCES[0])
    item.ScheduledWorkitemCodeSequence = [code("lung-nodules", "99OTHER")]
    room.worklist.create(item, uid=UID)
    room.receive(INSTANCES[0])
    with room.performing() as performer:
        performer._look()
        assert room.worklist.item(UID).ProcedureStepState == "SCHEDULED"
    assert room.worklist.change_state(UID, "IN PROGRESS", transaction_uid="1.2.3")


@pytest.mark.parametrize("keyword", ["ScheduledWorkitemCodeSequence", "InputInformationSequence"])
def test_one_that_was_kept_malformed_does_not_hold_up_those_behind_it(room: Room, keyword: str) -> None:
    content = new_item().to_json_dict()
    content[f"{tag_for_keyword(keyword):08X}"] = {"vr": "LO", "Value": ["x"]}
    room.store.workitems.add(uid="2.25.2", study_uid=OTHER_UID, state="SCHEDULED", content=json.dumps(content))
    room.clock.move(1)
    room.worklist.create(new_item(INSTANCES[0]), uid=UID)
    room.receive(INSTANCES[0])
    with room.performing() as performer:
        performer._look()
        assert room.worklist.item(UID).ProcedureStepState == "IN PROGRESS"


def retrievable(study_uid: str, *, url: str = "", ae_title: str = "") -> Dataset:
    """A work item of a study, and where its input can be retrieved (PS3.3 table 10-3b)."""
    item = new_item()
    [source] = item.InputInformationSequence
    del source.SeriesInstanceUID, source.ReferencedSOPSequence
    source.StudyInstanceUID = study_uid
    way = Dataset()
    if url:
        way.RetrieveURL = url
        source.WADORSRetrievalSequence = [way]
    else:
        way.RetrieveAETitle = ae_title
        source.DICOMRetrievalSequence = [way]
    return item


def test_input_that_an_archive_of_the_settings_has_is_fetched(room: Room, tmp_path: Path) -> None:
    grid = axis_aligned_grid((0.0, 0.0, 0.0), (3, 8, 8), 2.0)
    head, study = Volume(np.zeros(grid.shape, np.float32), grid), StudyHeader()
    files = write_series(tmp_path / "archive", head, study=study)
    with WebArchive(files) as archive:
        url = f"{archive.destination.url}/studies/{study.uid}"
        room.worklist.create(retrievable(study.uid, url=url), uid=UID)
        with room.performing(archive.destination) as performer:
            wait_until(lambda: len(room.store.instances(room.store.token(study.uid))) == 3)
            token = room.store.token(study.uid)
            room.store.advance(room.store.rounds(token)[-1].id, Event.COMPLETED, by=Actor.WORKER)
            room.reaches("IN PROGRESS")
            wait_until(lambda: not performer._inputs._waits)
    kept = {one.sop_instance_uid for one in room.store.instances(token)}
    assert kept == {pydicom.dcmread(path).SOPInstanceUID for path in files}


def test_what_an_archive_does_not_have_is_fetched_less_and_less_often(room: Room, tmp_path: Path) -> None:
    """A work item names more than there is; what failed is tried every minute, and forgotten with its work item."""
    grid, study, now = axis_aligned_grid((0.0, 0.0, 0.0), (1, 8, 8), 2.0), StudyHeader(), [0.0]
    files = write_series(tmp_path / "archive", Volume(np.zeros(grid.shape, np.float32), grid), study=study)
    with WebArchive(files) as archive:
        item = retrievable(study.uid, url=f"{archive.destination.url}/studies/{study.uid}")
        room.worklist.create(item, uid=UID)
        [kept] = room.store.workitems.items("SCHEDULED")
        inputs = Inputs(room.store, [archive.destination], now_s=lambda: now[0])

        def asked_in(minutes: int) -> int:
            before = len(archive.shelf.asked)
            for _ in range(minutes):
                inputs.fetch(kept, item)
                wait_until(lambda: inputs._waits[kept.id].until_s < float("inf"))
                now[0] += 60.0
            return len(archive.shelf.asked) - before

        archive.manner = "refusing"
        assert asked_in(3) == 3  # for the series each time, and nothing more
        archive.manner = "polite"
        assert asked_in(64) == 2 * 7  # series and images at minutes 0, 1, 3, 7, 15, 31, 63
        assert asked_in(12 * 60) <= 2 * 5
        inputs.keep_to({kept.id})
        assert asked_in(1) == 0
        inputs.keep_to(())
        assert asked_in(1) == 2
        inputs.close()


WEB = StowDestination("PACS", "https://pacs.example/dicom-web/")
DIMSE = StoreDestination("PACS", "pacs.example", 104, "ARCHIVE")
ROOT = "https://pacs.example/dicom-web/studies"


@pytest.mark.parametrize(
    ("place", "said", "is_there"),
    [
        (WEB, {"url": f"{ROOT}/{STUDY_UID}"}, True),
        (WEB, {"url": f"{ROOT}/{STUDY_UID}/series/1.2"}, True),
        (WEB, {"url": f"{ROOT}/{STUDY_UID}0"}, False),
        (WEB, {"url": f"{ROOT}/1.2.3"}, False),
        (WEB, {"url": f"http://pacs.example/dicom-web/studies/{STUDY_UID}"}, False),
        (WEB, {"url": f"https://pacs.example@169.254.169.254/dicom-web/studies/{STUDY_UID}"}, False),
        (WEB, {"url": f"https://169.254.169.254/studies/{STUDY_UID}"}, False),
        (WEB, {"ae_title": "ARCHIVE"}, False),
        (DIMSE, {"ae_title": "ARCHIVE"}, True),
        (DIMSE, {"ae_title": "OTHER"}, False),
        (DIMSE, {"url": f"{ROOT}/{STUDY_UID}"}, False),
    ],
)
def test_input_is_fetched_from_archives_of_the_settings_alone(
    place: Destination, said: dict[str, str], is_there: bool
) -> None:
    assert has_input(place, retrievable(STUDY_UID, **said)) is is_there


def test_what_lies_elsewhere_is_waited_for(room: Room, tmp_path: Path) -> None:
    with WebArchive([]) as named, WebArchive([]) as ours:
        room.worklist.create(retrievable(STUDY_UID, url=f"{named.destination.url}/studies/{STUDY_UID}"), uid=UID)
        with room.performing(ours.destination):
            # a later work item that is performed shows that the first was looked at
            room.receive(f"{OTHER_UID}.1.1", study_uid=OTHER_UID)
            room.worklist.create(new_item(f"{OTHER_UID}.1.1", study_uid=OTHER_UID), uid="2.25.2")
            wait_until(lambda: room.worklist.item("2.25.2").ProcedureStepState == "IN PROGRESS")
        assert named.shelf.asked == ours.shelf.asked == []
    assert room.worklist.item(UID).ProcedureStepState == "SCHEDULED"
