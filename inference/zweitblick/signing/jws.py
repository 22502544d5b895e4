"""Signed documents: JSON Web Signatures in their compact form (RFC 7515), by Ed25519 (RFC 8037) or RS256 (RFC 7518).

A header is compared as a whole with the one that would have been written: whoever forges has no algorithm to choose
(RFC 8725 section 3.1), and a document of one kind never passes for another (section 3.11).
"""

import hashlib
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from zweitblick.errors import SignatureError
from zweitblick.signing.canonical import canonical
from zweitblick.signing.keys import PublicKey, Signer, checked_signature, is_signed

MEDIA_TYPE = "application/jose"
"""Of the compact form (RFC 7515 section 9.2.1)."""


@dataclass(frozen=True)
class SignedDocument:
    """What a signature was found to cover.

    Parameters
    ----------
    payload
        The document. It is not in the ``repr``: it may tell of a patient's study.
    key_id
        Of the key that has signed; see `key_id`.
    """

    payload: bytes = field(repr=False)
    key_id: str


def signed(payload: bytes, signer: Signer, *, kind: str) -> bytes:
    """Sign a document; of the same document and key always the same bytes.

    Parameters
    ----------
    payload
        The document.
    signer
        Signs it.
    kind
        What it is, as a media type without ``application/`` (``typ``, RFC 7515 section 4.1.9).

    Raises
    ------
    SigningKeyError, KeyHolderError
        As from `zweitblick.signing.keys.checked_signature`.
    """
    message = _header(signer.public_key, kind) + b"." + _encoded(payload)
    return message + b"." + _encoded(checked_signature(message, signer))


def verified(data: bytes, keys: Sequence[PublicKey], *, kind: str) -> SignedDocument:
    """Return what is signed, once one of some keys is found to have signed it as a document of this kind.

    Raises
    ------
    SignatureError
        If none has, or this is no signed document.
    """
    parts = data.split(b".")
    if len(parts) != 3:
        raise SignatureError("this is no signed document; give the file as it was written")
    header, payload, signature = parts
    for key in keys:
        if header == _header(key, kind) and is_signed(header + b"." + payload, _decoded(signature), [key]):
            return SignedDocument(_decoded(payload), key_id(key))
    raise SignatureError("it was altered, or is not signed by this key as what it is given for; ask who has signed it")


def key_id(key: PublicKey) -> str:
    """Name a public key: its thumbprint (RFC 7638, RFC 8037 appendix A.3), 43 characters."""
    return _encoded(hashlib.sha256(canonical(_required_members(key))).digest()).decode()


def _required_members(key: PublicKey) -> dict[str, str]:
    """Return what a JSON Web Key must have (RFC 8037 section 2, RFC 7518 section 6.3.1)."""
    if isinstance(key, Ed25519PublicKey):
        return {"crv": "Ed25519", "kty": "OKP", "x": _encoded(key.public_bytes_raw()).decode()}
    numbers = key.public_numbers()
    return {"e": _number(numbers.e), "kty": "RSA", "n": _number(numbers.n)}


def _number(number: int) -> str:
    """Write a whole number as Base64urlUInt (RFC 7518 section 2)."""
    return _encoded(number.to_bytes((number.bit_length() + 7) // 8, "big")).decode()


def _header(key: PublicKey, kind: str) -> bytes:
    algorithm = "EdDSA" if isinstance(key, Ed25519PublicKey) else "RS256"
    return _encoded(canonical({"alg": algorithm, "kid": key_id(key), "typ": kind}))


def _encoded(data: bytes) -> bytes:
    return urlsafe_b64encode(data).rstrip(b"=")


def _decoded(text: bytes) -> bytes:
    """Decode what `_encoded` has written, and nothing that it would have written otherwise.

    Raises
    ------
    SignatureError
        If it would have.
    """
    try:
        data = urlsafe_b64decode(text + b"=" * (-len(text) % 4))
    except ValueError as error:
        raise SignatureError("the signed document is damaged; give the file as it was written") from error
    if _encoded(data) != text:
        raise SignatureError("the signed document is damaged; give the file as it was written")
    return data
