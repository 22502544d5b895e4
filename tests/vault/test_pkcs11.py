"""What a PKCS#11 token adds to what every key holder promises; the token is SoftHSM's."""

import ctypes
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pkcs11
import pytest
from pkcs11 import Attribute, KeyType, Mechanism, ObjectClass

from vault.cms_house import signer
from vault.holders import PIN, SOFTHSM, new_token
from vault.test_key_file import WYCHEPROOF_KEK, WYCHEPROOF_MESSAGE, WYCHEPROOF_WRONG
from zweitblick.errors import KeyHolderError, KeyUnwrapError
from zweitblick.vault.cms.pkcs11 import TokenSigner
from zweitblick.vault.data_key import DataKey
from zweitblick.vault.keyholders import WrappedKey
from zweitblick.vault.keyholders.pkcs11 import Pkcs11KeyHolder
from zweitblick.vault.keyholders.places import TokenPlace

pytestmark = pytest.mark.skipif(not SOFTHSM.exists(), reason="no SoftHSM: make system")

KEY = DataKey(bytes.fromhex("00112233445566778899aabbccddeeff000102030405060708090a0b0c0d0e0f"))


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TokenPlace:
    monkeypatch.setenv("SOFTHSM2_CONF", "")
    return new_token(tmp_path)


@pytest.fixture
def holder(place: TokenPlace) -> Iterator[Pkcs11KeyHolder]:
    holder = Pkcs11KeyHolder(place)
    yield holder
    holder.close()


def session(place: TokenPlace) -> pkcs11.Session:
    """Somebody else's, who has the PIN."""
    token = pkcs11.lib(str(place.module)).get_token(token_label=place.token)
    try:
        return token.open(rw=True, user_pin=PIN)
    except pkcs11.UserAlreadyLoggedIn:
        return token.open(rw=True)


def open_sessions() -> int:
    """Sessions of this process, as the library itself has them (C_GetSessionInfo of each handle, of the first 1000)."""
    library, info = ctypes.CDLL(str(SOFTHSM)), (ctypes.c_ulong * 4)()
    return sum(library.C_GetSessionInfo(ctypes.c_ulong(handle), info) == 0 for handle in range(1, 1000))


def keks(place: TokenPlace) -> list[pkcs11.SecretKey]:
    return list(session(place).get_objects({Attribute.CLASS: ObjectClass.SECRET_KEY, Attribute.TOKEN: True}))


@pytest.mark.parametrize("made", ["in the token", "outside"])
def test_whoever_has_the_pin_cannot_read_the_key(place: TokenPlace, holder: Pkcs11KeyHolder, made: str) -> None:
    if made == "outside":
        holder.import_kek(bytes(range(32)), 1)
    else:
        holder.make_kek()
    holder.make_kek()
    for kek in keks(place):
        with pytest.raises(pkcs11.AttributeSensitive):
            kek[Attribute.VALUE]
        for attribute, weaker in ((Attribute.EXTRACTABLE, True), (Attribute.SENSITIVE, False)):
            with pytest.raises(pkcs11.PKCS11Error):
                kek[attribute] = weaker
        other = next(each for each in keks(place) if each.label != kek.label)
        with pytest.raises(pkcs11.PKCS11Error):
            other.wrap_key(kek, mechanism=Mechanism.AES_KEY_WRAP)
        for use in (Attribute.ENCRYPT, Attribute.DECRYPT, Attribute.SIGN, Attribute.DERIVE):
            assert kek[use] is False
    assert len(keks(place)) == 2


def test_wraps_as_rfc_3394_does(holder: Pkcs11KeyHolder) -> None:
    """4.6: 256 bits of key data with a 256-bit KEK."""
    holder.import_kek(bytes(range(32)), 1)
    ciphertext = bytes.fromhex("28c9f404c4b810f4cbccb35cfb87f8263f5786e2d80ed326cbc7f0e71a99f43bfb988b9b7a02dd21")
    assert holder.wrap(KEY).ciphertext == ciphertext
    assert holder.unwrap(WrappedKey(holder.kek_id, KEY.id, ciphertext)) == KEY


def test_refuses_what_wycheproof_calls_invalid(holder: Pkcs11KeyHolder) -> None:
    holder.import_kek(bytes.fromhex(WYCHEPROOF_KEK), 1)
    key = DataKey(bytes.fromhex(WYCHEPROOF_MESSAGE))
    for ciphertext in WYCHEPROOF_WRONG.values():
        with pytest.raises(KeyUnwrapError):
            holder.unwrap(WrappedKey(holder.kek_id, key.id, bytes.fromhex(ciphertext)))


def test_refuses_a_wrapped_key_of_another_size(holder: Pkcs11KeyHolder) -> None:
    """RFC 3394, 4.5: 192 bits of key data with a 256-bit KEK; rightly wrapped, but no data key."""
    holder.import_kek(bytes(range(32)), 1)
    wrapped = bytes.fromhex("a8f9bc1612c68b3ff6e6f4fbe30e71e4769c8b80a32cb8958cd5d17d6b254da1")
    with pytest.raises(KeyUnwrapError):
        holder.unwrap(WrappedKey(holder.kek_id, KEY.id, wrapped))


def test_no_data_key_stays_in_the_token(place: TokenPlace, holder: Pkcs11KeyHolder) -> None:
    holder.make_kek()
    holder.unwrap(holder.wrap(KEY))
    with pytest.raises(KeyUnwrapError):
        holder.unwrap(replace(holder.wrap(KEY), ciphertext=bytes(40)))
    assert [each.label for each in session(place).get_objects({})] == ["zweitblick-1"]


@pytest.mark.parametrize(
    ("attribute", "value"), [(Attribute.EXTRACTABLE, True), (Attribute.SENSITIVE, False)], ids=["wrapped", "in clear"]
)
def test_a_key_that_can_be_read_out_is_refused(
    place: TokenPlace, holder: Pkcs11KeyHolder, attribute: Attribute, value: bool
) -> None:
    template = {Attribute.EXTRACTABLE: False, Attribute.SENSITIVE: True, attribute: value}
    session(place).generate_key(KeyType.AES, 256, label="zweitblick-1", id=bytes(16), store=True, template=template)
    with pytest.raises(KeyHolderError, match="can be read out"):
        holder.wrap(KEY)


@pytest.mark.parametrize("lacking", [Attribute.WRAP, Attribute.UNWRAP])
def test_a_key_that_may_not_wrap_or_unwrap_is_refused(
    place: TokenPlace, holder: Pkcs11KeyHolder, lacking: Attribute
) -> None:
    template = {Attribute.EXTRACTABLE: False, Attribute.SENSITIVE: True, lacking: False}
    session(place).generate_key(KeyType.AES, 256, label="zweitblick-1", id=bytes(16), store=True, template=template)
    with pytest.raises(KeyHolderError, match="may not wrap"):
        holder.wrap(KEY)


@pytest.mark.parametrize("bits", [128, 192])
def test_a_shorter_key_is_refused(place: TokenPlace, holder: Pkcs11KeyHolder, bits: int) -> None:
    template = {Attribute.EXTRACTABLE: False, Attribute.SENSITIVE: True}
    session(place).generate_key(KeyType.AES, bits, label="zweitblick-1", id=bytes(16), store=True, template=template)
    with pytest.raises(KeyHolderError, match="AES-256"):
        holder.wrap(KEY)


def test_two_keys_of_a_version_are_refused(place: TokenPlace, holder: Pkcs11KeyHolder) -> None:
    holder.import_kek(bytes(32), 1)
    assert holder.import_kek(bytes(32), 1) == holder.keks()[0], "that very one is there"
    with pytest.raises(KeyHolderError, match="another key"):
        holder.import_kek(bytes(range(32)), 1)
    template = {Attribute.EXTRACTABLE: False, Attribute.SENSITIVE: True}
    session(place).generate_key(KeyType.AES, 256, label="zweitblick-1", id=bytes(16), store=True, template=template)
    with pytest.raises(KeyHolderError, match="two keys"):
        holder.wrap(KEY)


def test_a_token_without_key_says_how_one_is_made(holder: Pkcs11KeyHolder) -> None:
    for ask in (lambda: holder.kek_id, lambda: holder.wrap(KEY)):
        with pytest.raises(KeyHolderError, match="zweitblick keys init"):
            ask()
    holder.make_kek()
    assert holder.unwrap(holder.wrap(KEY)) == KEY


def test_a_pin_that_was_refused_is_not_tried_again_before_its_file_changes(place: TokenPlace) -> None:
    holder = Pkcs11KeyHolder(place)
    place.pin_file.write_text("000000")
    with pytest.raises(KeyHolderError, match="PinIncorrect"):
        holder.make_kek()
    for _ in range(3):
        with pytest.raises(KeyHolderError, match="has refused"):
            holder.make_kek()
    place.pin_file.write_text(f"{PIN}\n")
    holder.make_kek()
    assert holder.unwrap(holder.wrap(KEY)) == KEY
    holder.close()


def test_a_signer_does_not_try_a_pin_again_either(place: TokenPlace) -> None:
    with session(place) as opened:
        opened.generate_keypair(KeyType.RSA, 3072, label="signing", store=True)
    one = TokenSigner(place, "signing", signer().certificate)
    place.pin_file.write_text("000000")
    with pytest.raises(KeyHolderError, match="PinIncorrect"):
        one.sign(b"a report")
    with pytest.raises(KeyHolderError, match="has refused"):
        one.sign(b"a report")
    place.pin_file.write_text(f"{PIN}\n")
    with pytest.raises(KeyHolderError, match="no private key other"):
        TokenSigner(place, "other", signer().certificate).sign(b"a report")
    assert len(one.sign(b"a report")) == 3072 // 8


def test_a_signer_signs_again_once_its_token_is_back(place: TokenPlace, tmp_path: Path) -> None:
    with session(place) as opened:
        opened.generate_keypair(KeyType.RSA, 3072, label="signing", store=True)
    one = TokenSigner(place, "signing", signer().certificate)
    signature = one.sign(b"a report")
    (tmp_path / "tokens").rename(tmp_path / "gone")
    for _ in range(2):
        with pytest.raises(KeyHolderError):
            one.sign(b"a report")
    (tmp_path / "gone").rename(tmp_path / "tokens")
    assert TokenSigner(place, "signing", signer().certificate).sign(b"a report") == signature


def test_whoever_uses_the_token_shares_one_session(place: TokenPlace, holder: Pkcs11KeyHolder) -> None:
    with session(place) as opened:
        opened.generate_keypair(KeyType.RSA, 3072, label="signing", store=True)
    holder.make_kek()
    for _ in range(20):
        TokenSigner(place, "signing", signer().certificate).sign(b"a report")
        assert holder.unwrap(holder.wrap(KEY)) == KEY
        assert open_sessions() == 1
    for _ in range(3):
        with pytest.raises(KeyHolderError, match="no private key other"):
            TokenSigner(place, "other", signer().certificate).sign(b"a report")
        assert holder.unwrap(holder.wrap(KEY)) == KEY
        assert open_sessions() == 1
    holder.close()
    assert open_sessions() == 0


def test_beside_somebody_else_s_log_in_signatures_leave_no_session_open(place: TokenPlace) -> None:
    one = TokenSigner(place, "signing", signer().certificate)
    with session(place) as opened:
        opened.generate_keypair(KeyType.RSA, 3072, label="signing", store=True)
        one.sign(b"a report")
        before = open_sessions()
        for _ in range(20):
            one.sign(b"a report")
        assert open_sessions() == before


@pytest.mark.parametrize("mode", [0o604, 0o644, 0o620, 0o666])
def test_a_pin_that_others_may_read_is_refused(place: TokenPlace, holder: Pkcs11KeyHolder, mode: int) -> None:
    place.pin_file.chmod(mode)
    with pytest.raises(KeyHolderError, match="open to others"):
        holder.make_kek()


@pytest.mark.parametrize("mode", [0o400, 0o440, 0o640])
def test_a_pin_that_a_group_may_read_is_taken(place: TokenPlace, holder: Pkcs11KeyHolder, mode: int) -> None:
    """As systemd shows a credential whose access list names the service's account."""
    place.pin_file.chmod(mode)
    assert holder.make_kek() in holder.keks()


def test_a_pin_file_of_nothing_or_no_text_is_refused(place: TokenPlace, holder: Pkcs11KeyHolder) -> None:
    for content, said in ((b"", "empty"), (b"\n", "empty"), (b"\xff\xfe", "no text")):
        place.pin_file.write_bytes(content)
        with pytest.raises(KeyHolderError, match=said):
            holder.make_kek()
    place.pin_file.unlink()
    with pytest.raises(KeyHolderError, match="cannot be read"):
        holder.make_kek()


def test_a_library_or_token_that_is_not_there_is_named(place: TokenPlace, tmp_path: Path) -> None:
    with pytest.raises(KeyHolderError, match="no\\.so"):
        Pkcs11KeyHolder(replace(place, module=tmp_path / "no.so")).wrap(KEY)
    absent = TokenPlace(place.module, "absent", place.key, place.pin_file)
    with pytest.raises(KeyHolderError, match=r"token absent .*NoSuchToken"):
        Pkcs11KeyHolder(absent).wrap(KEY)


def test_neither_pin_nor_its_file_s_content_shows(place: TokenPlace, holder: Pkcs11KeyHolder) -> None:
    place.pin_file.write_text("wrong-pin-4711")
    with pytest.raises(KeyHolderError) as caught:
        holder.make_kek()
    assert "4711" not in repr((caught.value, caught.value.__cause__, holder, place))


def test_sessions_that_end_under_its_hands_are_opened_again(place: TokenPlace, holder: Pkcs11KeyHolder) -> None:
    """Another holder's log-out logs the whole process out; and somebody initializes the library anew."""
    holder.make_kek()
    wrapped, ended = holder.wrap(KEY), threading.Event()
    wrong: list[object] = []

    def work() -> None:
        while not ended.is_set():
            try:
                if holder.unwrap(wrapped) != KEY:
                    wrong.append("another key")
            except KeyUnwrapError as error:  # a lost session must not look as if the archive were damaged
                wrong.append(error)
            except KeyHolderError:
                continue

    thread = threading.Thread(target=work)
    thread.start()
    other = Pkcs11KeyHolder(place)
    for _ in range(40):
        other.unwrap(wrapped)
        other.close()
    ended.set()
    thread.join()
    assert not wrong
    pkcs11.lib(str(SOFTHSM)).reinitialize()
    assert holder.unwrap(holder.wrap(KEY)) == KEY
