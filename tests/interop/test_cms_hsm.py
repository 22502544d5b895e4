"""Sealed files with keys in SoftHSM: they never leave it, and OpenSSL verifies what it signed."""

import os
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from subprocess import CompletedProcess

import pkcs11
import pytest
from asn1crypto.keys import PublicKeyInfo, RSAPublicKey
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import load_der_public_key
from pkcs11.util.rsa import encode_rsa_public_key

from vault.cms_house import DAY, NOW, authority, key_usage, private_key, recipient, subject, write
from zweitblick.delivery.seal import Form, Seal, SigningToken
from zweitblick.errors import AlteredError, CmsKeyError, KeyHolderError
from zweitblick.vault.cms.certificates import Recipients, Trust
from zweitblick.vault.cms.pkcs11 import Pkcs11Key
from zweitblick.vault.cms.secure_file import opened_file, sealed_file
from zweitblick.vault.cms.signed import signed
from zweitblick.vault.data_key import DataKey
from zweitblick.vault.keyholders.pkcs11 import Pkcs11KeyHolder
from zweitblick.vault.keyholders.places import TokenPlace

LIBRARY = "/usr/lib/softhsm/libsofthsm2.so"
PIN = "4711"
CONTENT = b"\0" * 128 + b"DICM and what follows"
TRUST = Trust((authority(),))
Program = Callable[..., CompletedProcess[str]]


@pytest.fixture(scope="module")
def session(program: Program, tmp_path_factory: pytest.TempPathFactory) -> Iterator[pkcs11.Session]:
    """A session with a fresh token, in a process whose SoftHSM knows no other."""
    folder = tmp_path_factory.mktemp("hsm")
    (folder / "tokens").mkdir()
    (folder / "softhsm2.conf").write_text(f"directories.tokendir = {folder / 'tokens'}\nlog.level = ERROR\n")
    before = os.environ.get("SOFTHSM2_CONF")
    os.environ["SOFTHSM2_CONF"] = str(folder / "softhsm2.conf")
    made = program("softhsm2-util", "--init-token", "--free", "--label", "hospital", "--pin", PIN, "--so-pin", PIN)
    assert made.returncode == 0, made.stderr
    library = pkcs11.lib(LIBRARY)
    library.reinitialize()
    try:
        with library.get_token(token_label="hospital").open(user_pin=PIN, rw=True) as opened:  # noqa: S106 -- its label
            yield opened
    finally:
        os.environ.pop("SOFTHSM2_CONF")
        if before is not None:
            os.environ["SOFTHSM2_CONF"] = before


def certified(session: pkcs11.Session, label: str, usage: str) -> Pkcs11Key:
    """A key pair made in the HSM and a certificate of it by the authority."""
    public, private = session.generate_keypair(pkcs11.KeyType.RSA, 3072, label=label, store=True)
    numbers = load_der_public_key(spki(encode_rsa_public_key(public)))
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject(label))
        .issuer_name(subject("authority"))
        .public_key(numbers)
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW - DAY)
        .not_valid_after(NOW + DAY)
        .add_extension(key_usage(usage), critical=True)
        .sign(private_key("authority"), hashes.SHA256())
    )
    return Pkcs11Key(private, certificate)


def spki(rsa_public_key: bytes) -> bytes:
    return PublicKeyInfo.wrap(RSAPublicKey.load(rsa_public_key), "rsa").dump()


@pytest.fixture(scope="module")
def service(session: pkcs11.Session) -> Pkcs11Key:
    return certified(session, "service in the HSM", "digital_signature")


@pytest.fixture(scope="module")
def hospital(session: pkcs11.Session) -> Pkcs11Key:
    return certified(session, "hospital in the HSM", "key_encipherment")


def test_what_the_hsm_signs_opens(service: Pkcs11Key) -> None:
    sealed = sealed_file(CONTENT, Recipients((recipient().certificate,)), service, at=NOW)
    opened = opened_file(sealed, recipient(), TRUST, at=NOW)
    assert (opened.content, opened.signer) == (CONTENT, service.certificate)


def test_what_is_sealed_for_the_hsm_opens_in_it(service: Pkcs11Key, hospital: Pkcs11Key) -> None:
    sealed = sealed_file(CONTENT, Recipients((hospital.certificate,)), service, at=NOW)
    assert opened_file(sealed, hospital, TRUST, at=NOW).content == CONTENT


def test_openssl_verifies_what_the_hsm_signed(program: Program, service: Pkcs11Key, tmp_path: Path) -> None:
    (tmp_path / "signed.p7s").write_bytes(signed(CONTENT, service, at=NOW))
    trusted = write(tmp_path, authority=authority())["authority"]
    arguments = ("-inform", "DER", "-in", tmp_path / "signed.p7s", "-CAfile", trusted)
    at = ("-attime", str(int(NOW.timestamp())))
    done = program("openssl", "cms", "-verify", *arguments, *at, "-out", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out").read_bytes() == CONTENT


@pytest.fixture
def place(session: pkcs11.Session, tmp_path: Path) -> TokenPlace:
    """The token of the session, as the settings name it."""
    pin_file = tmp_path / "pin"
    pin_file.touch(0o600)
    pin_file.write_text(PIN)
    return TokenPlace(Path(LIBRARY), "hospital", "zweitblick", pin_file)


def signing(place: TokenPlace, folder: Path, key: Pkcs11Key, label: str = "service in the HSM") -> Seal:
    files = write(folder, service=key.certificate, clinic=recipient().certificate)
    return Seal(Form.SEALED_FILE, (files["clinic"],), SigningToken(place, label, files["service"]))


def test_a_seal_is_signed_in_the_hsm_beside_its_key_holder(
    place: TokenPlace, service: Pkcs11Key, tmp_path: Path
) -> None:
    with closing(Pkcs11KeyHolder(place)) as holder:
        holder.make_kek()
        key = DataKey.fresh()
        wrapped = holder.wrap(key)
        parties = signing(place, tmp_path, service).tried(NOW)
        sealed = sealed_file(CONTENT, parties.recipients, parties.signer, at=NOW)
        assert holder.unwrap(wrapped) == key
    opened = opened_file(sealed, recipient(), TRUST, at=NOW)
    assert (opened.content, opened.signer) == (CONTENT, service.certificate)


def test_a_key_that_is_not_there_or_is_another_s_is_told(
    place: TokenPlace, service: Pkcs11Key, hospital: Pkcs11Key, tmp_path: Path
) -> None:
    with pytest.raises(KeyHolderError, match="no private key nobody's"):
        signing(place, tmp_path, service, "nobody's").tried(NOW)
    with pytest.raises(CmsKeyError, match="does not fit"):
        signing(place, tmp_path, service, "hospital in the HSM").tried(NOW)


def test_the_key_does_not_leave(session: pkcs11.Session, service: Pkcs11Key) -> None:
    key = session.get_key(object_class=pkcs11.ObjectClass.PRIVATE_KEY, label="service in the HSM")
    with pytest.raises(pkcs11.exceptions.AttributeSensitive):
        key[pkcs11.Attribute.PRIVATE_EXPONENT]


def test_an_altered_key_is_told_as_any_altered_content(service: Pkcs11Key, hospital: Pkcs11Key) -> None:
    sealed = bytearray(sealed_file(CONTENT, Recipients((hospital.certificate,)), service, at=NOW))
    ours = sealed.index(b"\x04\x82\x01\x80") + 4  # the encrypted key: OCTET STRING of 384 bytes
    for place in (ours + 1, ours + 200, ours + 383):
        changed = bytearray(sealed)
        changed[place] ^= 1
        with pytest.raises(AlteredError):
            opened_file(bytes(changed), hospital, TRUST, at=NOW)


def test_a_key_is_used_only_as_the_hsm_lets_it(session: pkcs11.Session) -> None:
    neither = {pkcs11.Attribute.SIGN: False, pkcs11.Attribute.DECRYPT: False}
    _, private = session.generate_keypair(pkcs11.KeyType.RSA, 3072, private_template=neither, store=False)
    with pytest.raises(KeyHolderError, match="sign"):
        Pkcs11Key(private, authority()).sign(b"")
    with pytest.raises(KeyHolderError, match="decrypt"):
        Pkcs11Key(private, authority()).decrypt(bytes(384))


def test_a_certificate_of_another_key_is_told(service: Pkcs11Key, hospital: Pkcs11Key) -> None:
    class MixedUp:
        certificate = service.certificate
        sign = hospital.sign

    with pytest.raises(CmsKeyError, match="does not fit"):
        signed(CONTENT, MixedUp(), at=NOW)
