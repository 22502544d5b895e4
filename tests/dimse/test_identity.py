"""The UIDs at the head of a data set are those that pydicom reads, however the data set is written and cut."""

import struct
import zlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.sequence import Sequence

from dimse.wire import BIG, DEFLATED, EXPLICIT, IMPLICIT, encoded, instance
from zweitblick.dicom.identity import HEAD_ELEMENTS, Identity, identity
from zweitblick.errors import DamagedInstanceError

UIDS = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")
TAGS = dict(zip(UIDS, ((0x0008, 0x0016), (0x0008, 0x0018), (0x0020, 0x000D), (0x0020, 0x000E)), strict=True))
SYNTAXES = (IMPLICIT, EXPLICIT, BIG, *DEFLATED)

uids = st.from_regex(r"[1-9][0-9]{0,5}(\.(0|[1-9][0-9]{0,8})){1,5}", fullmatch=True).filter(lambda uid: len(uid) <= 64)
texts = st.text("abc ^", max_size=20)
tags = st.sampled_from(
    [0x00080050, 0x00080090, 0x00081030, 0x00090011, 0x00100010, 0x00100020, 0x00180015, 0x00200010, 0x00204000]
)
sequence_tags = st.sampled_from([0x00081140, 0x00082112, 0x00091010, 0x00189346])


@st.composite
def datasets(draw: Any, depth: int = 2) -> Dataset:
    """Texts and nested sequences of defined and undefined length, with UIDs of the same names within."""
    data = Dataset()
    for keyword in UIDS:
        if depth == 2 or draw(st.booleans()):
            setattr(data, keyword, draw(uids))
    for tag in draw(st.lists(tags, max_size=4)):
        data.add_new(tag, "LO", draw(texts))
    if draw(st.booleans()):
        data.add_new(0x00091020, "UN", draw(st.binary(max_size=20).filter(lambda value: len(value) % 2 == 0)))
    for tag in draw(st.lists(sequence_tags, max_size=2, unique=True)) if depth else ():
        items = [draw(datasets(depth=depth - 1)) for _ in range(draw(st.integers(0, 2)))]
        for one in items:
            one.is_undefined_length_sequence_item = draw(st.booleans())
        data.add_new(tag, "SQ", Sequence(items))
        data[tag].is_undefined_length = draw(st.booleans())
    data.add_new(0x7FE00010, "OW", bytes(16))
    return data


def expected(data: Dataset) -> Identity:
    return Identity(*(str(data[keyword].value) for keyword in UIDS), str(data.get("PatientID", "")).strip())


@given(data=datasets(), syntax=st.sampled_from(SYNTAXES))
def test_the_uids_are_those_outside_of_sequences(data: Dataset, syntax: str) -> None:
    assert identity(encoded(data, syntax), syntax) == expected(data)


@given(data=datasets(), syntax=st.sampled_from([IMPLICIT, EXPLICIT, BIG]), where=st.floats(0, 1))
@settings(max_examples=150)
def test_a_data_set_cut_anywhere_has_the_same_uids_or_none(data: Dataset, syntax: str, where: float) -> None:
    whole = encoded(data, syntax)
    try:
        found = identity(whole[: int(where * len(whole))], syntax)
    except DamagedInstanceError:
        return
    assert found == expected(data)


@given(data=st.binary(max_size=400), syntax=st.sampled_from(SYNTAXES))
@settings(max_examples=200)
def test_any_bytes_are_read_or_refused(data: bytes, syntax: str) -> None:
    try:
        found = identity(data, syntax)
    except DamagedInstanceError:
        return
    assert found.sop_instance_uid


@given(data=datasets(), flips=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(1, 255)), max_size=5))
@settings(max_examples=200)
def test_flipped_bytes_are_read_or_refused(data: Dataset, flips: list[tuple[float, int]]) -> None:
    damaged = bytearray(encoded(data))
    for where, mask in flips:
        damaged[int(where * len(damaged))] ^= mask
    try:
        found = identity(bytes(damaged), EXPLICIT)
    except DamagedInstanceError:
        return
    assert set(found.study_instance_uid) <= set("0123456789.")


@pytest.mark.parametrize("syntax", [EXPLICIT, BIG])
def test_a_sequence_within_un_is_walked_as_implicit_little_endian(syntax: str) -> None:
    """PS3.5 section 6.2.2: undefined length and VR UN."""
    inner = instance(study="9.9.9")
    written = DicomBytesIO()
    written.is_implicit_VR, written.is_little_endian = True, True
    write_dataset(written, inner)
    order = "<" if syntax == EXPLICIT else ">"
    unknown = struct.pack(f"{order}HH2sHL", 0x0009, 0x1010, b"UN", 0, 0xFFFFFFFF)
    unknown += struct.pack("<HHL", 0xFFFE, 0xE000, 0xFFFFFFFF) + written.getvalue()
    unknown += struct.pack("<HHL", 0xFFFE, 0xE00D, 0) + struct.pack("<HHL", 0xFFFE, 0xE0DD, 0)
    whole = encoded(instance(), syntax)
    place = whole.index(struct.pack(f"{order}HH", 0x0010, 0x0010))
    assert identity(whole[:place] + unknown + whole[place:], syntax) == expected(instance())


@pytest.mark.parametrize("keyword", UIDS)
@pytest.mark.parametrize("value", ["", "1.2/../3", "1.2\n3", "1..2", ".1", "xyz", "1." * 32 + "1"])
def test_what_is_no_uid_is_named_by_its_tag_and_not_quoted(keyword: str, value: str) -> None:
    data = instance()
    data[keyword]._value = value
    with pytest.raises(DamagedInstanceError, match=r"\({:04X},{:04X}\)".format(*TAGS[keyword])) as raised:
        identity(encoded(data), EXPLICIT)
    assert not value or value not in str(raised.value)


def test_padding_of_either_kind_is_no_part_of_a_uid() -> None:
    data = encoded(instance())
    assert b"1.2.3\0" in data
    assert identity(data.replace(b"1.2.3\0", b"1.2.3 "), EXPLICIT) == expected(instance())


def test_a_deflated_bomb_is_not_inflated() -> None:
    deflater = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    bomb = deflater.compress(bytes(2**28)) + deflater.flush()
    with pytest.raises(DamagedInstanceError):
        identity(bomb, DEFLATED[0])


def test_endless_elements_are_given_up() -> None:
    element = struct.pack("<HHL", 0x0008, 0x0008, 0)
    tail = encoded(instance(), IMPLICIT)
    assert identity(element * (HEAD_ELEMENTS - 20) + tail, IMPLICIT) == expected(instance())
    with pytest.raises(DamagedInstanceError):
        identity(element * HEAD_ELEMENTS + tail, IMPLICIT)


def test_the_repr_of_an_identity_is_empty() -> None:
    assert repr(identity(encoded(instance()), EXPLICIT)) == "Identity()"
