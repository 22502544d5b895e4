"""Secure DICOM Files (PS3.10 section 7.4, PS3.15 D.1): one DICOM file, signed and then enveloped."""

from datetime import datetime

from zweitblick.vault.cms.certificates import Recipients, Trust
from zweitblick.vault.cms.enveloped import decrypted, enveloped
from zweitblick.vault.cms.keys import Recipient, Signer
from zweitblick.vault.cms.signed import SignedContent, signed, verified


def sealed_file(content: bytes, recipients: Recipients, signer: Signer, *, at: datetime) -> bytes:
    """Sign a DICOM file and envelop it for its recipients.

    ``openssl cms -decrypt`` and then ``openssl cms -verify`` give the file back. The envelope says content type data,
    as OpenSSL's does, and holds a whole ContentInfo of the signed data: only so does one program's output feed the
    other.

    Parameters
    ----------
    content
        Part 10 bytes; memory grows by some five times their size meanwhile.
    recipients
        Who may open it.
    signer
        Who answers for it.
    at
        The time now, with its zone; it is the signing time too.

    Returns
    -------
    DER, for a file that ends in ``.p7m``.

    Raises
    ------
    CmsError
        If a certificate must not be used so; see `zweitblick.vault.cms.signed.signed` and
        `zweitblick.vault.cms.enveloped.enveloped`.
    KeyHolderError
        If the signer's key cannot be reached.
    """
    return enveloped(signed(content, signer, at=at), recipients, at=at)


def opened_file(data: bytes, recipient: Recipient, trust: Trust, *, at: datetime) -> SignedContent:
    """Decrypt a Secure DICOM File and verify its signature; nothing of it is returned before.

    Its name, and who else may open it, are not signed. Which report it is only the content tells: an old file under a
    new name opens as the old report.

    Parameters
    ----------
    data
        What `sealed_file` or another program made, of content type data or signed-data; memory grows by some six times
        its size meanwhile.
    recipient
        Has a key for which it was sealed.
    trust
        Whose signature is taken.
    at
        The time now, with its zone.

    Raises
    ------
    CmsFormatError, NotForUsError
        If it is no such file, or for others.
    AlteredError
        If anything inside is wrong; what, is not told.
    WrongSignerError, WeakCryptographyError, CertificateExpiredError, CertificateNotYetValidError, KeyUsageError
        If the signature is sound and not good enough.
    KeyHolderError
        If the recipient's key cannot be reached.
    """
    return verified(decrypted(data, recipient), trust, at=at)
