"""What is on record is durable, in order and sealed; who cannot write it may not act."""

import hashlib
import os
import random
import resource
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit import layout, writing
from audit.happenings import PATIENT, access, opened_trail, patients, signer_in
from zweitblick.audit.head import SignedHead
from zweitblick.audit.verification import verify_trail
from zweitblick.errors import AuditReadError, AuditWriteError, TrailBrokenError

SMALL = 3000
"""A file of so many bytes has about two entries."""
ALERT = "110113"
ROOT = Path(__file__).resolve().parents[2]


def written(folder: Path, count: int, *, file_bytes: int = SMALL) -> SignedHead:
    with opened_trail(folder, file_bytes=file_bytes) as trail:
        for number in range(1, count + 1):
            assert trail.record(access(f"P{number}")) == number
        return trail.signed_head()


def names(count: int) -> list[str]:
    return [f"P{number}" for number in range(1, count + 1)]


def test_what_is_on_record_is_read_back_in_order_after_any_number_of_starts(tmp_path: Path) -> None:
    for start in range(0, 12, 3):
        with opened_trail(tmp_path, file_bytes=SMALL) as trail:
            for number in range(start + 1, start + 4):
                assert trail.record(access(f"P{number}")) == number
    assert patients(tmp_path) == names(12)
    assert len(layout.files(tmp_path / "audit")) > 3


def test_the_chain_is_the_one_that_is_described(tmp_path: Path) -> None:
    head = written(tmp_path, 7)
    folder = tmp_path / "audit"
    trail, link = layout.trail_of(folder), bytes(32)
    for number, frame in enumerate(layout.frames(folder), start=1):
        assert (frame.number, frame.link) == (number, link)
        assert frame.head == layout.head_of(trail, number, link, frame.sealed)
        signer_in(tmp_path).public_key.verify(frame.signature, layout.signed_of(trail, number, frame.head))
        link = hashlib.sha256(frame.head + frame.signature).digest()
    assert head == SignedHead(trail.hex(), 7, frame.head.hex(), frame.signature.hex())
    for path in layout.files(folder):
        start = path.read_bytes()[: layout.FILE_HEADER]
        assert start[:20] == b"zwA\x01" + trail
        assert path.name == f"{int.from_bytes(start[20:28], 'big'):016d}.trail"


def test_nothing_of_a_patient_is_readable_and_nobody_else_may_read(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with opened_trail(tmp_path) as trail:
        trail.record(access())
    for path in (tmp_path / "audit").iterdir():
        assert PATIENT.encode() not in path.read_bytes()
        if path.suffix == ".trail":
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert patients(tmp_path) == [PATIENT]
    assert PATIENT not in caplog.text


def test_threads_take_turns(tmp_path: Path) -> None:
    with opened_trail(tmp_path, file_bytes=SMALL) as trail:
        numbers: dict[int, str] = {}

        def record(thread: int) -> None:
            for index in range(10):
                patient = f"{thread}:{index}"
                numbers[trail.record(access(patient))] = patient

        threads = [threading.Thread(target=record, args=(thread,)) for thread in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        head = trail.signed_head()
    assert patients(tmp_path) == [numbers[number] for number in range(1, 41)]
    for thread in range(4):
        assert [one for one in patients(tmp_path) if one.startswith(f"{thread}:")] == [
            f"{thread}:{i}" for i in range(10)
        ]
    assert verify_trail(tmp_path / "audit", head=head, keys=[signer_in(tmp_path).public_key]).head == head


def test_two_that_have_it_open_take_turns(tmp_path: Path) -> None:
    with opened_trail(tmp_path, file_bytes=SMALL) as one, opened_trail(tmp_path, file_bytes=SMALL) as other:
        for number in range(1, 11):
            assert (one if number % 3 else other).record(access(f"P{number}")) == number
        assert one.signed_head() == other.signed_head()
    assert patients(tmp_path) == names(10)


def program(folder: Path, name: str) -> subprocess.Popen[str]:
    paths = os.pathsep.join([str(ROOT / "tests"), *sys.path])
    return subprocess.Popen(
        [sys.executable, writing.__file__, str(folder), name],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "PYTHONPATH": paths},
    )


def test_what_processes_were_told_survives_their_killing(tmp_path: Path) -> None:
    moments = random.Random(3)  # noqa: S311 -- moments of death, no secret
    signer_in(tmp_path)
    told: list[str] = []
    for kill in range(4):
        with program(tmp_path, f"a{kill}") as one, program(tmp_path, f"b{kill}") as other:
            said = {each: [each.stdout.readline() for _ in range(moments.randint(1, 8))] for each in (one, other)}
            with suppress(subprocess.TimeoutExpired):
                one.wait(moments.uniform(0, 0.02))
            for each in (one, other):
                each.kill()
                told += [line.strip() for line in said[each] + each.stdout.readlines() if line.endswith("\n")]
    with opened_trail(tmp_path, file_bytes=SMALL) as trail:
        trail.record(access("last"))
        verify_trail(tmp_path / "audit", head=trail.signed_head(), keys=[signer_in(tmp_path).public_key])
    recorded = [patient for patient in patients(tmp_path) if patient != ALERT]
    assert len(set(recorded)) == len(recorded)
    assert set(told) <= set(recorded)
    assert len(recorded) <= len(told) + 8 + 1
    for name in {one.split("-")[0] for one in told}:
        numbers = [int(one.split("-")[1]) for one in recorded if one.startswith(f"{name}-")]
        assert numbers == list(range(len(numbers)))


@settings(max_examples=60)
@given(st.data())
def test_a_crash_at_any_byte_leaves_all_that_was_acknowledged_and_is_told_of(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("crash")
    head = written(folder, 4)
    last = layout.frames(folder / "audit")[-1]
    content = last.path.read_bytes()
    kept = data.draw(st.integers(0, last.end - last.start - 1), "bytes of the last entry")
    zeros = data.draw(st.booleans(), "the file had its size already")
    torn = content[last.start : last.start + kept]
    torn = torn.ljust(last.end - last.start, b"\0") if zeros else torn
    last.path.write_bytes(content[: last.start] + torn)
    with opened_trail(folder, file_bytes=SMALL) as trail:
        trail.record(access("next"))
        new = trail.signed_head()
    assert patients(folder) == names(3) + [ALERT] * bool(torn) + ["next"]
    keys = [signer_in(folder).public_key]
    assert verify_trail(folder / "audit", head=new, keys=keys).head == new
    with pytest.raises(
        TrailBrokenError
    ) as broken:  # the fourth was acknowledged after all: whoever has its head sees it
        verify_trail(folder / "audit", head=head, keys=keys)
    assert str(broken.value.faults[0]).startswith("entries 1 to 4")


@pytest.mark.parametrize("header_bytes", [0, 1, 27, layout.FILE_HEADER - 1])
@pytest.mark.parametrize("count", [0, 2, 3])
def test_a_crash_while_a_file_is_begun_leaves_nothing(tmp_path: Path, header_bytes: int, count: int) -> None:
    written(tmp_path, count) if count else opened_trail(tmp_path).close()
    if not count:
        layout.files(tmp_path / "audit")[0].unlink()
    header = b"zwA\x01" + bytes(layout.FILE_HEADER)
    (tmp_path / "audit" / f"{count + 1:016d}.trail").write_bytes(header[:header_bytes])
    with opened_trail(tmp_path) as trail:
        assert trail.record(access(f"P{count + 1}")) == count + 1
    assert patients(tmp_path) == names(count + 1)


def test_a_head_is_there_when_the_last_file_has_no_entry_yet(tmp_path: Path) -> None:
    head = written(tmp_path, 4)
    trail, last = layout.trail_of(tmp_path / "audit"), layout.frames(tmp_path / "audit")[-1]
    link = hashlib.sha256(last.head + last.signature).digest()
    (tmp_path / "audit" / f"{5:016d}.trail").write_bytes(b"zwA\x01" + trail + (5).to_bytes(8, "big") + link)
    with opened_trail(tmp_path) as opened:
        assert opened.signed_head() == head
        opened.record(access("P5"))
    assert patients(tmp_path) == names(5)


def test_an_empty_trail_has_no_head(tmp_path: Path) -> None:
    with opened_trail(tmp_path) as trail, pytest.raises(AuditReadError):
        trail.signed_head()


@pytest.mark.parametrize("what", ["altered", "removed", "cut"])
def test_a_trail_in_which_no_crash_explains_what_is_there_takes_nothing(tmp_path: Path, what: str) -> None:
    with opened_trail(tmp_path) as trail:
        for number in range(4):
            trail.record(access(f"P{number}"))
        second, third = layout.frames(tmp_path / "audit")[1:3]
        content = second.path.read_bytes()
        changed = {
            "altered": content[: second.end - 1] + bytes([content[second.end - 1] ^ 1]) + content[second.end :],
            "removed": content[: second.start] + content[third.start :],
            "cut": content[: third.start],
        }[what]
        second.path.write_bytes(changed)
        if what != "altered":  # seen by the one that has written what is missing
            with pytest.raises(TrailBrokenError):
                trail.record(access())
    if what != "cut":
        with pytest.raises(TrailBrokenError):
            opened_trail(tmp_path)
    assert second.path.read_bytes() == changed


def test_a_trail_whose_file_was_taken_away_takes_nothing(tmp_path: Path) -> None:
    with opened_trail(tmp_path) as trail:
        trail.record(access())
        layout.files(tmp_path / "audit")[0].unlink()
        with pytest.raises(TrailBrokenError):
            trail.record(access())


def test_a_closed_trail_takes_nothing(tmp_path: Path) -> None:
    trail = opened_trail(tmp_path)
    trail.close()
    trail.close()
    with pytest.raises(AuditWriteError):
        trail.record(access())


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """Have the kernel refuse to let files grow beyond a size; a disk that is full does the same."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("room", [0, 1, 60, 143, 144, 500])
def test_what_cannot_be_written_is_refused_and_leaves_nothing(tmp_path: Path, room: int) -> None:
    with opened_trail(tmp_path) as trail:
        trail.record(access("P1"))
        (path,) = layout.files(tmp_path / "audit")
        before = path.read_bytes()
        with files_of_at_most(len(before) + room), pytest.raises(AuditWriteError) as refused:
            trail.record(access())
        assert PATIENT not in str(refused.value)
        assert path.read_bytes() == before
        trail.record(access("P2"))
        head = trail.signed_head()
    assert patients(tmp_path) == ["P1", "P2"]
    assert verify_trail(tmp_path / "audit", head=head).head.count == 2


def test_a_file_that_cannot_be_begun_refuses_too(tmp_path: Path) -> None:
    with opened_trail(tmp_path, file_bytes=100) as trail:
        trail.record(access("P1"))
        with files_of_at_most(20), pytest.raises(AuditWriteError):
            trail.record(access("lost"))
        trail.record(access("P2"))
    assert patients(tmp_path) == ["P1", "P2"]


def test_a_message_that_is_too_long_is_refused(tmp_path: Path) -> None:
    with opened_trail(tmp_path) as trail:
        with pytest.raises(AuditWriteError):
            trail.record(access("x" * 2**21))
        assert trail.record(access("P1")) == 1
