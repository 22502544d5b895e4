"""People with certificates: an authority, a hospital's recipients and signers, a stranger. The clock stands still."""

from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from zweitblick.vault.cms.keys import FileKey

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
DAY = timedelta(days=1)
KEY_USAGES = ("digital_signature", "key_encipherment", "key_cert_sign")


def private_key(name: str, bits: int = 3072) -> rsa.RSAPrivateKey:
    """The key of somebody, the same each time."""
    return _made(name, bits)


@cache
def _made(_name: str, bits: int) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, bits)


def subject(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def certificate(
    name: str,
    usage: str | None,
    *,
    issuer: str = "authority",
    bits: int = 3072,
    start: datetime = NOW - DAY,
    end: datetime = NOW + DAY,
    serial: int | None = None,
    is_authority: bool | None = None,
) -> x509.Certificate:
    """Certificate of somebody's key for one use of `KEY_USAGES`, or, for None, without Key Usage."""
    is_authority = usage == "key_cert_sign" if is_authority is None else is_authority
    key = private_key(name, bits).public_key()
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject(name))
        .issuer_name(subject(issuer))
        .public_key(key)
        .serial_number(serial or x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(end)
        .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )
    if usage:
        builder = builder.add_extension(key_usage(usage), critical=True)
    return builder.sign(private_key(issuer), hashes.SHA256())


def key_usage(usage: str) -> x509.KeyUsage:
    others = ("content_commitment", "data_encipherment", "key_agreement", "crl_sign", "encipher_only", "decipher_only")
    return x509.KeyUsage(**{name: name == usage for name in (*KEY_USAGES, *others)})


@cache
def authority() -> x509.Certificate:
    return certificate("authority", "key_cert_sign")


def recipient(name: str = "hospital") -> FileKey:
    return _certified(name, "key_encipherment", "authority")


def signer(name: str = "service", issuer: str = "authority") -> FileKey:
    return _certified(name, "digital_signature", issuer)


@cache
def _certified(name: str, usage: str, issuer: str) -> FileKey:
    return FileKey(private_key(name), certificate(name, usage, issuer=issuer))


def write(folder: Path, **certificates: x509.Certificate) -> dict[str, Path]:
    """Write certificates as PEM files of their names."""
    for name, one in certificates.items():
        (folder / f"{name}.crt").write_bytes(one.public_bytes(Encoding.PEM))
    return {name: folder / f"{name}.crt" for name in certificates}


def write_key(folder: Path, name: str, *, bits: int = 3072) -> Path:
    """Write somebody's private key as a PEM file."""
    path = folder / f"{name}.key"
    path.write_bytes(private_key(name, bits).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return path
