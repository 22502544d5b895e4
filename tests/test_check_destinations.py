"""``zweitblick check`` asks each destination what it would take, and sends nothing."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from pynetdicom import AE, evt
from pynetdicom.sop_class import (
    Comprehensive3DSRStorage,
    EncapsulatedPDFStorage,
    SegmentationStorage,
    StudyRootQueryRetrieveInformationModelFind,
    Verification,
)

from retrieval.archives import DimseArchive
from zweitblick.cli.checks import checks
from zweitblick.delivery.route import Route
from zweitblick.errors import (
    PeerAnswerError,
    PeerBusyError,
    PeerContextError,
    PeerCredentialsError,
    PeerError,
    PeerRejectedError,
    PeerUnreachableError,
)
from zweitblick.peers.destination import FhirDestination, JweDestination, StoreDestination, StowDestination
from zweitblick.settings import Settings

FIND = StudyRootQueryRetrieveInformationModelFind
RESULTS = (SegmentationStorage, Comprehensive3DSRStorage, EncapsulatedPDFStorage)


def said(folder: Path, *routes: Route) -> dict[str, str]:
    found = checks(Settings(folder / "data", folder / "key", routes=routes))
    return {name: found[name]() for name in found if name.startswith("to ")}


@contextmanager
def archive(*sop_classes: str, title: str = "PACS") -> Iterator[tuple[int, list[str]]]:
    """An archive by pynetdicom that takes some classes: its port, and what it was asked for."""
    asked: list[str] = []
    entity = AE(title)
    entity.require_called_aet = True
    for sop_class in sop_classes:
        entity.add_supported_context(sop_class)
    handlers = [
        (evt.EVT_C_ECHO, lambda _: asked.append("echo") or 0),
        (evt.EVT_C_STORE, lambda _: asked.append("store")),
    ]
    server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
    try:
        yield server.server_address[1], asked
    finally:
        server.shutdown()


def to_archive(port: int, *, title: str = "PACS") -> Route:
    return Route(StoreDestination("archive", "127.0.0.1", port, title))


def test_an_archive_that_takes_everything_is_ok_and_is_sent_nothing(tmp_path: Path) -> None:
    with archive(Verification, *RESULTS) as (port, asked):
        assert said(tmp_path, to_archive(port)) == {
            "to archive": f"127.0.0.1 port {port} takes seg, sr, encapsulated-pdf"
        }
    assert asked == ["echo"]


def test_an_archive_need_not_take_an_echo(tmp_path: Path) -> None:
    with archive(*RESULTS) as (port, asked):
        assert said(tmp_path, to_archive(port))
    assert asked == []


def test_what_an_archive_does_not_take_is_named(tmp_path: Path) -> None:
    with (
        archive(Verification, *RESULTS[1:]) as (port, _),
        pytest.raises(PeerContextError, match="Segmentation Storage"),
    ):
        said(tmp_path, to_archive(port))


def test_only_what_goes_there_must_be_taken(tmp_path: Path) -> None:
    with archive(Verification, *RESULTS[2:]) as (port, _):
        route = Route(StoreDestination("archive", "127.0.0.1", port, "PACS"), results=("encapsulated-pdf",))
        assert said(tmp_path, route) == {"to archive": f"127.0.0.1 port {port} takes encapsulated-pdf"}


def test_an_archive_that_does_not_know_its_name_is_a_fault(tmp_path: Path) -> None:
    with archive(Verification, *RESULTS) as (port, _), pytest.raises(PeerRejectedError):
        said(tmp_path, to_archive(port, title="ELSE"))


def test_nobody_there_is_a_fault(tmp_path: Path) -> None:
    with archive(Verification) as (port, _):
        pass
    with pytest.raises(PeerUnreachableError):
        said(tmp_path, to_archive(port))
    with pytest.raises(PeerUnreachableError):
        said(tmp_path, Route(StowDestination("web", f"http://127.0.0.1:{port}/dicom-web")))


@contextmanager
def web(status: int) -> Iterator[tuple[str, list[str]]]:
    """A DICOMweb server that answers everything alike: its URL, and what it was asked for."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(f"{self.command} {self.path} {self.headers.get('Authorization')}")
            self.send_response(status)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(json.dumps([]).encode())

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/dicom-web", asked
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize("status", [200, 204, 400, 404, 501])
def test_a_web_server_that_answers_is_ok(tmp_path: Path, status: int) -> None:
    (tmp_path / "token").write_text("secret")
    with web(status) as (url, asked):
        route = Route(StowDestination("web", url, token_file=tmp_path / "token"))
        assert said(tmp_path, route) == {"to web": f"{url} answers"}
    assert asked == ["GET /dicom-web/studies?limit=1 Bearer secret"]


@pytest.mark.parametrize(
    ("status", "error"),
    [(401, PeerCredentialsError), (403, PeerCredentialsError), (500, PeerBusyError), (503, PeerBusyError)],
)
def test_a_web_server_that_refuses_us_is_a_fault(tmp_path: Path, status: int, error: type[PeerError]) -> None:
    with web(status) as (url, _), pytest.raises(error):
        said(tmp_path, Route(StowDestination("web", url)))


def test_a_fhir_server_says_what_it_can(tmp_path: Path) -> None:
    with web(200) as (url, asked):
        assert said(tmp_path, Route(FhirDestination("ehr", url))) == {"to ehr": f"{url} answers"}
    assert asked == ["GET /dicom-web/metadata None"]
    with web(404) as (url, _), pytest.raises(PeerAnswerError, match=r"ehr.*404"):
        said(tmp_path, Route(FhirDestination("ehr", url)))


@pytest.mark.parametrize("status", [200, 404, 405])
def test_where_sealed_bundles_go_nothing_need_be_readable(tmp_path: Path, status: int) -> None:
    with web(status) as (url, asked):
        assert said(tmp_path, Route(JweDestination("clinic", url))) == {"to clinic": f"{url} answers"}
    assert asked == ["GET /dicom-web None"]


@pytest.mark.parametrize(("status", "error"), [(401, PeerCredentialsError), (503, PeerBusyError)])
@pytest.mark.parametrize("kind", [FhirDestination, JweDestination])
def test_whoever_takes_findings_and_refuses_us_is_a_fault(
    tmp_path: Path, kind: type[FhirDestination | JweDestination], status: int, error: type[PeerError]
) -> None:
    with web(status) as (url, _), pytest.raises(error):
        said(tmp_path, Route(kind("ehr", url)))


def test_an_archive_that_is_asked_must_answer_queries(tmp_path: Path) -> None:
    with DimseArchive([]) as there:
        asked = Route(there.destination, results=(), priors=True)
        assert "answers queries" in said(tmp_path, asked)["to PACS"]
        assert there.shelf.asked == []
    with archive(FIND, *RESULTS) as (port, _), pytest.raises(PeerContextError, match="MOVE"):
        said(tmp_path, replace(to_archive(port), priors=True))
