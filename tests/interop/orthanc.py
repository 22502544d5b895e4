"""Orthanc, a PACS, as a process of its own that comes and goes."""

import json
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pydicom
import pytest

from dimse.certificates import Authority
from kept_study import wait_until
from peers.fake_peers import free_port

DICOM_WEB = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
FORWARD = """
function OnStoredInstance(instance, tags, metadata, origin)
  if origin["RequestOrigin"] == "DicomProtocol" then
    SendToModality(instance, "zweitblick")
  end
end
"""
"""Auto-routing: whatever comes over DICOM goes on to us, also what we have sent."""


@dataclass
class Orthanc:
    """One Orthanc; with ``authority`` it speaks DICOM over TLS only, and asks for certificates."""

    folder: Path
    title: str
    forwards: bool = False
    authority: Authority | None = None
    http_port: int = field(default_factory=free_port)
    dicom_port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    def __post_init__(self) -> None:
        self.folder.mkdir()
        (self.folder / "orthanc.json").write_text(json.dumps(self._settings()))
        (self.folder / "forward.lua").write_text(FORWARD)
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{self.http_port}", timeout=60)

    def start(self) -> None:
        program = shutil.which("Orthanc") or shutil.which("Orthanc", path="/usr/sbin")
        if program is None or not DICOM_WEB.exists():
            pytest.fail("Orthanc is not installed (Debian packages orthanc, orthanc-dicomweb): make system")
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen([program, str(self.folder / "orthanc.json")], stdout=log, stderr=log)
        wait_until(self.answers)

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait(60)
            self.process = None

    def close(self) -> None:
        self.client.close()
        self.stop()

    def answers(self) -> bool:
        try:
            return self.client.get("/system").status_code == 200
        except httpx.TransportError:
            return False

    def get(self, path: str) -> Any:
        answer = self.client.get(path)
        assert answer.status_code == 200, path
        return answer.json()

    def upload(self, files: list[Path]) -> None:
        for file in files:
            assert self.client.post("/instances", content=file.read_bytes()).status_code == 200

    def send_study(self, port: str) -> None:
        """Send the one study that is there to us."""
        (study,) = self.get("/studies")
        self.send(study, port)

    def send(self, resource: str, port: str) -> None:
        """Send a study or a series to us."""
        self.knows_us(port)
        sent = self.client.post("/modalities/zweitblick/store", json={"Resources": [resource], "Synchronous": True})
        assert sent.status_code == 200
        assert sent.json()["FailedInstancesCount"] == 0

    def knows_us(self, port: str) -> None:
        """Have us among its modalities, for what it sends and reports."""
        us = {"AET": "ZWEITBLICK", "Host": "127.0.0.1", "Port": int(port), "UseDicomTls": self.authority is not None}
        assert self.client.put("/modalities/zweitblick", json=us).status_code == 200

    def found(self, level: str, **query: str) -> list[str]:
        """Return Orthanc's own ids of what it has."""
        answer = self.client.post("/tools/find", json={"Level": level, "Query": query})
        assert answer.status_code == 200, answer.text
        return answer.json()

    def of_modality(self, modality: str, **query: str) -> pydicom.Dataset:
        """Return the one instance of a modality."""
        (found,) = self.found("Instance", Modality=modality, **query)
        return pydicom.dcmread(pydicom.filebase.DicomBytesIO(self.client.get(f"/instances/{found}/file").content))

    def forwarded(self) -> int:
        """Count what auto-routing has sent on, and of which nothing failed."""
        jobs = [job for job in self.get("/jobs?expand") if job["Type"] == "SequenceOfOperations"]
        assert all(job["State"] in ("Pending", "Running", "Success") for job in jobs)
        return sum(job["Content"]["CountOperations"] for job in jobs if job["State"] == "Success")

    def _settings(self) -> dict[str, Any]:
        settings: dict[str, Any] = {
            "Name": self.title,
            "StorageDirectory": str(self.folder / "kept"),
            "IndexDirectory": str(self.folder / "kept"),
            "Plugins": [str(DICOM_WEB)],
            "HttpPort": self.http_port,
            "DicomAet": self.title,
            "DicomPort": self.dicom_port,
            "DicomCheckCalledAet": True,
            "RemoteAccessAllowed": False,
            "AuthenticationEnabled": False,
            "DicomModalitiesInDatabase": True,
            "SynchronousCMove": True,
            "LuaScripts": [str(self.folder / "forward.lua")] if self.forwards else [],
            "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
        }
        if self.authority is not None:
            ours = self.authority.issue(self.title.lower())
            settings |= {
                "DicomTlsEnabled": True,
                "DicomTlsCertificate": str(ours.certificate),
                "DicomTlsPrivateKey": str(ours.key),
                "DicomTlsTrustedCertificates": str(self.authority.files.certificate),
                "DicomTlsRemoteCertificateRequired": True,
            }
        return settings
