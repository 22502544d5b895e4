"""What every key holder promises: a key file, a PKCS#11 token (SoftHSM), and a Vault server (a real OpenBao)."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from vault.holders import Holders, Server, key_files, server_keys, tokens, vault_server
from zweitblick.errors import KeyHolderError, KeyUnwrapError, UnknownKekError, VaultError
from zweitblick.vault.data_key import DataKey
from zweitblick.vault.keyholders import Kek, WrappedKey

KEY = DataKey(bytes.fromhex("00112233445566778899aabbccddeeff000102030405060708090a0b0c0d0e0f"))
KINDS = ["key file", "PKCS#11 token", "Vault server"]
"""A further kind of holder is one more name."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with vault_server(tmp_path_factory.mktemp("server")) as server:
        yield server


@pytest.fixture(params=KINDS)
def holders(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Holders]:
    monkeypatch.setenv("SOFTHSM2_CONF", "")
    if request.param == "key file":
        yield from key_files(tmp_path)
    elif request.param == "PKCS#11 token":
        yield from tokens(tmp_path)
    else:
        yield from server_keys(tmp_path, request.getfixturevalue("server"))


@contextmanager
def away(holders: Holders) -> Iterator[None]:
    holders.leave()
    try:
        yield
    finally:
        holders.come_back()


def test_unwraps_what_it_wrapped(holders: Holders) -> None:
    for key in (KEY, DataKey.fresh(), DataKey(bytes(32))):
        wrapped = holders.one.wrap(key)
        assert holders.one.unwrap(wrapped) == key
        assert wrapped.data_key_id == key.id
        assert wrapped.owner == ""


def test_works_after_a_restart(holders: Holders) -> None:
    assert holders.again.unwrap(holders.one.wrap(KEY)) == KEY
    assert holders.one.wrap(KEY).kek_id == holders.one.kek_id == holders.again.kek_id


def test_another_holder_says_that_the_key_is_not_its_own(holders: Holders) -> None:
    assert holders.other.kek_id != holders.one.kek_id
    with pytest.raises(UnknownKekError):
        holders.other.unwrap(holders.one.wrap(KEY))


def test_another_holder_does_not_unwrap_what_claims_to_be_its_own(holders: Holders) -> None:
    with pytest.raises(KeyUnwrapError):
        holders.other.unwrap(replace(holders.one.wrap(KEY), kek_id=holders.other.kek_id))


def test_every_changed_bit_is_refused(holders: Holders) -> None:
    wrapped = holders.one.wrap(KEY)
    for bit in range(8 * len(wrapped.ciphertext)):
        changed = bytearray(wrapped.ciphertext)
        changed[bit // 8] ^= 1 << bit % 8
        with pytest.raises(KeyUnwrapError):
            holders.one.unwrap(replace(wrapped, ciphertext=bytes(changed)))


def test_every_cut_or_extension_is_refused(holders: Holders) -> None:
    wrapped = holders.one.wrap(KEY)
    shorter = [wrapped.ciphertext[:size] for size in range(len(wrapped.ciphertext))]
    for ciphertext in (*shorter, *(wrapped.ciphertext + bytes(more) for more in (1, 8, 16))):
        with pytest.raises(KeyUnwrapError):
            holders.one.unwrap(replace(wrapped, ciphertext=ciphertext))


def test_another_studys_wrapped_key_is_refused(holders: Holders) -> None:
    one, other = holders.one.wrap(KEY), holders.one.wrap(DataKey.fresh())
    with pytest.raises(KeyUnwrapError, match=one.data_key_id):
        holders.one.unwrap(replace(one, ciphertext=other.ciphertext))


def test_keys_that_were_swapped_between_owners_are_refused(holders: Holders) -> None:
    key, other_key = KEY, DataKey.fresh()
    one, other = holders.one.wrap(key).owned_by("one", key), holders.one.wrap(other_key).owned_by("other", other_key)
    assert (holders.again.unwrap(one), holders.again.unwrap(other)) == (key, other_key)
    for swapped in (replace(one, owner="other"), replace(other, owner="one"), replace(one, owner="")):
        with pytest.raises(KeyUnwrapError):
            holders.one.unwrap(swapped)


def test_a_newer_key_wraps_and_the_older_ones_still_unwrap(holders: Holders) -> None:
    wrapped = [holders.one.wrap(KEY)]
    for version in (2, 3):
        made = holders.one.make_kek()
        assert made == holders.one.keks()[-1]
        assert made.version == version
        wrapped.append(holders.again.wrap(KEY))
        assert wrapped[-1].kek_id == made.id == holders.again.kek_id
    assert [kek.id for kek in holders.again.keks()] == [each.kek_id for each in wrapped]
    assert len({each.kek_id for each in wrapped}) == 3
    for each in wrapped:
        assert holders.one.unwrap(each) == holders.again.unwrap(each) == KEY
    for each in wrapped[1:]:
        with pytest.raises(KeyUnwrapError):
            holders.one.unwrap(replace(each, kek_id=wrapped[0].kek_id))
    assert len(holders.other.keks()) == 1


def test_what_a_destroyed_key_wrapped_is_lost_and_nothing_else(holders: Holders) -> None:
    old = holders.one.wrap(KEY)
    first = holders.one.keks()[0]
    holders.one.make_kek()
    new = holders.one.wrap(KEY)
    holders.one.destroy_kek(first)
    assert [kek.id for kek in holders.again.keks()] == [new.kek_id]
    for each in (holders.one, holders.again):
        with pytest.raises(UnknownKekError):
            each.unwrap(old)
        assert each.unwrap(new) == KEY
    made = holders.one.make_kek()
    assert made.version == 3, "no version's number comes twice"


def test_the_key_that_wraps_is_not_destroyed(holders: Holders) -> None:
    wrapped = holders.one.wrap(KEY)
    holders.one.make_kek()
    for kek in (holders.one.keks()[-1], Kek("0" * 32, 1)):
        with pytest.raises(KeyHolderError):
            holders.one.destroy_kek(kek)
    assert holders.one.unwrap(wrapped) == KEY
    assert len(holders.one.keks()) == 2


def test_while_it_is_away_it_says_so_and_after_that_it_works_by_itself(holders: Holders) -> None:
    wrapped = holders.one.wrap(KEY)
    for _ in range(2):
        with away(holders):
            with pytest.raises(KeyHolderError):
                holders.one.wrap(KEY)
            with pytest.raises(KeyHolderError):
                holders.one.keks()
        assert holders.one.unwrap(holders.one.wrap(KEY)) == KEY
        assert holders.one.unwrap(wrapped) == KEY


def test_many_threads_use_it_at_once(holders: Holders) -> None:
    keys = [DataKey.fresh() for _ in range(24)]
    unwrapped: dict[int, DataKey] = {}

    def work(first: int) -> None:
        for number in range(first, len(keys), 6):
            holder = holders.one if number % 2 else holders.again
            unwrapped[number] = holder.unwrap(holders.one.wrap(keys[number]))

    threads = [threading.Thread(target=work, args=(first,)) for first in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [unwrapped[number] for number in range(len(keys))] == keys


def test_neither_key_shows(holders: Holders) -> None:
    wrapped = holders.one.wrap(KEY)
    shown = repr((wrapped, holders.one, holders.one.kek_id, holders.one.keks()))
    with pytest.raises(VaultError) as caught:
        holders.one.unwrap(replace(wrapped, ciphertext=wrapped.ciphertext[::-1]))
    for text in (shown, repr(caught.value), repr(caught.value.__cause__)):
        assert KEY.secret.hex()[:12] not in text
        assert repr(KEY.secret)[2:12] not in text
    assert KEY.secret[:8] not in wrapped.ciphertext


def test_a_wrapped_key_of_nobody_or_of_another_kind_is_unknown(holders: Holders) -> None:
    wrapped = holders.one.wrap(KEY)
    for kek_id in ("", "f" * 32, "somebody:v1", "../keys:v1", "\0"):
        with pytest.raises(UnknownKekError):
            holders.one.unwrap(WrappedKey(kek_id, wrapped.data_key_id, wrapped.ciphertext))
