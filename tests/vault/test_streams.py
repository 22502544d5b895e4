"""Large objects: written as they come, read at any place, never half."""

import gc
import io
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vault.objects import FIRST_BORDER, HEADER, INFO, KEY, MARK, MIB, NAME, STUDY, TAG, plain_bytes, sizes
from vault.tink_stream import decrypted
from zweitblick.errors import SealBrokenError, SinkError, VaultError
from zweitblick.vault.envelope import OpeningReader, SealingWriter, opened, sealed

PLAIN = plain_bytes(3 * MIB)
"""Four segments, the last one of 104 bytes."""
SEALED = sealed(PLAIN, KEY, study=STUDY, name=NAME)


def writer(sink: io.IOBase) -> SealingWriter:
    return SealingWriter(sink, KEY, study=STUDY, name=NAME)


def reader(data: bytes) -> OpeningReader:
    return OpeningReader(io.BytesIO(data), KEY, study=STUDY, name=NAME)


def pieces(plain: bytes, lengths: list[int]) -> Iterator[bytes]:
    start = 0
    for length in lengths:
        yield plain[start : start + length]
        start += length
    yield plain[start:]


@given(sizes, st.lists(st.one_of(st.integers(0, 5), st.integers(0, 2 * MIB), st.just(FIRST_BORDER)), max_size=8))
@settings(max_examples=60)
def test_pieces_make_no_difference(size: int, lengths: list[int]) -> None:
    plain, sink = plain_bytes(size), io.BytesIO()
    with writer(sink) as sealing:
        for piece in pieces(plain, lengths):
            assert sealing.write(piece) == len(piece)
    assert decrypted(sink.getvalue()[MARK:], KEY.secret, INFO) == plain


def write_half(sealing: SealingWriter, size: int, failure: type[BaseException]) -> None:
    with sealing:
        sealing.write(PLAIN[:size])
        raise failure


@given(st.integers(0, 2 * MIB), st.sampled_from([ValueError, KeyboardInterrupt]))
@settings(max_examples=30)
def test_a_half_written_object_never_opens(size: int, failure: type[BaseException]) -> None:
    sink = io.BytesIO()
    sealing = writer(sink)
    with pytest.raises(failure):
        write_half(sealing, size, failure)
    sealing.close()
    with pytest.raises(SealBrokenError):
        opened(sink.getvalue(), KEY, study=STUDY, name=NAME)


def test_a_writer_that_nobody_closed_is_not_completed() -> None:
    sink = io.BytesIO()
    writer(sink).write(PLAIN)
    gc.collect()
    with pytest.raises(SealBrokenError):
        reader(sink.getvalue())


def write_in_pieces(sealing: SealingWriter) -> None:
    for piece in pieces(PLAIN, [MIB, MIB, MIB]):
        sealing.write(piece)
    sealing.close()


class FullDisk(io.BytesIO):
    """Takes so many bytes, then raises, or once takes less than it is given; there is room again afterwards."""

    def __init__(self, room: int, *, raises: bool) -> None:
        super().__init__()
        self.room, self.raises = room, raises

    def write(self, data: bytes) -> int:
        if len(data) <= self.room:
            self.room -= len(data)
            return super().write(data)
        taken, self.room = self.room, 100 * MIB
        if self.raises:
            raise OSError(28, "no space left on device")
        return super().write(data[:taken])


@pytest.mark.parametrize("segments", range(4))
@pytest.mark.parametrize("raises", [True, False])
def test_an_object_with_a_hole_is_never_completed(segments: int, *, raises: bool) -> None:
    sink = FullDisk(MARK + HEADER + segments * MIB, raises=raises)
    sealing = writer(sink)
    with pytest.raises(OSError if raises else SinkError):
        write_in_pieces(sealing)
    with pytest.raises(ValueError, match="closed"):
        sealing.write(b"more")
    sealing.close()
    with pytest.raises(VaultError):
        reader(sink.getvalue())


def test_a_sink_without_room_for_the_header_is_refused() -> None:
    with pytest.raises(SinkError, match="44"):
        writer(FullDisk(7, raises=False))


def test_closing_twice_writes_once() -> None:
    sink = io.BytesIO()
    sealing = writer(sink)
    sealing.write(b"once")
    sealing.close()
    sealing.close()
    assert opened(sink.getvalue(), KEY, study=STUDY, name=NAME) == b"once"


def test_the_sink_stays_open_and_nothing_in_it_is_plain(tmp_path: Path) -> None:
    text = b"PATIENT NAME " * 200_000
    with (tmp_path / "object").open("w+b") as file:
        with writer(file) as sealing:
            sealing.write(text)
        assert file.tell() == len(text) + MARK + HEADER + 3 * TAG
        file.seek(0)
        assert b"PATIENT" not in file.read()


def test_memory_is_bounded_by_segments(tmp_path: Path) -> None:
    piece = plain_bytes(100_000)
    with (tmp_path / "object").open("w+b") as file:
        tracemalloc.start()
        with writer(file) as sealing:
            for _ in range(300):
                sealing.write(piece)
        written = tracemalloc.get_traced_memory()[1]
        tracemalloc.reset_peak()
        opening, buffer = OpeningReader(file, KEY, study=STUDY, name=NAME), bytearray(65536)
        while opening.readinto(buffer):
            pass
        read = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert written < 3 * MIB
    assert read < 4 * MIB


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("seek"), st.integers(0, len(PLAIN) + 10), st.just(io.SEEK_SET)),
            st.tuples(st.just("seek"), st.integers(-len(PLAIN), 10), st.just(io.SEEK_END)),
            st.tuples(st.just("seek"), st.integers(0, MIB), st.just(io.SEEK_CUR)),
            st.tuples(st.just("read"), st.integers(0, 2 * MIB)),
            st.tuples(st.just("read"), st.integers(0, 40)),
            st.tuples(st.just("tell")),
        ),
        max_size=12,
    )
)
@settings(max_examples=60)
def test_reads_as_the_plain_object_does(steps: list[tuple]) -> None:
    plain, opening = io.BytesIO(PLAIN), io.BufferedReader(reader(SEALED))
    for name, *arguments in steps:
        assert getattr(opening, name)(*arguments) == getattr(plain, name)(*arguments)
    assert opening.read() == plain.read()


@given(st.integers(0, len(PLAIN)), st.integers(1, 2 * MIB))
@settings(max_examples=30)
def test_a_read_ends_with_its_segment(position: int, size: int) -> None:
    opening = reader(SEALED)
    opening.seek(position)
    part = opening.read(size)
    assert part == PLAIN[position : position + len(part)]
    assert len(part) > 0 or position == len(PLAIN)
    assert opening.tell() == position + len(part)


class CountingSource(io.BytesIO):
    taken = 0

    def read(self, size: int | None = -1) -> bytes:
        data = super().read(size)
        self.taken += len(data)
        return data


def test_reading_one_place_touches_its_segment_and_the_last() -> None:
    source = CountingSource(SEALED)
    opening = OpeningReader(source, KEY, study=STUDY, name=NAME)
    opening.seek(FIRST_BORDER + 7)
    assert opening.read(100) == PLAIN[FIRST_BORDER + 7 :][:100]
    assert opening.read(100) == PLAIN[FIRST_BORDER + 107 :][:100]
    assert source.taken == MARK + HEADER + (len(SEALED) - MARK) % MIB + MIB


@pytest.mark.parametrize("damaged", [0, 1, 2])
def test_nothing_is_given_out_before_it_is_verified(damaged: int) -> None:
    data = bytearray(SEALED)
    data[MARK + damaged * MIB + MIB - 1] ^= 1
    opening, buffer = reader(bytes(data)), bytearray(b"?" * MIB)
    start = max(0, FIRST_BORDER + (damaged - 1) * (MIB - TAG)) if damaged else 0
    released = bytearray()
    while opening.tell() < start:
        released += buffer[: opening.readinto(buffer)]
    assert released == PLAIN[:start]
    buffer[:] = b"?" * MIB
    with pytest.raises(SealBrokenError, match=f"segment {damaged} of 0 to 3"):
        opening.readinto(buffer)
    assert buffer == b"?" * MIB
    assert opening.tell() == start
    with pytest.raises(SealBrokenError):
        opening.readall()


def test_a_cut_is_seen_before_the_first_byte() -> None:
    with pytest.raises(SealBrokenError):
        reader(SEALED[: MARK + 2 * MIB])


def test_a_closed_reader_gives_nothing_out_and_leaves_its_source_open() -> None:
    source = io.BytesIO(SEALED)
    with OpeningReader(source, KEY, study=STUDY, name=NAME) as opening:
        assert opening.readable()
        assert opening.seekable()
    with pytest.raises(ValueError, match="closed"):
        opening.readinto(bytearray(1))
    assert not source.closed


def test_no_place_before_the_start() -> None:
    opening = reader(SEALED)
    with pytest.raises(ValueError, match="-1"):
        opening.seek(-1)
    with pytest.raises(ValueError, match="whence"):
        opening.seek(0, 3)
    assert opening.tell() == 0
