"""DCMTK's findscu asks our port, and is answered as its own programs read it."""

import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pydicom
import pytest

from dimse.certificates import new_authority
from kept_study import Clock, new_store, sent
from zweitblick.catalogue.search import Search
from zweitblick.dimse import DicomServer, ListenerConfig, server_context
from zweitblick.dimse.services import Services
from zweitblick.sample import SampleSpec, write_sample

Program = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("study") / "study"
    write_sample(folder, spec=SampleSpec(slice_mm=20.0))
    return sorted(path for path in folder.rglob("*") if path.is_file())


@pytest.fixture
def port(tmp_path: Path, files: list[Path]) -> Iterator[int]:
    """Of a server that takes one calling AE title, and answers over TLS only."""
    authority = new_authority(tmp_path, "authority")
    ours = authority.issue("server")
    tls = server_context(ours.certificate, ours.key)
    config = ListenerConfig(port=0, ae_title="OURS", calling_ae_titles=frozenset({"VIEWER"}), tls=tls)
    with ExitStack() as stack:
        store = stack.enter_context(new_store(tmp_path, Clock()))
        for path in files:
            store.keep(sent(path))
        yield stack.enter_context(DicomServer(config, store, services=Services(search=Search(store)))).port


def asked(program: Program, port: int, folder: Path, *keys: str, calling: str = "VIEWER") -> tuple[str, list[Path]]:
    """Return what findscu says, and the responses that it has written."""
    out = folder / "responses"
    out.mkdir(exist_ok=True)
    for before in out.iterdir():
        before.unlink()
    given = [part for key in keys for part in ("-k", key)]
    titles = "-aet", calling, "-aec", "OURS"
    tls = "--anonymous-tls", "--add-cert-file", folder / "authority.crt"
    done = program("findscu", "-v", "-S", *tls, *titles, "-X", "-od", out, *given, "127.0.0.1", str(port))
    return done.stdout + done.stderr, sorted(out.glob("rsp*.dcm"))


def test_findscu_finds_study_series_and_images(program: Program, files: list[Path], port: int, tmp_path: Path) -> None:
    headers = [pydicom.dcmread(path, stop_before_pixels=True) for path in files]
    study = headers[0].StudyInstanceUID
    said, [found] = asked(
        program, port, tmp_path, "QueryRetrieveLevel=STUDY", f"PatientID={headers[0].PatientID}", "StudyInstanceUID"
    )
    assert re.search(r"Received Final Find Response \(Success\)", said)
    assert pydicom.dcmread(found, force=True).StudyInstanceUID == study
    _, found = asked(program, port, tmp_path, "QueryRetrieveLevel=SERIES", f"StudyInstanceUID={study}", "Modality")
    assert len(found) == len({one.SeriesInstanceUID for one in headers})
    series = headers[0].SeriesInstanceUID
    _, found = asked(
        program,
        port,
        tmp_path,
        "QueryRetrieveLevel=IMAGE",
        f"StudyInstanceUID={study}",
        f"SeriesInstanceUID={series}",
        "SOPInstanceUID",
    )
    assert {pydicom.dcmread(one, force=True).SOPInstanceUID for one in found} == {
        one.SOPInstanceUID for one in headers if one.SeriesInstanceUID == series
    }


def test_findscu_is_told_what_is_refused(program: Program, port: int, tmp_path: Path) -> None:
    said, found = asked(program, port, tmp_path, "QueryRetrieveLevel=STUDY", "PatientName=Muster*")
    assert found == []
    assert "0xa900" in said or "DataSetDoesNotMatchSOPClass" in said
    said, _ = asked(program, port, tmp_path, "QueryRetrieveLevel=STUDY", "PatientID=1", calling="STRANGER")
    assert "Calling AE Title Not Recognized" in said
