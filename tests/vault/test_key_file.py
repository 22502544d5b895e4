"""What the key file adds to what every key holder promises."""

import logging
import threading
from pathlib import Path

import pytest

from zweitblick.errors import KeyHolderError, KeyUnwrapError
from zweitblick.vault.data_key import DataKey
from zweitblick.vault.keyholders import FileKeyHolder, WrappedKey, make_key_file

KEY = DataKey(bytes.fromhex("00112233445566778899aabbccddeeff000102030405060708090a0b0c0d0e0f"))


def file_holder(folder: Path, kek: bytes) -> FileKeyHolder:
    path = folder / "kek"
    path.touch(0o600)
    path.write_bytes(kek)
    return FileKeyHolder(path)


def test_key_file_wraps_as_rfc_3394_does(tmp_path: Path) -> None:
    """4.6: 256 bits of key data with a 256-bit KEK."""
    wrapped = file_holder(tmp_path, bytes(range(32))).wrap(KEY)
    assert (
        wrapped.ciphertext.hex() == "28c9f404c4b810f4cbccb35cfb87f8263f5786e2d80ed326cbc7f0e71a99f43bfb988b9b7a02dd21"
    )


WYCHEPROOF_KEK = "4f710eb6b5e28703becfc3dc52fa8bc1dd44a4a6d38a84b4f94e89ac32d987e7"
WYCHEPROOF_MESSAGE = "a828cbda9b5ff0ae374f84fa01d070a5f0a17a0c462be4f1acce34973526908c"
WYCHEPROOF_WRONG = {
    # testvectors_v1/aes_wrap_test.json: the right key data, wrapped with a wrong initial value
    129: "dd78ebd3091c55a5da5b24504200f7fadd1b3ac6ad35f814f733e603c13936245d69d83f262f6b1e",
    132: "3d8338eae7de322399e1d1b4a3df54326b242b563612ea4b27da22a041d3c80966911bc009911761",
    135: "d04bf75cadd3b5f099c34b27a91e64a8f2dbcf08e8c5c1c9f07a777eeb805d5d0e8c5c01afc43944",
    138: "be0c5d193b61c5137a8fd8a6d7d1ed8f0fa28cec516f544697c12add4f8f4d5cfca65edeb1019974",
    141: "a83ebcbeb2be9d6807b5cfc31c89849d1343dd4eb22e5bfe9e2b2b3790ad8900601f1f5d54fd472f",
    144: "416221485a6cb98ad1342ea9a12926a9a133ead8bd919323fe789bb8f89a4fcaf81e1be54f9d358e",
    147: "bf6a53286fac48e7f25d89b7056b27aa917d5b54c0d3171dff369f7249153bf09da5891eb4dc2d88",
}


@pytest.mark.parametrize("number", WYCHEPROOF_WRONG)
def test_key_file_refuses_what_wycheproof_calls_invalid(number: int, tmp_path: Path) -> None:
    holder, key = file_holder(tmp_path, bytes.fromhex(WYCHEPROOF_KEK)), DataKey(bytes.fromhex(WYCHEPROOF_MESSAGE))
    with pytest.raises(KeyUnwrapError):
        holder.unwrap(WrappedKey(holder.kek_id, key.id, bytes.fromhex(WYCHEPROOF_WRONG[number])))


def test_key_file_refuses_a_wrapped_key_of_another_size(tmp_path: Path) -> None:
    """RFC 3394, 4.5: 192 bits of key data with a 256-bit KEK; rightly wrapped, but no data key."""
    holder = file_holder(tmp_path, bytes(range(32)))
    wrapped = bytes.fromhex("a8f9bc1612c68b3ff6e6f4fbe30e71e4769c8b80a32cb8958cd5d17d6b254da1")
    with pytest.raises(KeyUnwrapError):
        holder.unwrap(WrappedKey(holder.kek_id, KEY.id, wrapped))


def test_a_new_key_file_is_its_owners_alone_and_random(tmp_path: Path) -> None:
    for name in ("one", "two"):
        make_key_file(tmp_path / name)
        assert (tmp_path / name).stat().st_mode & 0o777 == 0o600
    one, two = ((tmp_path / name).read_bytes() for name in ("one", "two"))
    assert len(one) == len(two) == 32
    assert one != two


def test_a_key_file_is_not_replaced(tmp_path: Path) -> None:
    make_key_file(tmp_path / "kek")
    before = (tmp_path / "kek").read_bytes()
    with pytest.raises(KeyHolderError, match="is there already"):
        make_key_file(tmp_path / "kek")
    assert (tmp_path / "kek").read_bytes() == before
    with pytest.raises(KeyHolderError, match="cannot be written"):
        make_key_file(tmp_path / "nowhere" / "kek")


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o610, 0o601, 0o660, 0o644, 0o777])
def test_a_file_open_to_others_is_refused(mode: int, tmp_path: Path) -> None:
    path = tmp_path / "kek"
    make_key_file(path)
    path.chmod(mode)
    with pytest.raises(KeyHolderError, match=f"{mode:04o}"):
        FileKeyHolder(path)


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o700])
def test_a_file_of_its_owners_alone_is_taken(mode: int, tmp_path: Path) -> None:
    path = tmp_path / "kek"
    make_key_file(path)
    path.chmod(mode)
    assert FileKeyHolder(path).unwrap(FileKeyHolder(path).wrap(KEY)) == KEY


@pytest.mark.parametrize("size", [0, 16, 31, 33, 4096])
def test_a_file_of_another_size_is_refused(size: int, tmp_path: Path) -> None:
    with pytest.raises(KeyHolderError, match="32 bytes"):
        file_holder(tmp_path, bytes(size))


def test_an_absent_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "absent", tmp_path):
        with pytest.raises(KeyHolderError, match="cannot be read"):
            FileKeyHolder(path)


def test_warns_once_that_it_is_for_development(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    make_key_file(tmp_path / "kek")
    holder = FileKeyHolder(tmp_path / "kek")
    for _ in range(3):
        holder.unwrap(holder.wrap(KEY))
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert "DEVELOPMENT ONLY" in caplog.text


def test_a_key_file_whose_first_version_was_destroyed_is_not_made_anew(tmp_path: Path) -> None:
    """Somebody who starts the service must not get a first version that is older than what is there."""
    make_key_file(tmp_path / "kek")
    holder = FileKeyHolder(tmp_path / "kek")
    first = holder.keks()[0]
    holder.make_kek()
    holder.destroy_kek(first)
    assert {path.name for path in tmp_path.iterdir()} == {"kek.2"}
    with pytest.raises(KeyHolderError, match="is there already"):
        make_key_file(tmp_path / "kek")
    assert FileKeyHolder(tmp_path / "kek").keks() == holder.keks()


def test_a_key_that_is_being_written_is_none_yet(tmp_path: Path) -> None:
    make_key_file(tmp_path / "kek")
    holder = FileKeyHolder(tmp_path / "kek")
    (tmp_path / ".kek.2.part").write_bytes(b"cut off by a crash")
    for name in ("kek.old", "kek.02", "kek.1", "other.2"):
        (tmp_path / name).write_bytes(bytes(32))
    assert len(holder.keks()) == 1
    assert holder.make_kek().version == 2
    assert (tmp_path / "kek.2").stat().st_mode & 0o777 == 0o600
    assert not (tmp_path / ".kek.2.part").exists()


def test_a_restored_key_is_put_where_it_was_and_replaces_no_other(tmp_path: Path) -> None:
    for name in ("kek", "other"):
        make_key_file(tmp_path / name)
    holder, other = FileKeyHolder(tmp_path / "kek"), FileKeyHolder(tmp_path / "other")
    holder.make_kek()
    wrapped = holder.wrap(KEY)
    secrets = holder.secrets()
    for kek, secret in secrets.items():
        assert holder.import_kek(secret, kek.version) == kek, "it is there already"
    with pytest.raises(KeyHolderError, match="another key"):
        other.import_kek(secrets[holder.keks()[0]], 1)
    assert other.import_kek(secrets[holder.keks()[1]], 2) == holder.keks()[1]
    assert other.unwrap(wrapped) == KEY


def test_keys_that_are_destroyed_meanwhile_keep_nobody_from_wrapping(tmp_path: Path) -> None:
    make_key_file(tmp_path / "kek")
    ours, other = FileKeyHolder(tmp_path / "kek"), FileKeyHolder(tmp_path / "kek")
    done = threading.Event()

    def rotate() -> None:
        while not done.is_set():
            other.make_kek()
            other.destroy_kek(other.keks()[0])

    thread = threading.Thread(target=rotate)
    thread.start()
    try:
        wrapped = [ours.wrap(KEY) for _ in range(1000)]
    finally:
        done.set()
        thread.join()
    assert len({one.kek_id for one in wrapped}) > 2
