"""A second reading of Tink's AES-GCM-HKDF streaming AEAD, straight from its specification; knows nothing of the vault.

https://developers.google.com/tink/streaming-aead/aes_gcm_hkdf_streaming. HKDF is RFC 5869 over the standard library's
HMAC; only AES-GCM is a library's. Whole messages at once, 32-byte derived keys, SHA-256.
"""

import hashlib
import hmac

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

MIB = 2**20
TAG = 16
HEADER = 40


def hkdf_sha256(ikm: bytes, salt: bytes, info: bytes, length: int) -> bytes:
    prk = hmac.digest(salt or bytes(32), ikm, hashlib.sha256)
    okm = block = b""
    counter = 1
    while len(okm) < length:
        block = hmac.digest(prk, block + info + bytes([counter]), hashlib.sha256)
        okm += block
        counter += 1
    return okm[:length]


def encrypted(message: bytes, key: bytes, associated: bytes, header: bytes, segment: int = MIB) -> bytes:
    cipher = AESGCM(hkdf_sha256(key, header[1:33], associated, 32))
    first = segment - HEADER - TAG
    parts = [message[:first]] + [message[n : n + segment - TAG] for n in range(first, len(message), segment - TAG)]
    return header + b"".join(
        cipher.encrypt(iv(header, n, last=n == len(parts) - 1), part, None) for n, part in enumerate(parts)
    )


def decrypted(ciphertext: bytes, key: bytes, associated: bytes, segment: int = MIB) -> bytes:
    header, parts = ciphertext[:HEADER], segments(ciphertext, segment)
    assert header[0] == HEADER
    cipher = AESGCM(hkdf_sha256(key, header[1:33], associated, 32))
    return b"".join(cipher.decrypt(iv(header, n, last=n == len(parts) - 1), part, None) for n, part in enumerate(parts))


def segments(ciphertext: bytes, segment: int = MIB) -> list[bytes]:
    """The header is cut from the first."""
    parts = [ciphertext[n : n + segment] for n in range(0, len(ciphertext), segment)]
    return [parts[0][HEADER:], *parts[1:]]


def iv(header: bytes, number: int, *, last: bool) -> bytes:
    return header[33:40] + number.to_bytes(4, "big") + (b"\x01" if last else b"\x00")
