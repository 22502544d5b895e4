"""Stored values: bit depths, signs, unused bits, transfer syntaxes; encoders are GDCM's, not pydicom's."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import Dataset
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from dicom_writer import head, oblique, write_series
from zweitblick.dicom import decoder
from zweitblick.dicom.decoder import DecodingProcess
from zweitblick.dicom.read import read_study
from zweitblick.dicom.stack import parts, stack
from zweitblick.errors import DamagedInstanceError, PixelDecodeError
from zweitblick.volume import Volume

SHAPE = (3, 16, 12)
GRID = oblique(SHAPE)
SYNTAXES = (
    ImplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    DeflatedExplicitVRLittleEndian,
    RLELossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEG2000Lossless,
)


def _stacked(folder: Path) -> Volume:
    [series] = read_study(sorted(folder.iterdir())).series
    [part] = parts(series)
    return stack(part)


@pytest.mark.parametrize("syntax", SYNTAXES, ids=[syntax.name[:30] for syntax in SYNTAXES])
@pytest.mark.parametrize("stored", [np.uint8, np.uint16, np.int16])
def test_every_syntax_and_depth(tmp_path: Path, syntax: UID, stored: type[np.integer]) -> None:
    low = np.iinfo(stored).min // 2
    written = Volume(head(SHAPE, limit=200) + np.float32(low), GRID)
    if syntax == ExplicitVRBigEndian and stored is not np.uint8:
        written_big_endian(tmp_path, written, stored)
    else:
        write_series(tmp_path, written, stored=stored, transfer_syntax=syntax)
    assert np.array_equal(_stacked(tmp_path).voxels, written.voxels)


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, JPEGLSLossless], ids=["plain", "compressed"])
def test_instances_in_memory_are_those_of_their_files(tmp_path: Path, syntax: UID) -> None:
    write_series(tmp_path, Volume(head(SHAPE), GRID), stored=np.uint16, transfer_syntax=syntax)
    [series] = read_study([path.read_bytes() for path in sorted(tmp_path.iterdir())]).series
    assert np.array_equal(stack(parts(series)[0]).voxels, _stacked(tmp_path).voxels)


def test_a_file_in_memory_that_ends_within_its_pixels_is_damaged(tmp_path: Path) -> None:
    write_series(tmp_path, Volume(head(SHAPE), GRID))
    whole = [path.read_bytes() for path in sorted(tmp_path.iterdir())]
    [series] = read_study([*whole[:-1], whole[-1][:-40]]).series
    with pytest.raises(DamagedInstanceError, match="instance 3"):
        stack(parts(series)[0])


def written_big_endian(folder: Path, volume: Volume, stored: type[np.integer]) -> None:
    """Pixel words are bytes to the writer: swap them beforehand."""

    def swap(data: Dataset, _k: int) -> None:
        data.PixelData = np.frombuffer(data.PixelData, stored).byteswap().tobytes()

    write_series(folder, volume, stored=stored, transfer_syntax=ExplicitVRBigEndian, change=swap)


@settings(max_examples=40, deadline=None)
@given(
    stored=st.integers(1, 16),
    spare=st.integers(0, 15),
    signed=st.booleans(),
    syntax=st.sampled_from([ImplicitVRLittleEndian, ExplicitVRLittleEndian, DeflatedExplicitVRLittleEndian]),
    seed=st.integers(0, 10**6),
)
def test_bits_that_are_not_stored_do_not_count(
    tmp_path_factory: pytest.TempPathFactory, *, stored: int, spare: int, signed: bool, syntax: UID, seed: int
) -> None:
    """Values in the middle of the word (the retired High Bit), noise above and below; deflated ones are decoded."""
    folder = tmp_path_factory.mktemp("bits")
    spare = min(spare, 16 - stored)
    random = np.random.default_rng(seed)
    low = -(2 ** (stored - 1)) if signed else 0
    values = random.integers(low, low + 2**stored, SHAPE)
    noise = random.integers(0, 2**16, SHAPE)
    mask = (2**stored - 1) << spare
    words = (((values << spare) & mask) | (noise & ~mask)).astype(np.uint16)

    def change(data: Dataset, k: int) -> None:
        data.BitsStored, data.HighBit, data.PixelRepresentation = stored, stored + spare - 1, int(signed)
        data.PixelData = words[k].tobytes()

    write_series(folder, Volume(np.zeros(SHAPE, np.float32), GRID), transfer_syntax=syntax, change=change)
    assert np.array_equal(_stacked(folder).voxels, values)


@pytest.mark.parametrize(
    ("allocated", "stored", "high"), [(32, 32, 31), (16, 17, 16), (16, 0, 0), (16, 12, 10), (1, 1, 0)]
)
def test_impossible_depths_are_named(tmp_path: Path, allocated: int, stored: int, high: int) -> None:
    def change(data: Dataset, _k: int) -> None:
        data.BitsAllocated, data.BitsStored, data.HighBit = allocated, stored, high
        data.PixelData = data.PixelData * 2

    write_series(tmp_path, Volume(head(SHAPE), GRID), change=change)
    with pytest.raises(PixelDecodeError, match=f"{allocated} bits allocated"):
        _stacked(tmp_path)


def test_damaged_compressed_pixels_are_named(tmp_path: Path) -> None:
    path = write_series(tmp_path, Volume(head(SHAPE), GRID), stored=np.uint16, transfer_syntax=JPEGLosslessSV1)[1]
    raw = path.read_bytes()
    start = raw.index(b"\xff\xd8")
    path.write_bytes(raw[: start + 4] + bytes(60) + raw[start + 64 :])
    with pytest.raises(PixelDecodeError, match="instance 2"):
        _stacked(tmp_path)


def test_a_decoder_that_dies_takes_nobody_along(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """GDCM faults on some damaged frames; here the decoding process simply is no decoder and ends at once."""
    write_series(tmp_path, Volume(head(SHAPE), GRID), stored=np.uint16, transfer_syntax=JPEG2000Lossless)
    monkeypatch.setattr("sys.executable", "/bin/false")
    with pytest.raises(PixelDecodeError):
        _stacked(tmp_path)


def test_a_decoder_that_hangs_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_series(tmp_path / "a", Volume(head(SHAPE), GRID), stored=np.uint16, transfer_syntax=JPEG2000Lossless)
    sleeper = tmp_path / "sleeper"
    sleeper.write_text("#!/bin/sh\nexec sleep 60\n")
    sleeper.chmod(0o700)
    monkeypatch.setattr("sys.executable", str(sleeper))
    monkeypatch.setattr(decoder, "LIMIT_SECONDS", 0.2)
    with pytest.raises(PixelDecodeError):
        _stacked(tmp_path / "a")


def test_no_process_is_started_where_none_is_needed() -> None:
    with DecodingProcess() as process:
        assert process._process is None
