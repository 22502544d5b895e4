"""What was sealed opens again, and nothing else does."""

import io
import pickle
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vault.objects import (
    FIRST_BORDER,
    HEADER,
    INFO,
    KEY,
    MARK,
    MIB,
    NAME,
    STUDY,
    TAG,
    borders,
    plain_bytes,
    sealed_size,
    sizes,
)
from vault.tink_stream import decrypted, encrypted, hkdf_sha256, iv, segments
from zweitblick.errors import DataKeyError, SealBrokenError, SealVersionError, VaultError
from zweitblick.vault.data_key import DataKey
from zweitblick.vault.envelope import OpeningReader, opened, sealed

PLAIN = plain_bytes(2 * MIB + 5)
"""Three segments."""
SEALED = sealed(PLAIN, KEY, study=STUDY, name=NAME)
SMALL = sealed(b"A lesion of 1 ml", KEY, study=STUDY, name=NAME)
SEGMENT = [SEALED[MARK:][n : n + MIB] for n in range(0, len(SEALED) - MARK, MIB)]


def opens(data: bytes) -> bytes:
    return opened(data, KEY, study=STUDY, name=NAME)


@given(sizes, st.text(), st.text())
@settings(max_examples=60)
def test_round_trip(size: int, study: str, name: str) -> None:
    plain, key = plain_bytes(size), DataKey.fresh()
    data = sealed(plain, key, study=study, name=name)
    assert len(data) == sealed_size(size)
    assert opened(data, key, study=study, name=name) == plain


@given(sizes)
@settings(max_examples=30)
def test_tink_reads_what_is_sealed(size: int) -> None:
    plain = plain_bytes(size)
    data = sealed(plain, KEY, study=STUDY, name=NAME)
    assert data[:MARK] == b"zwb\x01"
    assert decrypted(data[MARK:], KEY.secret, INFO) == plain


@given(sizes, st.binary(min_size=39, max_size=39))
@settings(max_examples=30)
def test_what_tink_wrote_opens(size: int, salt_and_prefix: bytes) -> None:
    plain = plain_bytes(size)
    assert opens(b"zwb\x01" + encrypted(plain, KEY.secret, INFO, bytes([HEADER]) + salt_and_prefix)) == plain


def test_every_bit_counts() -> None:
    for bit in range(8 * len(SMALL)):
        data = bytearray(SMALL)
        data[bit // 8] ^= 1 << bit % 8
        with pytest.raises(SealVersionError if bit < 8 * MARK else SealBrokenError):
            opens(bytes(data))


@given(st.integers(0, len(SEALED) - 1), st.integers(1, 255))
@settings(max_examples=60)
def test_every_byte_of_a_large_object_counts(place: int, change: int) -> None:
    data = bytearray(SEALED)
    data[place] ^= change
    with pytest.raises(VaultError):
        opens(bytes(data))


def test_a_small_object_cut_anywhere_does_not_open() -> None:
    for size in range(len(SMALL)):
        with pytest.raises(VaultError):
            opens(SMALL[:size])


cuts = st.one_of(
    st.integers(0, len(SEALED) - 1),
    st.builds(lambda number, offset: MARK + number * MIB + offset, st.integers(0, 2), st.integers(-1, TAG + 1)),
)


@given(cuts.filter(lambda size: 0 <= size < len(SEALED)))
@settings(max_examples=60)
def test_a_large_object_cut_anywhere_does_not_open(size: int) -> None:
    with pytest.raises(VaultError):
        OpeningReader(io.BytesIO(SEALED[:size]), KEY, study=STUDY, name=NAME)


@given(borders, st.one_of(st.binary(min_size=1, max_size=40), st.just(SEGMENT[1]), st.just(SEALED)))
@settings(max_examples=30)
def test_an_extended_object_does_not_open(size: int, more: bytes) -> None:
    data = sealed(plain_bytes(size), KEY, study=STUDY, name=NAME)
    with pytest.raises(SealBrokenError):
        OpeningReader(io.BytesIO(data + more), KEY, study=STUDY, name=NAME)


OTHER = sealed(PLAIN, KEY, study=STUDY, name=NAME)
"""The same object, written once more."""
OTHER_SEGMENT = [OTHER[MARK:][n : n + MIB] for n in range(0, len(OTHER) - MARK, MIB)]
FIRST, SECOND, THIRD = SEGMENT

MOVED = {
    "second in place of third": [FIRST, SECOND, SECOND],
    "third in place of second": [FIRST, THIRD, THIRD],
    "second and third exchanged": [FIRST, THIRD, SECOND],
    "second left out": [FIRST, THIRD],
    "second twice": [FIRST, SECOND, SECOND, THIRD],
    "third left out": [FIRST, SECOND],
    "second of the earlier writing": [OTHER_SEGMENT[0], SECOND, OTHER_SEGMENT[2]],
    "third of the earlier writing": [OTHER_SEGMENT[0], OTHER_SEGMENT[1], THIRD],
    "header of the earlier writing": [FIRST[:HEADER] + OTHER_SEGMENT[0][HEADER:], *OTHER_SEGMENT[1:]],
    "second of equal length as first": [FIRST[:HEADER] + SECOND[HEADER:], SECOND, THIRD],
}


@pytest.mark.parametrize("parts", MOVED.values(), ids=MOVED)
def test_moved_segments_do_not_open(parts: list[bytes]) -> None:
    with pytest.raises(SealBrokenError):
        opens(b"zwb\x01" + b"".join(parts))


@given(st.text(), st.text(), st.text(), st.text())
def test_study_and_name_are_bound(study: str, name: str, other_study: str, other_name: str) -> None:
    data = sealed(b"", KEY, study=study, name=name)
    if (study, name) != (other_study, other_name):
        with pytest.raises(SealBrokenError):
            opened(data, KEY, study=other_study, name=other_name)


@pytest.mark.parametrize(
    ("study", "name"), [("st", "udyname"), ("studyname", ""), ("", "studyname"), ("name", "study")]
)
def test_the_border_between_study_and_name_is_bound(study: str, name: str) -> None:
    with pytest.raises(SealBrokenError):
        opened(sealed(b"", KEY, study="study", name="name"), KEY, study=study, name=name)


@pytest.mark.parametrize("name", ["?", "\udc81", ""])
def test_names_that_are_no_unicode_are_bound_as_they_are(name: str) -> None:
    """As `os.fsdecode` gives them."""
    data = sealed(b"a", KEY, study=STUDY, name="\udc80")
    assert opened(data, KEY, study=STUDY, name="\udc80") == b"a"
    with pytest.raises(SealBrokenError):
        opened(data, KEY, study=STUDY, name=name)


@given(st.integers(0, 255))
def test_another_key_does_not_open(bit: int) -> None:
    other = DataKey((int.from_bytes(KEY.secret, "big") ^ 1 << bit).to_bytes(32, "big"))
    with pytest.raises(SealBrokenError):
        opened(SMALL, other, study=STUDY, name=NAME)


@pytest.mark.parametrize(
    "data", [b"", b"zw", b"DICM" * 50, b"zwb\x02" + SMALL[4:]], ids=["empty", "cut", "DICOM", "v2"]
)
def test_what_was_never_sealed_has_its_own_error(data: bytes) -> None:
    with pytest.raises(SealVersionError):
        opens(data)


def test_rewriting_uses_no_key_and_nonce_twice() -> None:
    """Subkeys and nonces of three segments, derived from the headers as the specification has it."""
    used = set()
    for _ in range(40):
        stream = sealed(PLAIN, KEY, study=STUDY, name=NAME)[MARK:]
        header, count = stream[:HEADER], len(segments(stream))
        subkey = hkdf_sha256(KEY.secret, header[1:33], INFO, 32)
        used |= {(subkey, iv(header, number, last=number == count - 1)) for number in range(count)}
        used |= {subkey, header[33:]}
    assert len(used) == 40 * (3 + 2)


@pytest.mark.parametrize(
    "attempt",
    [
        lambda: opened(SMALL, DataKey(b"\x99" * 32), study="Jane Doe", name="1.2.826.0"),
        lambda: opened(SEALED[:-1], KEY, study="Jane Doe", name="1.2.826.0"),
        lambda: opened(SMALL[:30], KEY, study="Jane Doe", name="1.2.826.0"),
        lambda: opened(b"Jane Doe", KEY, study="Jane Doe", name="1.2.826.0"),
        lambda: DataKey(b"\x99" * 31),
    ],
)
def test_errors_tell_nothing_of_patient_or_key(attempt: Callable[[], object]) -> None:
    with pytest.raises(VaultError) as caught:
        attempt()
    for secret in ("Jane", "1.2.826", "99999", "x99", KEY.secret.hex()[:8], repr(KEY.secret)[:8]):
        assert secret not in repr(caught.value)
        assert secret not in repr(caught.value.__cause__)


@pytest.mark.parametrize("size", [0, 16, 31, 33, 64])
def test_a_data_key_has_256_bits(size: int) -> None:
    with pytest.raises(DataKeyError, match=str(size)):
        DataKey(bytes(size))


def test_a_data_key_does_not_show_itself() -> None:
    assert repr(KEY) == "DataKey()"
    with pytest.raises(TypeError):
        pickle.dumps(KEY)


def test_a_data_key_knows_its_id() -> None:
    assert KEY.id == hkdf_sha256(KEY.secret, b"", b"zweitblick data key id", 16).hex()
    assert len({DataKey.fresh().id for _ in range(100)}) == 100


def test_first_border_is_where_the_second_segment_begins() -> None:
    assert len(sealed(bytes(FIRST_BORDER), KEY, study=STUDY, name=NAME)) == MARK + MIB
