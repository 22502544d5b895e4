"""New work items are checked attribute by attribute, and bodies that are no DICOM JSON are refused."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import Dataset

from worklist.work import new_item, performed
from zweitblick.errors import WorkitemContentError
from zweitblick.worklist.body import parsed
from zweitblick.worklist.content import check_change, check_completed, check_new, input_uids, study_uid, written

# pydicom warns of values that do not fit their VR; the service has warnings off
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["vr", "Value", "00100010", "x"]), inner)
    ),
    max_leaves=12,
)


def test_what_is_written_is_what_was_parsed() -> None:
    item = new_item("1.2.3")
    assert parsed(json.dumps([item.to_json_dict()]).encode()) == item
    assert parsed(item.to_json().encode()) == item


def test_the_transaction_uid_is_told_to_nobody() -> None:
    item = new_item()
    item.TransactionUID = "1.2.3"
    assert "1.2.3" not in json.dumps(written(item))


@given(JSON)
def test_a_body_is_a_data_set_or_refused(body: object) -> None:
    try:
        dataset = parsed(json.dumps(body).encode())
    except WorkitemContentError:
        return
    assert isinstance(dataset, Dataset)


@given(st.binary(max_size=64))
def test_bytes_that_are_no_json_are_refused(body: bytes) -> None:
    try:
        json.loads(body)
    except ValueError:
        with pytest.raises(WorkitemContentError):
            parsed(body)


def test_a_complete_new_item_passes() -> None:
    check_new(new_item())


@pytest.mark.parametrize(
    ("keyword", "value"),
    [
        ("ProcedureStepState", "IN PROGRESS"),
        ("ProcedureStepState", ""),
        ("ScheduledProcedureStepPriority", "STAT"),
        ("InputReadinessState", ""),
        ("ProcedureStepLabel", ""),
        ("ScheduledProcedureStepStartDateTime", ""),
        ("TransactionUID", "1.2.3"),
    ],
)
def test_a_new_item_that_breaks_a_rule_is_refused_by_its_keyword(keyword: str, value: str) -> None:
    item = new_item()
    setattr(item, keyword, value)
    with pytest.raises(WorkitemContentError, match=keyword):
        check_new(item)


@pytest.mark.parametrize("keyword", ["ProcedureStepState", "PatientID", "StudyInstanceUID", "SOPInstanceUID"])
def test_what_must_stay_is_not_set(keyword: str) -> None:
    change = Dataset()
    setattr(change, keyword, "1.2.3")
    with pytest.raises(WorkitemContentError, match=keyword) as refused:
        check_change(change)
    assert "1.2.3" not in str(refused.value)


@pytest.mark.parametrize("missing", [element.keyword for element in performed()[0x00741216].value[0]][:-1])
def test_it_is_not_complete_before_it_says_how_it_was_performed(missing: str) -> None:
    item = performed()
    if missing == "OutputInformationSequence":  # may be empty
        return
    del item.UnifiedProcedureStepPerformedProcedureSequence[0][missing]
    with pytest.raises(WorkitemContentError, match=missing):
        check_completed(item)


@pytest.mark.parametrize(
    "keyword",
    [
        *("ScheduledProcedureStepPriority", "InputReadinessState", "ProcedureStepLabel"),
        "ScheduledProcedureStepStartDateTime",
    ],
)
def test_what_must_have_a_value_in_the_end_is_not_emptied(keyword: str) -> None:
    change = Dataset()
    setattr(change, keyword, "")
    with pytest.raises(WorkitemContentError, match=keyword):
        check_change(change)


def test_the_study_is_that_of_the_input() -> None:
    item = new_item("1.2.3", "1.2.4", study_uid="1.2.9")
    assert study_uid(item) == "1.2.9"
    assert input_uids(item) == {"1.2.3", "1.2.4"}
    item.InputInformationSequence = []
    item.StudyInstanceUID = "1.2.8"
    assert study_uid(item) == "1.2.8"


@pytest.mark.parametrize("uids", [(), ("1.2.1", "1.2.2"), ("../../etc",), ("",)])
def test_a_work_item_is_about_one_study(uids: tuple[str, ...]) -> None:
    item = new_item()
    item.InputInformationSequence = [new_item(study_uid="1.2.1").InputInformationSequence[0] for _ in uids]
    for source, uid in zip(item.InputInformationSequence, uids, strict=True):
        source["StudyInstanceUID"]._value = uid  # what came over the wire, unchecked
    with pytest.raises(WorkitemContentError, match="one study"):
        study_uid(item)
