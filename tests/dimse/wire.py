"""A DICOM peer written from PS3.7 and PS3.8 alone, so that it can break their rules; and a keeper that remembers."""

import socket
import ssl
import struct
import threading
import zlib
from collections.abc import Iterable
from types import TracebackType
from typing import Self

from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset

from zweitblick.dimse import Received

MR = "1.2.840.10008.5.1.4.1.1.4"
VERIFICATION = "1.2.840.10008.1.1"
IMPLICIT, EXPLICIT, BIG = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"
DEFLATED = ("1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.4.95", "1.2.840.10008.1.2.4.205")
"""PS3.5 sections A.5, A.7, A.12: deflated data sets."""

PATIENT = "Geheim^Patientin"
ASSOCIATE_RQ, ASSOCIATE_AC, ASSOCIATE_RJ, P_DATA, RELEASE_RQ, RELEASE_RP, ABORT = range(1, 8)
TIMEOUT_S = 20.0


class Kept:
    """Remembers what it is given; raises ``error`` instead if there is one."""

    def __init__(self, error: Exception | None = None) -> None:
        self.instances: list[Received] = []
        self._error = error
        self._lock = threading.Lock()

    def keep(self, instance: Received) -> None:
        if self._error is not None:
            raise self._error
        with self._lock:
            self.instances.append(instance)


class Held:
    """Keeps nothing until ``gate`` opens; ``reached`` tells that it waits there."""

    def __init__(self) -> None:
        self.reached, self.gate = threading.Event(), threading.Event()
        self.instances: list[Received] = []

    def keep(self, instance: Received) -> None:
        self.reached.set()
        assert self.gate.wait(TIMEOUT_S)
        self.instances.append(instance)


class Counts:
    """An observer that counts, and tells when as many associations have ended as are waited for."""

    def __init__(self) -> None:
        self.statuses: list[int] = []
        self.sizes: list[int] = []
        self.accepted = self.refused = self.over = self.conflicts = 0
        self._changed = threading.Condition()

    def associated(self) -> None:
        with self._changed:
            self.accepted += 1

    def rejected(self) -> None:
        with self._changed:
            self.refused += 1

    def ended(self) -> None:
        with self._changed:
            self.over += 1
            self._changed.notify_all()

    def answered(self, status: int, size_bytes: int) -> None:
        with self._changed:
            self.statuses.append(status)
            self.sizes.append(size_bytes)

    def conflicted(self) -> None:
        with self._changed:
            self.conflicts += 1

    def wait_for_end(self, count: int = 1) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: self.over >= count, TIMEOUT_S)


def instance(number: int = 1, *, sop_class: str = MR, study: str = "1.2.3") -> Dataset:
    """A small data set with what identifies it and a patient's name."""
    data = Dataset()
    data.SOPClassUID, data.SOPInstanceUID = sop_class, f"{study}.4.{number}"
    data.PatientName, data.PatientID = PATIENT, "geheime-nummer"
    data.StudyInstanceUID, data.SeriesInstanceUID = study, f"{study}.4"
    data.InstanceNumber = number
    data.add_new(0x7FE00010, "OW", struct.pack("<64H", *range(number, number + 64)))
    return data


def encoded(data: Dataset, syntax: str = EXPLICIT) -> bytes:
    """A data set as it goes over the network, by pydicom."""
    written = DicomBytesIO()
    written.is_implicit_VR, written.is_little_endian = syntax == IMPLICIT, syntax != BIG
    write_dataset(written, data)
    if syntax not in DEFLATED:
        return written.getvalue()
    deflater = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return deflater.compress(written.getvalue()) + deflater.flush()


def item(kind: int, content: bytes) -> bytes:
    return struct.pack(">BBH", kind, 0, len(content)) + content


def pdu(kind: int, content: bytes) -> bytes:
    return struct.pack(">BBL", kind, 0, len(content)) + content


def associate_rq(contexts: Iterable[tuple[str, Iterable[str]]], called: str = "ANY", calling: str = "RAW") -> bytes:
    """A-ASSOCIATE-RQ (PS3.8 section 9.3.2); contexts are numbered 1, 3, 5."""
    items = [item(0x10, b"1.2.840.10008.3.1.1.1")]
    for number, (sop_class, syntaxes) in enumerate(contexts):
        subitems = [item(0x30, sop_class.encode()), *(item(0x40, syntax.encode()) for syntax in syntaxes)]
        items.append(item(0x20, bytes([2 * number + 1, 0, 0, 0]) + b"".join(subitems)))
    items.append(item(0x50, item(0x51, struct.pack(">L", 16384)) + item(0x52, b"1.2.3.4")))
    titles = called.ljust(16).encode() + calling.ljust(16).encode()
    return pdu(ASSOCIATE_RQ, struct.pack(">HH", 1, 0) + titles + bytes(32) + b"".join(items))


def command_set(elements: dict[int, int | str]) -> bytes:
    """Command set (PS3.7 section 6.3.1) of US numbers and UIDs, by element number."""
    written = b""
    for element, value in sorted(elements.items()):
        content = struct.pack("<H", value) if isinstance(value, int) else value.encode() + b"\0" * (len(value) % 2)
        written += struct.pack("<HHL", 0, element, len(content)) + content
    return struct.pack("<HHLL", 0, 0, 4, len(written)) + written


def store_rq(sop_instance: str, *, sop_class: str = MR, message_id: int = 1) -> bytes:
    return command_set({0x0002: sop_class, 0x0100: 1, 0x0110: message_id, 0x0700: 0, 0x0800: 1, 0x1000: sop_instance})


ECHO_RQ = command_set({0x0002: VERIFICATION, 0x0100: 0x0030, 0x0110: 1, 0x0800: 0x0101})


def fragment(context_id: int, control: int, content: bytes) -> bytes:
    """P-DATA-TF of one fragment (PS3.8 section 9.3.5); control: 1 command, 2 last."""
    return pdu(P_DATA, struct.pack(">LBB", len(content) + 2, context_id, control) + content)


def message(context_id: int, command: bytes, data: bytes, *, size: int = 16000) -> bytes:
    parts = [data[start : start + size] for start in range(0, len(data), size)] or [b""]
    fragments = [fragment(context_id, 0, part) for part in parts[:-1]] + [fragment(context_id, 2, parts[-1])]
    return fragment(context_id, 3, command) + b"".join(fragments)


class RawPeer:
    """One connection; closed with the ``with`` block, without a word."""

    def __init__(self, port: int, context: ssl.SSLContext | None = None) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), TIMEOUT_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if context is not None:
            with self.socket as plain:  # closed by a handshake that fails
                self.socket = context.wrap_socket(plain, server_hostname="127.0.0.1")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def receive(self) -> tuple[int, bytes]:
        """Type and content of the next PDU; type 0 if the connection ends first."""
        try:
            header = self._exactly(6)
            kind, _, length = struct.unpack(">BBL", header)
            return kind, self._exactly(length)
        except (EOFError, ConnectionError):
            return 0, b""

    def _exactly(self, count: int) -> bytes:
        received = b""
        while len(received) < count:
            more = self.socket.recv(count - len(received))
            if not more:
                raise EOFError
            received += more
        return received

    def associate(self, *contexts: tuple[str, Iterable[str]], calling: str = "RAW") -> dict[int, tuple[int, str]]:
        """Result and transfer syntax of each context, by id (PS3.8 section 9.3.3.2)."""
        self.send(associate_rq(contexts or [(MR, [EXPLICIT])], calling=calling))
        kind, content = self.receive()
        assert kind == ASSOCIATE_AC
        results, place = {}, 68
        while place < len(content):
            item_kind, _, length = struct.unpack_from(">BBH", content, place)
            if item_kind == 0x21:
                context_id, _, result, _ = content[place + 4 : place + 8]
                results[context_id] = result, content[place + 12 : place + 4 + length].decode()
            place += 4 + length
        return results

    def status(self) -> int:
        """Status of the next response."""
        kind, content = self.receive()
        assert kind == P_DATA, kind
        command, place = content[6:], 0
        while place < len(command):
            _, element, length = struct.unpack_from("<HHL", command, place)
            if element == 0x0900:
                return struct.unpack_from("<H", command, place + 8)[0]
            place += 8 + length
        raise AssertionError("no status")

    def store(self, data: bytes, sop_instance: str, *, context_id: int = 1, sop_class: str = MR) -> int:
        self.send(message(context_id, store_rq(sop_instance, sop_class=sop_class), data))
        return self.status()

    def release(self) -> None:
        self.send(pdu(RELEASE_RQ, bytes(4)))
        assert self.receive()[0] == RELEASE_RP
