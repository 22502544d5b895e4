"""Keys that sign, and check what was signed: heads of a trail, receipts, model bundles.

A key in a file is one of Ed25519. One in an HSM is RSA, since few HSMs have Ed25519, and signs documents alone.
"""

import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from zweitblick.errors import SigningKeyError

PublicKey = Ed25519PublicKey | RSAPublicKey

MODULUS_BITS = 3072
"""Shortest RSA modulus: 128 bits of security (NIST SP 800-57 part 1 table 2; BSI TR-02102-1 asks for as much)."""


class Signer(Protocol):
    """Signs with Ed25519 (RFC 8032), or RSASSA-PKCS1-v1_5 and SHA-256 (RFC 8017); for several threads at once."""

    def sign(self, data: bytes, /) -> bytes:
        """Return a signature.

        Raises
        ------
        KeyHolderError
            If the key is in an HSM that cannot be used.
        """
        ...

    @property
    def public_key(self) -> PublicKey:
        """The key that checks what this one signs."""
        ...


class Ed25519Signer(Protocol):
    """A `Signer` by Ed25519, as the audit trail needs it."""

    def sign(self, data: bytes, /) -> bytes:
        """Return a signature of 64 bytes."""
        ...

    @property
    def public_key(self) -> Ed25519PublicKey:
        """The key that checks what this one signs."""
        ...


class FileSigner:
    """Signs with a key in a file: whoever copies it can forge what it signs, but nothing that others hold already.

    Parameters
    ----------
    path
        PEM file (PKCS #8, not encrypted) of an Ed25519 key, which nobody but its owner may read.

    Raises
    ------
    SigningKeyError
        If the file is absent, open to others, or holds another key.
    """

    def __init__(self, path: Path) -> None:
        try:
            with path.open("rb") as file:
                mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
                pem = file.read()
        except OSError as error:
            raise SigningKeyError(f"signing key {path} cannot be read ({error.strerror}); make one") from error
        if mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise SigningKeyError(f"signing key {path} has mode {mode:04o} and is open to others; say chmod 600")
        try:
            key = load_pem_private_key(pem, password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise SigningKeyError(f"{path} is no private key in PEM, not encrypted; give one of Ed25519") from error
        if not isinstance(key, Ed25519PrivateKey):
            raise SigningKeyError(f"the key of {path} is not one of Ed25519; give such a key")
        self._key = key

    def sign(self, data: bytes, /) -> bytes:
        """Return a signature of 64 bytes."""
        return self._key.sign(data)

    @property
    def public_key(self) -> Ed25519PublicKey:
        """The key that checks what this one signs."""
        return self._key.public_key()


def make_signing_key(path: Path) -> None:
    """Write a new key to a new file that only its owner may read, and its public key beside it, as ``.pub``.

    Raises
    ------
    SigningKeyError
        If a file is there already, or cannot be written; neither is then left behind.
    """
    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    _write(path, private, 0o600)
    try:
        _write(path.with_name(path.name + ".pub"), public, 0o644)
    except SigningKeyError:
        path.unlink()
        raise


def load_public_key(path: Path) -> PublicKey:
    """Read a public key.

    Raises
    ------
    SigningKeyError
        If the file cannot be read, or holds none of Ed25519 or RSA.
    """
    try:
        return public_key_in(path.read_bytes(), str(path))
    except OSError as error:
        raise SigningKeyError(f"public key {path} cannot be read ({error.strerror}); give another") from error


def public_key_in(pem: bytes, name: str) -> PublicKey:
    """Return the public key that a file holds.

    Parameters
    ----------
    pem
        What it holds.
    name
        Of the file, for errors.

    Raises
    ------
    SigningKeyError
        If it is none of Ed25519, nor of RSA with at least `MODULUS_BITS`.
    """
    try:
        key = load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise SigningKeyError(f"{name} is no public key in PEM; give that of whoever has signed") from error
    if not isinstance(key, PublicKey):
        raise SigningKeyError(f"the key of {name} is not one of Ed25519 or RSA; give that of whoever has signed")
    if isinstance(key, RSAPublicKey) and key.key_size < MODULUS_BITS:
        raise SigningKeyError(f"the RSA key of {name} has {key.key_size} bits; use one of at least {MODULUS_BITS}")
    return key


def checked_signature(message: bytes, signer: Signer) -> bytes:
    """Sign a message, and see that the signature fits the signer's public key.

    Raises
    ------
    SigningKeyError
        If it does not: nobody could ever verify it.
    KeyHolderError
        If the key is in an HSM that cannot be used.
    """
    signature = signer.sign(message)
    if not is_signed(message, signature, [signer.public_key]):
        raise SigningKeyError("what the key signs does not fit its public key; give the two that fit")
    return signature


def is_signed(message: bytes, signature: bytes, keys: Sequence[PublicKey]) -> bool:
    """Tell whether one of some keys has signed a message."""
    return any(_has_signed(key, message, signature) for key in keys)


def _has_signed(key: PublicKey, message: bytes, signature: bytes) -> bool:
    try:
        if isinstance(key, Ed25519PublicKey):
            key.verify(signature, message)
        else:
            key.verify(signature, message, PKCS1v15(), SHA256())
    except InvalidSignature:
        return False
    return True


def _write(path: Path, content: bytes, mode: int) -> None:
    try:
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, mode)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        except OSError:
            path.unlink()
            raise
    except FileExistsError as error:
        raise SigningKeyError(f"{path} is there already and is not replaced; choose another name") from error
    except OSError as error:
        raise SigningKeyError(f"{path} cannot be written ({error.strerror}); choose another folder") from error
