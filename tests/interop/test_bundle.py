"""The offline bundle: made, signed, verified and installed where no network is, by the commands of docs/install.md."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
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


def documented() -> str:
    """Return the commands by which docs/install.md verifies a bundle and installs it."""
    page = (ROOT / "docs" / "install.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"^```sh\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    return block


def installs(folder: Path) -> subprocess.CompletedProcess[str]:
    """Run these where the bundle and the public key lie; the new environment is ``here``, and not in /opt."""
    block = documented()
    assert block.count("/opt/zweitblick") == 1
    command = ["sh", "-c", block.replace("/opt/zweitblick", "here")]
    environment = os.environ | OFFLINE
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=850, check=False
    )


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
    make("bundle", DIST=folder, BUILD=folder / "build", BUNDLE_KEY=folder / "key.pem")
    return folder


@pytest.fixture(scope="module")
def installed(bundle: Path) -> Path:
    """Install from a medium on which somebody has put more than the bundle."""
    for module in ("pip", "venv", "json"):
        (bundle / f"{module}.py").write_text("open('stolen', 'w')\n")
    done = installs(bundle)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Signature Verified Successfully" in done.stdout
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


def test_nothing_that_lies_beside_the_bundle_is_run(installed: Path) -> None:
    assert not (installed.parent / "stolen").exists()


def test_its_bill_of_materials_lists_what_is_locked_and_nothing_that_may_not_be_shipped(
    installed: Path, tmp_path: Path
) -> None:
    (installed / "ship.stamp").touch()
    make("sbom", f"-o{installed}/ship.stamp", SHIP=installed, DIST=tmp_path)
    sbom = json.loads((tmp_path / "sbom.cdx.json").read_text())
    assert sbom["bomFormat"] == "CycloneDX"
    named = {re.sub(r"[-_.]+", "-", one["name"]).lower(): one["version"] for one in sbom["components"]}
    lock = dict(re.findall(r"^([a-z0-9-]+)==(\S+)", (ROOT / "requirements.lock").read_text(), re.MULTILINE))
    assert lock.items() <= named.items()
    assert set(named) - set(lock) <= {"zweitblick", "pip", "setuptools"}
    report = (tmp_path / "licences.md").read_text()
    assert all(f"| {version} |" in report for version in lock.values())


ATTACK = "touch stolen\n"


def append(file: Path, line: str) -> None:
    """Change a file; the bundle that it was copied from, whose it still is, stays."""
    content = file.read_text(encoding="latin-1")
    file.unlink()
    file.write_text(content + line, encoding="latin-1")


def exchange_script(bundle: Path) -> None:
    (bundle / "install.sh").unlink()
    (bundle / "install.sh").write_text(ATTACK)


def exchange_script_and_digest(bundle: Path) -> None:
    before = hashlib.sha256((bundle / "install.sh").read_bytes()).hexdigest()
    exchange_script(bundle)
    content = (bundle / "SHA256SUMS").read_text()
    assert before in content
    (bundle / "SHA256SUMS").unlink()
    (bundle / "SHA256SUMS").write_text(content.replace(before, hashlib.sha256(ATTACK.encode()).hexdigest()))


def sign_by_another(bundle: Path) -> None:
    exchange_script_and_digest(bundle)
    (bundle / "SHA256SUMS.sig").unlink()
    run("openssl", "genpkey", "-algorithm", "ed25519", "-out", bundle / "key.pem")
    run(
        *("openssl", "pkeyutl", "-sign", "-rawin", "-inkey", bundle / "key.pem"),
        *("-in", bundle / "SHA256SUMS", "-out", bundle / "SHA256SUMS.sig"),
    )


@pytest.mark.parametrize(
    "change",
    [
        lambda bundle: append(min((bundle / "wheels").iterdir()), "\n"),
        lambda bundle: append(bundle / "requirements.lock", "\n"),
        lambda bundle: append(bundle / "SHA256SUMS", "\n"),
        lambda bundle: (bundle / "SHA256SUMS.sig").unlink(),
        exchange_script,
        exchange_script_and_digest,
        sign_by_another,
    ],
    ids=["a wheel", "the lock", "the list", "no signature", "the script", "script and digest", "another signer"],
)
def test_of_a_bundle_that_was_changed_nothing_is_run(
    bundle: Path, tmp_path: Path, change: Callable[[Path], object]
) -> None:
    shutil.copytree(bundle / "bundle", tmp_path / "bundle", copy_function=os.link)
    shutil.copy(bundle / "key.pub", tmp_path)
    change(tmp_path / "bundle")
    assert installs(tmp_path).returncode != 0
    assert {path.name for path in tmp_path.iterdir()} == {"bundle", "key.pub"}


def test_what_was_damaged_by_accident_is_not_installed(bundle: Path, tmp_path: Path) -> None:
    """By the script alone, as where a bundle is not signed."""
    shutil.copytree(bundle / "bundle", tmp_path / "bundle", copy_function=os.link)
    append(min((tmp_path / "bundle" / "wheels").iterdir()), "\n")
    command = ["sh", "bundle/install.sh", "here"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert not (tmp_path / "here").exists()
