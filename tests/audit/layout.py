"""The layout of a trail's files, spelt out once more, to take them apart and put them together at will."""

import hashlib
import struct
from dataclasses import dataclass
from pathlib import Path

FILE_HEADER = 4 + 16 + 8 + 32
ENTRY_HEADER = 4 + 4 + 8 + 32 + 32 + 64


@dataclass(frozen=True)
class Frame:
    """An entry: where it lies in its file, and its parts."""

    path: Path
    start: int
    end: int
    number: int
    link: bytes
    head: bytes
    signature: bytes
    sealed: bytes


def files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.trail"))


def frames(folder: Path) -> list[Frame]:
    found = []
    for path in files(folder):
        data, place = path.read_bytes(), FILE_HEADER
        while place < len(data):
            size, number = struct.unpack_from(">LQ", data, place + 4)
            link, head = data[place + 16 : place + 48], data[place + 48 : place + 80]
            end = place + ENTRY_HEADER + size
            signature, sealed = data[place + 80 : place + 144], data[place + 144 : end]
            found.append(Frame(path, place, end, number, link, head, signature, sealed))
            place = end
    return found


def trail_of(folder: Path) -> bytes:
    return files(folder)[0].read_bytes()[4:20]


def head_of(trail: bytes, number: int, link: bytes, sealed: bytes) -> bytes:
    return hashlib.sha256(b"zweitblick audit entry 1" + trail + struct.pack(">Q", number) + link + sealed).digest()


def signed_of(trail: bytes, number: int, head: bytes) -> bytes:
    return b"zweitblick audit head 1" + trail + struct.pack(">Q", number) + head


def packed(frame: Frame) -> bytes:
    sizes = struct.pack(">LQ", len(frame.sealed), frame.number)
    return b"zwa\x01" + sizes + frame.link + frame.head + frame.signature + frame.sealed
