"""Archives of others: DIMSE as pynetdicom speaks it, DICOMweb as Python's own HTTP server does; both match by hand."""

import json
import socket
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from threading import Event, Thread
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

import pydicom
from pydicom import Dataset
from pynetdicom import AE, StoragePresentationContexts, evt
from pynetdicom.sop_class import (
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelMove,
)

from zweitblick.peers.destination import StoreDestination, StowDestination


class Shelf:
    """Instances as files, grouped."""

    def __init__(self, files: list[Path]) -> None:
        self.instances = [pydicom.dcmread(path) for path in files]
        self.asked: list[str] = []

    def studies(self, patient_id: str) -> dict[str, list[Dataset]]:
        found: dict[str, list[Dataset]] = {}
        for one in self.instances:
            if one.PatientID == patient_id:
                found.setdefault(one.StudyInstanceUID, []).append(one)
        return found

    def series(self, study_uid: str) -> dict[str, list[Dataset]]:
        found: dict[str, list[Dataset]] = {}
        for one in self.instances:
            if one.StudyInstanceUID == study_uid:
                found.setdefault(one.SeriesInstanceUID, []).append(one)
        return found


class DimseArchive:
    """A C-FIND and C-MOVE provider; ``port`` is where it sends to, ``manner`` how it behaves."""

    def __init__(self, files: list[Path]) -> None:
        self.shelf, self.port, self.manner = Shelf(files), 0, "polite"
        self.reached, self.over, self.closed = Event(), Event(), Event()
        entity = AE("ARCHIVE")
        entity.add_supported_context(StudyRootQueryRetrieveInformationModelFind)
        entity.add_supported_context(StudyRootQueryRetrieveInformationModelMove)
        entity.requested_contexts = StoragePresentationContexts[:120]
        handlers = [(evt.EVT_C_FIND, self._find), (evt.EVT_C_MOVE, self._move)]
        self._server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
        self.destination = StoreDestination("PACS", "127.0.0.1", self._server.server_address[1], "ARCHIVE", "US")

    def _find(self, event: evt.Event) -> Iterator[tuple[int, Dataset | None]]:
        asked = event.identifier
        self.shelf.asked.append(asked.QueryRetrieveLevel)
        if self.manner == "refusing":
            yield 0xA700, None
            return
        if asked.QueryRetrieveLevel == "STUDY":
            for several in self.shelf.studies(asked.PatientID).values():
                yield 0xFF00, self._study(asked, several)
        else:
            for several in self.shelf.series(asked.StudyInstanceUID).values():
                found = Dataset()
                found.QueryRetrieveLevel, found.Modality = "SERIES", several[0].Modality
                found.SeriesInstanceUID, found.StudyInstanceUID = several[0].SeriesInstanceUID, asked.StudyInstanceUID
                found.NumberOfSeriesRelatedInstances = len(several)
                found.BodyPartExamined = several[0].get("BodyPartExamined", "")
                yield 0xFF01, found

    @staticmethod
    def _study(asked: Dataset, several: list[Dataset]) -> Dataset:
        found = Dataset()
        for element in asked:
            found[element.tag] = several[0].get(element.tag, pydicom.DataElement(element.tag, element.VR, None))
        found.QueryRetrieveLevel = "STUDY"
        found.ModalitiesInStudy = sorted({one.Modality for one in several})
        return found

    def _move(self, event: evt.Event) -> Iterator[Any]:
        self.shelf.asked.append("MOVE")
        assert event.move_destination == "US"
        if self.manner == "unknown":
            yield None, None
            return
        several = self.shelf.series(event.identifier.StudyInstanceUID)[event.identifier.SeriesInstanceUID]
        yield "127.0.0.1", self.port
        if self.manner == "short":
            several = several[:1]
        yield len(several)
        if self.manner == "slow":
            connection = event.assoc.dul.socket.socket  # pynetdicom leaves it open if the peer is faster
            self.reached.set()
            assert self.over.wait(20)
            connection.close()
            self.closed.set()
            return
        for one in several:
            yield 0xFF00, one

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.over.set()
        if self.reached.is_set():
            assert self.closed.wait(20)
        self._server.shutdown()


class WebArchive:
    """A QIDO-RS and WADO-RS server; ``change`` makes another body of that of a retrieval."""

    def __init__(self, files: list[Path]) -> None:
        self.shelf, self.manner = Shelf(files), "polite"
        self.change: Callable[[bytes], bytes] = lambda body: body
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.archive = self
        self._thread = Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()
        self.destination = StowDestination("PACS", f"http://127.0.0.1:{self._server.server_address[1]}/root")

    def answer(self, path: str, query: dict[str, list[str]]) -> tuple[int, str, bytes]:
        parts = path.strip("/").split("/")
        self.shelf.asked.append("/".join(parts[1::2]))
        if self.manner == "refusing":
            return 503, "text/plain", b""
        if self.manner == "moved":
            return 302, "text/plain", b""
        if len(parts) == 2:
            found = self.shelf.studies(query["PatientID"][0]).values()
            return self._json([self._study(several) for several in found])
        if len(parts) == 4:
            return self._json([self._series(several) for several in self.shelf.series(parts[2]).values()])
        kind = 'multipart/related; type="application/dicom"; boundary=cut'
        return 200, kind, self.change(body_of(self.shelf.series(parts[2])[parts[4]]))

    @staticmethod
    def _json(found: list[dict[str, Any]]) -> tuple[int, str, bytes]:
        return (200, "application/dicom+json", json.dumps(found).encode()) if found else (204, "text/plain", b"")

    @staticmethod
    def _study(several: list[Dataset]) -> dict[str, Any]:
        said = Dataset()
        for keyword in ("StudyInstanceUID", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime"):
            setattr(said, keyword, several[0].get(keyword))
        said.ModalitiesInStudy = sorted({one.Modality for one in several})
        return said.to_json_dict()

    @staticmethod
    def _series(several: list[Dataset]) -> dict[str, Any]:
        said = Dataset()
        said.SeriesInstanceUID, said.Modality = several[0].SeriesInstanceUID, several[0].Modality
        said.NumberOfSeriesRelatedInstances = len(several)
        said.BodyPartExamined = several[0].get("BodyPartExamined")
        return said.to_json_dict()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def body_of(instances: list[Dataset]) -> bytes:
    """A multipart body (RFC 2387) of files as pydicom writes them."""
    body = b""
    for one in instances:
        file = BytesIO()
        one.save_as(file, enforce_file_format=True)
        body += b"--cut\r\nContent-Type: application/dicom\r\n\r\n" + file.getvalue() + b"\r\n"
    return body + b"--cut--\r\n"


class _Server(ThreadingHTTPServer):
    daemon_threads = False
    archive: WebArchive


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        status, kind, body = self.server.archive.answer(parts.path, parse_qs(parts.query))
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        if status == 302:
            self.send_header("Location", "http://127.0.0.1:1/elsewhere")
        self.end_headers()
        if self.server.archive.manner == "rude" and "multipart" in kind:
            body = body[: len(body) // 2]
        with suppress(OSError):  # the client has enough
            self.wfile.write(body)
        if self.server.archive.manner == "rude":
            with suppress(OSError):
                self.connection.shutdown(socket.SHUT_RDWR)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- the base class's name
        """Say nothing."""
