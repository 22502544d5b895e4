"""``zweitblick keys`` with a key file: what it makes, shows, destroys and restores."""

import io
import re
import shutil
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from store.stores import PATIENT_ID, instance, plain_file, study_uid
from zweitblick.cli import main
from zweitblick.store.database import Database
from zweitblick.store.places import StorePlaces
from zweitblick.store.results import ResultName
from zweitblick.store.rotation_lock import rotation_lock
from zweitblick.store.store import Store
from zweitblick.vault.keyholders import FileKeyHolder

Said = pytest.CaptureFixture[str]


@pytest.fixture
def config(tmp_path: Path) -> Path:
    (tmp_path / "settings.toml").write_text(f'data = "{tmp_path}/kept"\nkey_file = "{tmp_path}/etc/key"\n')
    return tmp_path / "settings.toml"


def store(config: Path) -> Store:
    holder = FileKeyHolder(config.parent / "etc" / "key")
    return Store(StorePlaces.within(config.parent / "kept"), holder, clock=lambda: datetime.now(UTC))


def keys(said: Said, *arguments: object) -> tuple[int, str, str]:
    code = main(["keys", *map(str, arguments)])
    return code, *said.readouterr()


def kept(config: Path, *studies: int) -> list[str]:
    with store(config) as opened:
        for study in studies:
            opened.keep(instance(study=study))
        return [opened.token(study_uid(study)) for study in studies]


def check_read(config: Path, *studies: int) -> None:
    with store(config) as opened:
        for study in studies:
            (one,) = opened.instances(opened.token(study_uid(study)))
            assert plain_file(opened, one.id).endswith(instance(study=study).data)


def test_init_makes_one_key_and_never_another(config: Path, capsys: Said) -> None:
    code, out, _ = keys(capsys, "init", "--config", config)
    assert code == 0
    assert "key 1" in out
    assert "for development only" in out
    key = config.parent / "etc" / "key"
    before = key.read_bytes()
    assert keys(capsys, "init", "--config", config)[0] == 3
    assert key.read_bytes() == before
    assert key.stat().st_mode & 0o077 == 0


def test_status_counts_the_keys_under_each_and_rotation_moves_them(config: Path, capsys: Said) -> None:
    keys(capsys, "init", "--config", config)
    kept(config, 1, 2)
    _, out, _ = keys(capsys, "status", "--config", config)
    assert re.search(r"Key 1 \([0-9a-f]{32}\): 3 data keys, wraps", out)
    assert keys(capsys, "rotate", "--config", config)[0] == 0
    _, out, _ = keys(capsys, "status", "--config", config)
    assert re.search(r"Key 1 .*: 0 data keys, rotated out\nKey 2 .*: 3 data keys, wraps", out)
    assert "Pool: 32 keys" in out
    check_read(config, 1, 2)
    _, out, _ = keys(capsys, "rotate", "--destroy-old", "--config", config)
    assert "Destroyed key 1" in out
    assert "Destroyed key 2" in out
    assert {path.name for path in (config.parent / "etc").iterdir()} == {"key.3"}
    check_read(config, 1, 2)


def test_status_says_that_the_holder_is_away_and_which_keys_are_missing(config: Path, capsys: Said) -> None:
    keys(capsys, "init", "--config", config)
    kept(config, 1)
    (config.parent / "etc" / "key").unlink()
    code, out, _ = keys(capsys, "status", "--config", config)
    assert code == 0
    assert "Away: key file" in out
    assert re.search(r"Key [0-9a-f]{32}: 2 data keys, not with the holder", out)


def test_shred_destroys_one_study_after_it_was_confirmed(
    config: Path, capsys: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys(capsys, "init", "--config", config)
    token, _ = kept(config, 1, 2)
    for answer in ("", "yes\n", "SHRED\n"):
        monkeypatch.setattr("sys.stdin", io.StringIO(answer))
        code, out, err = keys(capsys, "shred", "--study", study_uid(1), "--config", config)
        assert code == 3
        assert "keys.not-confirmed" in err
        assert f"Study {token}: its key, 1 images and 0 results." in out
    check_read(config, 1, 2)
    monkeypatch.setattr("sys.stdin", io.StringIO("shred\n"))
    code, out, err = keys(capsys, "shred", "--study", study_uid(1), "--config", config)
    assert (code, err) == (0, "")
    assert f"Destroyed study {token}." in out
    check_read(config, 2)
    code, _, err = keys(capsys, "shred", "--study", study_uid(1), "--yes", "--config", config)
    assert code == 3
    assert "store.study-unknown" in err
    assert main(["audit", "show", "--config", str(config)]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert [study_uid(1) in line for line in shown if "DICOM Study Deleted" in line] == [True]


def test_shred_destroys_all_of_a_patient_and_names_nobody(config: Path, capsys: Said) -> None:
    keys(capsys, "init", "--config", config)
    kept(config, 1, 2)
    with store(config) as opened:
        opened.keep(replace(instance(study=3), data=b""))
    code, out, err = keys(capsys, "shred", "--patient", PATIENT_ID, "--yes", "--config", config)
    assert (code, err) == (0, "")
    assert out.count("Destroyed study") == 2
    assert PATIENT_ID not in out
    with store(config) as opened:
        assert len(opened.instances(opened.token(study_uid(3)))) == 1
    _, out, _ = keys(capsys, "shred", "--patient", PATIENT_ID, "--yes", "--config", config)
    assert out == "No study of this patient is kept.\n"


def test_a_study_with_results_that_a_backup_brought_back_is_cleared(config: Path, tmp_path: Path, capsys: Said) -> None:
    keys(capsys, "init", "--config", config)
    (token,) = kept(config, 1)
    with store(config) as opened:
        (first,) = opened.rounds(token)
        opened.keep_result(ResultName(first.id, "findings", "application/json"), io.BytesIO(b"{}"))
    shutil.copytree(tmp_path / "kept" / "data", tmp_path / "backup")
    shred = ("shred", "--study", study_uid(1), "--yes", "--config", config)
    assert keys(capsys, *shred)[0] == 0
    shutil.rmtree(tmp_path / "kept" / "data")
    (tmp_path / "backup").rename(tmp_path / "kept" / "data")
    code, out, err = keys(capsys, *shred)
    assert (code, err) == (0, "")
    assert "(store.key-missing)" in out
    kept(config, 1)
    check_read(config, 1)


def test_a_lost_key_file_comes_back_from_its_shares(config: Path, tmp_path: Path, capsys: Said) -> None:
    """The rehearsal of docs/keys.md: keys are backed up, lost, and restored by three of five people."""
    keys(capsys, "init", "--config", config)
    kept(config, 1)
    keys(capsys, "rotate", "--config", config)
    kept(config, 2)
    before = {path.name: path.read_bytes() for path in (tmp_path / "etc").iterdir()}
    shares = tmp_path / "shares"
    options = ("--shares", 5, "--threshold", 3, "--out", shares, "--config", config)
    code, out, _ = keys(capsys, "backup", *options)
    assert code == 0
    files = sorted(shares.iterdir())
    assert [path.name for path in files] == [f"share-{number}.txt" for number in range(1, 6)]
    assert {path.stat().st_mode & 0o777 for path in files} == {0o600}
    assert keys(capsys, "backup", *options)[0] == 3, "what is there is not replaced"
    shutil.rmtree(tmp_path / "etc")
    code, _, err = keys(capsys, "restore", files[0], files[4], "--config", config)
    assert code == 3
    assert "vault.share" in err
    assert not (tmp_path / "etc").exists()
    code, out, err = keys(capsys, "restore", files[4], files[0], files[2], "--config", config)
    assert (code, err) == (0, "")
    assert re.search(r"Restored key 1 .*: 0 of 0 data keys open\.\nRestored key 2 .*: 3 of 3 data keys open\.", out)
    assert {path.name: path.read_bytes() for path in (tmp_path / "etc").iterdir()} == before
    assert keys(capsys, "restore", *files, "--config", config)[0] == 0, "what is there already stays"
    check_read(config, 1, 2)


def test_shares_do_not_replace_another_key(config: Path, tmp_path: Path, capsys: Said) -> None:
    keys(capsys, "init", "--shares", 2, "--threshold", 2, "--out", tmp_path / "shares", "--config", config)
    (tmp_path / "etc" / "key").unlink()
    keys(capsys, "init", "--config", config)
    before = (tmp_path / "etc" / "key").read_bytes()
    code, _, err = keys(capsys, "restore", *(tmp_path / "shares").iterdir(), "--config", config)
    assert code == 3
    assert "another key" in err
    assert (tmp_path / "etc" / "key").read_bytes() == before


def test_a_share_s_line_under_another_key_s_name_is_refused(config: Path, tmp_path: Path, capsys: Said) -> None:
    keys(capsys, "init", "--shares", 2, "--threshold", 2, "--out", tmp_path / "shares", "--config", config)
    files = list((tmp_path / "shares").iterdir())
    for file in files:
        file.write_text(re.sub(r"[0-9a-f]{32}", "0" * 32, file.read_text()))
    (tmp_path / "etc" / "key").unlink()
    code, _, err = keys(capsys, "restore", *files, "--config", config)
    assert code == 3
    assert "wrong place" in err
    assert not (tmp_path / "etc" / "key").exists()


@pytest.mark.parametrize("options", [("--shares", "3"), ("--threshold", "2"), ("--shares", "3", "--threshold", "2")])
def test_half_an_order_for_shares_is_refused_before_a_key_is_made(
    config: Path, tmp_path: Path, capsys: Said, options: tuple[str, ...]
) -> None:
    code, _, err = keys(capsys, "init", *options, "--config", config)
    assert code == 3
    assert "go together" in err
    assert not (tmp_path / "etc" / "key").exists()


def test_shares_that_cannot_be_written_are_an_error(config: Path, tmp_path: Path, capsys: Said) -> None:
    keys(capsys, "init", "--config", config)
    out = tmp_path / "absent" / "shares"
    code, _, err = keys(capsys, "backup", "--shares", 3, "--threshold", 2, "--out", out, "--config", config)
    assert code == 3
    assert "output.not-writable" in err


def test_no_command_shows_a_key(config: Path, tmp_path: Path, capsys: Said) -> None:
    said = "".join(map(str, keys(capsys, "init", "--config", config)))
    kept(config, 1)
    for command in (("status",), ("rotate",), ("backup", "--shares", 3, "--threshold", 2, "--out", tmp_path / "s")):
        said += "".join(map(str, keys(capsys, *command, "--config", config)))
    for key in (tmp_path / "etc").iterdir():
        assert key.read_bytes().hex()[:8] not in said
    words = (tmp_path / "s" / "share-1.txt").read_text().split(": ")[-1].split()
    assert len(words) == 33
    assert not any(" ".join(words[start : start + 3]) in said for start in range(31))


def test_shares_of_a_rotation_that_destroys_hold_nothing_of_what_it_destroyed(
    config: Path, tmp_path: Path, capsys: Said
) -> None:
    keys(capsys, "init", "--config", config)
    kept(config, 1)
    shares, etc = tmp_path / "shares", tmp_path / "etc"
    options = ("--shares", 3, "--threshold", 2, "--out", shares)
    code, out, err = keys(capsys, "rotate", "--destroy-old", *options, "--config", config)
    assert (code, err) == (0, "")
    assert out.index("Wrote 3 shares") < out.index("Destroyed key 1")
    (left,) = etc.iterdir()
    before = left.read_bytes()
    assert [len(re.findall("^key ", file.read_text(), re.MULTILINE)) for file in shares.iterdir()] == [1, 1, 1]
    shutil.rmtree(etc)
    code, out, _ = keys(capsys, "restore", *shares.iterdir(), "--config", config)
    assert re.findall(r"Restored key (\d+) .*: (\d of \d)", out) == [("2", "2 of 2")]
    assert {path.name: path.read_bytes() for path in etc.iterdir()} == {"key.2": before}
    check_read(config, 1)


def test_nothing_is_destroyed_before_the_shares_that_were_asked_for_are_written(
    config: Path, tmp_path: Path, capsys: Said
) -> None:
    keys(capsys, "init", "--config", config)
    kept(config, 1)
    command = ("rotate", "--destroy-old", "--shares", 3, "--threshold", 2, "--config", config, "--out")
    code, _, err = keys(capsys, *command, tmp_path / "absent" / "shares")
    assert code == 3
    assert "output.not-writable" in err
    assert {path.name for path in (tmp_path / "etc").iterdir()} == {"key", "key.2"}
    check_read(config, 1)


def test_a_rotation_that_is_finished_writes_the_shares_of_a_key_file_before_it_destroys(
    config: Path, tmp_path: Path, capsys: Said
) -> None:
    keys(capsys, "init", "--config", config)
    kept(config, 1)
    FileKeyHolder(tmp_path / "etc" / "key").make_kek()
    options = ("--shares", 3, "--threshold", 2, "--out", tmp_path / "shares", "--config", config)
    code, out, _ = keys(capsys, "rotate", "--destroy-old", *options)
    assert code == 0
    assert "Finishing a rotation" in out
    assert {path.name for path in (tmp_path / "etc").iterdir()} == {"key.2"}
    shutil.rmtree(tmp_path / "etc")
    assert "Restored key 2" in keys(capsys, "restore", *(tmp_path / "shares").iterdir(), "--config", config)[1]
    check_read(config, 1)


def test_while_one_rotates_nobody_else_changes_the_keys(config: Path, tmp_path: Path, capsys: Said) -> None:
    keys(capsys, "init", "--shares", 2, "--threshold", 2, "--out", tmp_path / "shares", "--config", config)
    kept(config, 1)
    other = Database(StorePlaces.within(tmp_path / "kept").keys, tables="keys")
    options = ("--shares", 2, "--threshold", 2, "--out", tmp_path / "more")
    with rotation_lock(other):
        for command in (("rotate", *options), ("restore", *(tmp_path / "shares").iterdir())):
            code, out, err = keys(capsys, *command, "--config", config)
            assert (code, out) == (3, "")
            assert "keys.rotation-running: another rotation" in err
        assert keys(capsys, "status", "--config", config)[0] == 0
        check_read(config, 1)
    other.close()
    assert {path.name for path in (tmp_path / "etc").iterdir()} == {"key"}
    assert not (tmp_path / "more").exists()
    assert keys(capsys, "rotate", *options, "--config", config)[0] == 0
    assert keys(capsys, "restore", *(tmp_path / "shares").iterdir(), "--config", config)[0] == 0
