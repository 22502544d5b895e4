"""Secure DICOM Files: what `asn1crypto` reads in them, who opens them, and which certificates are refused.

OpenSSL's word on them is in tests/interop/test_cms.py, attacks are in tests/attacks/test_cms.py.
"""

import pickle
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from asn1crypto import cms
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st

from vault.cms_house import (
    DAY,
    NOW,
    authority,
    certificate,
    private_key,
    recipient,
    signer,
    write,
    write_key,
)
from zweitblick.errors import (
    CertificateExpiredError,
    CertificateNotYetValidError,
    CmsFormatError,
    CmsKeyError,
    KeyUsageError,
    NotForUsError,
    WeakCryptographyError,
    WrongSignerError,
)
from zweitblick.vault.cms.certificates import Recipients, Trust, fingerprint
from zweitblick.vault.cms.enveloped import decrypted, enveloped
from zweitblick.vault.cms.keys import FileKey
from zweitblick.vault.cms.secure_file import opened_file, sealed_file
from zweitblick.vault.cms.signed import CLOCK_SKEW, signed, verified

CONTENT = b"\0" * 128 + b"DICM and what follows"


def to(*names: str) -> Recipients:
    return Recipients(tuple(recipient(name).certificate for name in names))


@pytest.fixture(scope="module")
def sealed() -> bytes:
    return sealed_file(CONTENT, to("hospital", "practice"), signer(), at=NOW)


@pytest.fixture(scope="module")
def trust() -> Trust:
    return Trust(authorities=(authority(),))


@given(content=st.binary(max_size=200))
def test_what_was_sealed_comes_out(content: bytes) -> None:
    sealed = sealed_file(content, to("hospital"), signer(), at=NOW)
    assert opened_file(sealed, recipient(), Trust((authority(),)), at=NOW).content == content


@pytest.mark.parametrize("name", ["hospital", "practice"])
def test_every_recipient_opens_it_and_learns_who_signed_when(sealed: bytes, trust: Trust, name: str) -> None:
    opened = opened_file(sealed, recipient(name), trust, at=NOW + 400 * DAY)
    assert (opened.content, opened.signer, opened.signed_at) == (CONTENT, signer().certificate, NOW)


def test_nobody_else_opens_it(sealed: bytes, trust: Trust) -> None:
    with pytest.raises(NotForUsError, match=fingerprint(recipient("stranger").certificate)):
        opened_file(sealed, recipient("stranger"), trust, at=NOW)


def test_outside_it_is_what_the_profile_asks_for(sealed: bytes) -> None:
    info = cms.ContentInfo.load(sealed, strict=True)
    envelope = info["content"]
    encrypted = envelope["encrypted_content_info"]
    assert (info["content_type"].native, envelope["version"].native) == ("enveloped_data", "v0")
    assert encrypted["content_encryption_algorithm"]["algorithm"].native == "aes256_cbc"
    transports = [one.chosen["key_encryption_algorithm"]["algorithm"].native for one in envelope["recipient_infos"]]
    assert transports == ["rsaes_pkcs1v15"] * 2


def test_inside_it_is_what_the_profile_asks_for(sealed: bytes) -> None:
    info = cms.ContentInfo.load(decrypted(sealed, recipient()), strict=True)
    signed_data = info["content"]
    (signer_info,) = signed_data["signer_infos"]
    attributes = {one["type"].native: one["values"].native for one in signer_info["signed_attrs"]}
    assert info["content_type"].native == "signed_data"
    assert signed_data["encap_content_info"]["content"].native == CONTENT
    assert signer_info["digest_algorithm"]["algorithm"].native == "sha256"
    assert set(attributes) == {"content_type", "message_digest", "signing_time"}
    assert attributes["signing_time"] == [NOW]
    (carried,) = signed_data["certificates"]
    assert carried.chosen.dump() == signer().certificate.public_bytes(Encoding.DER)


def test_without_the_key_nothing_of_the_content_is_readable() -> None:
    sealed = sealed_file(b"Anna Gruen " * 50, to("hospital"), signer(), at=NOW)
    assert b"Anna" not in sealed
    assert b"service" not in sealed  # nor who signed


def test_no_two_are_sealed_alike() -> None:
    first, second = (sealed_file(CONTENT, to("hospital"), signer(), at=NOW) for _ in range(2))
    assert first[-64:] != second[-64:]


def test_the_content_type_signed_data_is_read_too(trust: Trust) -> None:
    """As RFC 5652 section 6 nests types: the SignedData alone, and its type in the envelope."""
    inner = cms.ContentInfo.load(signed(CONTENT, signer(), at=NOW))["content"].untag().dump()
    info = cms.ContentInfo.load(enveloped(inner, to("hospital"), at=NOW))
    info["content"]["encrypted_content_info"]["content_type"] = "signed_data"
    assert opened_file(info.dump(force=True), recipient(), trust, at=NOW).content == CONTENT


def test_times_from_2050_on_are_written_as_the_standard_asks() -> None:
    at = datetime(2050, 1, 1, 0, 30, tzinfo=UTC)
    late = certificate("service", "digital_signature", start=NOW, end=at + DAY)
    made = signed(CONTENT, FileKey(private_key("service"), late), at=at)
    assert b"20500101003000Z" in made
    assert verified(made, Trust(signers=(late,)), at=at).signed_at == at


RECIPIENT_FAULTS = {
    "expired": (CertificateExpiredError, lambda: certificate("hospital", "key_encipherment", end=NOW - DAY / 2)),
    "not yet valid": (
        CertificateNotYetValidError,
        lambda: certificate("hospital", "key_encipherment", start=NOW + DAY / 2),
    ),
    "for signing": (KeyUsageError, lambda: certificate("hospital", "digital_signature")),
    "for an unsaid use": (KeyUsageError, lambda: certificate("hospital", None)),
    "2048 bits": (WeakCryptographyError, lambda: certificate("weak", "key_encipherment", bits=2048)),
    "elliptic curve": (WeakCryptographyError, lambda: of_another_kind("key_encipherment")),
}

SIGNER_FAULTS = {
    "expired": (CertificateExpiredError, lambda: certificate("service", "digital_signature", end=NOW - DAY / 2)),
    "not yet valid": (
        CertificateNotYetValidError,
        lambda: certificate("service", "digital_signature", start=NOW + DAY / 2),
    ),
    "for key encipherment": (KeyUsageError, lambda: certificate("service", "key_encipherment")),
    "for an unsaid use": (KeyUsageError, lambda: certificate("service", None)),
}


def of_another_kind(usage: str) -> x509.Certificate:
    """Certificate of a key on a curve, which PS3.15 D.1 does not allow."""
    like = certificate("hospital", usage)
    builder = x509.CertificateBuilder(like.issuer, like.subject, ec.generate_private_key(ec.SECP384R1()).public_key())
    builder = builder.serial_number(1).not_valid_before(NOW - DAY).not_valid_after(NOW + DAY)
    return builder.sign(private_key("authority"), like.signature_hash_algorithm)


@pytest.mark.parametrize("fault", RECIPIENT_FAULTS)
def test_a_recipients_certificate_is_checked_before_anything_is_sealed(fault: str) -> None:
    error, make = RECIPIENT_FAULTS[fault]
    both = Recipients((recipient("practice").certificate, make()))
    with pytest.raises(error, match=r"certificate [0-9a-f]{16}"):
        sealed_file(CONTENT, both, signer(), at=NOW)


@pytest.mark.parametrize("fault", SIGNER_FAULTS)
def test_a_signers_certificate_is_checked_before_it_signs(fault: str) -> None:
    error, make = SIGNER_FAULTS[fault]
    with pytest.raises(error, match=r"certificate [0-9a-f]{16}"):
        sealed_file(CONTENT, to("hospital"), FileKey(private_key("service"), make()), at=NOW)


def test_a_weak_signer_is_refused() -> None:
    weak = FileKey(private_key("weak", 2048), certificate("weak", "digital_signature", bits=2048))
    with pytest.raises(WeakCryptographyError, match="2048 bits"):
        signed(CONTENT, weak, at=NOW)


class AnothersHand:
    """A signer whose key is not that of its certificate, as a mixed-up HSM would be."""

    certificate = signer().certificate

    def sign(self, data: bytes) -> bytes:
        return signer("stranger").sign(data)


def test_a_signature_that_does_not_fit_the_certificate_is_not_sent() -> None:
    with pytest.raises(CmsKeyError, match="does not fit"):
        signed(CONTENT, AnothersHand(), at=NOW)


def test_a_signer_is_trusted_through_authorities_in_between() -> None:
    between = certificate("between", "key_cert_sign")
    made = signed(CONTENT, signer("service", issuer="between"), at=NOW)
    with pytest.raises(WrongSignerError):
        verified(made, Trust((authority(),)), at=NOW)
    assert verified(made, Trust((between,)), at=NOW).content == CONTENT
    info = cms.ContentInfo.load(made)
    info["content"]["certificates"].append(cms.CertificateChoices.load(between.public_bytes(Encoding.DER)))
    assert verified(info.dump(force=True), Trust((authority(),)), at=NOW).content == CONTENT


@pytest.mark.parametrize(
    "trust",
    [
        Trust,
        lambda: Trust(signers=(recipient().certificate,)),
        lambda: Trust(authorities=(certificate("other", "key_cert_sign", issuer="other"),)),
        lambda: Trust(authorities=(certificate("authority", "key_cert_sign", end=NOW - DAY / 2, issuer="authority"),)),
        lambda: Trust(authorities=(certificate("authority", "digital_signature"),)),
        lambda: Trust(authorities=(certificate("authority", "digital_signature", is_authority=True),)),
        lambda: Trust(signers=(certificate("service", "digital_signature"),)),
    ],
    ids=[
        "nobody",
        "another signer",
        "another authority",
        "expired authority",
        "no authority",
        "authority for else",
        "same key, other paper",
    ],
)
def test_a_signer_that_nobody_trusted_vouches_for_is_refused(sealed: bytes, trust: Callable[[], Trust]) -> None:
    with pytest.raises(WrongSignerError, match=fingerprint(signer().certificate)):
        opened_file(sealed, recipient(), trust(), at=NOW)


def test_a_path_is_looked_at_as_of_when_it_was_signed() -> None:
    then = datetime(2020, 6, 1, tzinfo=UTC)
    old = certificate("authority", "key_cert_sign", start=then - DAY, end=then + DAY)
    paper = certificate("service", "digital_signature", start=then - DAY, end=then + DAY)
    made = signed(CONTENT, FileKey(private_key("service"), paper), at=then)
    assert verified(made, Trust((old,)), at=NOW).signed_at == then


def test_a_certificate_of_the_same_number_by_another_authority_is_another() -> None:
    ours = FileKey(private_key("hospital"), certificate("hospital", "key_encipherment", serial=7))
    theirs = certificate("hospital", "key_encipherment", issuer="forger", serial=7)
    with pytest.raises(NotForUsError):
        decrypted(enveloped(CONTENT, Recipients((theirs,)), at=NOW), ours)


def test_a_trusted_signer_cannot_make_others_trusted(trust: Trust) -> None:
    """A signer is no authority: a certificate that it issued is worth nothing."""
    friend = signer("friend", issuer="service")
    info = cms.ContentInfo.load(signed(CONTENT, friend, at=NOW))
    info["content"]["certificates"].append(cms.CertificateChoices.load(signer().certificate.public_bytes(Encoding.DER)))
    with pytest.raises(WrongSignerError):
        verified(info.dump(force=True), trust, at=NOW)


def test_a_signature_of_the_future_is_refused_beyond_what_clocks_may_differ(sealed: bytes, trust: Trust) -> None:
    assert opened_file(sealed, recipient(), trust, at=NOW - CLOCK_SKEW).content == CONTENT
    with pytest.raises(CertificateNotYetValidError, match="2026-11-27 12:00 UTC"):
        opened_file(sealed, recipient(), trust, at=NOW - CLOCK_SKEW - timedelta(seconds=1))


def test_signed_but_not_sealed_is_no_sealed_file(trust: Trust) -> None:
    with pytest.raises(CmsFormatError, match="signed_data"):
        opened_file(signed(CONTENT, signer(), at=NOW), recipient(), trust, at=NOW)


def test_files_hold_keys_and_certificates(tmp_path: Path) -> None:
    files = write(tmp_path, hospital=recipient().certificate, authority=authority())
    key = write_key(tmp_path, "hospital")
    assert FileKey.read(key, files["hospital"]).certificate == recipient().certificate
    both = tmp_path / "both.pem"
    both.write_bytes(key.read_bytes() + files["hospital"].read_bytes() + files["authority"].read_bytes())
    assert FileKey.read(both, both).certificate == recipient().certificate
    assert Trust.read(both) == Trust((authority(),), (recipient().certificate,))
    assert Recipients.read(files["hospital"]) == to("hospital")
    der = tmp_path / "hospital.der"
    der.write_bytes(recipient().certificate.public_bytes(Encoding.DER))
    assert Recipients.read(der) == to("hospital")


@pytest.mark.parametrize("content", [None, b"", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
def test_files_that_hold_none_are_named(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "some.pem"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(CmsKeyError, match=r"some\.pem"):
        Recipients.read(path)
    with pytest.raises(CmsKeyError, match=r"some\.pem"):
        FileKey.read(path, path)


def test_a_key_and_anothers_certificate_do_not_pass(tmp_path: Path) -> None:
    with pytest.raises(CmsKeyError, match="another key"):
        FileKey(private_key("stranger"), recipient().certificate)


def test_nobody_cannot_be_sealed_for() -> None:
    with pytest.raises(CmsKeyError):
        Recipients(())


def test_a_private_key_is_neither_shown_nor_pickled() -> None:
    assert "key=" not in repr(recipient())
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(recipient())
