"""Whatever a work item says, it is refused or kept, and those behind it are performed."""

import json
from collections.abc import Iterator
from contextlib import closing
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.datadict import dictionary_VR, tag_for_keyword

from kept_study import Clock, new_store
from web.web_house import PROBLEM, WebHouse
from worklist.work import STUDY_UID, UID, new_item, received
from zweitblick.peers.destination import StoreDestination, StowDestination
from zweitblick.worklist import Inputs, Notices, Performer, Worklist

# pydicom warns of values that do not fit their VR; the service has warnings off
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

ITEMS = "/dicom-web/workitems"
STUDY = "1.2.276.0.4711"
INPUT = f"{STUDY}.1.1"
PLACES = (
    StoreDestination("PACS", "pacs.example", 104, "ARCHIVE"),
    StowDestination("WEB", "https://pacs.example/dicom-web/"),
)


class Office(WebHouse):
    """A served worklist with a performer."""

    def __init__(self, folder: Path) -> None:
        clock = Clock()
        self._numbers = count(1)
        super().__init__(new_store(folder, clock), clock)
        worklist = Worklist(self.store.workitems, Notices(), clock, self.book)
        inputs = Inputs(self.store, PLACES)
        self.store.keep(received(INPUT, study_uid=STUDY))
        self.performer = Performer(worklist, self.store, lambda _: None, clock=clock, inputs=inputs)
        self.performer.close()  # so that it looks at work items when it is told to, and not by itself

    def close(self) -> None:
        super().close()
        self.store.close()

    def create(self, item: object, uid: str = UID) -> Any:
        return self.client.post(f"{ITEMS}?{uid}", content=json.dumps(item))

    def state(self, uid: str) -> str:
        return self.client.get(f"{ITEMS}/{uid}").json()[0]["00741000"]["Value"][0]

    def performs_the_next(self) -> bool:
        """Make another work item, whose input is there, and tell whether it is claimed."""
        self.clock.move(1)
        uid = self.new_uid()
        assert self.create(new_item(INPUT, study_uid=STUDY).to_json_dict(), uid).status_code == 201
        self.performer._look()
        return self.state(uid) == "IN PROGRESS"

    def new_uid(self) -> str:
        return f"2.25.8{next(self._numbers)}"


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    with closing(Office(tmp_path_factory.mktemp("office"))) as made:
        yield made


def tag_of(keyword: str) -> str:
    return f"{tag_for_keyword(keyword):08X}"


def element(vr: str, *values: object) -> dict[str, object]:
    return {"vr": vr, "Value": list(values)}


def changed(path: list[str], to: object) -> dict[str, Any]:
    """A work item with its input in an archive, and another element at one place."""
    model: dict[str, Any] = new_item("1.2.3").to_json_dict()
    source = model[tag_of("InputInformationSequence")]["Value"][0]
    dimse, web = {tag_of("RetrieveAETitle"): element("AE", "OTHER")}, {tag_of("RetrieveURL"): element("UR", "x:/")}
    source[tag_of("DICOMRetrievalSequence")] = element("SQ", dimse)
    source[tag_of("WADORSRetrievalSequence")] = element("SQ", web)
    place = model
    *above, last = path
    for keyword in above:
        place = place[tag_of(keyword)]["Value"][0]
    place[tag_of(last)] = to
    return model


READ = [
    ["ScheduledWorkitemCodeSequence"],
    ["ScheduledWorkitemCodeSequence", "CodeValue"],
    ["InputInformationSequence"],
    ["InputInformationSequence", "StudyInstanceUID"],
    ["InputInformationSequence", "SeriesInstanceUID"],
    ["InputInformationSequence", "ReferencedSOPSequence"],
    ["InputInformationSequence", "ReferencedSOPSequence", "ReferencedSOPInstanceUID"],
    ["InputInformationSequence", "DICOMRetrievalSequence"],
    ["InputInformationSequence", "DICOMRetrievalSequence", "RetrieveAETitle"],
    ["InputInformationSequence", "WADORSRetrievalSequence"],
    ["InputInformationSequence", "WADORSRetrievalSequence", "RetrieveURL"],
    ["PatientID"],
    ["PatientName"],
    ["ProcedureStepState"],
]
"""What the service reads of a work item."""


@pytest.mark.parametrize("path", READ, ids=".".join)
def test_an_attribute_with_a_vr_that_the_dictionary_does_not_give_it_is_refused_by_its_tag(
    office: Office, path: list[str]
) -> None:
    right = dictionary_VR(tag_for_keyword(path[-1]))
    wrong = element("SQ", {}) if right != "SQ" else element("LO", "x")
    answer = office.create(changed(path, wrong))
    tag = tag_of(path[-1])
    assert (answer.status_code, answer.headers["content-type"]) == (400, PROBLEM)
    assert f"({tag[:4]},{tag[4:]}) must have the VR {right}" in answer.json()["detail"]
    assert office.client.get(f"{ITEMS}/{UID}").status_code == 404


@pytest.mark.parametrize(
    ("tag", "given"),
    [
        ("00080054", element("AE", 5)),
        ("00404018", element("SQ", "x")),
        ("00404018", {"vr": "SQ", "Value": {}}),
        ("00100010", element("PN", "Kowalczyk")),
        ("00100020", element("LO", True)),
        ("00100020", {"vr": "LO", "InlineBinary": "eA=="}),
        ("00100020", element("LO", "\ud800")),
        ("00404018", {"vr": "SQ", "BulkDataURI": "http://127.0.0.1/"}),
        ("00186026", element("FD", float("nan"))),
    ],
)
def test_a_value_that_is_none_of_its_vr_is_refused_and_not_told(office: Office, tag: str, given: object) -> None:
    answer = office.create({**new_item().to_json_dict(), tag: given})
    assert answer.status_code == 400
    assert "Kowalczyk" not in answer.text


@pytest.mark.parametrize(
    ("tag", "given"),
    [
        ("00280106", element("US", 1)),
        ("00280106", element("SS", -1)),
        ("00091001", element("SQ", {})),
        ("00090010", element("LO", "ACME")),
        ("00404018", {"vr": "SQ"}),
        ("00404018", element("SQ", None)),
        ("00100020", element("LO", None)),
    ],
)
def test_what_the_dictionary_leaves_open_is_taken(office: Office, tag: str, given: object) -> None:
    assert office.create({**new_item().to_json_dict(), tag: given}, office.new_uid()).status_code == 201


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=4)
    | st.sampled_from(["1.2.3", STUDY_UID]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["Alphabetic", "00080100"]), inner),
    max_leaves=4,
)
VRS = ["SQ", "LO", "UI", "AE", "UN", "PN", "CS", "UR", "US", "IS", "DS", "AT", "OB", "XX", "", None]
ELEMENTS = st.fixed_dictionaries(
    {"vr": st.sampled_from(VRS)},
    optional={"Value": st.lists(VALUES, max_size=3) | VALUES, "InlineBinary": VALUES, "BulkDataURI": VALUES},
)


@given(st.sampled_from(READ), ELEMENTS | VALUES)
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_work_item_is_refused_or_leaves_the_performer_working(office: Office, path: list[str], given: object) -> None:
    if isinstance(given, dict) and given.get("vr") == "XX":
        given = {**given, "vr": dictionary_VR(tag_for_keyword(path[-1]))}  # the right one, with any value
    uid = office.new_uid()
    created = office.create(changed(path, given), uid).status_code
    assert created == 201 or 400 <= created < 500
    assert office.client.get(f"{ITEMS}/{uid}").status_code == (200 if created == 201 else 404)
    assert office.performs_the_next()
