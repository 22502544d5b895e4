"""What a reading would otherwise take from clock or chance comes from its stamp."""

import re
import uuid
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.uid import UID

from zweitblick.reading import UID_ROOT, Stamp, is_ours

TIME = datetime(2026, 11, 24, 8, 30, tzinfo=UTC)


@given(st.text(), st.text(), st.integers())
def test_uid_is_valid_dicom_below_a_root_that_is_an_rfc_9562_uuid(study: str, name: str, seed: int) -> None:
    uid = Stamp(TIME, seed).uid(study, name)
    assert UID(uid).is_valid
    assert len(uid) <= 64
    assert is_ours(uid)
    root, number = re.fullmatch(r"2\.25\.(\d+)\.(\d+)", uid).groups()
    drawn = uuid.UUID(int=int(root))
    assert (drawn.version, drawn.variant) == (4, uuid.RFC_4122)
    assert int(number) < 2**63


@pytest.mark.parametrize("uid", ["", UID_ROOT, f"{UID_ROOT}1.2", "2.25.1.2", "1.2.840.10008.1.1"])
def test_what_is_not_below_our_root_is_not_ours(uid: str) -> None:
    assert not is_ours(uid)


def test_uid_is_the_same_for_the_same_and_differs_with_each_part() -> None:
    first = Stamp(TIME).uid("1.2.3", "seg")
    assert Stamp(TIME).uid("1.2.3", "seg") == first
    others = {
        Stamp(TIME).uid("1.2.3", "sr"),
        Stamp(TIME).uid("1.2.4", "seg"),
        Stamp(TIME, seed=1).uid("1.2.3", "seg"),
        Stamp(TIME + timedelta(microseconds=1)).uid("1.2.3", "seg"),
    }
    assert len(others - {first}) == 4
