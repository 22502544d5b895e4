"""The service's own trail: what it did is on it, an auditor verifies and reads it, and a syslog receiver has it."""

import json
import os
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import httpx
import pytest
from lxml import etree

from audit import layout
from audit.receiver import Receiver
from audit.test_message import SCHEMA
from dimse.certificates import new_authority
from dimse.wire import EXPLICIT, MR, PATIENT, RawPeer, encoded, instance
from worklist.work import new_item
from zweitblick.cli import main
from zweitblick.cli.service import serving
from zweitblick.errors import SettingsError, TrailBrokenError
from zweitblick.settings import AuditSettings, DicomSettings, HttpSettings, Settings, load_settings

SECRET = "P-4711-geheim"  # noqa: S105 -- a Patient ID
STARTED = [("110100", "E"), ("110102", "E"), ("110104", "C"), ("110103", "U"), ("110111", "C"), ("110100", "E")]
"""Application Activity, Begin Transferring, Transferred, Instances Accessed, Procedure Record, Application Activity."""


def settings_in(folder: Path) -> Settings:
    return Settings(folder / "data", folder / "keys" / "key", dicom=DicomSettings(port=0), http=HttpSettings(port=0))


def used(addresses: Mapping[str, str]) -> None:
    """Send an image, say that its study is complete, and make a work item that nobody here performs."""
    data = instance()
    data.PatientID = SECRET
    with RawPeer(int(addresses["DICOM"].split()[-1])) as peer:
        peer.associate((MR, [EXPLICIT]))
        assert peer.store(encoded(data), data.SOPInstanceUID) == 0
        peer.release()
    item = new_item()
    del item.ScheduledWorkitemCodeSequence
    with httpx.Client(base_url=addresses["HTTP"], headers={"Authorization": f"Bearer {addresses['Token']}"}) as client:
        assert client.post(f"/api/v1/reads/{data.StudyInstanceUID}/complete").status_code == 202
        assert client.post("/dicom-web/workitems", content=item.to_json()).status_code == 201


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("service")
    authority = new_authority(made, "authority")
    ours, theirs = authority.issue("reader"), authority.issue("receiver")
    with Receiver(authority, theirs) as receiver:
        audit = AuditSettings(
            site="Radiology",
            syslog_host="127.0.0.1",
            syslog_port=receiver.port,
            syslog_certificate=ours.certificate,
            syslog_key=ours.key,
            syslog_cas=authority.files.certificate,
        )
        with serving(replace(settings_in(made), audit=audit)) as addresses:
            used(addresses)
        heads = [one.text for one in receiver.messages if one.id == "ZWEITBLICK+HEAD"]
    (made / "head.json").write_text(heads[-1])
    (made / "received.json").write_text(json.dumps([one.text for one in receiver.messages if one.sequence]))
    return made


@pytest.fixture
def config(folder: Path, tmp_path: Path) -> list[str]:
    file = tmp_path / "settings.toml"
    file.write_text(f'data = "{folder}/data"\nkey_file = "{folder}/keys/key"\n')
    return ["--config", str(file)]


def told(text: str) -> tuple[str, str]:
    head = ET.fromstring(text)[0]  # noqa: S314 -- our own
    return head[0].attrib["csd-code"], head.attrib["EventActionCode"]


def test_what_the_service_did_was_received(folder: Path) -> None:
    texts = json.loads((folder / "received.json").read_text())
    done = [one for one in map(told, texts) if one not in {("110103", "R"), ("110103", "C")}]
    assert sorted(done[1:-1]) == sorted(STARTED[1:-1])
    assert (done[0], done[-1]) == (STARTED[0], STARTED[-1])
    assert SECRET in texts[1]
    assert all(SCHEMA.validate(etree.fromstring(text)) for text in texts)


def test_an_auditor_verifies_against_the_receivers_head(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["verify", "--audit", str(folder / "data" / "audit"), "--head", str(folder / "head.json")]
    key = ["--key", str(folder / "keys" / "audit-key.pem.pub")]
    assert main([*command, *key]) == 0
    shown = capsys.readouterr().out
    count = len(json.loads((folder / "received.json").read_text()))
    assert f"Entries: 1 to {count}, each as it was written" in shown
    assert f"End: entries 1 to {count} lead to the given head" in shown
    assert "NOT CHECKED" not in shown
    assert main(command[:3]) == 0
    assert capsys.readouterr().out.count("NOT CHECKED") == 2


def test_what_was_done_to_it_is_named_on_one_line(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = tmp_path / "audit"
    copy.mkdir()
    (source,) = layout.files(folder / "data" / "audit")
    second, third = layout.frames(folder / "data" / "audit")[1:3]
    content = source.read_bytes()
    (copy / source.name).write_bytes(content[: second.start] + content[third.start :])
    assert main(["verify", "--audit", str(copy), "--head", str(folder / "head.json")]) == 3
    assert re.fullmatch(r"error: audit\.broken: .*entry 2: removed.*\n", capsys.readouterr().err)


@pytest.mark.parametrize("content", [None, "{}", "no json"])
def test_a_head_that_is_none_is_refused(
    folder: Path, tmp_path: Path, content: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    head = tmp_path / "head"
    if content is not None:
        head.write_text(content)
    assert main(["verify", "--audit", str(folder / "data" / "audit"), "--head", str(head)]) == 3
    assert "audit.head" in capsys.readouterr().err


def test_the_trail_is_shown_to_whoever_has_the_keys_and_that_is_on_record(
    folder: Path, config: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["audit", "show", *config]) == 0
    lines = capsys.readouterr().out.splitlines()
    received = json.loads((folder / "received.json").read_text())
    assert [line.split("\t")[1] for line in lines][: len(received)] == received
    assert told(lines[-1].split("\t")[1]) == ("110101", "R")
    last = int(lines[-1].split("\t")[0])
    assert main(["audit", "show", "--after", str(last), *config]) == 0
    assert [line.split("\t")[0] for line in capsys.readouterr().out.splitlines()] == [str(last + 1)]


def test_its_head_is_written_for_somebody_to_keep(
    folder: Path, config: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["audit", "head", *config]) == 0
    (tmp_path / "head").write_text(capsys.readouterr().out)
    command = ["verify", "--audit", str(folder / "data" / "audit"), "--head", str(tmp_path / "head")]
    assert main([*command, "--key", str(folder / "keys" / "audit-key.pem.pub")]) == 0


def test_no_identifier_of_the_patient_lies_readable_anywhere(folder: Path) -> None:
    kept = [path for path in (folder / "data").rglob("*") if path.is_file()]
    assert kept
    for path in kept:
        content = path.read_bytes()
        assert SECRET.encode() not in content
        assert PATIENT.encode() not in content


def test_a_service_whose_trail_was_altered_does_not_start(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    with serving(settings):
        pass
    (file,) = layout.files(tmp_path / "data" / "audit")
    first, *_ = layout.frames(tmp_path / "data" / "audit")
    content = bytearray(file.read_bytes())
    content[first.end - 1] ^= 1
    file.write_bytes(content)
    with pytest.raises(TrailBrokenError), serving(settings):
        pass


@pytest.mark.parametrize("missing", ["syslog_host", "syslog_certificate", "syslog_key", "syslog_cas"])
def test_half_a_receiver_is_refused(missing: str) -> None:
    names = {"syslog_host", "syslog_certificate", "syslog_key", "syslog_cas"} - {missing}
    environment = {f"ZWEITBLICK_AUDIT_{name.upper()}": "x" for name in names}
    with pytest.raises(SettingsError, match=rf"audit\.{missing} must be set"):
        load_settings(None, {"HOME": os.sep, **environment})
