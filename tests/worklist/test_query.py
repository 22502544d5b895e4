"""A search finds exact values, lists of UIDs and ranges, at any depth; what it does not do is refused."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import Dataset

from worklist.work import STUDY_UID, new_item
from zweitblick.errors import WorkitemQueryError
from zweitblick.worklist.query import key_of, matching

MOMENTS = st.integers(0, 10**8).map(lambda seconds: datetime(2020, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds))


def found(item: Dataset, **keys: str) -> bool:
    return matching([key_of(name.replace("__", "."), value) for name, value in keys.items()], item)


def test_values_match_exactly_at_any_depth() -> None:
    item = new_item()
    assert found(item, ProcedureStepState="SCHEDULED", PatientID="PID-1")
    assert not found(item, PatientID="PID")
    assert not found(item, PatientID="PID-1", ScheduledProcedureStepPriority="LOW")
    assert found(item, ScheduledWorkitemCodeSequence__CodeValue="second-read")
    assert found(item, **{"00404018__00080100": "second-read"})
    assert found(item, InputInformationSequence__StudyInstanceUID=f"1.2,{STUDY_UID}")
    assert not found(item, InputInformationSequence__StudyInstanceUID="1.2")
    assert not found(item, AccessionNumber="A1")
    assert found(item, AccessionNumber="")


@given(MOMENTS, MOMENTS, MOMENTS)
def test_a_range_holds_what_lies_between_its_ends(first: datetime, moment: datetime, last: datetime) -> None:
    item = new_item()
    item.ScheduledProcedureStepStartDateTime = moment.strftime("%Y%m%d%H%M%S")
    text = [one.strftime("%Y%m%d%H%M%S") for one in (first, last)]
    name = "ScheduledProcedureStepStartDateTime"
    assert found(item, **{name: "-".join(text)}) == (first <= moment <= last)
    assert found(item, **{name: f"{text[0]}-"}) == (first <= moment)
    assert found(item, **{name: f"-{text[1]}"}) == (moment <= last)


@given(MOMENTS, st.integers(0, 5))
def test_a_range_of_days_holds_the_whole_last_day(moment: datetime, days: int) -> None:
    item = new_item()
    item.ScheduledProcedureStepStartDateTime = moment.strftime("%Y%m%d%H%M%S")
    first = moment - timedelta(days=days)
    assert found(item, ScheduledProcedureStepStartDateTime=f"{first:%Y%m%d}-{moment:%Y%m%d}")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PatientName", "Kow*"),
        ("PatientID", "PID-?"),
        ("NoSuchAttribute", "1"),
        ("0010001", "1"),
        ("0010zzzz", "1"),
        ("InputInformationSequence", "1"),
        ("", "1"),
        (".", "1"),
    ],
)
def test_what_is_not_searched_for_is_refused_without_its_value(name: str, value: str) -> None:
    with pytest.raises(WorkitemQueryError) as refused:
        key_of(name, value)
    assert "Kow" not in str(refused.value)


@given(st.text(max_size=20), st.text(max_size=20))
def test_any_key_is_taken_or_refused(name: str, value: str) -> None:
    try:
        key = key_of(name, value)
    except WorkitemQueryError:
        return
    assert key.matches(Dataset()) is False
