"""docs/security.md is run as it stands, and a lost token is restored from shares; with SoftHSM and OpenSC."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import vault.holders
from vault.holders import LABEL, SOFTHSM, new_token
from zweitblick.vault.keyholders.places import TokenPlace

ROOT = Path(__file__).resolve().parents[2]
ZWEITBLICK = [sys.executable, "-m", "zweitblick"]
CEREMONY = [sys.executable, str(Path(__file__).with_name("ceremony.py"))]
STUDY = "1.2.276.0.4711"


@pytest.fixture(autouse=True)
def programs() -> None:
    for name in ("softhsm2-util", "pkcs11-tool"):
        if shutil.which(name) is None:
            pytest.fail(f"{name} is not installed: make system")


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Where the block's commands are those of this tree."""
    commands = tmp_path / "bin"
    commands.mkdir()
    for name, command in (
        ("zweitblick", ZWEITBLICK),
        ("send", [*CEREMONY, "send"]),
        ("show", [*CEREMONY, "show"]),
    ):
        (commands / name).write_text(f'#!/bin/sh\nexec {" ".join(command)} "$@"\n')
        (commands / name).chmod(0o700)
    paths = os.pathsep.join([str(ROOT / "tests"), *sys.path])
    return {"PATH": f"{commands}:{os.environ['PATH']}", "PYTHONPATH": paths, "HOME": str(tmp_path)}


def test_the_documented_ceremony_runs_as_it_stands(tmp_path: Path, environment: dict[str, str]) -> None:
    page = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```bash\n(.*?)```", page, re.DOTALL)
    folder = tmp_path / "ceremony"
    folder.mkdir()
    command = ["bash", "-euo", "pipefail", "-c", block]
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    said = done.stdout + done.stderr
    assert len(re.findall(r"^(send|show): \d+ bytes$", done.stdout, re.MULTILINE)) == 4
    assert "sensitive, always sensitive, never extractable, local" in said
    assert not (folder / "stolen").exists() or not (folder / "stolen").read_bytes()
    assert re.search(r"^error: object not found|CKR_ATTRIBUTE_SENSITIVE", said, re.MULTILINE)
    assert re.search(r"^Key 3 .*: 2 data keys, wraps$", done.stdout, re.MULTILINE)
    assert "store.key-missing" in done.stderr
    objects = [path for path in (folder / "kept" / "data" / "objects").rglob("*") if path.stat().st_size > 1000]
    assert any(path.is_file() for path in objects), "the image itself is back"


def test_a_lost_token_is_restored_from_shares_in_another(
    tmp_path: Path, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOFTHSM2_CONF", "")
    first, second = tmp_path / "first", tmp_path / "second"

    def ran(folder: Path, *command: object, code: int = 0) -> str:
        here = {**environment, "SOFTHSM2_CONF": str(folder / "softhsm2.conf")}
        command = tuple(map(str, command))
        done = subprocess.run(command, cwd=folder, env=here, capture_output=True, text=True, check=False)
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    for folder in (first, second):
        folder.mkdir()
        place = new_token(folder)
        (folder / "settings.toml").write_text(settings_with(place, tmp_path))
    config = ("--config", "settings.toml")
    options = ("--shares", 3, "--threshold", 2, "--out", tmp_path / "shares")
    ran(first, "zweitblick", "keys", "init", *options, *config)
    ran(first, "send", STUDY)
    listed = ran(first, *tool(), "--list-objects")
    assert "sensitive" in listed
    assert "local" not in listed, "whoever looks sees that it was outside once"
    ran(first, *tool(), "--read-object", "--type", "secrkey", "--label", "zweitblick-1", code=1)
    others = (*options[:-1], tmp_path / "others")
    assert "use its maker's backup" in ran(first, "zweitblick", "keys", "backup", *others, *config, code=3)
    shutil.rmtree(first / "tokens")
    assert "vault.key-holder" in ran(second, "show", STUDY, code=1)
    said = ran(second, "zweitblick", "keys", "restore", *sorted((tmp_path / "shares").iterdir())[1:], *config)
    assert "2 of 2 data keys open" in said
    assert "bytes" in ran(second, "show", STUDY)
    ran(second, *tool(), "--read-object", "--type", "secrkey", "--label", "zweitblick-1", code=1)


def test_rotations_at_once_make_no_two_keys_of_one_label(
    tmp_path: Path, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOFTHSM2_CONF", "")
    place = new_token(tmp_path)
    (tmp_path / "settings.toml").write_text(settings_with(place, tmp_path))
    here = {**environment, "SOFTHSM2_CONF": str(tmp_path / "softhsm2.conf")}

    def keys(command: str) -> subprocess.Popen[str]:
        given = ["zweitblick", "keys", command, "--config", "settings.toml"]
        return subprocess.Popen(
            given, cwd=tmp_path, env=here, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    assert "Made key 1" in keys("init").communicate()[0]
    said = [one.communicate()[0] for one in [keys("rotate") for _ in range(4)]]
    made = [one for one in said if one.startswith("Wrapped 0 data keys anew under key ")]
    assert made
    assert all("error: keys.rotation-running: " in one for one in said if one not in made)
    shown = keys("status").communicate()[0]
    numbers = [int(number) for number in re.findall(r"^Key (\d+) ", shown, re.MULTILINE)]
    assert numbers == list(range(1, len(made) + 2))


def settings_with(place: TokenPlace, folder: Path) -> str:
    return (
        f'data = "{folder}/kept"\n[keys]\nholder = "pkcs11"\npkcs11_module = "{SOFTHSM}"\n'
        f'pkcs11_token = "{LABEL}"\npkcs11_pin_file = "{place.pin_file}"\n'
    )


def tool() -> list[str]:
    module = ["pkcs11-tool", "--module", str(SOFTHSM), "--token-label", LABEL]
    return [*module, "--login", "--pin", vault.holders.PIN]
