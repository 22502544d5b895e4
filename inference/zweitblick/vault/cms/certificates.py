"""Certificates of those who sign and those who may open: what they must be, and who vouches for them."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import verification

from zweitblick.errors import (
    CertificateExpiredError,
    CertificateNotYetValidError,
    CmsKeyError,
    KeyUsageError,
    WeakCryptographyError,
    WrongSignerError,
)
from zweitblick.signing.keys import MODULUS_BITS


@dataclass(frozen=True)
class Recipients:
    """Who may open what is sealed: everybody whose certificate is here.

    Parameters
    ----------
    certificates
        At least one. Whoever names them vouches for them: no authority is asked. Whether they are valid is checked
        when something is sealed.

    Raises
    ------
    CmsKeyError
        If there is none.
    """

    certificates: tuple[x509.Certificate, ...]

    def __post_init__(self) -> None:
        if not self.certificates:
            raise CmsKeyError("nobody could open what is sealed for no recipient; name at least one certificate")

    @classmethod
    def read(cls, *paths: Path) -> Self:
        """Read the certificates of files.

        Raises
        ------
        CmsKeyError
            If a file cannot be read or holds none.
        """
        return cls(tuple(certificate for path in paths for certificate in read_certificates(path)))

    @property
    def only(self) -> x509.Certificate:
        """The one recipient of what cannot be sealed for several, as a compact JWE (RFC 7516 section 3.1).

        Raises
        ------
        CmsKeyError
            If there are several.
        """
        if len(self.certificates) != 1:
            raise CmsKeyError(
                f"a JWE is for one recipient, and {len(self.certificates)} are named; name one, and seal it for each"
            )
        return self.certificates[0]


@dataclass(frozen=True)
class Trust:
    """Whose signatures are taken.

    Parameters
    ----------
    authorities
        Certificate authorities: whoever they vouch for is trusted.
    signers
        Certificates of signers, trusted themselves and byte for byte.
    """

    authorities: tuple[x509.Certificate, ...] = ()
    signers: tuple[x509.Certificate, ...] = ()

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read authorities and signers of one file and tell them apart by Basic Constraints (RFC 5280 4.2.1.9).

        Raises
        ------
        CmsKeyError
            If the file cannot be read or holds no certificate.
        """
        found = read_certificates(path)
        return cls(
            tuple(one for one in found if _is_authority(one)), tuple(one for one in found if not _is_authority(one))
        )

    def check(self, signer: x509.Certificate, others: Sequence[x509.Certificate], at: datetime) -> None:
        """Refuse a signer who is neither named nor vouched for by a path of certificates (RFC 5280 section 6).

        Revocation is not looked up.

        Parameters
        ----------
        signer
            Whose signature it is.
        others
            Certificates that came with it, from which the path is built; not trusted.
        at
            When the path must have been valid.

        Raises
        ------
        WrongSignerError
            If there is no such path.
        """
        if signer in self.signers:
            return
        try:
            self._verifier(at).verify(signer, list(others))
        except verification.VerificationError as error:
            raise WrongSignerError(
                f"the signer's certificate {fingerprint(signer)} is not among those trusted, and no trusted authority "
                "vouched for it when it signed; check who sent this, then name the authority or the signer"
            ) from error

    def _verifier(self, at: datetime) -> verification.ClientVerifier:
        if not self.authorities:
            raise verification.VerificationError("no authority")
        authority = (
            verification.ExtensionPolicy.permit_all()
            .require_present(x509.BasicConstraints, verification.Criticality.AGNOSTIC, None)
            .may_be_present(x509.KeyUsage, verification.Criticality.AGNOSTIC, _may_sign_certificates)
        )
        return (
            verification.PolicyBuilder()
            .store(verification.Store(list(self.authorities)))
            .time(at.astimezone(UTC).replace(tzinfo=None))
            .extension_policies(ca_policy=authority, ee_policy=verification.ExtensionPolicy.permit_all())
            .build_client_verifier()
        )


def check_recipient(certificate: x509.Certificate, at: datetime) -> None:
    """Refuse to seal for a certificate that must not be used so.

    Parameters
    ----------
    certificate
        Of a recipient.
    at
        When something is sealed, with its zone.

    Raises
    ------
    WeakCryptographyError
        If its key is not RSA of at least `MODULUS_BITS`.
    CertificateNotYetValidError, CertificateExpiredError
        If it is not valid then.
    KeyUsageError
        If its Key Usage (RFC 5280 4.2.1.3) is absent or does not say keyEncipherment.
    """
    rsa_key(certificate)
    _check_time(certificate, at)
    usage = _usage(certificate)
    if usage is None or not usage.key_encipherment:
        raise KeyUsageError(
            f"certificate {fingerprint(certificate)} is not for key encipherment; ask the recipient for one that is"
        )


def check_signer(certificate: x509.Certificate, at: datetime) -> None:
    """Refuse a signature, to be made or made before, by a certificate that must not be used so.

    Parameters
    ----------
    certificate
        Of the signer.
    at
        When it signs or signed, with its zone.

    Raises
    ------
    WeakCryptographyError
        If its key is not RSA of at least `MODULUS_BITS`.
    CertificateNotYetValidError, CertificateExpiredError
        If it is not valid then.
    KeyUsageError
        If its Key Usage (RFC 5280 4.2.1.3) is absent or does not say digitalSignature.
    """
    rsa_key(certificate)
    _check_time(certificate, at)
    usage = _usage(certificate)
    if usage is None or not usage.digital_signature:
        raise KeyUsageError(f"certificate {fingerprint(certificate)} is not for digital signatures; sign with another")


def rsa_key(certificate: x509.Certificate) -> rsa.RSAPublicKey:
    """Public key of a certificate.

    Raises
    ------
    WeakCryptographyError
        If it is not RSA of at least `MODULUS_BITS`.
    """
    try:
        key = certificate.public_key()
    except (ValueError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, rsa.RSAPublicKey):
        raise WeakCryptographyError(
            f"the key of certificate {fingerprint(certificate)} is not RSA, which PS3.15 D.1 asks for; use another"
        )
    if key.key_size < MODULUS_BITS:
        raise WeakCryptographyError(
            f"the RSA key of certificate {fingerprint(certificate)} has {key.key_size} bits; "
            f"use one of at least {MODULUS_BITS}"
        )
    return key


def fingerprint(certificate: x509.Certificate) -> str:
    """First 16 hexadecimal digits of the SHA-256 of a certificate, as ``openssl x509 -fingerprint -sha256`` begins."""
    return hashlib.sha256(certificate.public_bytes(Encoding.DER)).hexdigest()[:16]


def read_certificates(path: Path) -> tuple[x509.Certificate, ...]:
    """Read all certificates of a PEM file, or the one of a DER file.

    Raises
    ------
    CmsKeyError
        If the file cannot be read or holds none.
    """
    try:
        data = path.read_bytes()
        if b"-----BEGIN" in data:
            return tuple(x509.load_pem_x509_certificates(data))
        return (x509.load_der_x509_certificate(data),)
    except OSError as error:
        raise CmsKeyError(f"{path} cannot be read: {error.strerror}; give a file of certificates") from error
    except ValueError as error:
        raise CmsKeyError(f"{path} holds no certificate; give one in PEM or DER") from error


def _check_time(certificate: x509.Certificate, at: datetime) -> None:
    if at < certificate.not_valid_before_utc:
        raise CertificateNotYetValidError(
            f"certificate {fingerprint(certificate)} is valid from {certificate.not_valid_before_utc:%Y-%m-%d %H:%M} "
            f"UTC on, and was to be used at {at.astimezone(UTC):%Y-%m-%d %H:%M}; check the clock or use another"
        )
    if at > certificate.not_valid_after_utc:
        raise CertificateExpiredError(
            f"certificate {fingerprint(certificate)} expired at {certificate.not_valid_after_utc:%Y-%m-%d %H:%M} UTC "
            f"and was to be used at {at.astimezone(UTC):%Y-%m-%d %H:%M}; use another"
        )


def _usage(certificate: x509.Certificate) -> x509.KeyUsage | None:
    try:
        return certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    except (x509.ExtensionNotFound, x509.DuplicateExtension, ValueError):
        return None


def _is_authority(certificate: x509.Certificate) -> bool:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except (x509.ExtensionNotFound, x509.DuplicateExtension, ValueError):
        return False


def _may_sign_certificates(
    _policy: verification.Policy, _certificate: x509.Certificate, usage: x509.KeyUsage | None
) -> None:
    """Key Usage of an authority, where it has one, must say keyCertSign (RFC 5280 4.2.1.3)."""
    if usage is not None and not usage.key_cert_sign:
        raise ValueError("not for signing certificates")
