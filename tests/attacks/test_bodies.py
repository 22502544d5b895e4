"""Hostile bodies, names and numbers: what Python's own parser finds is found, the rest is refused, in little memory."""

import email.policy
import io
import tracemalloc
import zipfile
from collections.abc import Iterable, Iterator
from email.parser import BytesParser
from itertools import islice, pairwise
from pathlib import Path

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kept_study import Clock, new_store
from web.web_house import WebHouse
from zweitblick.catalogue.query import checked_uid
from zweitblick.errors import (
    ArchiveTooLargeError,
    DamagedInstanceError,
    MalformedBodyError,
    NoUidError,
    QueryError,
    RequestError,
    SourceError,
    UnsupportedMediaError,
)
from zweitblick.intake.file import IncomingFile
from zweitblick.intake.parts import MOST_PARTS, Part, boundary_of, media_type, parts
from zweitblick.web.dicomweb.media import accepted
from zweitblick.web.dicomweb.query import parse
from zweitblick.web.dicomweb.retrieve import frame_numbers, window_of
from zweitblick.web.uploads import unpacked

HEAD = b"\0" * 128 + b"DICM"
FEW_BYTES = 8 * 2**20

boundaries = st.text("abcXYZ019'()+_-./:=?", min_size=1, max_size=70)
contents = st.one_of(
    st.binary(max_size=300),
    st.lists(st.sampled_from([b"\r\n", b"--", b"cut", b"\r", b"\n", b"-", b"x"]), max_size=30).map(b"".join),
)


def cut(data: bytes, places: Iterable[int]) -> Iterator[bytes]:
    edges = [0, *sorted(min(place, len(data)) for place in places), len(data)]
    for start, end in pairwise(edges):
        if start != end:
            yield data[start:end]


def content_of(part: Part) -> bytes:
    return bytes(part.file._content)


@given(boundaries, st.lists(contents, min_size=1, max_size=5), st.lists(st.integers(0, 2000), max_size=8))
def test_parts_are_those_that_the_standard_library_finds(boundary: str, inside: list[bytes], places: list[int]) -> None:
    inside = [HEAD + one.replace(f"\r\n--{boundary}".encode(), b"") for one in inside]
    body = b"".join(
        f"--{boundary}\r\nContent-Type: application/dicom\r\nContent-Transfer-Encoding: binary\r\n\r\n".encode()
        + one
        + b"\r\n"
        for one in inside
    )
    body += f"--{boundary}--\r\n".encode()
    kind = f'multipart/related; boundary="{boundary}"'
    found = [content_of(part) for part in parts(cut(body, places), boundary_of(media_type(kind)))]
    assert found == inside
    if b"\r" not in b"".join(inside) and b"\n" not in b"".join(inside):  # which that parser takes for its own
        message = BytesParser(policy=email.policy.HTTP).parsebytes(f"Content-Type: {kind}\r\n\r\n".encode() + body)
        assert [part.get_payload(decode=True) for part in message.iter_parts()] == found


@given(st.binary(max_size=400), st.lists(st.integers(0, 400), max_size=6), st.booleans())
def test_any_other_body_is_refused(data: bytes, places: list[int], starts_well: bool) -> None:
    body = b"--cut\r\nContent-Type: application/dicom\r\n\r\n" * starts_well + data
    if b"--cut--" not in body:
        with pytest.raises(MalformedBodyError):
            list(parts(cut(body, places), b"cut"))


@given(st.integers(0, 10_000))
def test_a_body_that_is_cut_short_is_refused_and_what_came_whole_is_given(end: int) -> None:
    one = b"--cut\r\nContent-Type: application/dicom\r\n\r\n" + HEAD + bytes(range(256)) * 4 + b"\r\n"
    body = (one * 3)[: end % (3 * len(one))]
    found = parts([body], b"cut")
    # a part is whole once the line behind it is there
    whole = max(0, len(body) - len(b"--cut\r\n")) // len(one)
    assert [len(content_of(part)) for part in islice(found, whole)] == [len(HEAD) + 1024] * whole
    with pytest.raises(MalformedBodyError):
        next(found)


BOMBS = {
    "headers": b"X-Header: y\r\n",
    "a name": b"X" * 2**16,
    "a value": b"X-Header: " + b"y" * 2**16,
    "parts": b"\r\n--cut\r\nX: y\r\n\r\n",
    "a part": b"\r\n\r\n" + b"z" * 2**14,
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_bombs_take_little_memory(bomb: str) -> None:
    def endless() -> Iterator[bytes]:
        yield b"--cut\r\n"
        for _ in range(2**16):
            yield BOMBS[bomb]

    tracemalloc.start()
    try:
        with pytest.raises(MalformedBodyError):
            for _ in parts(endless(), b"cut"):
                pass
        assert tracemalloc.get_traced_memory()[1] < FEW_BYTES
    finally:
        tracemalloc.stop()
    assert MOST_PARTS < 2**16


def test_of_what_is_no_instance_nothing_stays_in_memory() -> None:
    file = IncomingFile(most=2**40)
    tracemalloc.start()
    try:
        for _ in range(256):
            file.write(bytes(2**20))
        assert tracemalloc.get_traced_memory()[1] < FEW_BYTES
    finally:
        tracemalloc.stop()
    with pytest.raises(DamagedInstanceError):
        file.instance()


def test_an_archive_that_swells_is_refused() -> None:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as made, made.open("bomb", "w", force_zip64=True) as entry:
        for _ in range(1100):
            entry.write(bytes(2**20))
    body = Pieces(content.getvalue())
    tracemalloc.start()
    try:
        with pytest.raises(ArchiveTooLargeError):
            list(unpacked(body, lambda: body.taken))
        assert tracemalloc.get_traced_memory()[1] < FEW_BYTES
    finally:
        tracemalloc.stop()


class Pieces:
    """A body in memory."""

    def __init__(self, data: bytes) -> None:
        self.data, self.taken = data, 0

    def __iter__(self) -> Iterator[bytes]:
        for start in range(0, len(self.data), 2**16):
            piece = self.data[start : start + 2**16]
            self.taken += len(piece)
            yield piece


def small_archive(method: int) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", method) as made:
        made.writestr("a/1.dcm", HEAD + b"one" * 20)
        made.writestr("../2.dcm", HEAD + b"two" * 20)
    return content.getvalue()


SMALL = [small_archive(method) for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2)]


@given(
    st.sampled_from(SMALL),
    st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), max_size=4),
    st.one_of(st.none(), st.integers(0, 400)),
)
@settings(max_examples=300)
def test_a_damaged_archive_gives_files_or_one_of_our_errors(
    archive: bytes, changes: list[tuple[int, int]], end: int | None
) -> None:
    damaged = bytearray(archive)
    for place, value in changes:
        damaged[place % len(damaged)] = value
    try:
        for file in unpacked([bytes(damaged[:end])], lambda: len(damaged)):
            assert file.fault is None or file.name
    except SourceError:
        pass


hostile = st.one_of(
    st.text(max_size=80),
    st.text("0123456789.", max_size=80),
    st.sampled_from(
        ["../../etc/passwd", "1.2/3", "1..2", ".1", "1.", "%00", "1.2\n", "１.2", "1" * 65, "-1", "1e9", "*", ""]
    ),
)


@given(hostile)
def test_only_digits_and_dots_pass_as_a_uid(written: str) -> None:
    try:
        uid = checked_uid(written)
    except NoUidError:
        return
    assert set(uid) <= set("0123456789.")
    assert 0 < len(uid) <= 64
    assert all(uid.split("."))


@given(st.lists(st.tuples(st.one_of(hostile, st.sampled_from(["limit", "offset", "PatientID", "0020000D"])), hostile)))
def test_a_query_is_read_or_refused(parameters: list[tuple[str, str]]) -> None:
    try:
        query = parse(parameters)
    except (QueryError, NoUidError):
        return
    assert query.limit >= 0
    assert not any("*" in value for values in query.match.values() for value in values)


@given(hostile)
def test_headers_and_numbers_are_read_or_refused(written: str) -> None:
    accepted(written)
    for read in (frame_numbers, window_of, lambda text: boundary_of(media_type(text))):
        try:
            read(written)
        except (RequestError, UnsupportedMediaError):
            continue


def test_hostile_paths_never_fail_the_server(tmp_path: Path) -> None:
    clock = Clock()
    with new_store(tmp_path, clock) as store:
        house = WebHouse(store, clock)
        try:
            for method in ("GET", "POST", "DELETE"):
                for path in (
                    "studies/%2e%2e%2f%2e%2e",
                    "studies/1/series/%00/instances/1",
                    "studies//series",
                    "studies/1",
                ):
                    answer = house.client.request(method, f"/dicom-web/{path}", content=b"x" * (method == "POST"))
                    assert 400 <= answer.status_code < 500, (method, path)
                    assert answer.headers["content-type"] == "application/problem+json"
            assert broken_off(house) < 500
            assert house.client.get("/health").status_code == 200
        finally:
            house.close()


def broken_off(house: WebHouse) -> int:
    """A sender that goes away in the middle of its body."""

    def half() -> Iterator[bytes]:
        yield b"--cut\r\nContent-Type: application/dicom\r\n\r\n" + HEAD
        raise ConnectionAbortedError

    try:
        return house.client.post(
            "/dicom-web/studies",
            content=half(),
            headers={"Content-Type": "multipart/related; boundary=cut"},
        ).status_code
    except (ConnectionAbortedError, httpx.HTTPError):
        return 400
