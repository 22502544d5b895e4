"""EnvelopedData (RFC 5652 section 6): a content that only its recipients decrypt, and that is not authenticated."""

import secrets
from dataclasses import dataclass
from datetime import datetime

from asn1crypto import cms
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES, AES256
from cryptography.hazmat.primitives.ciphers.modes import CBC
from cryptography.hazmat.primitives.padding import PKCS7
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.hazmat.primitives.serialization.pkcs7 import PKCS7EnvelopeBuilder, PKCS7Options

from zweitblick.errors import AlteredError, CmsFormatError, NotForUsError, WeakCryptographyError
from zweitblick.vault.cms.certificates import Recipients, check_recipient, fingerprint
from zweitblick.vault.cms.identifiers import is_named_by
from zweitblick.vault.cms.keys import Recipient
from zweitblick.vault.cms.malformed import MALFORMED

_KEY_BYTES = {"aes128_cbc": 16, "aes192_cbc": 24, "aes256_cbc": 32}
"""Ciphers that are read. Triple-DES, which PS3.15 D.1 names too, is not: 64-bit blocks collide (SP 800-131A rev. 2)."""


def enveloped(content: bytes, recipients: Recipients, *, at: datetime) -> bytes:
    """Encrypt a content for its recipients.

    AES-256-CBC under a fresh key, which is encrypted for each of them by RSAES-PKCS1-v1_5, the only RSA key transport
    of RFC 3370 section 4.2.1, to which PS3.15 D.1.1 and E.1.1 point. Whoever has a certificate can make one of these:
    it does not tell who did.

    Parameters
    ----------
    content
        Any bytes.
    recipients
        Each of them can decrypt it.
    at
        The time now, with its zone.

    Returns
    -------
    DER of a ContentInfo of EnvelopedData.

    Raises
    ------
    WeakCryptographyError, CertificateNotYetValidError, CertificateExpiredError, KeyUsageError
        If a certificate must not be used so; see `zweitblick.vault.cms.certificates.check_recipient`.
    """
    builder = PKCS7EnvelopeBuilder().set_data(content).set_content_encryption_algorithm(AES256)
    for certificate in recipients.certificates:
        check_recipient(certificate, at)
        builder = builder.add_recipient(certificate)
    return builder.encrypt(Encoding.DER, [PKCS7Options.Binary])


def decrypted(data: bytes, recipient: Recipient) -> bytes:
    """Decrypt a content. It may be anybody's, and altered: what verifies its signature comes next.

    A key that does not decrypt is replaced by a random one, so that there is no telling which step failed
    (RFC 3218 section 2.3.2).

    Parameters
    ----------
    data
        DER of a ContentInfo of EnvelopedData; bytes behind it are not looked at, since DICOM pads to even length.
    recipient
        Has a key for which it was encrypted.

    Returns
    -------
    The content; for one of type signed-data, the ContentInfo of it.

    Raises
    ------
    CmsFormatError
        If it is no EnvelopedData.
    NotForUsError
        If it was encrypted for others.
    WeakCryptographyError
        If the cipher is not AES-CBC or the key transport not RSA.
    AlteredError
        If it does not decrypt.
    KeyHolderError
        If the recipient's key cannot be reached.
    """
    try:
        envelope = _envelope(data, recipient)
    except MALFORMED as error:
        raise CmsFormatError(
            "this is no EnvelopedData of the Cryptographic Message Syntax, or not all of it; give a whole .p7m file"
        ) from error
    key = secrets.token_bytes(envelope.key_bytes)
    try:
        found = recipient.decrypt(envelope.encrypted_key)
        key = found if len(found) == envelope.key_bytes else key
    except AlteredError:
        pass
    return _content(envelope, key)


@dataclass(frozen=True)
class _Envelope:
    """What is needed to decrypt one."""

    content_type: str
    key_bytes: int
    encrypted_key: bytes
    iv: bytes
    ciphertext: bytes


def _envelope(data: bytes, recipient: Recipient) -> _Envelope:
    info = cms.ContentInfo.load(data)
    if info["content_type"].native != "enveloped_data":
        raise CmsFormatError(f"this is {info['content_type'].native}, not enveloped data; give a sealed file")
    envelope = info["content"]
    encrypted = envelope["encrypted_content_info"]
    if encrypted["content_type"].native not in ("data", "signed_data"):
        raise CmsFormatError("what was encrypted is neither data nor signed data; give a sealed file")
    cipher = encrypted["content_encryption_algorithm"]
    if cipher["algorithm"].native not in _KEY_BYTES:
        raise WeakCryptographyError(f"the cipher {cipher['algorithm'].native} is not read; ask the sender for AES-CBC")
    return _Envelope(
        encrypted["content_type"].native,
        _KEY_BYTES[cipher["algorithm"].native],
        _encrypted_key(envelope["recipient_infos"], recipient),
        cipher["parameters"].native,
        encrypted["encrypted_content"].native,
    )


def _encrypted_key(recipient_infos: cms.RecipientInfos, recipient: Recipient) -> bytes:
    for one in recipient_infos:
        if one.name != "ktri" or not is_named_by(one.chosen["rid"], recipient.certificate):
            continue
        transport = one.chosen["key_encryption_algorithm"]["algorithm"].native
        if transport != "rsaes_pkcs1v15":
            raise WeakCryptographyError(f"the key transport {transport} is not read; PS3.15 D.1 asks for PKCS #1 v1.5")
        found: bytes = one.chosen["encrypted_key"].native
        return found
    raise NotForUsError(
        f"this was not sealed for certificate {fingerprint(recipient.certificate)}; give the key and certificate of "
        "a recipient"
    )


def _content(envelope: _Envelope, key: bytes) -> bytes:
    unpadder = PKCS7(AES.block_size).unpadder()
    try:
        decryptor = Cipher(AES(key), CBC(envelope.iv)).decryptor()
        padded = decryptor.update(envelope.ciphertext) + decryptor.finalize()
        content = unpadder.update(padded) + unpadder.finalize()
        if envelope.content_type == "data":
            return content
        inner: bytes = cms.ContentInfo({"content_type": "signed_data", "content": cms.SignedData.load(content)}).dump()
    except MALFORMED:
        raise AlteredError from None
    return inner
