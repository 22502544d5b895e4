"""Orthanc keeps a report and its encrypted instance, each as it came."""

import json
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from subprocess import CompletedProcess

import httpx
import pydicom
import pytest

from kept_study import wait_until
from readings import phantom_reading
from vault.cms_house import NOW, authority, recipient, signer
from zweitblick.dicom.encrypted import Filing, encrypted_instance, reidentified
from zweitblick.dicom.seg import segmentation
from zweitblick.dicom.sr import structured_report
from zweitblick.vault.cms.certificates import Recipients, Trust
from zweitblick.vault.cms.enveloped import decrypted, enveloped
from zweitblick.vault.cms.signed import signed, verified

Program = Callable[..., CompletedProcess[str]]


def free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


@pytest.fixture(scope="module")
def orthanc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, httpx.Client]]:
    """A running Orthanc with nothing in it: its DICOM port and a client of its HTTP interface."""
    program = shutil.which("Orthanc") or pytest.fail("Orthanc is not installed (Debian package orthanc): make system")
    folder = tmp_path_factory.mktemp("orthanc")
    dicom, http = free_ports(2)
    settings = {
        "StorageDirectory": str(folder / "kept"),
        "IndexDirectory": str(folder / "kept"),
        "HttpPort": http,
        "DicomPort": dicom,
        "RemoteAccessAllowed": False,
        "DicomCheckCalledAet": False,
        "Plugins": [],
    }
    (folder / "orthanc.json").write_text(json.dumps(settings))
    with (
        (folder / "log").open("w") as log,
        subprocess.Popen([program, folder / "orthanc.json"], stderr=log) as process,
        httpx.Client(base_url=f"http://127.0.0.1:{http}") as client,
    ):
        try:
            wait_until(lambda: answers(client))
            yield dicom, client
        finally:
            process.terminate()


def answers(client: httpx.Client) -> bool:
    try:
        return client.get("/system").status_code == 200
    except httpx.TransportError:
        return False


def test_orthanc_stores_report_and_encrypted_instance(
    program: Program, orthanc: tuple[int, httpx.Client], tmp_path: Path
) -> None:
    port, client = orthanc
    reading = phantom_reading(tmp_path)
    report = structured_report(reading, segmentation(reading))
    encrypted = encrypted_instance(
        report,
        Filing("7F3A9", bytes(32)),
        signed=partial(signed, signer=signer(), at=NOW),
        enveloped=partial(enveloped, recipients=Recipients((recipient().certificate,)), at=NOW),
    )
    for name, content in (("report.dcm", report), ("encrypted.dcm", encrypted)):
        (tmp_path / name).write_bytes(content)
        sent = program("dcmsend", "127.0.0.1", port, tmp_path / name)
        assert sent.returncode == 0, sent.stderr
    kept = {pydicom.dcmread(tmp_path / name).SOPInstanceUID: name for name in ("report.dcm", "encrypted.dcm")}
    instances = client.get("/instances").json()
    found = {tags(client, one)["SOPInstanceUID"]: client.get(f"/instances/{one}/file").content for one in instances}
    assert set(found) == set(kept)
    (back,) = (content for uid, content in found.items() if kept[uid] == "encrypted.dcm")
    opened = reidentified(
        back,
        decrypted=partial(decrypted, recipient=recipient()),
        verified=partial(verified, trust=Trust((authority(),)), at=NOW),
    )
    assert opened.content == report
    patients = {tags(client, one)["PatientID"] for one in instances}
    assert patients == {"ZB-0815", "7F3A9"}


def tags(client: httpx.Client, instance: str) -> dict[str, str]:
    found: dict[str, str] = client.get(f"/instances/{instance}/simplified-tags").json()
    return found
