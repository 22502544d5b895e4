"""Private keys that sign and decrypt, wherever they are: in a file here, in an HSM in `zweitblick.vault.cms.pkcs11`."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn, Protocol, Self

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from zweitblick.errors import AlteredError, CmsKeyError
from zweitblick.vault.cms.certificates import fingerprint, read_certificates


class Signer(Protocol):
    """Signs with a private key that it need not give out."""

    @property
    def certificate(self) -> x509.Certificate:
        """Certificate of the key."""
        ...

    def sign(self, data: bytes) -> bytes:
        """Sign with RSASSA-PKCS1-v1_5 (RFC 8017 section 8.2) and SHA-256.

        Raises
        ------
        KeyHolderError
            If the key cannot be reached.
        """
        ...


class Recipient(Protocol):
    """Decrypts with a private key that it need not give out."""

    @property
    def certificate(self) -> x509.Certificate:
        """Certificate of the key, for which something was sealed."""
        ...

    def decrypt(self, encrypted: bytes) -> bytes:
        """Decrypt with RSAES-PKCS1-v1_5 (RFC 8017 section 7.2).

        Raises
        ------
        AlteredError
            If that fails; whoever calls must not let anybody notice that it was this that failed.
        KeyHolderError
            If the key cannot be reached.
        """
        ...


@dataclass(frozen=True)
class FileKey:
    """An RSA key in memory and its certificate; a `Signer` and a `Recipient`.

    Parameters
    ----------
    key
        Not shown by ``repr``, not pickled.
    certificate
        Of the same key.

    Raises
    ------
    CmsKeyError
        If the certificate is of another key.
    """

    key: rsa.RSAPrivateKey = field(repr=False)
    certificate: x509.Certificate

    def __post_init__(self) -> None:
        if self.key.public_key() != self.certificate.public_key():
            raise CmsKeyError(f"certificate {fingerprint(self.certificate)} is of another key; give the two that fit")

    @classmethod
    def read(cls, key: Path, certificate: Path) -> Self:
        """Read the first private key and the first certificate of two PEM files, which may be one and the same.

        Raises
        ------
        CmsKeyError
            If a file cannot be read, is of another kind, or the two do not fit.
        """
        try:
            found = load_pem_private_key(key.read_bytes(), None)
        except OSError as error:
            raise CmsKeyError(f"{key} cannot be read: {error.strerror}; give a private key") from error
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise CmsKeyError(
                f"{key} holds no private key that can be used; give an RSA key in PEM, not encrypted"
            ) from error
        if not isinstance(found, rsa.RSAPrivateKey):
            raise CmsKeyError(f"the private key in {key} is not RSA; give one that is")
        return cls(found, read_certificates(certificate)[0])

    def sign(self, data: bytes) -> bytes:
        """Sign with RSASSA-PKCS1-v1_5 and SHA-256."""
        return self.key.sign(data, PKCS1v15(), SHA256())

    def decrypt(self, encrypted: bytes) -> bytes:
        """Decrypt with RSAES-PKCS1-v1_5; OpenSSL 3.2 and later return random bytes where the padding is wrong.

        Raises
        ------
        AlteredError
            If that fails.
        """
        try:
            return self.key.decrypt(encrypted, PKCS1v15())
        except ValueError:
            raise AlteredError from None

    def __reduce__(self) -> NoReturn:
        raise TypeError("a private key is not pickled; name its file")
