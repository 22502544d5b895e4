"""Destinations on this machine: pynetdicom's own C-STORE provider, and a STOW-RS server of the standard library.

Both keep what they took, and say of it what a test wants.
"""

import base64
import email.parser
import email.policy
import json
import socket
import ssl
import threading
from contextlib import suppress
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from types import TracebackType
from typing import Any, Self

import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid
from pynetdicom import AE, build_role, evt
from pynetdicom.association import Association
from pynetdicom.sop_class import StorageCommitmentPushModel

from zweitblick.peers.destination import StoreDestination, StowDestination, Trust
from zweitblick.peers.instance import Outgoing, outgoing

SEG, SR, PDF = "1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.88.33", "1.2.840.10008.5.1.4.1.1.104.1"
COMMITMENT = StorageCommitmentPushModel, "1.2.840.10008.1.20.1.1"
LONG_S = 30.0


def made(sop_class: str, *, syntax: str = ExplicitVRLittleEndian, size: int = 0) -> tuple[Outgoing, bytes]:
    """Make an instance of some size, and return it with its file's bytes."""
    data = Dataset()
    data.SOPClassUID, data.SOPInstanceUID = sop_class, generate_uid()
    data.StudyInstanceUID, data.SeriesInstanceUID = generate_uid(), generate_uid()
    data.PatientName = "Geheim^Patientin"
    data.EncapsulatedDocument = bytes(size)
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = syntax
    buffer = BytesIO()
    data.save_as(buffer, enforce_file_format=True)
    file = buffer.getvalue()
    return outgoing(lambda: BytesIO(file), size=len(file)), file


def data_of(file: bytes) -> bytes:
    """Data set of a DICOM file, by pydicom's reading of its meta information."""
    return file[144 + pydicom.dcmread(BytesIO(file)).file_meta.FileMetaInformationGroupLength :]


class StorePeer:
    """A C-STORE provider.

    ``statuses`` are said one after the other, then success; ``manner`` is how it behaves.
    """

    def __init__(
        self, *, tls: ssl.SSLContext | None = None, sop_classes: tuple[str, ...] = (SEG, SR, PDF), port: int = 0
    ) -> None:
        self.statuses: list[int] = []
        self.manner = "polite"
        self.taken: dict[str, bytes] = {}
        self.received: list[str] = []
        self.proposed: list[tuple[str, list[str]]] = []
        self.done = threading.Event()
        self._server = self._entity(sop_classes).start_server(
            ("127.0.0.1", port), block=False, evt_handlers=self._handlers(), ssl_context=tls
        )
        self.destination = StoreDestination(
            "PACS", "127.0.0.1", self._server.server_address[1], "PEER", trust=Trust() if tls else None
        )

    def _entity(self, sop_classes: tuple[str, ...]) -> AE:
        entity = AE("PEER")
        entity.require_called_aet = True
        for sop_class in sop_classes:
            entity.add_supported_context(sop_class)
        return entity

    def _handlers(self) -> list[tuple[Any, Any]]:
        return [(evt.EVT_C_STORE, self._store), (evt.EVT_REQUESTED, self._requested)]

    def trusting(self, trust: Trust) -> StoreDestination:
        return replace(self.destination, trust=trust)

    def _requested(self, event: evt.Event) -> None:
        request = event.assoc.requestor.primitive
        self.proposed = [
            (str(one.abstract_syntax), [str(syntax) for syntax in one.transfer_syntax])
            for one in request.presentation_context_definition_list
        ]

    def _store(self, event: evt.Event) -> int:
        if self.manner == "silent":
            self.done.wait(LONG_S)
        if self.manner == "rude":
            event.assoc.abort()
            return 0x0110
        self.received.append(event.request.AffectedSOPInstanceUID)
        self.taken[event.request.AffectedSOPInstanceUID] = event.request.DataSet.getvalue()
        return self.statuses.pop(0) if self.statuses else 0x0000

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.done.set()
        self._server.shutdown()


class CommittingPeer(StorePeer):
    """A C-STORE provider that commits itself to storage, as pynetdicom does it.

    Parameters
    ----------
    report_to
        Port at which the requestor takes reports on a new association; None reports on the same one, 0 not at all.

    On the same one it first reports of the transactions in ``before``, for which ``asked_before`` was asked. Of its
    next reports ``kinds`` has the event types, if not the right ones, ``left_out`` how many instances they do not name.
    """

    def __init__(self, *, report_to: int | None = None) -> None:
        self.asked: list[Dataset] = []
        self.failures: list[int] = []
        self.answers: list[int] = []
        self.kinds: list[int] = []
        self.left_out: list[int] = []
        self.before: list[str] = []
        self.asked_before: list[Dataset] = []
        self.report_to = report_to
        self.action_status = 0x0000
        self._reporting: list[threading.Thread] = []
        super().__init__()
        self.destination = replace(self.destination, storage_commitment=True)

    def _entity(self, sop_classes: tuple[str, ...]) -> AE:
        entity = super()._entity(sop_classes)
        entity.add_supported_context(StorageCommitmentPushModel)
        return entity

    def _handlers(self) -> list[tuple[Any, Any]]:
        return [*super()._handlers(), (evt.EVT_N_ACTION, self._commit)]

    def _commit(self, event: evt.Event) -> tuple[int, None]:
        self.asked.append(event.action_information)
        if self.report_to != 0 and self.action_status == 0:
            reporting = threading.Thread(target=self._report, args=(event.assoc, event.action_information))
            self._reporting.append(reporting)
            reporting.start()
        return self.action_status, None

    def _report(self, association: Association, asked: Dataset) -> None:
        report = Dataset()
        report.TransactionUID = asked.TransactionUID
        items = list(asked.ReferencedSOPSequence)
        if self.failures:
            items[0].FailureReason = self.failures.pop(0)
            report.FailedSOPSequence = items[:1]
            items = items[1:]
        report.ReferencedSOPSequence = items[self.left_out.pop(0) :] if self.left_out else items
        kind = 2 if "FailedSOPSequence" in report else 1
        kind = self.kinds.pop(0) if self.kinds else kind
        if self.report_to is None:
            for transaction_uid in self.before:
                other = Dataset()
                other.TransactionUID = transaction_uid
                other.ReferencedSOPSequence = self.asked_before
                self._said(association.send_n_event_report(other, 1, *COMMITMENT))
            self._said(association.send_n_event_report(report, kind, *COMMITMENT))
            return
        entity = AE("PEER")
        entity.add_requested_context(StorageCommitmentPushModel)
        role = build_role(StorageCommitmentPushModel, scp_role=True)
        back = entity.associate("127.0.0.1", self.report_to, ext_neg=[role])
        self._said(back.send_n_event_report(report, kind, *COMMITMENT))
        back.release()

    def _said(self, answer: tuple[Dataset, Any]) -> None:
        self.answers.append(int(answer[0].Status))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for reporting in self._reporting:
            reporting.join()
        super().__exit__(kind, error, trace)


class StowPeer:
    """A STOW-RS server; see `StorePeer`. ``answer`` is sent instead of its own, ``status`` likewise.

    So many answers as ``lost`` says are not sent at all, after everything was taken.
    """

    def __init__(self, *, tls: ssl.SSLContext | None = None) -> None:
        self.statuses: list[int] = []
        self.manner = "polite"
        self.taken: dict[str, bytes] = {}
        self.parts: list[str] = []
        self.requests: list[dict[str, str]] = []
        self.status: int | None = None
        self.answer: bytes | None = None
        self.lost = 0
        self.done = threading.Event()
        self._server = _StowServer(("127.0.0.1", 0), _StowHandler)
        self._server.peer = self
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()
        scheme = "https" if tls else "http"
        self.destination = StowDestination("PACS", f"{scheme}://127.0.0.1:{self._server.server_address[1]}/dicom-web")

    def trusting(self, trust: Trust) -> StowDestination:
        return replace(self.destination, trust=trust)

    def take(self, content_type: str, body: bytes) -> tuple[int, bytes]:
        """Part the body by the standard library's MIME parser, and answer as PS3.18 section 10.5.3 has it."""
        head = f"Content-Type: {content_type}\r\nMIME-Version: 1.0\r\n\r\n".encode()
        message = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(head + _in_base64(body, content_type))
        taken: list[dict[str, Any]] = []
        refused: list[dict[str, Any]] = []
        for part in message.iter_parts():
            file = part.get_payload(decode=True)
            self.parts.append(part["Content-Type"])
            uid = str(pydicom.dcmread(BytesIO(file)).SOPInstanceUID)
            self.taken[uid] = data_of(file)
            status = self.statuses.pop(0) if self.statuses else 0
            item: dict[str, Any] = {"00081155": {"vr": "UI", "Value": [uid]}}
            if status >> 12 == 0xB:
                taken.append(item | {"00081196": {"vr": "US", "Value": [status]}})
            elif status:
                refused.append(item | {"00081197": {"vr": "US", "Value": [status]}})
            else:
                taken.append(item)
        answer = {}
        if taken:
            answer["00081199"] = {"vr": "SQ", "Value": taken}
        if refused:
            answer["00081198"] = {"vr": "SQ", "Value": refused}
        code = 200 if not refused else 202 if taken else 409
        return self.status or code, self.answer if self.answer is not None else json.dumps(answer).encode()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.done.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _StowServer(ThreadingHTTPServer):
    daemon_threads = False
    peer: StowPeer


class _StowHandler(BaseHTTPRequestHandler):
    server: _StowServer

    def do_POST(self) -> None:
        peer = self.server.peer
        body = self.rfile.read(int(self.headers["Content-Length"]))
        peer.requests.append({"path": self.path, **{name.lower(): value for name, value in self.headers.items()}})
        if peer.manner == "silent":
            peer.done.wait(LONG_S)
        if peer.manner in ("silent", "rude"):
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        status, answer = peer.take(self.headers["Content-Type"], body)
        if peer.lost:
            peer.lost -= 1
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        self.send_response(status)
        self.send_header("Content-Type", "application/dicom+json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- the base class's name
        """Say nothing."""

    def handle(self) -> None:
        if isinstance(self.connection, ssl.SSLSocket):
            try:
                self.connection.do_handshake()
            except OSError:  # the client does not trust us
                return
        super().handle()

    def finish(self) -> None:
        with suppress(OSError):  # the connection was broken on purpose
            super().finish()


def _in_base64(body: bytes, content_type: str) -> bytes:
    """Say of each part that it is base64, and make it so: the parser takes bytes for lines of text otherwise."""
    boundary = b"--" + content_type.rpartition("boundary=")[2].encode()
    parts = body.split(boundary)
    assert parts[0] == b""
    assert parts[-1] == b"--\r\n"
    encoded = []
    for part in parts[1:-1]:
        head, _, file = part.partition(b"\r\n\r\n")
        assert file.endswith(b"\r\n")
        binary = base64.encodebytes(file[:-2])
        encoded.append(head + b"\r\nContent-Transfer-Encoding: base64\r\n\r\n" + binary)
    return boundary + boundary.join(encoded) + parts[-1].join([boundary, b""])


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])
