"""A syslog receiver over mutual TLS (RFC 5425) that takes messages apart as strictly as RFC 5424 allows."""

import re
import socket
import ssl
import threading
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType
from typing import Self

from dimse.certificates import Authority, Files

# RFC 5424 section 6
_SD_NAME = r"[!#-<>-\\^-~]{1,32}"
_SD_PARAM = rf'{_SD_NAME}="(?:[^"\\\]]|\\["\\\]])*"'
_MESSAGE = re.compile(
    rf"<(?P<pri>0|[1-9][0-9]{{0,2}})>(?P<version>[1-9][0-9]{{0,2}}) (?P<time>-|[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}T"
    r"[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,6})?(?:Z|[+-][0-9]{2}:[0-9]{2})) "
    r"(?P<host>[!-~]{1,255}) (?P<app>[!-~]{1,48}) (?P<process>[!-~]{1,128}) (?P<id>[!-~]{1,32}) "
    rf"(?P<data>-|(?:\[{_SD_NAME}(?: {_SD_PARAM})*\])+)(?: (?P<text>.*))?",
    re.DOTALL,
)
_FRAME = re.compile(rb"([1-9][0-9]*) ")


@dataclass(frozen=True)
class Message:
    """A syslog message."""

    priority: int
    time: datetime | None
    host: str
    app: str
    id: str
    sequence: int
    text: str


def parsed(data: bytes) -> Message:
    """Take a message apart (RFC 5424 section 6); its text must be UTF-8 with a BOM (section 6.4)."""
    found = _MESSAGE.fullmatch(data.decode("utf-8"))
    assert found is not None, data
    assert int(found["pri"]) <= 191
    assert found["version"] == "1"
    assert found["text"].startswith("\ufeff")
    sequence = re.fullmatch(r'\[meta sequenceId="([1-9][0-9]*)"\]', found["data"])
    return Message(
        priority=int(found["pri"]),
        time=None if found["time"] == "-" else datetime.fromisoformat(found["time"]),
        host=found["host"],
        app=found["app"],
        id=found["id"],
        sequence=int(sequence[1]) if sequence else 0,
        text=found["text"][1:],
    )


def unframed(data: bytes) -> tuple[list[bytes], bytes]:
    """Part octet-counted frames (RFC 5425 section 4.3) from the beginning of one that is not whole."""
    found = []
    while head := _FRAME.match(data):
        end = head.end() + int(head[1])
        if len(data) < end:
            break
        found.append(data[head.end() : end])
        data = data[end:]
    return found, data


class Receiver:
    """Listens on loopback, and keeps what comes; connections can be broken at will.

    Parameters
    ----------
    authority
        Vouches for senders.
    files
        Our certificate and key.
    port
        0 takes a free one.
    most_bytes
        Of the first connection, after which it is reset.
    """

    def __init__(self, authority: Authority, files: Files, *, port: int = 0, most_bytes: int = 2**40) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(files.certificate, files.key)
        context.load_verify_locations(authority.files.certificate)
        context.verify_mode = ssl.CERT_REQUIRED
        self._context = context
        self._most_bytes = most_bytes
        self._listener = socket.create_server(("127.0.0.1", port))
        self.port = self._listener.getsockname()[1]
        self._changed = threading.Condition()
        self._connections: list[ssl.SSLSocket] = []
        self._is_closed = False
        self.messages: list[Message] = []
        self.failures: list[str] = []
        self._thread = threading.Thread(target=self._listen)
        self._thread.start()

    def wait_for(self, number: int) -> None:
        """Wait until an entry is there."""
        with self._changed:
            assert self._changed.wait_for(lambda: any(one.sequence == number for one in self.messages), 30)

    def wait_for_failure(self) -> None:
        """Wait until somebody was refused."""
        with self._changed:
            assert self._changed.wait_for(lambda: bool(self.failures), 30)

    def close(self) -> None:
        """Stop, and reset connections."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._changed:
            self._is_closed = True
            for connection in self._connections:
                with suppress(OSError):  # it may be closed already
                    connection.shutdown(socket.SHUT_RDWR)
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _listen(self) -> None:
        while True:
            try:
                plain, _ = self._listener.accept()
            except OSError:
                return
            try:
                connection = self._context.wrap_socket(plain, server_side=True)
            except OSError as error:
                plain.close()
                with self._changed:
                    self.failures.append(str(error))
                    self._changed.notify_all()
                continue
            with self._changed:
                if self._is_closed:  # while hands were shaken
                    connection.close()
                    return
                self._connections.append(connection)
            self._take(connection, self._most_bytes if len(self._connections) == 1 else 2**40)

    def _take(self, connection: ssl.SSLSocket, most_bytes: int) -> None:
        """Take what one sender sends; one at a time is enough here."""
        data, total = b"", 0
        while True:
            try:
                piece = connection.read(4096)  # recv would read what is encrypted once another thread has closed it
            except (OSError, ValueError):
                piece = b""
            total += len(piece)
            if not piece or total > most_bytes:
                connection.close()
                return
            found, data = unframed(data + piece)
            with self._changed:
                self.messages += map(parsed, found)
                self._changed.notify_all()
