"""Signed documents are JSON Web Signatures that others can check, and nothing else passes for one."""

import hashlib
import hmac
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from joserfc import jws
from joserfc.jwk import RSAKey

from signers import OURS, THEIRS, RsaSigner, every_flip
from zweitblick.errors import SignatureError, SigningKeyError
from zweitblick.signing.jws import key_id, signed, verified

KIND = "test+jws"
PAYLOAD = b'{"tumour":"0.3.0"}'
TOKEN = signed(PAYLOAD, OURS, kind=KIND)
KEYS = [OURS.public_key]


def decoded(part: bytes) -> bytes:
    return urlsafe_b64decode(part + b"==")


def encoded(data: bytes) -> bytes:
    return urlsafe_b64encode(data).rstrip(b"=")


def test_published_thumbprint() -> None:
    # RFC 8037 appendix A.1 and A.3
    key = Ed25519PublicKey.from_public_bytes(decoded(b"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"))
    assert key_id(key) == "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"


def test_published_thumbprint_of_rsa() -> None:
    # RFC 7638 section 3.1
    modulus = (
        b"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3ok"
        b"njhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6q"
        b"MQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJ"
        b"zKnqDKgw"
    )
    numbers = rsa.RSAPublicNumbers(65537, int.from_bytes(decoded(modulus), "big"))
    assert key_id(numbers.public_key()) == "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"


@pytest.fixture(scope="module")
def in_hsm() -> RsaSigner:
    return RsaSigner(rsa.generate_private_key(65537, 3072))


def test_another_library_verifies_what_rsa_has_signed(in_hsm: RsaSigner) -> None:
    token = signed(PAYLOAD, in_hsm, kind=KIND)
    found = jws.deserialize_compact(token, RSAKey(in_hsm.public_key, in_hsm.public_key), algorithms=["RS256"])
    assert found.payload == PAYLOAD
    assert found.headers() == {"alg": "RS256", "kid": key_id(in_hsm.public_key), "typ": KIND}
    assert verified(token, [OURS.public_key, in_hsm.public_key], kind=KIND).payload == PAYLOAD


def test_no_bit_of_what_rsa_has_signed_can_be_flipped(in_hsm: RsaSigner) -> None:
    token = signed(PAYLOAD, in_hsm, kind=KIND)
    for altered in every_flip(token, step=7):
        with pytest.raises(SignatureError):
            verified(altered, [in_hsm.public_key], kind=KIND)


def test_what_one_algorithm_has_signed_never_passes_as_the_other_s(in_hsm: RsaSigner) -> None:
    ours, theirs = TOKEN.split(b"."), signed(PAYLOAD, in_hsm, kind=KIND).split(b".")
    for token in ([theirs[0], *ours[1:]], [*ours[:2], theirs[2]], [ours[0], *theirs[1:]]):
        with pytest.raises(SignatureError):
            verified(b".".join(token), [OURS.public_key, in_hsm.public_key], kind=KIND)


def test_a_signature_that_does_not_fit_its_public_key_is_not_given_out(in_hsm: RsaSigner) -> None:
    class MixedUp:
        public_key = in_hsm.public_key
        sign = OURS.sign

    with pytest.raises(SigningKeyError, match="does not fit"):
        signed(PAYLOAD, MixedUp(), kind=KIND)


def test_the_parts_are_those_of_rfc_7515() -> None:
    header, payload, signature = TOKEN.split(b".")
    assert json.loads(decoded(header)) == {"alg": "EdDSA", "kid": key_id(OURS.public_key), "typ": KIND}
    assert decoded(payload) == PAYLOAD
    OURS.public_key.verify(decoded(signature), header + b"." + payload)
    assert b"=" not in TOKEN


def test_what_was_signed_comes_back_under_any_of_several_keys() -> None:
    found = verified(TOKEN, [THEIRS.public_key, OURS.public_key], kind=KIND)
    assert (found.payload, found.key_id) == (PAYLOAD, key_id(OURS.public_key))
    assert signed(PAYLOAD, OURS, kind=KIND) == TOKEN
    assert "tumour" not in repr(found)


def refused(token: bytes) -> None:
    with pytest.raises(SignatureError):
        verified(token, KEYS, kind=KIND)


def test_no_bit_can_be_flipped() -> None:
    for token in every_flip(TOKEN):
        refused(token)


def test_nothing_can_be_cut_or_added() -> None:
    for end in range(len(TOKEN)):
        refused(TOKEN[:end])
    for token in (TOKEN + b"\n", b" " + TOKEN, TOKEN + b"=", TOKEN + b".", TOKEN + b"." + TOKEN, b"", b".."):
        refused(token)


def test_neither_another_key_nor_another_kind_nor_anothers_signature_passes() -> None:
    refused(signed(PAYLOAD, THEIRS, kind=KIND))
    refused(signed(PAYLOAD, OURS, kind="other+jws"))
    other = signed(b"{}", OURS, kind=KIND)
    refused(TOKEN.rpartition(b".")[0] + b"." + other.rpartition(b".")[2])
    with pytest.raises(SignatureError):
        verified(TOKEN, [], kind=KIND)


def test_a_header_that_names_our_key_does_not_make_a_signature_ours() -> None:
    message = TOKEN.rpartition(b".")[0]
    refused(message + b"." + encoded(THEIRS.sign(message)))


@pytest.mark.parametrize("algorithm", ["none", "HS256", "Ed25519", "eddsa"])
def test_no_algorithm_can_be_chosen(algorithm: str) -> None:
    header = {"alg": algorithm, "kid": key_id(OURS.public_key), "typ": KIND}
    message = encoded(json.dumps(header, separators=(",", ":")).encode()) + b"." + encoded(PAYLOAD)
    mac = hmac.digest(OURS.public_key.public_bytes_raw(), message, hashlib.sha256)
    for signature in (b"", mac, OURS.sign(message)):
        refused(message + b"." + encoded(signature))
