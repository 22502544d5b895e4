"""What stands before a data set makes a DICOM file of it, as GDCM reads one, and says what came over the wire."""

from dataclasses import replace
from pathlib import Path

import gdcm
import pytest

from store.stores import SENDER, instance
from zweitblick.dicom.implementation import IMPLEMENTATION_CLASS_UID
from zweitblick.store.received import part10_head

FILE_META = {
    "sop class": (gdcm.Tag(0x0002, 0x0002), instance().sop_class_uid),
    "sop instance": (gdcm.Tag(0x0002, 0x0003), instance().sop_instance_uid),
    "transfer syntax": (gdcm.Tag(0x0002, 0x0010), instance().transfer_syntax_uid),
    "implementation": (gdcm.Tag(0x0002, 0x0012), IMPLEMENTATION_CLASS_UID),
    "sender": (gdcm.Tag(0x0002, 0x0016), SENDER),
}


def test_gdcm_reads_file_meta_information_and_data_set(tmp_path: Path) -> None:
    sent = instance()
    (tmp_path / "file").write_bytes(part10_head(sent) + sent.data)
    reader = gdcm.Reader()
    reader.SetFileName(str(tmp_path / "file"))
    assert reader.Read()
    header = reader.GetFile().GetHeader()
    assert {name: value(header, tag) for name, (tag, _) in FILE_META.items()} == {
        name: expected for name, (_, expected) in FILE_META.items()
    }
    assert value(reader.GetFile().GetDataSet(), gdcm.Tag(0x0008, 0x0018)) == sent.sop_instance_uid


def value(dataset: gdcm.DataSet, tag: gdcm.Tag) -> str:
    return str(dataset.GetDataElement(tag).GetValue()).strip("\0 ")


def test_the_group_length_ends_where_the_data_set_begins() -> None:
    """PS3.10 table 7.1-1: it counts from the end of its own value."""
    head = part10_head(instance())
    assert head[:132] == bytes(128) + b"DICM"
    assert head[132:140] == b"\x02\x00\x00\x00UL\x04\x00"
    assert int.from_bytes(head[140:144], "little") == len(head) - 144


@pytest.mark.parametrize("uid", ["1", "12", "1.2.840.10008.1.02", "x" * 70])
def test_values_have_an_even_length(uid: str) -> None:
    assert len(part10_head(replace(instance(), sop_instance_uid=uid))) % 2 == 0


def test_without_a_sender_none_is_named() -> None:
    assert b"AE" not in part10_head(replace(instance(), calling_ae_title=""))[132:]
