"""Damaged and hostile headers: shown as far as they can be read, as JSON that any parser takes."""

import io
import json
import struct
from pathlib import Path

import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from dicom_writer import write_series
from kept_study import sent
from web.dicomweb_study import head
from zweitblick.catalogue.catalogue import made_header
from zweitblick.dicom.json_model import bulk_value, header_model
from zweitblick.dicom.pixel_frames import PixelFrames
from zweitblick.errors import InstanceError, UnknownObjectError
from zweitblick.store.received import part10_head

changed = st.lists(st.tuples(st.integers(0, 1500), st.integers(0, 255)), min_size=1, max_size=8)
"""Places and what stands there instead."""
SYNTAXES = (ExplicitVRLittleEndian, ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian)


@pytest.fixture(scope="module")
def instances(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    folder = tmp_path_factory.mktemp("instances")
    paths = [write_series(folder / syntax, head(), transfer_syntax=syntax)[0] for syntax in SYNTAXES]
    return [as_kept(path) for path in paths]


def as_kept(path: Path) -> bytes:
    return part10_head(sent(path)) + sent(path).data


@settings(max_examples=200)
@given(
    st.integers(0, 2), st.lists(st.tuples(st.integers(0, 1500), st.integers(0, 255)), min_size=1, max_size=8), st.data()
)
def test_damage_is_shown_or_refused(
    instances: list[bytes], which: int, changes: list[tuple[int, int]], data: st.DataObject
) -> None:
    damaged = bytearray(instances[which])
    start = 400  # behind the file meta information
    for place, value in changes:
        damaged[start + place % (len(damaged) - start)] = value
    file = bytes(damaged[: data.draw(st.integers(500, len(damaged)))])
    try:
        model = header_model(io.BytesIO(file))
    except InstanceError:
        model = {}
    assert json.loads(json.dumps(model, allow_nan=False)) == model
    for read in (
        lambda: PixelFrames(io.BytesIO(file)).kept(1),
        lambda: bulk_value(io.BytesIO(file), data.draw(st.sampled_from(list(model) or ["00100010"]))),
    ):
        try:
            read()
        except (InstanceError, UnknownObjectError):
            continue


@pytest.mark.parametrize("depth", [10, 100, 300, 1000, 20_000])
def test_nested_sequences_end_somewhere(tmp_path: Path, depth: int) -> None:
    instance = sent(write_series(tmp_path / "series", head())[0])
    begin = struct.pack("<HH2sHLHHL", 0x0040, 0x0275, b"SQ", 0, 0xFFFFFFFF, 0xFFFE, 0xE000, 0xFFFFFFFF)
    end = struct.pack("<HHLHHL", 0xFFFE, 0xE00D, 0, 0xFFFE, 0xE0DD, 0)
    pixels = instance.data.index(struct.pack("<HH", 0x7FE0, 0x0010))
    data = instance.data[:pixels] + begin * depth + end * depth + instance.data[pixels:]
    shown = json.loads(made_header(io.BytesIO(part10_head(instance) + data)))
    assert shown["00080018"]["Value"] == [instance.sop_instance_uid]


def test_numbers_that_are_none_are_left_out(tmp_path: Path) -> None:
    def spoil(data: pydicom.Dataset, _k: int) -> None:
        data.add_new(0x00189073, "FD", float("nan"))

    path = write_series(tmp_path / "series", head(), change=spoil)[0]
    model = header_model(io.BytesIO(path.read_bytes()))
    assert "00189073" not in model
    assert model["00100010"]["Value"] == [{"Alphabetic": "Muster^Erika"}]
