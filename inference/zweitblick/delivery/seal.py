"""Seal: in which form results leave the hospital, for whom, and who signs them."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path

from zweitblick.errors import KeyHolderError
from zweitblick.vault.cms.certificates import Recipients, check_recipient, check_signer, read_certificates
from zweitblick.vault.cms.keys import FileKey, Signer
from zweitblick.vault.cms.signed import signed
from zweitblick.vault.keyholders.places import TokenPlace


class Form(StrEnum):
    """What a destination outside of the hospital gets."""

    ENCRYPTED_ATTRIBUTES = "encrypted-attributes"
    """A new instance that an archive files and cannot read (PS3.15 E.1); of structured reports alone."""
    SEALED_FILE = "sealed-file"
    """A Secure DICOM File (PS3.15 D.1), ``.p7m``; of every result."""
    JWE = "jwe"
    """A compact JWE around a JWS (RFC 7516, RFC 7515), for one recipient; of the FHIR bundle alone."""


@dataclass(frozen=True)
class SigningFiles:
    """The RSA key that signs what is sealed, and its certificate: PEM files."""

    key: Path
    certificate: Path

    def signer(self) -> Signer:
        """Read them.

        Raises
        ------
        CmsKeyError
            If a file cannot be used, or the two do not fit.
        """
        return FileKey.read(self.key, self.certificate)


@dataclass(frozen=True)
class SigningToken:
    """The RSA key in an HSM that signs what is sealed, and the file of its certificate.

    Parameters
    ----------
    place
        The token; that of the key-encryption keys.
    label
        Of the private key.
    certificate
        PEM file.
    """

    place: TokenPlace
    label: str
    certificate: Path

    def signer(self) -> Signer:
        """Read the certificate; the HSM is asked when something is signed.

        Raises
        ------
        CmsKeyError
            If the file cannot be used.
        KeyHolderError
            If the extra that this needs is not installed.
        """
        try:
            from zweitblick.vault.cms.pkcs11 import TokenSigner  # noqa: PLC0415 -- an optional extra
        except ImportError as error:
            raise KeyHolderError("sealing.hsm_key needs an extra: pip install 'zweitblick[hsm]'") from error
        return TokenSigner(self.place, self.label, read_certificates(self.certificate)[0])


Signing = SigningFiles | SigningToken


@dataclass(frozen=True)
class Seal:
    """How results are sealed before they go to a destination.

    Parameters
    ----------
    form
        Of what is sent.
    recipients
        Files with the certificates of those who may open it.
    signing
        Who answers for it.
    """

    form: Form
    recipients: tuple[Path, ...]
    signing: Signing

    def parties(self, at: datetime) -> "Parties":
        """Read keys and certificates; each time, so that they may be renewed while the service runs.

        Parameters
        ----------
        at
            The time now, with its zone.

        Raises
        ------
        CmsError
            If a file cannot be used, or a certificate must not be used so then; see
            `zweitblick.vault.cms.certificates.check_recipient` and `~zweitblick.vault.cms.certificates.check_signer`.
            If there are several recipients for a JWE.
        KeyHolderError
            If keys in an HSM cannot be used at all.
        """
        signer = self.signing.signer()
        check_signer(signer.certificate, at)
        recipients = Recipients.read(*self.recipients)
        for certificate in [recipients.only] if self.form is Form.JWE else recipients.certificates:
            check_recipient(certificate, at)
        return Parties(signer, recipients)

    def tried(self, at: datetime) -> "Parties":
        """Read keys and certificates, and sign something.

        Raises
        ------
        CmsError, KeyHolderError
            As from `parties`, and if the signer's key cannot be used or is not that of its certificate.
        """
        parties = self.parties(at)
        signed(b"", parties.signer, at=at)
        return parties


@dataclass(frozen=True)
class Parties:
    """Who signs, and who may open.

    Parameters
    ----------
    signer
        May sign at the time that was asked for.
    recipients
        For each of them may be sealed at that time.
    """

    signer: Signer
    recipients: Recipients
