"""The offline bundle: made, signed, and installed where no network is; what it holds has a bill of materials."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.timeout(900)  # it takes a minute of processor time, which on a machine that is shared is long

NOWHERE = "http://127.0.0.1:9"
OFFLINE = {
    "PIP_INDEX_URL": NOWHERE,
    "PIP_CONFIG_FILE": os.devnull,
    "https_proxy": NOWHERE,
    "http_proxy": NOWHERE,
    "PIP_NO_COMPILE": "no",  # pip's way to say that nothing is compiled, which takes a third of the time
    "PYTHON": sys.executable,
    "PYTHONPATH": "",
}


def run(*command: str | Path, environment: Mapping[str, str] = {}) -> str:
    done = subprocess.run(
        [str(part) for part in command],
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=850,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def make(*arguments: str, **variables: str | Path) -> str:
    """Run a target with the environment that these tests run in as the one that it would set up."""
    variables["BIN"] = Path(sys.executable).parent
    done = [f"-o{stamp}" for stamp in (".venv/python.stamp", ".venv/runtime.stamp", ".venv/dev.stamp")]
    return run("make", *done, *arguments, *(f"{name}={value}" for name, value in variables.items()))


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bundle")
    run("openssl", "genpkey", "-algorithm", "ed25519", "-out", folder / "key.pem")
    run("openssl", "pkey", "-in", folder / "key.pem", "-pubout", "-out", folder / "key.pub")
    make("bundle", DIST=folder, BUNDLE_KEY=folder / "key.pem")
    return folder


@pytest.fixture(scope="module")
def installed(bundle: Path) -> Path:
    run("sh", bundle / "bundle" / "install.sh", bundle / "here", bundle / "key.pub", environment=OFFLINE)
    return bundle / "here"


def test_it_installs_without_a_network_and_its_networks_open(installed: Path, tmp_path: Path) -> None:
    environment = OFFLINE | {"HOME": str(tmp_path), "ZWEITBLICK_DATA": str(tmp_path / "kept")}
    version = run(installed / "bin" / "zweitblick", "--version", environment=environment)
    assert re.fullmatch(r"zweitblick \d+\.\d+\.\d+\S*\n", version)
    command = [installed / "bin" / "zweitblick", "check"]
    checked = subprocess.run(command, env=os.environ | environment, capture_output=True, text=True, check=False)
    models = [line for line in checked.stdout.splitlines() if re.match(r"\w+\s+(models?|network|bundle)", line)]
    assert models, checked.stdout
    assert all(line.startswith("ok") for line in models)


def test_its_bill_of_materials_lists_what_is_locked_and_nothing_that_may_not_be_shipped(
    installed: Path, tmp_path: Path
) -> None:
    (installed / "ship.stamp").touch()
    program = shutil.which("cyclonedx-py", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    assert program, "cyclonedx-bom is not installed: make test"
    make("sbom", f"-o{installed}/ship.stamp", SHIP=installed, DIST=tmp_path, CYCLONEDX=program)
    sbom = json.loads((tmp_path / "sbom.cdx.json").read_text())
    assert sbom["bomFormat"] == "CycloneDX"
    named = {re.sub(r"[-_.]+", "-", one["name"]).lower(): one["version"] for one in sbom["components"]}
    lock = dict(re.findall(r"^([a-z0-9-]+)==(\S+)", (ROOT / "requirements.lock").read_text(), re.MULTILINE))
    assert lock.items() <= named.items()
    assert set(named) - set(lock) <= {"zweitblick", "pip", "setuptools"}
    report = (tmp_path / "licences.md").read_text()
    assert all(f"| {version} |" in report for version in lock.values())


@pytest.mark.parametrize("changed", ["a wheel", "the lock", "the list"])
def test_a_bundle_that_was_changed_is_not_installed(bundle: Path, tmp_path: Path, changed: str) -> None:
    copy = tmp_path / "bundle"
    shutil.copytree(bundle / "bundle", copy, copy_function=os.link)
    wheel = min((copy / "wheels").iterdir())
    target = {"a wheel": wheel, "the lock": copy / "requirements.lock", "the list": copy / "SHA256SUMS"}[changed]
    content = target.read_bytes()
    target.unlink()
    target.write_bytes(content + b"\n")
    command = ["sh", str(copy / "install.sh"), str(tmp_path / "there"), str(bundle / "key.pub")]
    done = subprocess.run(command, env=os.environ | OFFLINE, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert not (tmp_path / "there").exists()
