"""Programs that judge our results. They are not optional here: a missing one fails the test that asks for it."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

PACKAGES = {
    "dcm2niix": "dcm2niix",
    "dciodvfy": "dicom3tools",
    "dcmdump": "dcmtk",
    "dsrdump": "dcmtk",
    "dcmftest": "dcmtk",
    "dcmconv": "dcmtk",
    "dcmcrle": "dcmtk",
    "dcmcjpeg": "dcmtk",
    "dcmcjpls": "dcmtk",
    "dcmsend": "dcmtk",
    "echoscu": "dcmtk",
    "findscu": "dcmtk",
    "storescp": "dcmtk",
    "storescu": "dcmtk",
    "pdftotext": "poppler-utils",
    "pdfinfo": "poppler-utils",
    "pdftoppm": "poppler-utils",
    "strace": "strace",
    "openssl": "openssl",
    "softhsm2-util": "softhsm2",
    "pkcs11-tool": "opensc",
    "Orthanc": "orthanc, orthanc-dicomweb",
}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--kills", type=int, default=5, help="how often test_kills.py kills a service")


@pytest.fixture(scope="session")
def program() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run one of the Debian programs: ``program("dciodvfy", path)``; output is text, the exit status is not checked."""

    def run(name: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        found = shutil.which(name)
        if found is None:
            pytest.fail(f"{name} is not installed (Debian package {PACKAGES[name]}): make system")
        return subprocess.run(
            [found, *map(str, arguments)], capture_output=True, text=True, errors="replace", check=False, timeout=120
        )

    return run
