"""Hostile and broken files: archives that bite, links that lead astray, DICOM with flipped and missing bytes."""

import contextlib
import os
import random
import stat
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from dicom_writer import head, oblique, write_series
from zweitblick.dicom.read import read_study
from zweitblick.dicom.source import Limits, opened
from zweitblick.dicom.stack import parts, stack
from zweitblick.errors import (
    ArchiveTooLargeError,
    DamagedArchiveError,
    NoDicomError,
    TooManyFilesError,
    UnsafeArchiveError,
    ZweitblickError,
)
from zweitblick.volume import Volume


def _archive(path: Path, *entries: tuple[zipfile.ZipInfo | str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as writer:
        for entry, data in entries:
            writer.writestr(entry, data)
    return path


@pytest.mark.parametrize(
    "name", ["../evil", "a/../../evil", "/etc/evil", "C:\\evil", "..\\evil", "\\evil", "a\\..\\..\\evil"]
)
def test_an_entry_that_would_leave_the_folder_is_refused(tmp_path: Path, name: str) -> None:
    archive = _archive(tmp_path / "study.zip", ("good", b"1"), (zipfile.ZipInfo(name), b"2"))
    with pytest.raises(UnsafeArchiveError), opened(archive):
        pass
    assert not (tmp_path / "evil").exists()


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFIFO])
def test_an_entry_that_is_a_link_or_a_device_is_refused(tmp_path: Path, kind: int) -> None:
    entry = zipfile.ZipInfo("link")
    entry.external_attr = (kind | 0o777) << 16
    archive = _archive(tmp_path / "study.zip", (entry, b"/etc/passwd"))
    with pytest.raises(UnsafeArchiveError), opened(archive):
        pass


def test_a_bomb_is_stopped_by_its_ratio(tmp_path: Path) -> None:
    archive = _archive(tmp_path / "bomb.zip", ("zeros", bytes(50_000_000)))
    limits = Limits(ratio_from_bytes=1_000_000)
    with pytest.raises(ArchiveTooLargeError, match="100 times"), opened(archive, limits=limits):
        pass


def test_a_bomb_is_stopped_by_its_size(tmp_path: Path) -> None:
    archive = _archive(tmp_path / "bomb.zip", *((str(number), os.urandom(1_000_000)) for number in range(5)))
    with (
        pytest.raises(ArchiveTooLargeError, match="3000000 bytes"),
        opened(archive, limits=Limits(unpacked_bytes=3_000_000)),
    ):
        pass


def test_a_size_that_the_directory_denies_is_counted_all_the_same(tmp_path: Path) -> None:
    archive = _archive(tmp_path / "liar.zip", ("zeros", bytes(50_000_000)))
    raw = bytearray(archive.read_bytes())
    for signature, size in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        struct.pack_into("<L", raw, raw.index(signature) + size, 10)
    archive.write_bytes(raw)
    with (
        pytest.raises((ArchiveTooLargeError, DamagedArchiveError)),
        opened(archive, limits=Limits(ratio_from_bytes=10**6)),
    ):
        pass


def test_an_archive_of_too_many_entries_is_refused(tmp_path: Path) -> None:
    archive = _archive(tmp_path / "many.zip", *((str(number), b"") for number in range(11)))
    with pytest.raises(TooManyFilesError), opened(archive, limits=Limits(files=10)):
        pass


def test_a_nested_bomb_is_never_unpacked(tmp_path: Path) -> None:
    inner = _archive(tmp_path / "inner.zip", ("zeros", bytes(20_000_000)))
    outer = _archive(tmp_path / "outer.zip", *((f"{number}.zip", inner.read_bytes()) for number in range(10)))
    with opened(outer) as paths:
        assert sum(path.stat().st_size for path in paths) < 1_000_000
        with pytest.raises(NoDicomError):
            read_study(paths)


@pytest.mark.parametrize("keep", [0.3, 0.9])
def test_a_cut_archive_is_named(tmp_path: Path, keep: float) -> None:
    archive = _archive(tmp_path / "study.zip", ("a", os.urandom(10_000)))
    raw = archive.read_bytes()
    archive.write_bytes(raw[: int(len(raw) * keep)])
    with pytest.raises(DamagedArchiveError), opened(archive):
        pass


def test_a_wrong_checksum_is_named(tmp_path: Path) -> None:
    archive = tmp_path / "study.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as writer:
        writer.writestr("a", b"payload" * 100)
    raw = bytearray(archive.read_bytes())
    raw[200] ^= 0xFF
    archive.write_bytes(raw)
    with pytest.raises(DamagedArchiveError), opened(archive):
        pass


def test_links_out_of_the_folder_are_left_out_and_links_within_are_kept(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "key").write_bytes(b"secret")
    study = tmp_path / "study"
    study.mkdir()
    (study / "a").write_bytes(b"own")
    (study / "within").symlink_to(study / "a")
    (study / "file").symlink_to(secret / "key")
    (study / "folder").symlink_to(secret)
    (study / "loop").symlink_to(study)
    (study / "dangling").symlink_to(study / "nothing")
    os.mkfifo(study / "pipe")
    with opened(study) as paths:
        assert sorted(path.name for path in paths) == ["a", "within"]


def test_a_deflated_data_set_may_not_inflate_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zweitblick.dicom.header._INFLATED_BYTES", 10_000_000)
    [path, *_] = write_series(
        tmp_path, Volume(head((3, 4, 5)), oblique((3, 4, 5))), transfer_syntax=DeflatedExplicitVRLittleEndian
    )
    raw = path.read_bytes()
    length = struct.unpack("<L", raw[140:144])[0]
    meta = raw[: 144 + length]
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    path.write_bytes(meta + packer.compress(bytes(20_000_000)) + packer.flush())
    study = read_study(sorted(tmp_path.iterdir()))
    assert "inflates" in study.unreadable["file 1"]


def _read(path: Path) -> None:
    """What the product does with one file; any error but ours fails the test."""
    with opened(path) as paths:
        for series in read_study(paths).series:
            for part in parts(series):
                volume = stack(part)
                assert np.isfinite(volume.voxels).all()


SYNTAXES = (
    ExplicitVRLittleEndian,
    DeflatedExplicitVRLittleEndian,
    RLELossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEG2000Lossless,
)


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zweitblick.dicom.decoder.LIMIT_SECONDS", 2.0)


@pytest.fixture(scope="module")
def healthy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three instances of one series in each of `SYNTAXES`, a folder each, named by its place."""
    root, shape = tmp_path_factory.mktemp("healthy"), (3, 16, 16)
    for place, syntax in enumerate(SYNTAXES):
        folder = root / str(place)
        write_series(folder, Volume(head(shape), oblique(shape)), stored=np.uint16, transfer_syntax=syntax)
        _read(folder)
    return root


def _flip(raw: bytes, random_: random.Random) -> bytes:
    damaged = bytearray(raw)
    for _ in range(random_.randint(1, 8)):
        damaged[random_.randrange(len(damaged))] ^= 1 << random_.randrange(8)
    return bytes(damaged)


def _cut(raw: bytes, random_: random.Random) -> bytes:
    return raw[: random_.randrange(len(raw))]


def _swap_length(raw: bytes, random_: random.Random) -> bytes:
    """Write a large or odd number over four bytes: most headers break where a length is wrong."""
    damaged = bytearray(raw)
    place = random_.randrange(len(damaged) - 4)
    damaged[place : place + 4] = random_.choice([b"\xff\xff\xff\xff", b"\xff\xff\xff\x7f", b"\0\0\0\0", b"\x01\0\0\0"])
    return bytes(damaged)


@pytest.mark.parametrize("damage", [_flip, _cut, _swap_length])
@settings(settings.get_profile("fuzz"), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(how=st.tuples(st.integers(0, len(SYNTAXES) - 1), st.integers(0, 2**32)))
def test_damage_gives_a_typed_error_or_a_volume_and_tells_nothing(
    healthy: Path,
    tmp_path_factory: pytest.TempPathFactory,
    caplog: pytest.LogCaptureFixture,
    damage: Callable[[bytes, random.Random], bytes],
    how: tuple[int, int],
) -> None:
    folder, (place, seed) = tmp_path_factory.mktemp("damaged"), how
    random_ = random.Random(seed)  # noqa: S311  # damage, not a secret
    for path in sorted((healthy / str(place)).iterdir()):
        (folder / path.name).write_bytes(damage(path.read_bytes(), random_))
    with contextlib.suppress(ZweitblickError):
        _read(folder)
    assert caplog.text == ""
