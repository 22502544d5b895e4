"""``zweitblick serve`` as a process of its own: DCMTK sends, HTTP shows; it is stopped, and killed, at bad moments."""

import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import highdicom as hd
import numpy as np
import pydicom
import pytest

from dimse.certificates import new_authority
from dimse.wire import RawPeer
from interop.service import Service, serving
from kept_study import PATIENCE_S, files_of, sent
from zweitblick.cli import main
from zweitblick.cli.output import write_folder
from zweitblick.prediction import Region
from zweitblick.sample import SampleTruth
from zweitblick.store.places import StorePlaces
from zweitblick.store.received import ReceivedInstance
from zweitblick.store.store import Store
from zweitblick.vault.keyholders import FileKeyHolder

Program = Callable[..., subprocess.CompletedProcess[str]]
RESULTS = ["encapsulated-pdf", "fhir", "json", "pdf", "receipt", "seg", "sr"]
ELSEWHERE = "192.0.2.1"  # RFC 5737: of no machine
OF_THE_TIME = ("read_at",)
"""What two readings of a study do not share."""


@pytest.fixture(scope="module")
def study(sample: SampleTruth) -> Path:
    return next(iter(sample.series.values())).folder.parent


@pytest.fixture(scope="module")
def uid(study: Path) -> str:
    return str(pydicom.dcmread(files_of(study)[0], stop_before_pixels=True).StudyInstanceUID)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path


def test_a_study_sent_with_no_settings_is_read_as_by_the_command_line(
    program: Program, home: Path, study: Path, uid: str
) -> None:
    with serving(home) as service:
        sending = program("storescu", "--scan-directories", "--recurse", "127.0.0.1", service.port, study)
        assert sending.returncode == 0, sending.stderr
        shown = service.reached(uid, "awaiting review")
        assert [one["name"] for one in shown["results"]] == RESULTS
        made = {name: service.result(uid, name) for name in RESULTS}
        shown_to_viewers = service.client.get(f"/dicom-web/studies/{uid}/series").json()
        assert sorted(one["00080060"]["Value"][0] for one in shown_to_viewers) == ["DOC", *["MR"] * 4, "SEG", "SR"]
        assert service.client.get("/ready").status_code == 200
        service.process.send_signal(signal.SIGTERM)
        assert service.process.wait(PATIENCE_S) == 0
    key = home / ".config" / "zweitblick" / "audit-key.pem"
    assert main(["read", str(study), "--out", str(home / "read"), "--signing-key", str(key)]) == 0
    expected = json.loads((home / "read" / "findings.json").read_bytes())
    assert without_time(shown["findings"]) == without_time(expected) == without_time(json.loads(made["json"]))
    assert volumes_ml(made["seg"]) == volumes_ml((home / "read" / "segmentation.dcm").read_bytes())
    assert numbers(made["sr"]) == numbers((home / "read" / "report.dcm").read_bytes())
    assert expected["findings"]["volume_ml"][str(Region.WT)] > 10
    assert made["pdf"].startswith(b"%PDF")
    assert_nothing_in_clear(home, study)
    assert_the_receipts_tell_so(home, study, made)


@pytest.mark.parametrize("last_words", [signal.SIGTERM, signal.SIGKILL])
def test_a_reading_that_is_broken_off_is_done_once(
    program: Program, home: Path, study: Path, uid: str, last_words: signal.Signals
) -> None:
    with serving(home) as service:
        sending = program("dcmsend", "--scan-directories", "--recurse", "127.0.0.1", service.port, study)
        assert sending.returncode == 0, sending.stderr
        service.reached(uid, "reading")
        service.process.send_signal(last_words)
        assert service.process.wait(PATIENCE_S) == (0 if last_words is signal.SIGTERM else -signal.SIGKILL)
    with serving(home) as service:
        shown = service.reached(uid, "awaiting review")
        assert [one["name"] for one in shown["results"]] == RESULTS
        assert shown["round"] == 1
        seg, sr = (pydicom.dcmread(io.BytesIO(service.result(uid, name))) for name in ("seg", "sr"))
        evidence = [
            item.ReferencedSOPInstanceUID
            for study_item in sr.CurrentRequestedProcedureEvidenceSequence
            for series in study_item.ReferencedSeriesSequence
            for item in series.ReferencedSOPSequence
        ]
        assert seg.SOPInstanceUID in evidence
        assert program("dcmsend", "--scan-directories", "--recurse", "127.0.0.1", service.port, study).returncode == 0
        assert service.read(uid)["round"] == 1
    assert_nothing_in_clear(home, study)


def test_the_quiet_time_is_that_of_the_sender(program: Program, home: Path, study: Path, uid: str) -> None:
    with serving(home, ZWEITBLICK_QUIET_TIME_S="3600", ZWEITBLICK_QUIET_TIMES_S="DCMSEND=0.1") as service:
        sending = program("dcmsend", "--scan-directories", "127.0.0.1", service.port, study / "T1")
        assert sending.returncode == 0, sending.stderr
        assert service.reached(uid, "failed")["error"]["code"] == "study.missing-sequence"


def test_the_quiet_time_is_not_waited_for_where_somebody_says_complete(
    program: Program, home: Path, study: Path, uid: str
) -> None:
    with serving(home, ZWEITBLICK_QUIET_TIME_S="3600") as service:
        sending = program("dcmsend", "--scan-directories", "127.0.0.1", service.port, study / "T1")
        assert sending.returncode == 0, sending.stderr
        assert service.read(uid)["state"] == "receiving"
        assert service.client.post(f"/api/v1/reads/{uid}/complete").status_code == 202
        service.reached(uid, "failed")


@pytest.mark.parametrize("last_words", [signal.SIGTERM, signal.SIGKILL])
def test_what_was_acknowledged_is_kept(home: Path, study: Path, uid: str, last_words: signal.Signals) -> None:
    images = [sent(path) for path in files_of(study)]
    with serving(home, ZWEITBLICK_QUIET_TIME_S="3600") as service:
        acknowledged = sent_until_gone(images, service, last_words)
        service.process.wait(PATIENCE_S)
    assert len(acknowledged) >= 20
    holder = FileKeyHolder(home / ".config" / "zweitblick" / "key")
    places = StorePlaces.within(home / ".local" / "share" / "zweitblick")
    with Store(places, holder, clock=lambda: datetime.now(UTC)) as store:
        kept = {one.sop_instance_uid for one in store.instances(store.token(uid))}
    assert acknowledged <= kept
    # one may be durable whose answer did not get out
    assert len(kept - acknowledged) <= 1


def sent_until_gone(images: list[ReceivedInstance], service: Service, last_words: signal.Signals) -> set[str]:
    """Send until the service goes, which is told to after twenty; return the UIDs of what it has acknowledged."""
    acknowledged: set[str] = set()
    with RawPeer(int(service.port)) as peer:
        peer.associate((images[0].sop_class_uid, [images[0].transfer_syntax_uid]))
        for image in images:
            if len(acknowledged) == 20:
                service.process.send_signal(last_words)
            try:
                status = peer.store(image.data, image.sop_instance_uid)
            except (OSError, AssertionError):  # the connection is gone, or what came is no answer
                break
            if status == 0:
                acknowledged.add(image.sop_instance_uid)
    return acknowledged


def test_a_configured_service_takes_its_senders_over_tls_only(
    program: Program, home: Path, study: Path, uid: str
) -> None:
    authority = new_authority(home, "authority")
    ours, theirs = authority.issue("server"), authority.issue("scanner")
    file = home / "settings.toml"
    file.write_text(f"""
        [dicom]
        ae_title = "READER"
        calling_ae_titles = ["SCANNER"]
        certificate = "{ours.certificate}"
        key = "{ours.key}"
        client_cas = "{authority.files.certificate}"
    """)
    image = files_of(study, "T1")[0]
    with serving(home, "--config", str(file)) as service:

        def send(*options: str | Path) -> int:
            return program("storescu", *options, "127.0.0.1", service.port, image).returncode

        tls = "--enable-tls", theirs.key, theirs.certificate, "--add-cert-file", authority.files.certificate
        assert send("-aet", "SCANNER", "-aec", "READER") != 0
        assert send(*tls, "-aet", "OTHER", "-aec", "READER") != 0
        assert service.client.get(f"/api/v1/reads/{uid}").status_code == 404
        assert send(*tls, "-aet", "SCANNER", "-aec", "READER") == 0
        assert service.read(uid)["round"] == 1


def test_settings_that_are_unsafe_are_refused_at_start(home: Path) -> None:
    refused = subprocess.run(
        [sys.executable, "-m", "zweitblick", "serve"],
        env=os.environ | {"HOME": str(home), "ZWEITBLICK_DICOM_HOST": ELSEWHERE, "ZWEITBLICK_HTTP_HOST": ELSEWHERE},
        capture_output=True,
        text=True,
        check=False,
    )
    assert refused.returncode == 3
    assert refused.stdout == ""
    for key in ("dicom.ae_title", "dicom.calling_ae_titles", "dicom.certificate", "http.host"):
        assert key in refused.stderr


def without_time(findings: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in findings.items() if name not in OF_THE_TIME}


def volumes_ml(seg: bytes) -> list[float]:
    """Volume of each segment, by highdicom's own placing of the frames."""
    volume = hd.seg.segread(io.BytesIO(seg)).get_volume(combine_segments=False)
    return [float(one) for one in volume.array.sum(axis=(0, 1, 2)) * np.prod(volume.spacing) / 1000]


def numbers(sr: bytes) -> list[tuple[str, str]]:
    """Every measured value with its name, in document order."""
    found = []

    def walk(item: pydicom.Dataset) -> None:
        if item.get("ValueType") == "NUM":
            measured = item.MeasuredValueSequence[0]
            found.append((item.ConceptNameCodeSequence[0].CodeMeaning, str(measured.NumericValue)))
        for child in item.get("ContentSequence", []):
            walk(child)

    walk(pydicom.dcmread(io.BytesIO(sr)))
    return found


def assert_nothing_in_clear(home: Path, study: Path) -> None:
    """Neither what is kept, nor what is left in the temporary folder, nor the log names patient or study."""
    header = pydicom.dcmread(files_of(study)[0], stop_before_pixels=True)
    secrets = [str(header.PatientName), *str(header.PatientName).split("^"), header.PatientID, header.StudyInstanceUID]
    kept = [path for folder in (".local", ".config", "tmp") for path in (home / folder).rglob("*") if path.is_file()]
    assert "work.sqlite" in {path.name for path in kept}
    for path in [*kept, home / "log"]:
        content = path.read_bytes()
        assert not [secret for secret in secrets if secret.encode() in content], path.name


def assert_the_receipts_tell_so(home: Path, study: Path, made: dict[str, bytes]) -> None:
    """Verify offline, with the public key alone, what service and command line have signed; the trail by its head."""
    write_folder(home / "fetched", made)
    key = ["--key", str(home / ".config" / "zweitblick" / "audit-key.pem.pub")]
    for folder, name in ((home / "fetched", "receipt"), (home / "read", "receipt.jws")):
        assert main(["verify", str(folder / name), *key, "--results", str(folder), "--study", str(study)]) == 0
    trail = home / ".local" / "share" / "zweitblick" / "audit"
    assert main(["verify", "--audit", str(trail), "--head", str(home / "fetched" / "receipt"), *key]) == 0
