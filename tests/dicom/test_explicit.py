"""What is picked out of plain files is what pydicom reads of them, and files with oddities are left to pydicom."""

import io
import struct
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import Dataset, dcmread
from pydicom.dataset import FileMetaDataset
from pydicom.tag import Tag
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    MRImageStorage,
)

from zweitblick.dicom.explicit import picked
from zweitblick.dicom.header import numbers, quietly, read_header, text, texts
from zweitblick.errors import DamagedInstanceError

KEYWORDS = (
    *("SpecificCharacterSet", "SOPClassUID", "ImageType", "StudyDate", "StudyTime", "PatientName", "PatientID"),
    *("ImagePositionPatient", "EchoTime", "InstanceNumber", "Rows", "PixelRepresentation", "RescaleSlope"),
)
TAGS = [Tag(keyword) for keyword in KEYWORDS]
NUMBER = st.floats(-1e4, 1e4).map(lambda one: f"{one:.6g}")


def words(alphabet: str, longest: int = 12) -> st.SearchStrategy[str]:
    return st.text(alphabet, max_size=longest)


@st.composite
def data_sets(draw: st.DrawFn, depth: int = 2) -> Dataset:
    """Data sets with what headers are made of: text in several character sets, numbers, nested sequences, privates."""
    made = Dataset()
    made.SpecificCharacterSet = draw(st.sampled_from(["ISO_IR 100", "ISO_IR 192"]))
    made.SOPClassUID = MRImageStorage
    made.ImageType = draw(st.lists(words("ABC", 4).filter(bool), min_size=1, max_size=4))
    made.StudyDate = draw(st.sampled_from(["20260102", "", "20261231"]))
    made.StudyTime = draw(st.sampled_from(["101500", "101500.25", ""]))
    made.PatientName = draw(words("ÄöüßMeier^ "))
    made.PatientID = draw(words("ab 12"))
    made.ImagePositionPatient = draw(st.lists(NUMBER, min_size=3, max_size=3))
    made.EchoTime = draw(NUMBER)
    made.InstanceNumber = draw(st.integers(0, 10**6))
    made.Rows = draw(st.integers(0, 2**16 - 1))
    made.PixelRepresentation = draw(st.integers(0, 1))
    made.private_block(0x0019, "VENDOR", create=True).add_new(0x0C, "OB", draw(st.binary(max_size=40)) + b"")
    if depth:
        made.ReferencedImageSequence = draw(st.lists(data_sets(depth=depth - 1), max_size=2))
        made["ReferencedImageSequence"].is_undefined_length = draw(st.booleans())
        for item in made.ReferencedImageSequence:
            item.is_undefined_length_sequence_item = draw(st.booleans())
    return made


def file_of(data: Dataset, syntax: str = ExplicitVRLittleEndian, *, pixels: bytes | None = b"pixels__") -> bytes:
    if pixels is not None:
        data.BitsAllocated, data.PixelData = 8, pixels
        data["PixelData"].VR = "OB"
    data.file_meta = FileMetaDataset()
    data.file_meta.MediaStorageSOPClassUID = MRImageStorage
    data.file_meta.MediaStorageSOPInstanceUID = "1.2.3"
    data.file_meta.TransferSyntaxUID = syntax
    buffer = io.BytesIO()
    data.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


@given(data_sets())
def test_what_is_picked_is_what_pydicom_reads(data: Dataset) -> None:
    file = file_of(data)
    found = picked(file, set(TAGS))
    whole = dcmread(io.BytesIO(file))
    assert found is not None
    assert set(found.data) == set(TAGS) & set(whole.keys())
    offset, length = found.pixels
    assert file[offset : offset + length] == whole.PixelData
    header = read_header(file, TAGS)
    assert header.transfer_syntax_uid == ExplicitVRLittleEndian
    for keyword in KEYWORDS:
        if keyword in whole:
            assert header.data[keyword] == whole[keyword], keyword


@given(data_sets(depth=0))
def test_plain_text_is_that_of_the_converted_value(data: Dataset) -> None:
    file = file_of(data)
    for keyword in KEYWORDS:
        fresh, converted = (read_header(file, TAGS).data for _ in range(2))
        if keyword in converted:
            converted[keyword]  # pydicom converts on access
        assert texts(fresh, keyword) == texts(converted, keyword)
        assert numbers(fresh, keyword) == numbers(converted, keyword)


@pytest.mark.parametrize(
    "written",
    [b"1.5", b"abc ", b"1\\x ", b"", b"\\", b" 1 \\ 2", b"1e400 ", b"\xff1 ", b"1\\2\0", b"nan ", b"_1", b"1_0 "],
)
def test_odd_numbers_are_read_as_pydicom_has_them(written: bytes) -> None:
    data = Dataset()
    data.SpecificCharacterSet = "ISO_IR 100"
    data.EchoTime = "000000000000000"[: len(written)] or None
    file = file_of(data)
    place = file.index(b"\x18\x00\x81\x00DS") + 8
    size = len(written) + len(written) % 2
    file = file[: place - 2] + struct.pack("<H", size) + written.ljust(size) + file[place + size :]
    with quietly():
        fresh, converted = (read_header(file, TAGS).data for _ in range(2))
        try:
            converted["EchoTime"]
        except (ValueError, OverflowError, TypeError):
            assert numbers(fresh, "EchoTime") == ()
        else:
            assert numbers(fresh, "EchoTime") == numbers(converted, "EchoTime")


@settings(max_examples=300)
@given(data_sets(), st.data())
def test_a_file_that_is_cut_or_changed_is_read_as_by_pydicom_or_refused(data: Dataset, draws: st.DataObject) -> None:
    file = bytearray(file_of(data))
    place = draws.draw(st.integers(132, len(file) - 1))
    if draws.draw(st.booleans()):
        del file[place:]
    else:
        file[place] ^= 1 << draws.draw(st.integers(0, 7))
    found = picked(bytes(file), set(TAGS))
    if found is None:
        return
    with quietly():
        try:
            whole = dcmread(io.BytesIO(bytes(file)), stop_before_pixels=True)
        except Exception:  # noqa: BLE001 -- whatever pydicom says of damage
            return
        for tag, element in found.data.items():
            raw = whole.get_item(tag)
            assert raw is not None
            if hasattr(raw, "is_raw") and raw.is_raw:
                assert raw.value in (element.value, None if not element.value else element.value)


@pytest.mark.parametrize(
    "syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian], ids=lambda one: one.name
)
def test_other_encodings_are_left_to_pydicom(syntax: str) -> None:
    data = Dataset()
    data.PatientID = "1"
    data.set_original_encoding(syntax == ImplicitVRLittleEndian, syntax != ExplicitVRBigEndian, "ascii")
    file = file_of(data, syntax, pixels=None)
    assert picked(file, set(TAGS)) is None
    assert text(read_header(file, TAGS).data, "PatientID") == "1"


def test_compressed_pixels_have_no_length() -> None:
    data = Dataset()
    data.PatientID = "1"
    file = file_of(data, JPEG2000Lossless, pixels=b"\xfe\xff\x00\xe0\0\0\0\0\xfe\xff\xdd\xe0\0\0\0\0")
    header = read_header(file, TAGS)
    assert header.pixels is not None
    assert header.pixels[1] in (0xFFFFFFFF, 16)


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data.update({"PerFrameFunctionalGroupsSequence": [Dataset()]}),
        lambda data: data.private_block(0x0011, "BIG", create=True).add_new(1, "OB", bytes(2**18)),
    ],
    ids=["wanted sequence", "header beyond the first bytes"],
)
def test_what_is_unusual_is_read_all_the_same(change: object) -> None:
    data = Dataset()
    data.PatientID, data.Rows = "1", 7
    change(data)
    tags = [*TAGS, Tag("PerFrameFunctionalGroupsSequence")]
    header = read_header(file_of(data), tags)
    assert (text(header.data, "PatientID"), header.data.Rows) == ("1", 7)
    assert header.pixels is not None


def test_deep_nesting_does_not_stop_the_reader() -> None:
    inner = b""
    for _ in range(3000):
        item = b"\xfe\xff\x00\xe0\xff\xff\xff\xff" + inner + b"\xfe\xff\x0d\xe0\0\0\0\0"
        inner = b"\x08\x00\x40\x11SQ\0\0\xff\xff\xff\xff" + item + b"\xfe\xff\xdd\xe0\0\0\0\0"
    data = Dataset()
    data.PatientID = "1"
    file = file_of(data, pixels=None)
    place = file.index(b"\x10\x00\x20\x00LO")
    with quietly():
        try:
            assert text(read_header(file[:place] + inner + file[place:], TAGS).data, "PatientID") in ("", "1")
        except DamagedInstanceError:
            return


def test_a_file_on_the_disk_is_read_as_its_bytes(tmp_path: Path) -> None:
    data = Dataset()
    data.PatientID = "1"
    file = file_of(data)
    (tmp_path / "file").write_bytes(file)
    assert read_header(tmp_path / "file", TAGS).pixels == read_header(file, TAGS).pixels
