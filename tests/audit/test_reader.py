"""What is read is what is on record, from any place, while it is written; what is missing is not passed over."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit import layout
from audit.happenings import EnvelopeSealer, access, opened_trail
from zweitblick.audit.reader import TrailReader
from zweitblick.errors import AuditReadError, SealBrokenError, TrailBrokenError

COUNT = 11


def written(folder: Path) -> Path:
    with opened_trail(folder, file_bytes=3000) as trail:
        for number in range(1, COUNT + 1):
            trail.record(access(f"P{number}"))
    return folder / "audit"


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(tmp_path_factory.mktemp("kept"))


@settings(max_examples=50)
@given(st.lists(st.tuples(st.integers(0, COUNT + 2), st.integers(1, COUNT + 2)), max_size=6))
def test_any_part_is_read_in_any_order(kept: Path, parts: list[tuple[int, int]]) -> None:
    reader = TrailReader(kept, EnvelopeSealer())
    for after, most in parts:
        read = reader.after(after, most=most)
        expected = list(range(1, COUNT + 1))[after : after + most]
        assert [one.number for one in read] == expected
        for one in read:
            assert f'"P{one.number}"'.encode() in one.message
            assert one.head.count == one.number


def test_what_is_written_meanwhile_is_read(tmp_path: Path) -> None:
    with opened_trail(tmp_path, file_bytes=3000) as trail:
        reader = TrailReader(tmp_path / "audit", EnvelopeSealer())
        last = 0
        for number in range(1, COUNT + 1):
            trail.record(access(f"P{number}"))
            (read,) = reader.after(last, most=5)
            assert read.number == number
            assert read.head == trail.signed_head()
            last = read.number


def test_files_that_were_put_away_are_missed_only_where_they_are_asked_for(tmp_path: Path) -> None:
    folder = written(tmp_path)
    first, *_ = layout.files(folder)
    gone = [frame.number for frame in layout.frames(folder) if frame.path == first]
    first.unlink()
    reader = TrailReader(folder, EnvelopeSealer())
    assert [one.number for one in reader.after(gone[-1], most=COUNT)] == list(range(gone[-1] + 1, COUNT + 1))
    with pytest.raises(TrailBrokenError):
        reader.after(0, most=COUNT)
    with opened_trail(tmp_path) as trail:
        assert trail.record(access()) == COUNT + 1


def test_an_entry_that_was_altered_is_not_passed_over(tmp_path: Path) -> None:
    folder = written(tmp_path)
    third = layout.frames(folder)[2]
    content = bytearray(third.path.read_bytes())
    content[third.end - 1] ^= 1
    third.path.write_bytes(content)
    with pytest.raises(TrailBrokenError):
        TrailReader(folder, EnvelopeSealer()).after(0, most=COUNT)


def test_a_message_of_another_place_does_not_open(tmp_path: Path) -> None:
    """Whoever has the signing key and moves a sealed message cannot pass it off as another entry's."""
    folder = written(tmp_path)
    first, second, *_ = layout.frames(folder)
    content = first.path.read_bytes()
    moved = layout.Frame(
        first.path,
        second.start,
        second.end,
        2,
        second.link,
        layout.head_of(layout.trail_of(folder), 2, second.link, first.sealed),
        second.signature,
        first.sealed,
    )
    first.path.write_bytes(content[: second.start] + layout.packed(moved))
    with pytest.raises(SealBrokenError):
        TrailReader(folder, EnvelopeSealer()).after(0, most=2)


def test_a_folder_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AuditReadError):
        TrailReader(tmp_path / "absent", EnvelopeSealer()).after(0, most=1)
    opened_trail(tmp_path).close()
    (path,) = layout.files(tmp_path / "audit")
    path.write_bytes(b"another")
    with pytest.raises(AuditReadError):
        TrailReader(tmp_path / "audit", EnvelopeSealer()).after(0, most=1)
