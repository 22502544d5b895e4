"""Where files come from: folders, archives, lists; ordinary cases. Hostile ones are in tests/attacks/test_files.py."""

import os
import socket
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from zweitblick.dicom.source import Limits, opened
from zweitblick.errors import DamagedArchiveError, SourceMissingError, TooManyFilesError


def _tree(root: Path) -> dict[str, bytes]:
    contents = {"a.dcm": b"one", "sub/b.dcm": b"two", "sub/deeper/c": b"three"}
    for name, data in contents.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    return contents


def test_a_folder_gives_every_file_below_it(tmp_path: Path) -> None:
    contents = _tree(tmp_path)
    with opened(tmp_path) as paths:
        assert {path.relative_to(tmp_path).as_posix(): path.read_bytes() for path in paths} == contents


def test_an_archive_gives_the_same_bytes_and_leaves_nothing_behind(tmp_path: Path) -> None:
    contents = _tree(tmp_path / "study")
    archive = tmp_path / "study.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as writer:
        for name in contents:
            writer.write(tmp_path / "study" / name, name)
    with opened(archive) as paths:
        assert [path.read_bytes() for path in paths] == [b"one", b"two", b"three"]
    assert not any(path.exists() for path in paths)


def test_files_and_folders_may_be_mixed(tmp_path: Path) -> None:
    _tree(tmp_path / "study")
    single = tmp_path / "single.dcm"
    single.write_bytes(b"four")
    with opened([tmp_path / "study", single]) as paths:
        assert [path.read_bytes() for path in paths] == [b"one", b"two", b"three", b"four"]


def test_an_archive_inside_a_folder_stays_packed(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "inner.zip", "w") as writer:
        writer.writestr("x", b"payload")
    with opened(tmp_path) as paths:
        assert [path.name for path in paths] == ["inner.zip"]


def test_a_dicom_file_whose_preamble_begins_like_an_archive_is_a_file(tmp_path: Path) -> None:
    dual = tmp_path / "dual.dcm"
    dual.write_bytes(b"PK\x03\x04".ljust(128, b"\0") + b"DICM")
    with opened(dual) as paths:
        assert paths == (dual,)


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(SourceMissingError), opened(tmp_path / "Muster_Erika"):
        pass


def test_the_message_about_a_missing_source_does_not_repeat_its_name(tmp_path: Path) -> None:
    with pytest.raises(SourceMissingError) as caught, opened(tmp_path / "Muster_Erika"):
        pass
    assert "Muster" not in str(caught.value)


@pytest.mark.parametrize("count", [3, 4])
def test_the_number_of_files_is_limited(tmp_path: Path, count: int) -> None:
    for number in range(count):
        (tmp_path / str(number)).touch()
    if count == 3:
        with opened(tmp_path, limits=Limits(files=3)) as paths:
            assert len(paths) == 3
    else:
        with pytest.raises(TooManyFilesError, match="3"), opened(tmp_path, limits=Limits(files=3)):
            pass


def test_ten_thousand_files_are_taken(tmp_path: Path) -> None:
    for number in range(10_000):
        (tmp_path / f"{number:05d}").touch()
    with opened(tmp_path) as paths:
        assert len(paths) == 10_000


def test_an_encrypted_archive_is_named(tmp_path: Path) -> None:
    archive = tmp_path / "study.zip"
    with zipfile.ZipFile(archive, "w") as writer:
        writer.writestr("a", b"payload")
    raw = bytearray(archive.read_bytes())
    for signature, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        raw[raw.index(signature) + flags] |= 1
    archive.write_bytes(raw)
    with pytest.raises(DamagedArchiveError), opened(archive):
        pass


def a_pipe(room: Path) -> Path:
    os.mkfifo(room / "Muster")
    return room / "Muster"


def a_socket(room: Path) -> Path:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(room / "Muster"))
    return room / "Muster"


def a_name_too_long(room: Path) -> Path:
    return room / ("Muster" * 50)


def a_link_to_itself(room: Path) -> Path:
    (room / "Muster").symlink_to(room / "Muster")
    return room / "Muster"


@pytest.mark.parametrize("make", [a_pipe, a_socket, a_name_too_long, a_link_to_itself], ids=lambda make: make.__name__)
def test_what_cannot_be_opened_is_a_missing_source(make: Callable[[Path], Path], tmp_path: Path) -> None:
    with pytest.raises(SourceMissingError, match="source 1") as caught, opened(make(tmp_path)):
        pass
    assert "Muster" not in str(caught.value)


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="needs Linux's /proc")
def test_a_file_that_cannot_be_read_is_a_missing_source() -> None:
    # Address 0 is never mapped, so reading fails with EIO, for root too.
    with pytest.raises(SourceMissingError, match="source 1"), opened(Path("/proc/self/mem")):
        pass


@pytest.mark.parametrize("make", [a_pipe, a_socket, a_link_to_itself], ids=lambda make: make.__name__)
def test_what_is_no_plain_file_is_left_out_of_a_folder(make: Callable[[Path], Path], tmp_path: Path) -> None:
    _tree(tmp_path / "study")
    make(tmp_path / "study")
    with opened(tmp_path / "study") as paths:
        assert [path.read_bytes() for path in paths] == [b"one", b"two", b"three"]
