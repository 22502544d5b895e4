"""Sealed as JOSE: another implementation reads and writes the same, and nothing altered or a stranger's comes out."""

import base64
import json
from datetime import timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from hypothesis import given
from hypothesis import strategies as st
from jwcrypto.jwe import JWE
from jwcrypto.jwk import JWK
from jwcrypto.jws import JWS

from vault.cms_house import DAY, NOW, authority, certificate, private_key, recipient, signer
from zweitblick.errors import (
    AlteredError,
    CertificateExpiredError,
    CertificateNotYetValidError,
    CmsFormatError,
    KeyUsageError,
    NotForUsError,
    WeakCryptographyError,
    WrongSignerError,
)
from zweitblick.vault.cms.certificates import Trust
from zweitblick.vault.cms.keys import FileKey
from zweitblick.vault.jose import opened_jwe, sealed_jwe

CONTENT = '{"resourceType": "Bundle", "name": "Grün"}'.encode() * 3000
TRUST = Trust(authorities=(authority(),))

Json = dict[str, Any]


def sealed(content: bytes = CONTENT, who: x509.Certificate | None = None) -> bytes:
    return sealed_jwe(content, who or recipient().certificate, signer(), at=NOW, content_type="fhir+json")


@pytest.fixture(scope="module")
def token() -> bytes:
    return sealed()


def opened(token: bytes, who: str = "hospital") -> bytes:
    return opened_jwe(token, recipient(who), TRUST, at=NOW).content


def private(name: str) -> JWK:
    return JWK.from_pem(private_key(name).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))


def public(certificate: x509.Certificate) -> JWK:
    return JWK.from_pem(certificate.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))


def thumbprint(certificate: x509.Certificate) -> str:
    return base64.urlsafe_b64encode(certificate.fingerprint(certificate.signature_hash_algorithm)).decode().rstrip("=")


def others_jws(header: Json | None = None, name: str = "service", content: bytes = CONTENT) -> str:
    """A JWS that jwcrypto makes of ours, with another header."""
    paper = signer().certificate.public_bytes(Encoding.DER)
    usual = {"alg": "RS256", "cty": "fhir+json", "x5c": [base64.b64encode(paper).decode()], "iat": int(NOW.timestamp())}
    made = JWS(content)
    made.add_signature(private(name), protected=json.dumps(usual | (header or {})))
    return made.serialize(compact=True)


def others_jwe(content: str, header: Json | None = None) -> bytes:
    """A JWE that jwcrypto makes for the hospital, with another header."""
    usual = {"alg": "RSA-OAEP-256", "enc": "A256GCM", "cty": "JOSE", "x5t#S256": thumbprint(recipient().certificate)}
    made = JWE(content, json.dumps(usual | (header or {})), algs=ALGORITHMS)
    made.add_recipient(public(recipient().certificate))
    return made.serialize(compact=True).encode()


ALGORITHMS = ["RSA-OAEP-256", "RSA-OAEP", "RSA1_5", "A256GCM", "A128CBC-HS256"]


def test_what_was_sealed_comes_out_with_who_signed_when(token: bytes) -> None:
    found = opened_jwe(token, recipient(), TRUST, at=NOW)
    assert (found.content, found.signer, found.signed_at) == (CONTENT, signer().certificate, NOW)
    assert b"Gr" not in repr(found).encode()


def test_another_implementation_opens_and_verifies_it(token: bytes) -> None:
    jwe = JWE()
    jwe.deserialize(token.decode(), private("hospital"))
    assert jwe.jose_header == {
        "alg": "RSA-OAEP-256",
        "enc": "A256GCM",
        "cty": "JOSE",
        "x5t#S256": thumbprint(recipient().certificate),
    }
    jws = JWS()
    jws.deserialize(jwe.payload.decode(), public(signer().certificate))
    assert jws.payload == CONTENT
    assert jws.jose_header["cty"] == "fhir+json"
    assert base64.b64decode(jws.jose_header["x5c"][0]) == signer().certificate.public_bytes(Encoding.DER)


def test_what_another_implementation_sealed_opens() -> None:
    assert opened(others_jwe(others_jws())) == CONTENT


@pytest.mark.parametrize(
    ("outer", "inner"),
    [
        ({"enc": "A128CBC-HS256"}, {}),
        ({"alg": "RSA-OAEP"}, {}),
        ({"alg": "RSA1_5"}, {}),
        ({"zip": "DEF"}, {}),
        ({}, {"alg": "PS256"}),
        ({}, {"alg": "RS512"}),
        ({}, {"x5c": []}),
        ({}, {"x5c": ["AAAA"]}),
        ({}, {"iat": 10**18}),
        ({}, {"iat": "yesterday"}),
    ],
    ids=str,
)
def test_other_algorithms_and_headers_are_refused(outer: Json, inner: Json) -> None:
    with pytest.raises(AlteredError):
        opened(others_jwe(others_jws(inner), outer))


def test_what_is_not_signed_or_by_a_shared_secret_is_refused() -> None:
    def part(value: bytes) -> str:
        return base64.urlsafe_b64encode(value).decode().rstrip("=")

    paper = base64.b64encode(signer().certificate.public_bytes(Encoding.DER)).decode()
    head = {"x5c": [paper], "iat": int(NOW.timestamp())}
    none = f"{part(json.dumps(head | {'alg': 'none'}).encode())}.{part(CONTENT)}."
    shared = JWS(CONTENT)
    pem = signer().certificate.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    secret = JWK(kty="oct", k=part(pem))
    shared.add_signature(secret, protected=json.dumps(head | {"alg": "HS256"}))
    for inside in (none, shared.serialize(compact=True), CONTENT.decode(), "a.b.c"):
        with pytest.raises(AlteredError):
            opened(others_jwe(inside))


def test_anothers_signature_under_the_signers_certificate_is_refused() -> None:
    with pytest.raises(AlteredError):
        opened(others_jwe(others_jws(name="stranger")))


def test_a_content_under_another_contents_signature_is_refused() -> None:
    head, _, signature = others_jws().split(".")
    other = others_jws(content=b"other").split(".")[1]
    with pytest.raises(AlteredError):
        opened(others_jwe(f"{head}.{other}.{signature}"))


@given(st.data())
def test_whatever_byte_is_changed_nothing_is_given_out(token: bytes, data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(token) - 1) | st.integers(0, 700))
    byte = data.draw(st.integers(0, 255).filter(lambda byte: byte != token[place]))
    changed = token[:place] + bytes([byte]) + token[place + 1 :]
    if changed.strip() == token:
        return
    with pytest.raises((AlteredError, CmsFormatError, NotForUsError)):
        opened(changed)


@pytest.mark.parametrize("cut", [slice(1, None), slice(0, -1), slice(0, 700), slice(0, 0)], ids=str)
def test_what_was_cut_is_refused(token: bytes, cut: slice) -> None:
    with pytest.raises((AlteredError, CmsFormatError, NotForUsError)):
        opened(token[cut])


def test_nobody_else_opens_it(token: bytes) -> None:
    with pytest.raises(NotForUsError):
        opened(token, "other")
    under_our_name = FileKey(private_key("other"), certificate("other", "key_encipherment"))
    renamed = others_jwe(others_jws(), {"x5t#S256": thumbprint(under_our_name.certificate)})
    with pytest.raises(AlteredError):
        opened_jwe(renamed, under_our_name, TRUST, at=NOW)


@pytest.mark.parametrize(
    ("paper", "error"),
    [
        (lambda: certificate("hospital", "key_encipherment", end=NOW - DAY / 2), CertificateExpiredError),
        (lambda: certificate("hospital", "key_encipherment", start=NOW + DAY / 2), CertificateNotYetValidError),
        (lambda: certificate("hospital", "digital_signature"), KeyUsageError),
        (lambda: certificate("weak", "key_encipherment", bits=2048), WeakCryptographyError),
    ],
    ids=["expired", "not yet valid", "for signatures", "weak"],
)
def test_a_recipients_certificate_is_checked_before_anything_is_sealed(paper: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        sealed(who=paper())


def test_strangers_and_signatures_of_the_future_are_refused(token: bytes) -> None:
    stranger = Trust(authorities=(certificate("forger", "key_cert_sign", issuer="forger"),))
    with pytest.raises(WrongSignerError):
        opened_jwe(token, recipient(), stranger, at=NOW)
    with pytest.raises(CertificateNotYetValidError):
        opened_jwe(token, recipient(), TRUST, at=NOW - timedelta(minutes=6))
    assert opened_jwe(token, recipient(), TRUST, at=NOW - timedelta(minutes=4)).content == CONTENT


def test_no_two_are_sealed_alike_and_nothing_is_readable(token: bytes) -> None:
    again = sealed()
    parts = list(zip(token.split(b"."), again.split(b"."), strict=True))
    assert [one == other for one, other in parts] == [True, False, False, False, False]
    assert all("Grün".encode() not in base64.urlsafe_b64decode(part + b"==") for part in token.split(b"."))
