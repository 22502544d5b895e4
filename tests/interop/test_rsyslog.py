"""rsyslog takes our audit messages over mutual TLS, and has all of them after it was killed."""

import os
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from lxml import etree

from audit.happenings import PATIENT, EnvelopeSealer, access, opened_trail
from audit.test_message import SCHEMA
from dimse.certificates import new_authority
from kept_study import wait_until
from zweitblick.audit.exporter import SyslogExporter, Times
from zweitblick.audit.head import SignedHead
from zweitblick.audit.reader import TrailReader
from zweitblick.audit.syslog import Origin, Receiver, client_context

CONFIGURATION = """
global(workDirectory="{folder}" maxMessageSize="64k"
       defaultNetstreamDriverCAFile="{authority}"
       defaultNetstreamDriverCertFile="{certificate}"
       defaultNetstreamDriverKeyFile="{key}")
module(load="imtcp" streamDriver.name="gtls" streamDriver.mode="1" streamDriver.authMode="x509/certvalid")
template(name="told" type="string"
         string="%pri% %protocol-version% %hostname% %app-name% %msgid% %structured-data% %msg%\\n")
ruleset(name="audit") {{ action(type="omfile" file="{folder}/received" template="told") }}
input(type="imtcp" address="127.0.0.1" port="{port}" ruleset="audit")
"""


def rsyslogd() -> str:
    """Return where rsyslogd is: not on everybody's path."""
    found = shutil.which("rsyslogd", path=os.pathsep.join([os.environ["PATH"], "/usr/sbin"]))
    if found is None:
        pytest.fail("rsyslogd is not installed (Debian packages rsyslog, rsyslog-gnutls): make system")
    return found


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def running(folder: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    command = [rsyslogd(), "-n", "-f", str(folder / "rsyslog.conf"), "-i", str(folder / "pid")]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            wait_until(lambda: listens(port))
            yield process
        finally:
            process.kill()


def received(folder: Path) -> list[tuple[str, ...]]:
    """Return what rsyslog has told: priority, version, host, program, kind, data and text of each message."""
    path = folder / "received"
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    parts = r"(\d+) (\d) (\S+) (\S+) (\S+) (-|\[.*?\]) (.*)"
    return [found.groups() for line in lines if (found := re.fullmatch(parts, line))]


def sequences(folder: Path) -> set[int]:
    return {int(one[5].split('"')[1]) for one in received(folder) if one[4] == "DICOM+RFC3881"}


@contextmanager
def exporting(folder: Path, port: int) -> Iterator[SyslogExporter]:
    """Configure rsyslog, and send it what is on record."""
    authority = new_authority(folder, "authority")
    ours, theirs = authority.issue("reader"), authority.issue("receiver")
    authorities = authority.files.certificate
    (folder / "rsyslog.conf").write_text(
        CONFIGURATION.format(
            folder=folder, authority=authorities, certificate=theirs.certificate, key=theirs.key, port=port
        )
    )
    with SyslogExporter(
        TrailReader(folder / "audit", EnvelopeSealer()),
        Receiver("127.0.0.1", port, client_context(ours.certificate, ours.key, authorities=authorities)),
        Origin("reader.hospital.example", os.getpid()),
        position=folder / "audit" / "syslog.position",
        times=Times(poll_s=0.05, retry_s=0.2, settle_s=0.5),
    ) as exporter:
        yield exporter


def test_rsyslog_has_every_message_though_it_was_killed(tmp_path: Path) -> None:
    port = free_port()
    with opened_trail(tmp_path) as trail, exporting(tmp_path, port) as exporter:
        for count in (100, 200):
            with running(tmp_path, port):
                for number in range(100):
                    trail.record(access(f"{PATIENT}-{number}"))
                wait_until(lambda last=count - 50: last in sequences(tmp_path))
            # killed in the middle of it
        with running(tmp_path, port):
            wait_until(lambda: exporter.delivered == 200 and len(sequences(tmp_path)) == 200)
        head = trail.signed_head()
    told = received(tmp_path)
    assert {one[:5] for one in told} == {
        ("85", "1", "reader.hospital.example", "zweitblick", "DICOM+RFC3881"),
        ("85", "1", "reader.hospital.example", "zweitblick", "ZWEITBLICK+HEAD"),
    }
    texts = [one[6].removeprefix("\ufeff").encode() for one in told if one[4] == "DICOM+RFC3881"]
    assert all(SCHEMA.validate(etree.fromstring(text)) for text in texts)
    heads = [one[6].removeprefix("\ufeff").encode() for one in told if one[4] == "ZWEITBLICK+HEAD"]
    assert SignedHead.from_json(heads[-1]) == head
