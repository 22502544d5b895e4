"""Every primitive against what its standard publishes, and the layout against what Tink itself has written."""

import hashlib

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap, aes_key_wrap

from vault.objects import INFO, KEY, NAME, STUDY
from vault.tink_stream import decrypted, encrypted, hkdf_sha256
from zweitblick.vault.envelope import opened

GCM = {
    # key, IV, associated data, plaintext, ciphertext, tag
    # McGrew and Viega, "The Galois/Counter Mode of Operation", 2005, appendix B
    "test case 13": ("00" * 32, "00" * 12, "", "", "", "530f8afbc74536b9a963b4f1c4cb738b"),
    "test case 14": (
        "00" * 32,
        "00" * 12,
        "",
        "00" * 16,
        "cea7403d4d606b6e074ec5d3baf39d18",
        "d0d1c8a799996bf0265b98b5d48ab919",
    ),
    "test case 15": (
        "feffe9928665731c6d6a8f9467308308" * 2,
        "cafebabefacedbaddecaf888",
        "",
        "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
        "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b391aafd255",
        "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
        "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662898015ad",
        "b094dac5d93471bdec1a502270e3cc6c",
    ),
    # Project Wycheproof, testvectors_v1/aes_gcm_test.json
    "Wycheproof 91": (
        "92ace3e348cd821092cd921aa3546374299ab46209691bc28b8752d17f123c20",
        "00112233445566778899aabb",
        "00000000ffffffff",
        "00010203040506070809",
        "e27abdd2d2a53d2f136b",
        "9a4a2579529301bcfb71c78d4060f52c",
    ),
    "Wycheproof 96": (
        "67119627bd988eda906219e08c0d0d779a07d208ce8a4fe0709af755eeec6dcb",
        "68ab7fdbf61901dad461d23c",
        "",
        "51f8c1f731ea14acdb210a6d973e07",
        "43fc101bff4b32bfadd3daf57a590e",
        "ec04aacb7148a8b8be44cb7eaf4efa69",
    ),
}

HKDF_SHA256 = {
    # RFC 5869, appendix A: input key, salt, info, output
    "A.1": (
        "0b" * 22,
        "000102030405060708090a0b0c",
        "f0f1f2f3f4f5f6f7f8f9",
        "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865",
    ),
    "A.2": (
        bytes(range(0x50)).hex(),
        bytes(range(0x60, 0xB0)).hex(),
        bytes(range(0xB0, 0x100)).hex(),
        "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c59045a99cac7827271cb41c65e590e09"
        "da3275600c2f09b8367793a9aca3db71cc30c58179ec3e87c14c01d5c1f3434f1d87",
    ),
    "A.3": ("0b" * 22, "", "", "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8"),
}

TINK_SMALL = {
    # Tink 1.16.1 for Python: key 00..1f, segments of 64 bytes, associated data "associated", message 00 01 02 ...
    0: "284de1611261d4b82943403fa5b3a07e1cd7540eca38562c632ba484"
    "e28dc656dc58e95d5862ce52ed040b0dee730f89ee102f7151d4238c",
    8: "2812bd37ca310b3f1a3ab4eb438f23b39e454d686f1b7a7b6753d8fbe9b3560f"
    "4e5536aed82b60ce0fd38aa545ea7689342d97edbfdcc0eacd6bb09bfc9d35bc",
    9: "284fafe2ac61dd629e7a90a35cec519462cb42da8f3cd74176d7af69ad49e54e70346103597a9e72"
    "657c2f50bd54a1f39a06f16d133616c1e45e14a3ba3f4c7496953c8f5a4115128624d3e65a7f138587",
    60: "2869125bc7587c52cb45f66bc6f42be083e1c82578298e161781fb9685b94a94fd66b29f5d479f5c29be0db6906fdb4518e332b75bab"
    "3871e62260ae26c9b0e1f7a4d02c5b2f79c5455d831dea26cbfe922a732550934ebc2b54b56f1869597d213ab2f644ef4fcb105d05"
    "07994a8f951bb54e4e332d10772f1510068318a5b1de29420e2d2b6cb433a303a03ab6004afa169c3d",
}

TINK_OBJECT = bytes.fromhex(
    "2867ec7838d5c59c35b035d808d757666270ed75083dd2451f298d9e5e5ba0ba5f25d4caf28318cd"
    "23406aeb37d2e22d1533192f1cb451090aea8f1cf4a40c5664ee50734afc8c88"
)
"""Tink 1.16.1: 'A lesion of 1 ml' under `KEY` and `INFO`, segments of 1 MiB."""

TINK_LARGE_HEADER = bytes.fromhex("2827ff9c966a5890d96e91bf1813fa988ddf20fb25edcd6973ffe3d326c875e24b6d8439efe20ad5")
TINK_LARGE_SHA256 = "5573b4226edfa52908b614aaed2062d9d8f275bfaafce21c193004ca8bfba045"
"""Tink 1.16.1: 'zweitblick' 250,000 times under `KEY` and `INFO`, three segments of 1 MiB: its header and digest."""


@pytest.mark.parametrize("vector", GCM)
def test_aes_gcm(vector: str) -> None:
    key, nonce, associated, plain, cipher, tag = map(bytes.fromhex, GCM[vector])
    assert AESGCM(key).encrypt(nonce, plain, associated) == cipher + tag
    assert AESGCM(key).decrypt(nonce, cipher + tag, associated) == plain
    for bit in range(128):
        wrong = (int.from_bytes(tag, "big") ^ 1 << bit).to_bytes(16, "big")
        with pytest.raises(InvalidTag):
            AESGCM(key).decrypt(nonce, cipher + wrong, associated)


@pytest.mark.parametrize("vector", HKDF_SHA256)
def test_hkdf(vector: str) -> None:
    ikm, salt, info, okm = map(bytes.fromhex, HKDF_SHA256[vector])
    assert HKDF(SHA256(), len(okm), salt=salt or None, info=info).derive(ikm) == okm
    assert hkdf_sha256(ikm, salt, info, len(okm)) == okm


def test_aes_key_wrap() -> None:
    """RFC 3394, 4.6: 256 bits of key data with a 256-bit KEK."""
    kek = bytes(range(32))
    data = bytes.fromhex("00112233445566778899aabbccddeeff000102030405060708090a0b0c0d0e0f")
    wrapped = bytes.fromhex("28c9f404c4b810f4cbccb35cfb87f8263f5786e2d80ed326cbc7f0e71a99f43bfb988b9b7a02dd21")
    assert aes_key_wrap(kek, data) == wrapped
    assert aes_key_unwrap(kek, wrapped) == data
    with pytest.raises(InvalidUnwrap):
        aes_key_unwrap(kek, wrapped[:-1] + bytes([wrapped[-1] ^ 1]))


@pytest.mark.parametrize("size", TINK_SMALL)
def test_second_reading_agrees_with_tink(size: int) -> None:
    """The oracle of the other tests is itself judged by Tink, at segments so small that there are several."""
    ciphertext, message = bytes.fromhex(TINK_SMALL[size]), bytes(range(size))
    assert decrypted(ciphertext, KEY.secret, b"associated", 64) == message
    assert encrypted(message, KEY.secret, b"associated", ciphertext[:40], 64) == ciphertext


def test_an_object_that_tink_wrote_opens() -> None:
    assert opened(b"zwb\x01" + TINK_OBJECT, KEY, study=STUDY, name=NAME) == b"A lesion of 1 ml"


def test_a_large_object_that_tink_wrote_opens() -> None:
    plain = b"zweitblick" * 250_000
    ciphertext = encrypted(plain, KEY.secret, INFO, TINK_LARGE_HEADER)
    assert hashlib.sha256(ciphertext).hexdigest() == TINK_LARGE_SHA256
    assert opened(b"zwb\x01" + ciphertext, KEY, study=STUDY, name=NAME) == plain
