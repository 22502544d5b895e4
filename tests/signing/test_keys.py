"""Keys sign as RFC 8032 says, and files that hold none, or are open to others, are refused."""

import resource
import signal
import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from zweitblick.errors import SigningKeyError
from zweitblick.signing.keys import FileSigner, load_public_key, make_signing_key

# RFC 8032 section 7.1: secret key, message and signature of tests 1 to 3
VECTORS = [
    (
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe2"
        "4655141438e7a100b",
    ),
    (
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302ae"
        "eb00d291612bb0c00",
    ),
    (
        "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28"
        "dc027beceea1ec40a",
    ),
]


def private_pem(key: ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey, password: bytes = b"") -> bytes:
    encryption = BestAvailableEncryption(password) if password else NoEncryption()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)


def file_of(folder: Path, content: bytes, mode: int = 0o600) -> Path:
    path = folder / "key.pem"
    path.write_bytes(content)
    path.chmod(mode)
    return path


@pytest.mark.parametrize(("secret", "message", "signature"), VECTORS)
def test_published_signatures(tmp_path: Path, secret: str, message: str, signature: str) -> None:
    key = ed25519.Ed25519PrivateKey.from_private_bytes(bytes.fromhex(secret))
    signer = FileSigner(file_of(tmp_path, private_pem(key)))
    assert signer.sign(bytes.fromhex(message)).hex() == signature


def test_a_new_key_is_its_owners_alone_and_its_public_key_is_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    make_signing_key(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    load_public_key(tmp_path / "key.pem.pub").verify(FileSigner(path).sign(b"message"), b"message")
    with pytest.raises(SigningKeyError):
        make_signing_key(path)


def test_a_key_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SigningKeyError):
        make_signing_key(tmp_path / "absent" / "key.pem")


@pytest.mark.parametrize("there", ["key.pem", "key.pem.pub"])
def test_a_pair_is_written_whole_or_not_at_all(tmp_path: Path, there: str) -> None:
    (tmp_path / there).write_bytes(b"another's")
    with pytest.raises(SigningKeyError, match="is there already"):
        make_signing_key(tmp_path / "key.pem")
    assert [one.name for one in tmp_path.iterdir()] == [there]
    assert (tmp_path / there).read_bytes() == b"another's"


def test_a_disk_that_is_full_leaves_nothing_of_a_key(tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, hard))
    try:
        with pytest.raises(SigningKeyError, match="cannot be written"):
            make_signing_key(path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)
    assert not list(tmp_path.iterdir())


OTHER = rsa.generate_private_key(65537, 2048)
OURS = ed25519.Ed25519PrivateKey.generate()


@pytest.mark.parametrize(
    ("content", "mode"),
    [
        (private_pem(OURS), 0o640),
        (private_pem(OURS), 0o604),
        (private_pem(OURS, b"password"), 0o600),
        (private_pem(OTHER), 0o600),
        (b"", 0o600),
        (b"-----BEGIN PRIVATE KEY-----", 0o600),
    ],
)
def test_a_file_that_is_no_key_of_ours_is_refused(tmp_path: Path, content: bytes, mode: int) -> None:
    with pytest.raises(SigningKeyError):
        FileSigner(file_of(tmp_path, content, mode))
    with pytest.raises(SigningKeyError):
        FileSigner(tmp_path / "absent")


@pytest.mark.parametrize(
    "content",
    [b"", OTHER.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo), private_pem(OURS)],
)
def test_a_file_that_is_no_public_key_of_ours_is_refused(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(SigningKeyError):
        load_public_key(file_of(tmp_path, content))
    with pytest.raises(SigningKeyError):
        load_public_key(tmp_path / "absent")
