"""Files come to a folder whole, under the names of their UIDs, and a folder that is not there is told."""

import io
import os
import stat
from pathlib import Path
from typing import NoReturn

import pytest

from peers.fake_peers import SR, made
from zweitblick.errors import PeerUnreachableError
from zweitblick.peers.destination import FolderDestination
from zweitblick.peers.folder import FolderSender
from zweitblick.peers.instance import P7M, Outgoing, Receipt


def sealed(content: bytes, uid: str = "2.25.1") -> Outgoing:
    return Outgoing(SR, uid, "1.2.840.10008.1.2.1", 0, len(content), lambda: io.BytesIO(content), media_type=P7M)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_there_whole_under_its_uid_also_the_second_time(tmp_path: Path) -> None:
    plain, file = made(SR, size=3 * 2**20)
    sender = FolderSender(FolderDestination("SHARE", tmp_path))
    for _ in range(2):
        assert sender.send([plain, sealed(b"sealed")]) == Receipt()
        assert names(tmp_path) == sorted([f"{plain.sop_instance_uid}.dcm", "2.25.1.p7m"])
        assert (tmp_path / f"{plain.sop_instance_uid}.dcm").read_bytes() == file
        assert (tmp_path / "2.25.1.p7m").read_bytes() == b"sealed"


def test_others_may_read_it_as_far_as_the_mask_lets_them(tmp_path: Path) -> None:
    mask = os.umask(0o027)
    try:
        FolderSender(FolderDestination("SHARE", tmp_path)).send([sealed(b"sealed")])
    finally:
        os.umask(mask)
    assert stat.S_IMODE((tmp_path / "2.25.1.p7m").stat().st_mode) == 0o640


def test_of_a_file_that_breaks_off_nothing_is_left(tmp_path: Path) -> None:
    class Broken(io.BytesIO):
        def read(self, _size: int | None = -1) -> NoReturn:
            raise KeyError

    broken = Outgoing(SR, "2.25.2", "1.2.840.10008.1.2.1", 0, 6, Broken, media_type=P7M)
    with pytest.raises(KeyError):
        FolderSender(FolderDestination("SHARE", tmp_path)).send([sealed(b"sealed"), broken])
    assert names(tmp_path) == ["2.25.1.p7m"]


@pytest.mark.parametrize("where", ["nowhere", "file"])
def test_a_folder_that_is_none_is_unreachable_and_not_made(tmp_path: Path, where: str) -> None:
    """A share that is not mounted would be filled beneath."""
    (tmp_path / "file").touch()
    sender = FolderSender(FolderDestination("SHARE", tmp_path / where))
    for call in (sender.check, lambda: sender.send([sealed(b"sealed")])):
        with pytest.raises(PeerUnreachableError, match="SHARE"):
            call()
    assert names(tmp_path) == ["file"]


def test_a_check_leaves_nothing(tmp_path: Path) -> None:
    FolderSender(FolderDestination("SHARE", tmp_path)).check()
    assert names(tmp_path) == []
