"""Signed documents are JSON Web Signatures that others can check, and nothing else passes for one."""

import hashlib
import hmac
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from signers import OURS, THEIRS, every_flip
from zweitblick.errors import SignatureError
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
