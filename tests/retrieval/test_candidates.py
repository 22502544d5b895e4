"""Which studies may be earlier ones of the same head: by hand, and by properties."""

from datetime import datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zweitblick.peers.archive import RemoteSeries, RemoteStudy
from zweitblick.retrieval.candidates import Present, earlier, of_head

HERE = Present("1.2", "PAT-1", "19600102", "F", datetime(2022, 3, 4, 10, 15))  # noqa: DTZ001 -- DICOM's have no zone


def study(uid: str, date: str, *, time: str = "", patient: str = "PAT-1", **said: str) -> RemoteStudy:
    modalities = frozenset(said.pop("modalities", "MR").split())
    return RemoteStudy(uid, patient, said.pop("birth_date", ""), said.pop("sex", ""), date, time, modalities)


def test_the_last_earlier_study_is_first() -> None:
    found = [
        study("1", "20200101"),
        study("2", "20220304", time="0900"),
        study("3", "20210630"),
        study("4", "20220305"),
    ]
    assert [one.uid for one in earlier(HERE, found)] == ["2", "3", "1"]


@pytest.mark.parametrize(
    "other",
    [
        study("1.2", "20200101"),  # itself
        study("1", "20220304", time="1015"),
        study("1", "20220304", time="1100"),
        study("1", ""),
        study("1", "20200101", patient="PAT-10"),
        study("1", "20200101", birth_date="19610102"),
        study("1", "20200101", sex="M"),
        study("1", "20200101", modalities="CT SEG"),
    ],
)
def test_what_is_not_earlier_or_may_be_somebody_else_is_none(other: RemoteStudy) -> None:
    assert earlier(HERE, [other]) == []


def test_what_an_archive_does_not_say_excludes_nothing() -> None:
    assert earlier(HERE, [study("1", "20200101", modalities="")])
    assert earlier(HERE, [study("1", "20200101", sex="F", birth_date="19600102")])


studies = st.builds(
    study,
    uid=st.integers(1, 9).map(str),
    date=st.dates(datetime(1990, 1, 1).date(), datetime(2030, 1, 1).date()).map("{:%Y%m%d}".format),  # noqa: DTZ001 -- as said
    time=st.sampled_from(["", "0000", "101500", "235959.5"]),
)


@settings(max_examples=50)
@given(st.lists(studies, max_size=8))
def test_dates_fall_and_all_are_earlier(found: list[RemoteStudy]) -> None:
    ordered = [(one.date, one.time.ljust(6, "0")) for one in earlier(HERE, found)]
    assert ordered == sorted(ordered, reverse=True)
    assert all(one < ("20220304", "101500") for one in ordered)
    assert len(ordered) == sum((one.date, one.time.ljust(6, "0")) < ("20220304", "101500") for one in found)


def test_series_of_other_parts_of_the_body_are_left_out() -> None:
    series = [
        RemoteSeries("1", "MR", "HEAD", 1),
        RemoteSeries("2", "MR", "", 1),
        RemoteSeries("3", "MR", "LSPINE", 1),
        RemoteSeries("4", "SEG", "HEAD", 1),
        RemoteSeries("5", "MR", "Brain", 1),
    ]
    assert [one.uid for one in of_head(series)] == ["1", "2", "5"]


@pytest.mark.parametrize("patient_id", ["", "*", "PAT?", "A\\B"])
def test_a_patient_id_that_stands_for_others_is_not_asked_for(patient_id: str) -> None:
    assert HERE.can_be_asked_for
    assert not Present("1.2", patient_id, "", "", HERE.started_at).can_be_asked_for
    assert not Present("1.2", "PAT-1", "", "", None).can_be_asked_for
