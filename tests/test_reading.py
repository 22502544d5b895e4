"""What a reading would otherwise take from clock or chance comes from its stamp."""

import re
import uuid
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st
from pydicom.uid import UID

from zweitblick.reading import Stamp

TIME = datetime(2026, 11, 24, 8, 30, tzinfo=UTC)


@given(st.text(), st.text(), st.integers())
def test_uid_is_valid_dicom_made_of_an_rfc_9562_uuid(study: str, name: str, seed: int) -> None:
    uid = Stamp(TIME, seed).uid(study, name)
    assert UID(uid).is_valid
    assert len(uid) <= 64
    made_of = uuid.UUID(int=int(re.fullmatch(r"2\.25\.(\d+)", uid)[1]))
    assert (made_of.version, made_of.variant) == (5, uuid.RFC_4122)


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
