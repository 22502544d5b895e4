"""Certificates for tests, made by `cryptography`."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID


@dataclass(frozen=True)
class Files:
    """PEM files of a certificate and its key."""

    certificate: Path
    key: Path


@dataclass(frozen=True)
class Authority:
    """A certificate authority and where its files are."""

    folder: Path
    files: Files
    _key: rsa.RSAPrivateKey
    _certificate: x509.Certificate

    def issue(self, name: str, *, password: bytes | None = None) -> Files:
        key = new_key()
        return written(self.folder, name, key, signed(name, key, self._certificate.subject, self._key), password)


def new_authority(folder: Path, name: str) -> Authority:
    key = new_key()
    certificate = signed(name, key, named(name), key, is_authority=True)
    return Authority(folder, written(folder, name, key, certificate, None), key, certificate)


def new_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


def named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def signed(
    name: str, key: rsa.RSAPrivateKey, issuer: x509.Name, issuer_key: rsa.RSAPrivateKey, *, is_authority: bool = False
) -> x509.Certificate:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(named(name))
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(issuer_key, hashes.SHA256())
    )


def written(
    folder: Path, name: str, key: rsa.RSAPrivateKey, certificate: x509.Certificate, password: bytes | None
) -> Files:
    files = Files(folder / f"{name}.crt", folder / f"{name}.key")
    encryption = NoEncryption() if password is None else BestAvailableEncryption(password)
    files.certificate.write_bytes(certificate.public_bytes(Encoding.PEM))
    files.key.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption))
    return files
