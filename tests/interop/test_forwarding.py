"""Orthanc with the script of ``deploy/`` sends what it receives on; what it sends again is not read again."""

import json
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pydicom
import pytest

from kept_study import files_of, wait_until
from zweitblick.cli.service import serving
from zweitblick.sample import SampleTruth
from zweitblick.settings import DicomSettings, HttpSettings, Settings

SCRIPT = Path(__file__).parents[2] / "deploy" / "forward.lua"


def free_ports(count: int) -> list[int]:
    with ExitStack() as held:
        listeners = [held.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [listener.getsockname()[1] for listener in listeners]


@pytest.fixture
def service(tmp_path: Path) -> Iterator[tuple[int, httpx.Client]]:
    """A service that takes studies from Orthanc alone: its DICOM port, and a client of its HTTP."""
    dicom = DicomSettings(port=0, ae_title="ZWEITBLICK", calling_ae_titles=frozenset({"ORTHANC"}))
    settings = Settings(tmp_path / "data", tmp_path / "key", dicom=dicom, http=HttpSettings(port=0))
    with serving(settings) as said:
        token = {"Authorization": f"Bearer {said['Token']}"}
        with httpx.Client(base_url=said["HTTP"], headers=token) as client:
            yield int(said["DICOM"].split()[-1]), client


@pytest.fixture
def orthanc(tmp_path: Path, service: tuple[int, httpx.Client]) -> Iterator[httpx.Client]:
    """Orthanc's REST interface."""
    folder = tmp_path / "orthanc"
    folder.mkdir()
    dicom, http = free_ports(2)
    configuration = {
        "DicomAet": "ORTHANC",
        "DicomPort": dicom,
        "HttpPort": http,
        "StorageDirectory": str(folder),
        "IndexDirectory": str(folder),
        "StableAge": 1,
        "LuaScripts": [str(SCRIPT)],
        "DicomModalities": {"zweitblick": ["ZWEITBLICK", "127.0.0.1", service[0]]},
    }
    (folder / "orthanc.json").write_text(json.dumps(configuration))
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(["Orthanc", str(folder / "orthanc.json")], stdout=log, stderr=log)
    with process, httpx.Client(base_url=f"http://127.0.0.1:{http}") as client:
        try:
            wait_until(lambda: answers(client))
            yield client
        finally:
            process.terminate()


def answers(client: httpx.Client) -> bool:
    try:
        return client.get("/system").status_code == 200
    except httpx.TransportError:
        return False


def test_a_study_in_orthanc_is_read_once(
    orthanc: httpx.Client, service: tuple[int, httpx.Client], sample: SampleTruth
) -> None:
    study = next(iter(sample.series.values())).folder.parent
    files = files_of(study, "T1")
    uid = str(pydicom.dcmread(files[0], stop_before_pixels=True).StudyInstanceUID)
    for file in files:
        assert orthanc.post("/instances", content=file.read_bytes()).status_code == 200
    client = service[1]
    wait_until(lambda: client.get(f"/api/v1/reads/{uid}").status_code == 200)
    wait_until(lambda: [job["State"] for job in orthanc.get("/jobs?expand").json()] == ["Success"])
    assert f'instances_total{{status="0x0000"}} {len(files)}.0' in client.get("/metrics").text
    assert client.post(f"/api/v1/reads/{uid}/complete").status_code == 202
    wait_until(lambda: client.get(f"/api/v1/reads/{uid}").json()["state"] == "failed")  # one series is not enough
    (known,) = orthanc.get("/studies").json()
    assert orthanc.post("/modalities/zweitblick/store", content=known, timeout=60).status_code == 200
    assert f'instances_total{{status="0x0000"}} {2 * len(files)}.0' in client.get("/metrics").text
    read = client.get(f"/api/v1/reads/{uid}").json()
    assert (read["round"], read["state"]) == (1, "failed")
