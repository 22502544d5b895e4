"""DCMTK's programs send to us, and what we keep is byte for byte what DCMTK's own receiver writes."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pydicom
import pytest
from pydicom.filereader import read_file_meta_info

from dimse.certificates import Authority, new_authority
from dimse.wire import Counts, Kept
from zweitblick.dimse import DicomServer, ListenerConfig, server_context
from zweitblick.sample import write_sample

Program = Callable[..., subprocess.CompletedProcess[str]]

DCMSEND = "dcmsend", "--decompress-never"

SYNTAXES = {
    "1.2.840.10008.1.2": (("dcmconv", "+ti"), ("storescu", "--propose-implicit")),
    "1.2.840.10008.1.2.1": (("dcmconv", "+te"), DCMSEND),
    "1.2.840.10008.1.2.2": (("dcmconv", "+tb"), ("storescu", "--propose-big")),
    "1.2.840.10008.1.2.1.99": (("dcmconv", "+td"), ("storescu", "--propose-deflated")),
    "1.2.840.10008.1.2.5": (("dcmcrle",), DCMSEND),
    "1.2.840.10008.1.2.4.70": (("dcmcjpeg", "+e1"), DCMSEND),
    "1.2.840.10008.1.2.4.80": (("dcmcjpls", "+el"), DCMSEND),
    "1.2.840.10008.1.2.4.81": (("dcmcjpls", "+en"), DCMSEND),
}
"""Transfer syntaxes, the program that writes each and the one that sends it."""


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("sent") / "study"
    write_sample(folder)
    return sorted(path for path in folder.rglob("*") if path.is_file())


@pytest.fixture
def storescp(tmp_path: Path) -> Iterator[tuple[int, Path]]:
    """DCMTK's receiver, writing what it receives as it is: its port and folder."""
    found = shutil.which("storescp")
    if found is None:
        pytest.fail("storescp is not installed (Debian package dcmtk): make system")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    folder = tmp_path / "received"
    folder.mkdir()
    command = [found, "--bit-preserving", "--accept-all", "--output-directory", str(folder), str(port)]
    process = subprocess.Popen(command, env=os.environ | {"TCP_NODELAY": "1"}, stderr=subprocess.DEVNULL)
    for _ in range(200):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                break
        time.sleep(0.05)
    yield port, folder
    process.terminate()
    process.wait()


def data_set_of(path: Path) -> bytes:
    """What follows the meta information of a Part 10 file (PS3.10 section 7.1)."""
    whole = path.read_bytes()
    meta = read_file_meta_info(path)
    return whole[128 + 4 + 12 + meta.FileMetaInformationGroupLength :]


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_both_receivers_keep_the_same_bytes(
    program: Program, study: list[Path], storescp: tuple[int, Path], tmp_path: Path, syntax: str
) -> None:
    keeper, (converter, sender) = Kept(), SYNTAXES[syntax]
    converted = tmp_path / "one.dcm"
    assert program(*converter, study[0], converted).returncode == 0
    assert read_file_meta_info(converted).TransferSyntaxUID == syntax
    with DicomServer(ListenerConfig(port=0), keeper) as server:
        for port in (server.port, storescp[0]):
            sent = program(*sender, "127.0.0.1", str(port), converted)
            assert sent.returncode == 0, sent.stderr
    (kept,), (theirs,) = keeper.instances, storescp[1].iterdir()
    assert kept.transfer_syntax_uid == syntax == read_file_meta_info(theirs).TransferSyntaxUID
    assert kept.data == data_set_of(theirs)


@pytest.mark.parametrize(
    "command", [("storescu", "--scan-directories", "--recurse"), ("dcmsend", "--scan-directories", "--recurse")]
)
def test_the_whole_sample_study_arrives(program: Program, study: list[Path], command: tuple[str, ...]) -> None:
    keeper, counts = Kept(), Counts()
    folder = study[0].parent if len({path.parent for path in study}) == 1 else study[0].parents[1]
    with DicomServer(ListenerConfig(port=0), keeper, observer=counts) as server:
        sent = program(*command, "127.0.0.1", str(server.port), folder)
        assert sent.returncode == 0, sent.stderr
    headers = [pydicom.dcmread(path, stop_before_pixels=True) for path in study]
    expected = {(one.SOPInstanceUID, one.StudyInstanceUID, one.SeriesInstanceUID) for one in headers}
    kept = {(one.sop_instance_uid, one.study_instance_uid, one.series_instance_uid) for one in keeper.instances}
    assert kept == expected
    assert len(keeper.instances) == len(study)
    assert set(counts.statuses) == {0x0000}


def test_echoscu_is_answered_and_titles_are_checked(program: Program) -> None:
    config = ListenerConfig(port=0, ae_title="OURS", calling_ae_titles=frozenset({"PACS"}))
    with DicomServer(config, Kept()) as server:
        address = "127.0.0.1", str(server.port)
        assert program("echoscu", "-aec", "OURS", "-aet", "PACS", *address).returncode == 0
        refused = program("echoscu", "-aec", "OURS", "-aet", "OTHER", *address)
        assert refused.returncode != 0
        assert "Calling AE Title Not Recognized" in refused.stderr
        refused = program("echoscu", "-aec", "THEIRS", "-aet", "PACS", *address)
        assert "Called AE Title Not Recognized" in refused.stderr


def test_storescu_sends_over_tls_with_a_certificate_only(program: Program, study: list[Path], tmp_path: Path) -> None:
    authority: Authority = new_authority(tmp_path, "authority")
    ours, theirs = authority.issue("server"), authority.issue("scanner")
    stranger = new_authority(tmp_path, "other").issue("stranger")
    keeper = Kept()
    tls = server_context(ours.certificate, ours.key, client_cas=authority.files.certificate)
    with DicomServer(ListenerConfig(port=0, tls=tls), keeper) as server:

        def send(*options: str | Path) -> int:
            trust = "--add-cert-file", authority.files.certificate
            return program("storescu", *options, *trust, "127.0.0.1", str(server.port), study[0]).returncode

        assert send("--enable-tls", theirs.key, theirs.certificate) == 0
        assert send("--enable-tls", stranger.key, stranger.certificate) != 0
        assert send("--anonymous-tls") != 0
        assert program("storescu", "127.0.0.1", str(server.port), study[0]).returncode != 0
    assert len(keeper.instances) == 1
