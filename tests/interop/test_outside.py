"""The service as it runs: nothing that it writes names the patient, and what leaves the hospital only the clinic opens.

A patient's images come by C-STORE, in a zip archive and by STOW-RS, among files and questions that are refused. They
are read and go to a PACS inside, to Orthanc outside and to a folder outside.
"""

import contextlib
import io
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pydicom
import pytest
from pydicom.uid import Comprehensive3DSRStorage

from dimse.wire import RawPeer
from identifiers import FAMILY, HEADER, Search, given_to, identifiers_of
from interop.orthanc import Orthanc
from interop.service import Service, serving
from kept_study import sent, wait_until
from peers.fake_peers import PDF, SEG, StorePeer, data_of
from quick_reading import quick_study
from vault.cms_house import DAY, certificate, write, write_key
from written_samples import written_in
from zweitblick.cli import main
from zweitblick.vault.envelope import MARK

RESULTS = ("seg", "sr", "encapsulated-pdf")
DICOM_JSON = "application/dicom+json"


@dataclass
class Traces:
    """What is left of a patient's study that went through the service."""

    home: Path
    study: Path
    orthanc: Orthanc
    search: Search
    results: dict[str, bytes] = field(default_factory=dict)
    inside: dict[str, bytes] = field(default_factory=dict)
    found: dict[str, list[str]] = field(default_factory=dict)
    said: list[bytes] = field(default_factory=list)

    @property
    def written(self) -> tuple[Path, ...]:
        """Where the service writes: data and keys, temporary files, the log."""
        return self.home / ".local", self.home / ".config", self.home / "tmp", self.home / "log"

    @property
    def shared(self) -> Path:
        return self.home / "share"

    def look(self, when: str) -> None:
        self.found[when] = self.search.below(*self.written)


@pytest.fixture(scope="module")
def traces(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Traces]:
    folder = tmp_path_factory.mktemp("outside")
    home = folder / "home"
    (home / "share").mkdir(parents=True)
    files = quick_study(written_in(folder / "samples"))
    given_to(HEADER, files)
    orthanc = Orthanc(folder / "orthanc", "CLOUD")
    with contextlib.closing(orthanc), StorePeer(sop_classes=(SEG, Comprehensive3DSRStorage, PDF)) as pacs:
        orthanc.start()
        made = Traces(home, files[0].parent, orthanc, Search(identifiers_of(files[0].parent)))
        with serving(home, "--config", str(settings(folder, orthanc, pacs)), ZWEITBLICK_QUIET_TIME_S="3600") as service:
            went_through(made, service, files)
            service.process.terminate()
            assert service.process.wait(60) == 0
        made.inside = dict(pacs.taken)
        made.look("after it")
        yield made


def settings(folder: Path, orthanc: Orthanc, pacs: StorePeer) -> Path:
    start, end = datetime.now(UTC) - DAY, datetime.now(UTC) + DAY
    papers = {
        "clinic": certificate("hospital", "key_encipherment", start=start, end=end),
        "service": certificate("service", "digital_signature", start=start, end=end),
    }
    write(folder, **papers)
    for name in ("hospital", "service"):
        write_key(folder, name)
    file = folder / "settings.toml"
    file.write_text(f"""
        [sealing]
        key = "{folder}/service.key"
        certificate = "{folder}/service.crt"
        [[destinations]]
        name = "PACS"
        inside = true
        host = "127.0.0.1"
        port = {pacs.destination.port}
        called_ae_title = "PEER"
        [[destinations]]
        name = "CLOUD"
        host = "127.0.0.1"
        port = {orthanc.dicom_port}
        called_ae_title = "CLOUD"
        storage_commitment = true
        recipients = ["{folder}/clinic.crt"]
        [[destinations]]
        name = "SHARE"
        folder = "{folder}/home/share"
        recipients = ["{folder}/clinic.crt"]
    """)
    return file


def went_through(traces: Traces, service: Service, files: list[Path]) -> None:
    uid = str(pydicom.dcmread(files[0], stop_before_pixels=True).StudyInstanceUID)
    traces.orthanc.knows_us(service.port)
    by_dicom, by_zip, by_stow = files[0::3], files[1::3], files[2::3]
    stored(service, by_dicom)
    uploaded(traces, service, by_zip)
    answer = service.client.post("/dicom-web/studies", **stow([path.read_bytes() for path in by_stow]))
    assert answer.status_code == 200
    refused(traces, service, files[0])
    assert service.client.post(f"/api/v1/reads/{uid}/complete").status_code == 202
    wait_until(lambda: service.read(uid)["state"] not in ("receiving", "stable"))
    traces.look("while it is read")
    shown = service.reached(uid, "awaiting review")
    assert {one["destination"]: one["state"] for one in shown["deliveries"]} == dict.fromkeys(
        ("CLOUD", "PACS", "SHARE"), "delivered"
    )
    traces.results = {name: service.result(uid, name) for name in RESULTS}
    for question in (f"studies/{uid}/metadata", f"studies?PatientID={HEADER['PatientID']}", f"studies/{uid}"):
        assert service.client.get(f"/dicom-web/{question}").status_code == 200
    traces.said.append(service.client.get("/metrics").content)
    traces.look("when it was read")


def stored(service: Service, files: list[Path]) -> None:
    images = [sent(path) for path in files]
    with RawPeer(int(service.port)) as peer:
        peer.associate((images[0].sop_class_uid, [images[0].transfer_syntax_uid]), calling="SCANNER")
        for image in images:
            assert peer.store(image.data, image.sop_instance_uid) == 0
        # another's UID, and a data set that is cut short: A900 and C000 (PS3.4 table B.2-1)
        assert peer.store(images[0].data, f"{images[0].sop_instance_uid}.1") == 0xA900
        assert peer.store(cut(images[0].data), images[0].sop_instance_uid) == 0xC000
        peer.release()


def cut(content: bytes) -> bytes:
    """Up to where it has named the patient, and not yet her study."""
    return content[: content.index(HEADER["PatientBirthDate"].encode()) + 8]


def uploaded(traces: Traces, service: Service, files: list[Path]) -> None:
    """Upload an archive, and look at what there is when half of it has come."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for number, path in enumerate(files):
            archive.write(path, f"{FAMILY}/{number}.dcm")
        archive.writestr(f"{FAMILY} {HEADER['PatientID']}.txt", f"a letter about {HEADER['PatientName']}")
    content = packed.getvalue()

    def pieces() -> Iterator[bytes]:
        yield content[: len(content) // 2]
        traces.look("while it is uploaded")
        yield content[len(content) // 2 :]

    answer = service.client.post("/api/v1/reads", content=pieces(), headers={"Content-Type": "application/zip"})
    assert answer.status_code == 202
    assert (answer.json()["kept"], len(answer.json()["refused"])) == (len(files), 1)
    traces.said.append(answer.json()["refused"][0]["message"].encode())


def stow(contents: list[bytes]) -> dict[str, object]:
    body = (
        b"".join(b"--b\r\nContent-Type: application/dicom\r\n\r\n" + one + b"\r\n" for one in contents) + b"--b--\r\n"
    )
    kind = 'multipart/related; type="application/dicom"; boundary=b'
    return {"content": body, "headers": {"Content-Type": kind, "Accept": DICOM_JSON}}


def refused(traces: Traces, service: Service, image: Path) -> None:
    """Send and ask what is refused; what is said of it is looked into too."""
    half, letter = cut(image.read_bytes()), f"{HEADER['PatientName']} born {HEADER['PatientBirthDate']}".encode()
    client = service.client
    answers: list[httpx.Response] = [
        client.post("/dicom-web/studies", **stow([half])),
        client.post("/dicom-web/studies", **stow([letter])),
        client.post("/api/v1/reads", content=half, headers={"Content-Type": "application/dicom"}),
        client.post("/api/v1/reads", content=letter, headers={"Content-Type": "application/zip"}),
        client.get(f"/api/v1/reads/{HEADER['PatientID']}"),
        client.get(f"/api/v1/reads/1.2.3/{FAMILY}"),
        client.get("/dicom-web/studies", params={"PatientName": f"{FAMILY}*"}),
        client.get("/dicom-web/studies", params={FAMILY: HEADER["AccessionNumber"]}),
        client.post("/dicom-web/workitems", content=letter, headers={"Content-Type": DICOM_JSON}),
        httpx.get(f"{client.base_url}/api/v1/reads", headers={"Authorization": f"Bearer {HEADER['PatientID']}"}),
    ]
    assert [answer.status_code for answer in answers if answer.status_code < 400] == []
    traces.said += [answer.content for answer in answers]


WHEN = ("while it is uploaded", "while it is read", "when it was read", "after it")


@pytest.mark.parametrize("when", WHEN)
def test_nothing_that_is_written_names_the_patient(traces: Traces, when: str) -> None:
    assert traces.found[when] == []


def test_all_that_is_written_was_looked_at(traces: Traces) -> None:
    names = {path.name for place in traces.written for path in [place, *place.rglob("*")]}
    assert {"log", "store.sqlite", "keys.sqlite", "work.sqlite"} <= names
    assert (traces.home / "log").stat().st_size > 0
    size = sum(path.stat().st_size for path in objects(traces))
    assert size > sum(path.stat().st_size for path in traces.study.iterdir())


def test_the_search_finds_the_patient_in_what_was_sent_and_made(traces: Traces) -> None:
    found = {line.partition(": ")[2].rpartition(" (")[0] for line in traces.search.below(traces.study)}
    assert found >= set(traces.search.values) - {"birth date, ISO 8601"}
    assert all(traces.search.within(content) for content in traces.results.values())


def test_neither_metrics_nor_refusals_name_the_patient(traces: Traces) -> None:
    assert len(traces.said) == 12
    assert [traces.search.within(said) for said in traces.said] == [[]] * len(traces.said)


def objects(traces: Traces) -> list[Path]:
    """Packs and results; what is beside them in their folder is empty."""
    (folder,) = (traces.home / ".local").rglob("objects")
    return [path for path in folder.rglob("*") if path.is_file() and path.stat().st_size]


def test_every_object_is_ciphertext(traces: Traces) -> None:
    """It begins as one, holds none of the pixels, and does not compress; what was sent does."""
    image = pydicom.dcmread(sorted(traces.study.iterdir())[-1]).PixelData
    pixels = max((image[start : start + 32] for start in range(0, len(image), 32)), key=lambda part: len(set(part)))
    for path in objects(traces):
        content = path.read_bytes()
        assert content.startswith(MARK)
        assert pixels not in content
        assert not [word for word in (b"DICM", b"%PDF-", b"resourceType") if word in content]
        assert len(zlib.compress(content[: 2**20])) > 0.999 * len(content[: 2**20])
    assert len(zlib.compress(image)) < 0.9 * len(image)


def test_the_pacs_inside_gets_results_as_they_are(traces: Traces) -> None:
    expected = {pydicom.dcmread(io.BytesIO(one)).SOPInstanceUID: data_of(one) for one in traces.results.values()}
    assert traces.inside == expected


def findings_of(report: bytes) -> list[bytes]:
    """What a report says that no other does: its longer numbers and sentences."""
    values: list[str] = []

    def walk(item: pydicom.Dataset) -> None:
        if item.get("ValueType") == "NUM":
            values.append(str(item.MeasuredValueSequence[0].NumericValue))
        values.append(str(item.get("TextValue", "")))
        for child in item.get("ContentSequence", []):
            walk(child)

    walk(pydicom.dcmread(io.BytesIO(report)))
    # our name is in clear: it is the manufacturer's
    return [value.encode() for value in values if len(value) >= 6 and value != "zweitblick"]


def test_nothing_outside_names_patient_or_findings(traces: Traces) -> None:
    findings = findings_of(traces.results["sr"])
    assert len(findings) > 5
    assert all(one in traces.results["sr"] for one in findings)
    for place in (traces.orthanc.folder, traces.shared):
        assert traces.search.below(place) == []
        kept = [path.read_bytes() for path in place.rglob("*") if path.is_file()]
        assert [one for one in findings if any(one in content for content in kept)] == []


def opened(traces: Traces, file: Path, *options: str) -> str:
    room = traces.home.parent
    key = ["--key", str(room / "hospital.key"), "--certificate", str(room / "clinic.crt")]
    with contextlib.redirect_stdout(io.StringIO()) as shown:
        assert main(["open", str(file), *key, "--trust", str(room / "service.crt"), *options]) == 0
    return shown.getvalue()


def test_the_clinic_opens_what_it_loads_from_orthanc(traces: Traces, tmp_path: Path) -> None:
    (instance,) = traces.orthanc.get("/instances")
    file = tmp_path / "report.dcm"
    file.write_bytes(traces.orthanc.client.get(f"/instances/{instance}/file").content)
    shown = opened(traces, file)
    assert HEADER["PatientName"] in shown
    assert "ml" in shown
    opened(traces, file, "--out", str(tmp_path / "opened.dcm"))
    assert (tmp_path / "opened.dcm").read_bytes() == traces.results["sr"]


def test_the_clinic_opens_what_lies_in_the_folder(traces: Traces, tmp_path: Path) -> None:
    files = sorted(traces.shared.iterdir())
    assert {path.suffix for path in files} == {".p7m"}
    for number, path in enumerate(files):
        opened(traces, path, "--out", str(tmp_path / f"{number}.dcm"))
    found = sorted(path.read_bytes() for path in tmp_path.iterdir())
    assert found == sorted(traces.results.values())
