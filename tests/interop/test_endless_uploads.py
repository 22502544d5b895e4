"""Bodies without an end, to a service with a limit of 1 GiB: refused in little memory, and nothing of them is kept."""

import http.client
import json
import select
import socket
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import repeat
from pathlib import Path
from typing import Any

import pytest

from interop.service import Service, serving

LIMIT = 2**30
MOST_SENT = 2 * LIMIT
PIECE = 2**20
FEW_BYTES = 64 * 2**20
"""What a body may take in memory that is not held."""
PART = b'--cut\r\nContent-Disposition: form-data; name="f"; filename="1"\r\nContent-Type: application/dicom\r\n\r\n'
FORM, RELATED = "multipart/form-data; boundary=cut", 'multipart/related; type="application/dicom"; boundary=cut'
READS, STUDIES = "/api/v1/reads", "/dicom-web/studies"
PREAMBLE = bytes(128) + b"DICM"


def one_part(begin: bytes = b"") -> Iterator[bytes]:
    """One file that does not end."""
    yield PART + begin
    yield from repeat(bytes(PIECE))


def many_parts() -> Iterator[bytes]:
    """Files of 1 MiB that are no instances."""
    yield from repeat(PART + bytes(PIECE) + b"\r\n")


def archive() -> Iterator[bytes]:
    """A zip archive (APPNOTE 4.3.7) with one deflated file that does not end."""
    # deflated, of a size that is told after it, and with a name of one letter
    yield b"PK\x03\x04" + b"\x14\0" + b"\x08\0" + b"\x08\0" + bytes(4) + bytes(12) + b"\x01\0\0\0" + b"1"
    deflater = zlib.compressobj(0, wbits=-zlib.MAX_WBITS)
    # a full flush forgets what was before, so that the same block may follow again and again
    yield from repeat(deflater.compress(bytes(PIECE)) + deflater.flush(zlib.Z_FULL_FLUSH))


@dataclass(frozen=True)
class Attack:
    path: str
    kind: str
    body: Callable[[], Iterator[bytes]]
    most_bytes: int = FEW_BYTES


ATTACKS = {
    "a form of one file": Attack(READS, FORM, one_part),
    "a form of many files": Attack(READS, FORM, many_parts),
    "an archive": Attack(READS, "application/zip", archive),
    "STOW-RS of one instance": Attack(STUDIES, RELATED, one_part),
    "STOW-RS of many instances": Attack(STUDIES, RELATED, many_parts),
    # an instance is held as a whole until it is kept, so that it is never written in clear
    "STOW-RS of what may be an instance": Attack(STUDIES, RELATED, partial(one_part, PREAMBLE), LIMIT + FEW_BYTES),
}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def service(home: Path) -> Iterator[Service]:
    with serving(home, ZWEITBLICK_HTTP_LARGEST_UPLOAD_BYTES=str(LIMIT)) as service:
        yield service


@pytest.mark.parametrize("name", ATTACKS)
def test_a_body_without_an_end_is_refused(service: Service, home: Path, name: str) -> None:
    attack, kept = ATTACKS[name], written(home)
    forget_peak(service)
    before = peak_bytes(service)
    status, problem, sent = answered(service, attack)
    assert (status, problem["code"]) == (413, "request.body-too-large")
    assert LIMIT <= sent < MOST_SENT
    assert peak_bytes(service) - before < attack.most_bytes
    assert written(home) == kept
    assert service.client.get("/ready").status_code == 200


@pytest.mark.parametrize(("path", "kind"), [(READS, "application/zip"), (READS, FORM), (STUDIES, RELATED)])
def test_a_body_that_says_how_long_it_is_is_refused_before_it_is_sent(service: Service, path: str, kind: str) -> None:
    with connected(service, path, {"Content-Type": kind, "Content-Length": str(MOST_SENT)}) as connection:
        status, problem = answer_of(connection)
    assert (status, problem["code"]) == (413, "request.body-too-large")


def answered(service: Service, attack: Attack) -> tuple[int, dict[str, Any], int]:
    """Send until there is an answer; return its status and content, and how much was sent."""
    sent = 0
    with connected(service, attack.path, {"Content-Type": attack.kind, "Transfer-Encoding": "chunked"}) as connection:
        for piece in attack.body():
            if select.select([connection], [], [], 0)[0] or sent > MOST_SENT:
                break
            try:
                connection.sendall(b"%x\r\n%b\r\n" % (len(piece), piece))
            except ConnectionError:  # it has answered, and hung up
                break
            sent += len(piece)
        return *answer_of(connection), sent


def connected(service: Service, path: str, headers: dict[str, str]) -> socket.socket:
    url = service.client.base_url
    connection = socket.create_connection((url.host, url.port), 60)
    headers |= {"Host": url.host, "Authorization": service.client.headers["Authorization"]}
    lines = [f"POST {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
    connection.sendall("\r\n".join(lines).encode())
    return connection


def answer_of(connection: socket.socket) -> tuple[int, dict[str, Any]]:
    answer = http.client.HTTPResponse(connection)
    answer.begin()
    return answer.status, json.loads(answer.read())


def forget_peak(service: Service) -> None:
    """Begin VmHWM anew (proc_pid_clear_refs(5))."""
    (Path("/proc") / str(service.process.pid) / "clear_refs").write_text("5")


def peak_bytes(service: Service) -> int:
    """Most memory that the process has had: VmHWM of proc_pid_status(5)."""
    status = (Path("/proc") / str(service.process.pid) / "status").read_text()
    (line,) = [line for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1]) * 1024


def written(home: Path) -> dict[str, int]:
    """Sizes of what lies among the objects and in the temporary folder."""
    folders = (home / "tmp", home / ".local" / "share" / "zweitblick" / "data" / "objects")
    return {str(path): path.stat().st_size for folder in folders for path in folder.rglob("*") if path.is_file()}
