"""Orthanc as a DICOMweb client of ours: it stores a study, searches for it and gets it back."""

import io
import json
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pydicom
import pytest
from pydicom.uid import JPEGLSLossless

from dicom_writer import write_series
from kept_study import Clock, new_store, wait_until
from web.dicomweb_study import STUDY, by_uid, head
from web.web_house import TOKEN, WebHouse

PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")


@pytest.fixture
def house(tmp_path: Path) -> Iterator[WebHouse]:
    folder, clock = tmp_path / "house", Clock()
    folder.mkdir()
    with new_store(folder, clock) as store, closing(WebHouse(store, clock)) as made:
        yield made


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    return [
        *write_series(tmp_path / "t1", head(), number=1),
        *write_series(tmp_path / "t2", head(1), number=2, transfer_syntax=JPEGLSLossless),
    ]


@pytest.fixture
def orthanc(tmp_path: Path, house: WebHouse) -> Iterator[httpx.Client]:
    """Orthanc's REST interface; it knows us as ``us``."""
    program = shutil.which("Orthanc", path="/usr/sbin:/usr/bin")
    if program is None or not PLUGIN.exists():
        pytest.fail("Orthanc is not installed (Debian packages orthanc, orthanc-dicomweb): make system")
    folder = tmp_path / "orthanc"
    folder.mkdir()
    port = free_port()
    settings = {
        "StorageDirectory": str(folder / "kept"),
        "IndexDirectory": str(folder / "kept"),
        "Plugins": [str(PLUGIN)],
        "HttpPort": port,
        "DicomServerEnabled": False,
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "DicomWeb": {"Servers": {"us": {"Url": house.root, "HttpHeaders": {"Authorization": f"Bearer {TOKEN}"}}}},
    }
    (folder / "settings.json").write_text(json.dumps(settings))
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([program, str(folder / "settings.json")], stdout=log, stderr=log)
    with process, httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
        try:
            wait_until(lambda: answers(client))
            yield client
        finally:
            process.terminate()


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def answers(client: httpx.Client) -> bool:
    try:
        return client.get("/system").status_code == 200
    except httpx.TransportError:
        return False


def asked(orthanc: httpx.Client, what: str, body: dict[str, Any]) -> Any:
    answer = orthanc.post(f"/dicom-web/servers/us/{what}", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_a_study_goes_to_us_is_found_and_comes_back(house: WebHouse, orthanc: httpx.Client, files: list[Path]) -> None:
    for path in files:
        assert orthanc.post("/instances", content=path.read_bytes()).status_code == 200
    [study] = orthanc.get("/studies").json()
    asked(orthanc, "stow", {"Resources": [study], "Synchronous": True})
    expected = by_uid(files)
    kept = {uid: pydicom.dcmread(io.BytesIO(file)) for uid, file in house.contents(STUDY).items()}
    assert kept == expected

    assert orthanc.delete(f"/studies/{study}").status_code == 200
    [found] = asked(orthanc, "qido", {"Uri": "/studies", "Arguments": {"PatientID": "PAT-0001"}})
    assert found["0020000D"]["Value"] == STUDY  # in Orthanc's own form
    assert len(asked(orthanc, "qido", {"Uri": f"/studies/{STUDY}/series"})) == 2
    assert asked(orthanc, "qido", {"Uri": "/studies", "Arguments": {"PatientID": "PAT-0002"}}) == []

    asked(orthanc, "retrieve", {"Resources": [{"Study": STUDY}], "Synchronous": True})
    back = [
        pydicom.dcmread(io.BytesIO(orthanc.get(f"/instances/{one}/file").content))
        for one in orthanc.get("/instances").json()
    ]
    assert {str(one.SOPInstanceUID): one for one in back} == expected
    assert all(np.array_equal(one.pixel_array, expected[one.SOPInstanceUID].pixel_array) for one in back)
