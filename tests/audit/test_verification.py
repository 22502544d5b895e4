"""Whatever is done to a trail is found, by the numbers of the entries, and an untouched one passes."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from hypothesis import given, settings
from hypothesis import strategies as st

from audit import layout
from audit.happenings import access, opened_trail, signer_in
from audit.layout import Frame
from zweitblick.audit.head import SignedHead
from zweitblick.audit.verification import Fault, FaultKind, verify_trail
from zweitblick.errors import AuditReadError, HeadError, TrailBrokenError

COUNT = 9


class Kept:
    """A trail of nine entries in several files, and what is known of it elsewhere."""

    def __init__(self, folder: Path) -> None:
        with opened_trail(folder, file_bytes=3000) as trail:
            for number in range(COUNT):
                trail.record(access(f"P{number}"))
            self.head = trail.signed_head()
        self.folder = folder / "audit"
        self.keys = [signer_in(folder).public_key]
        self.frames = layout.frames(self.folder)
        self.files = {path: path.read_bytes() for path in layout.files(self.folder)}

    def copy(self, folder: Path) -> "Kept":
        """Copy it to where it may be spoilt."""
        other = object.__new__(Kept)
        other.folder = folder / "audit"
        shutil.copytree(self.folder, other.folder)
        other.head, other.keys = self.head, self.keys
        other.files = {other.folder / path.name: content for path, content in self.files.items()}
        other.frames = [replace(frame, path=other.folder / frame.path.name) for frame in self.frames]
        return other

    def faults(self, *, head: SignedHead | None = None, keys: list[Ed25519PublicKey] | None = None) -> list[Fault]:
        with pytest.raises(TrailBrokenError) as broken:
            verify_trail(self.folder, head=head or self.head, keys=self.keys if keys is None else keys)
        for fault in broken.value.faults[:20]:
            assert str(fault) in str(broken.value)
        return list(broken.value.faults)

    def write(self, frames: list[Frame]) -> None:
        """Put entries in the place of those that are there, each in the file that it says."""
        for path, content in self.files.items():
            inside = b"".join(layout.packed(frame) for frame in frames if frame.path == path)
            path.write_bytes(content[: layout.FILE_HEADER] + inside)


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Kept:
    return Kept(tmp_path_factory.mktemp("pristine"))


@pytest.fixture
def kept(pristine: Kept, tmp_path: Path) -> Kept:
    return pristine.copy(tmp_path)


def owner(kept: Kept, path: Path, place: int) -> tuple[FaultKind, int]:
    """Return the entry that a byte belongs to, or the first of a file whose header it belongs to."""
    inside = [frame for frame in kept.frames if frame.path == path]
    if place < layout.FILE_HEADER:
        return FaultKind.HEADER, inside[0].number
    return FaultKind.ALTERED, next(frame.number for frame in inside if frame.start <= place < frame.end)


def test_an_untouched_trail_passes_and_tells_its_head(kept: Kept) -> None:
    for head in (None, kept.head):
        for keys in ([], kept.keys):
            verified = verify_trail(kept.folder, head=head, keys=keys)
            assert (verified.head, verified.unfinished_bytes) == (kept.head, 0)
    earlier = kept.frames[4]
    old = SignedHead(kept.head.trail, 5, earlier.head.hex(), earlier.signature.hex())
    assert verify_trail(kept.folder, head=old, keys=kept.keys).head == kept.head


@settings(max_examples=150)
@given(st.data())
def test_a_flipped_bit_is_found_and_its_entry_named(
    pristine: Kept, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    kept = pristine.copy(tmp_path_factory.mktemp("flip"))
    path = data.draw(st.sampled_from(sorted(kept.files)))
    content = bytearray(kept.files[path])
    place, bit = data.draw(st.integers(0, len(content) - 1)), data.draw(st.integers(0, 7))
    content[place] ^= 1 << bit
    path.write_bytes(content)
    kind, number = owner(kept, path, place)
    for keys in ([], kept.keys):
        faults = kept.faults(keys=keys)
        assert {(fault.first, fault.last) for fault in faults} - {(1, COUNT)} == {(number, number)}
        assert kind in {fault.kind for fault in faults}


@pytest.mark.parametrize("offset", [0, 4, 8, 16, 48, 80, 143, 144], ids=lambda offset: f"byte {offset}")
def test_a_flipped_bit_in_any_field_of_any_entry_is_found(kept: Kept, offset: int) -> None:
    for frame in kept.frames:
        content = bytearray(kept.files[frame.path])
        content[frame.start + offset] ^= 1
        frame.path.write_bytes(content)
        for keys in ([], kept.keys):
            faults = kept.faults(keys=keys)
            assert {(fault.first, fault.last) for fault in faults} - {(1, COUNT)} == {(frame.number, frame.number)}
        frame.path.write_bytes(kept.files[frame.path])


def changed(data: st.DataObject, content: bytes) -> bytes:
    """Change bytes as an accident or an attacker might: cut, delete, put in, swap, overwrite."""
    one, two = sorted((data.draw(st.integers(0, len(content))), data.draw(st.integers(0, len(content)))))
    noise = data.draw(st.binary(min_size=1, max_size=300))
    return data.draw(
        st.sampled_from(
            [
                content[:one],
                content[:one] + content[two:],
                content[:one] + noise + content[one:],
                content[:one] + content[one:two][::-1] + content[two:],
                content[two:] + content[one:two] + content[:one],
                content[:one] + noise + content[one + len(noise) :],
                content[:two] + content[one:two] + content[two:],
            ]
        )
    )


@settings(max_examples=300)
@given(st.data())
def test_any_other_bytes_are_found(
    pristine: Kept, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    kept = pristine.copy(tmp_path_factory.mktemp("change"))
    path = data.draw(st.sampled_from(sorted(kept.files)))
    content = changed(data, kept.files[path])
    path.write_bytes(content)
    unfinished = content[: len(kept.files[path])] == kept.files[path] and path == max(kept.files)
    if content == kept.files[path]:
        verify_trail(kept.folder, head=kept.head, keys=kept.keys)
    elif not unfinished or not content[len(kept.files[path]) :].startswith(b"z"):  # else: may look like a next entry
        assert kept.faults()


@given(st.integers(1, COUNT), st.integers(1, COUNT))
@settings(max_examples=40)
def test_removed_entries_are_named(
    pristine: Kept, tmp_path_factory: pytest.TempPathFactory, first: int, last: int
) -> None:
    first, last = sorted((first, last))
    kept = pristine.copy(tmp_path_factory.mktemp("removed"))
    kept.write([frame for frame in kept.frames if not first <= frame.number <= last])
    kind = FaultKind.CUT_OFF if last == COUNT else FaultKind.REMOVED
    assert Fault(kind, first, last) in kept.faults()
    assert all(fault.kind in (kind, FaultKind.HEADER) for fault in kept.faults())


@given(st.permutations(range(1, COUNT + 1)))
@settings(max_examples=60)
def test_reordered_entries_are_named(
    pristine: Kept, tmp_path_factory: pytest.TempPathFactory, order: list[int]
) -> None:
    kept = pristine.copy(tmp_path_factory.mktemp("reordered"))
    places = [frame.path for frame in kept.frames]
    kept.write([replace(kept.frames[number - 1], path=path) for number, path in zip(order, places, strict=True)])
    behind = {number for index, number in enumerate(order) if number < max(order[: index + 1])}
    if not behind:
        verify_trail(kept.folder, head=kept.head, keys=kept.keys)
    else:
        assert {(fault.kind, fault.first) for fault in kept.faults()} == {
            (FaultKind.REORDERED, number) for number in behind
        }


def test_an_entry_that_is_there_twice_is_named(kept: Kept) -> None:
    third = replace(kept.frames[2], path=kept.frames[6].path)
    kept.write([*kept.frames[:6], third, *kept.frames[6:]])
    assert kept.faults() == [Fault(FaultKind.REPEATED, 3, 3)]


@pytest.mark.parametrize("index", [0, 1, -1])
def test_a_file_that_is_gone_is_named_by_its_entries(kept: Kept, index: int) -> None:
    path = sorted(kept.files)[index]
    inside = [frame.number for frame in kept.frames if frame.path == path]
    path.unlink()
    assert kept.faults() == [Fault(FaultKind.CUT_OFF if index == -1 else FaultKind.REMOVED, inside[0], inside[-1])]


def test_an_end_that_was_cut_off_is_seen_by_a_head_only(kept: Kept) -> None:
    kept.write(kept.frames[:-2])
    assert kept.faults() == [Fault(FaultKind.CUT_OFF, COUNT - 1, COUNT)]
    assert verify_trail(kept.folder, keys=kept.keys).head.count == COUNT - 2


def rewritten(kept: Kept, from_number: int, sign: Callable[[bytes], bytes]) -> None:
    """Write a trail anew from an entry on, whose message is another, as somebody with a key could."""
    trail = layout.trail_of(kept.folder)
    frames = kept.frames[: from_number - 1]
    link = kept.frames[from_number - 1].link
    for frame in kept.frames[from_number - 1 :]:
        sealed = b"another" if frame.number == from_number else frame.sealed
        head = layout.head_of(trail, frame.number, link, sealed)
        signature = sign(layout.signed_of(trail, frame.number, head))
        frames.append(replace(frame, link=link, sealed=sealed, head=head, signature=signature))
        link = layout.hashlib.sha256(head + signature).digest()
    kept.write(frames)
    for path in kept.files:
        inside = [frame for frame in frames if frame.path == path]
        content = bytearray(path.read_bytes())
        content[28:60] = inside[0].link
        path.write_bytes(content)


@pytest.mark.parametrize("from_number", [1, 4, COUNT])
def test_a_trail_that_another_has_written_anew_is_found(kept: Kept, from_number: int) -> None:
    rewritten(kept, from_number, Ed25519PrivateKey.generate().sign)
    forged = [Fault(FaultKind.FORGED, number, number) for number in range(from_number, COUNT + 1)]
    assert set(kept.faults()) == {*forged, Fault(FaultKind.REWRITTEN, 1, COUNT)}
    assert kept.faults(keys=[]) == [Fault(FaultKind.REWRITTEN, 1, COUNT)]
    with pytest.raises(TrailBrokenError):
        verify_trail(kept.folder, keys=kept.keys)


def test_a_trail_written_anew_with_the_services_own_key_is_seen_by_a_head(tmp_path: Path) -> None:
    kept = Kept(tmp_path)
    rewritten(kept, 2, signer_in(tmp_path).sign)
    assert kept.faults() == [Fault(FaultKind.REWRITTEN, 1, COUNT)]
    verify_trail(kept.folder, keys=kept.keys)  # nothing else can tell


def test_one_entry_written_anew_shows_by_the_next_ones_link(kept: Kept) -> None:
    trail, frame = layout.trail_of(kept.folder), kept.frames[3]
    kept.write(
        [
            *kept.frames[:3],
            replace(frame, sealed=b"another", head=layout.head_of(trail, 4, frame.link, b"another")),
            *kept.frames[4:],
        ]
    )
    assert Fault(FaultKind.ALTERED, 4, 4) in kept.faults(keys=[])
    assert {fault.first for fault in kept.faults()} == {4}


def test_an_entry_of_a_very_high_number_costs_nothing(kept: Kept) -> None:
    last = kept.frames[-1]
    head = layout.head_of(layout.trail_of(kept.folder), 2**63, last.link, last.sealed)
    kept.write([*kept.frames, replace(last, number=2**63, head=head)])
    assert Fault(FaultKind.REMOVED, COUNT + 1, 2**63 - 1) in kept.faults()


def test_a_file_that_is_full_of_marks_costs_little(kept: Kept) -> None:
    path = max(kept.files)
    path.write_bytes(kept.files[path] + b"zwa\x01" * 2**19)
    assert kept.faults() == [Fault(FaultKind.ALTERED, COUNT + 1, COUNT + 1)]


def another(folder: Path) -> Kept:
    (folder / "another").mkdir()
    return Kept(folder / "another")


def test_another_trail_is_not_this_one(kept: Kept, tmp_path: Path) -> None:
    assert kept.faults(head=another(tmp_path).head, keys=[])


@pytest.mark.parametrize("size", [1, 7, 8, 15, 16, 100, 143, 144, 400])
def test_an_entry_that_is_being_written_is_no_fault(kept: Kept, tmp_path: Path, size: int) -> None:
    last = kept.frames[-1]
    begun = layout.packed(replace(another(tmp_path).frames[-1], number=COUNT + 1))[:size]
    last.path.write_bytes(kept.files[last.path] + begun)
    assert verify_trail(kept.folder, head=kept.head, keys=kept.keys).unfinished_bytes == size
    last.path.write_bytes(kept.files[last.path] + b"y" + begun[1:])
    assert kept.faults() == [Fault(FaultKind.ALTERED, COUNT + 1, COUNT + 1)]


@pytest.mark.parametrize("name", ["trail", "count", "head", "signature"])
def test_a_head_that_was_changed_is_not_signed(kept: Kept, name: str) -> None:
    value = getattr(kept.head, name)
    other = value + 1 if name == "count" else ("0" if value[0] != "0" else "1") + value[1:]
    with pytest.raises(HeadError):
        verify_trail(kept.folder, head=replace(kept.head, **{name: other}), keys=kept.keys)
    with pytest.raises(HeadError):
        verify_trail(kept.folder, head=kept.head, keys=[Ed25519PrivateKey.generate().public_key()])


@given(st.binary(max_size=200))
def test_what_is_no_head_is_refused(data: bytes) -> None:
    with pytest.raises(HeadError):
        SignedHead.from_json(data)


@pytest.mark.parametrize(
    "values",
    [
        b'{"trail": "00", "count": 1, "head": "", "signature": ""}',
        b'{"trail": 1, "count": 1, "head": 2, "signature": 3}',
        b"[]",
        b'{"trail": "'
        + b"0" * 32
        + b'", "count": true, "head": "'
        + b"0" * 64
        + b'", "signature": "'
        + b"0" * 128
        + b'"}',
    ],
)
def test_values_of_another_form_are_refused(values: bytes) -> None:
    with pytest.raises(HeadError):
        SignedHead.from_json(values)


def test_a_head_survives_json(kept: Kept) -> None:
    assert SignedHead.from_json(kept.head.json()) == kept.head


@pytest.mark.parametrize("make", [Path.is_dir, Path.mkdir, Path.touch])
def test_a_folder_without_a_trail_is_refused(tmp_path: Path, make: Callable[[Path], object]) -> None:
    make(tmp_path / "audit")
    with pytest.raises(AuditReadError):
        verify_trail(tmp_path / "audit")


def test_a_trail_without_an_entry_is_refused(tmp_path: Path) -> None:
    opened_trail(tmp_path).close()
    with pytest.raises(AuditReadError):
        verify_trail(tmp_path / "audit")
