"""Signers whose keys are in memory, and what is done to signed bytes."""

from collections.abc import Iterator

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256


class KeptSigner:
    """Signs with an Ed25519 key that a number gives."""

    def __init__(self, number: int) -> None:
        self.key = Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32)

    def sign(self, data: bytes, /) -> bytes:
        return self.key.sign(data)

    @property
    def public_key(self) -> Ed25519PublicKey:
        return self.key.public_key()


class RsaSigner:
    """Signs with an RSA key in memory, as an HSM does."""

    def __init__(self, key: rsa.RSAPrivateKey) -> None:
        self.key = key

    def sign(self, data: bytes, /) -> bytes:
        return self.key.sign(data, PKCS1v15(), SHA256())

    @property
    def public_key(self) -> rsa.RSAPublicKey:
        return self.key.public_key()


OURS, THEIRS = KeptSigner(1), KeptSigner(2)


def flipped(data: bytes, bit: int) -> bytes:
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def every_flip(data: bytes, *, step: int = 1) -> Iterator[bytes]:
    """Yield the bytes with one bit flipped, for each bit or each so many."""
    return (flipped(data, bit) for bit in range(0, 8 * len(data), step))
