"""Sealed as JOSE: a content, signed (JWS, RFC 7515) and then encrypted for one recipient (JWE, RFC 7516), both compact.

For receivers of FHIR that know no CMS. The encryption alone would tell nobody who wrote it, so the signature is inside.
"""

import base64
import hashlib
import json
from datetime import UTC, datetime

from cryptography import x509
from cryptography.exceptions import InvalidTag, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding
from joserfc import jwe, jws
from joserfc.errors import JoseError
from joserfc.jwk import RSAKey
from joserfc.registry import HeaderParameter

from zweitblick.errors import AlteredError, CmsFormatError, NotForUsError
from zweitblick.vault.cms.certificates import Trust, check_recipient, fingerprint, rsa_key
from zweitblick.vault.cms.keys import FileKey, Signer
from zweitblick.vault.cms.malformed import MALFORMED
from zweitblick.vault.cms.signed import SignedContent, check_signed, checked_signature

KEY_TRANSPORT, CIPHER, SIGNATURE = "RSA-OAEP-256", "A256GCM", "RS256"
"""Algorithms of RFC 7518; no other is read. An HSM's signers speak PKCS #1 v1.5."""

MOST_BYTES = 2**26
"""Longest that is opened, encoded; a report is a thousandth of it."""

_RSA_BYTES = 2**12
"""Room for what RSA keys of up to 16384 bits encrypt or sign, encoded."""

BEGINNING = b"eyJ"
"""Of a compact JWE: of the header's first two characters, ``{"``, in base64url."""

_NESTED = "JOSE"
"""Content type of a JWE around a JWS (RFC 7515 section 4.1.9)."""

_WRONG = (JoseError, InvalidTag, UnsupportedAlgorithm, x509.InvalidVersion, OSError, AssertionError, *MALFORMED)
"""What joserfc, certificates and times raise on damaged input."""


class _Encryption(jwe.JWERegistry):
    """One key transport, one cipher, no compression, and room for a report."""

    max_ciphertext_length = MOST_BYTES
    max_encrypted_key_length = _RSA_BYTES

    def __init__(self) -> None:
        super().__init__(algorithms=[KEY_TRANSPORT, CIPHER])


class _Signature(jws.JWSRegistry):
    """One algorithm, room for a report and a chain of certificates, and the signing time."""

    max_header_length = 2**16
    max_payload_length = MOST_BYTES
    max_signature_length = _RSA_BYTES

    def __init__(self) -> None:
        time = HeaderParameter("Claimed signing time (ETSI TS 119 182-1 section 5.1.11)", "int")
        super().__init__(header_registry={"iat": time}, algorithms=[SIGNATURE])


def sealed_jwe(
    content: bytes, recipient: x509.Certificate, signer: Signer, *, at: datetime, content_type: str
) -> bytes:
    """Sign a content and encrypt it for a recipient.

    Parameters
    ----------
    content
        Any bytes.
    recipient
        Certificate of who may open it.
    signer
        Who answers for it; its certificate is part of the result (``x5c``).
    at
        The time now, with its zone; it is the signing time too.
    content_type
        Media type of the content, without ``application/``.

    Returns
    -------
    ASCII, of five parts.

    Raises
    ------
    CmsError
        If a certificate must not be used so; see `zweitblick.vault.cms.certificates`.
    KeyHolderError
        If the signer's key cannot be reached.
    """
    check_recipient(recipient, at)
    chain = [base64.b64encode(signer.certificate.public_bytes(Encoding.DER)).decode()]
    header = {"alg": SIGNATURE, "cty": content_type, "x5c": chain, "iat": int(at.timestamp())}
    part = _encoded(json.dumps(header).encode()) + b"." + _encoded(content)
    token = part + b"." + _encoded(checked_signature(part, signer, at=at))
    protected = {"alg": KEY_TRANSPORT, "enc": CIPHER, "cty": _NESTED, "x5t#S256": _thumbprint(recipient)}
    return jwe.encrypt_compact(protected, token, _key(rsa_key(recipient)), registry=_Encryption()).encode()


def opened_jwe(data: bytes, recipient: FileKey, trust: Trust, *, at: datetime) -> SignedContent:
    """Decrypt a content and verify its signature; nothing is given out before.

    Parameters
    ----------
    data
        As `sealed_jwe` gives it; white space around it is not looked at.
    recipient
        For whom it was encrypted. The key must be in a file: HSMs that offer OAEP with SHA-256 are rare.
    trust
        Whose signature is taken.
    at
        The time now, with its zone.

    Raises
    ------
    CmsFormatError
        If it is no compact JWE, or too long.
    NotForUsError
        If it names another certificate.
    AlteredError
        If anything inside is wrong; what, is not told. Another algorithm, or compression, is wrong too.
    WrongSignerError, WeakCryptographyError, CertificateExpiredError, CertificateNotYetValidError, KeyUsageError
        If the signature is sound and not good enough.
    """
    data = data.strip()
    _check_recipient(data, recipient)
    try:
        found = jwe.decrypt_compact(data, _key(recipient.key), registry=_Encryption())
        token = found.plaintext or b""
        signed = jws.extract_compact(token, registry=_Signature())
        header = signed.headers()
        chain = [x509.load_der_x509_certificate(base64.b64decode(one, validate=True)) for one in header["x5c"]]
        is_sound = jws.validate_compact(signed, _key(rsa_key(chain[0])), registry=_Signature())
        signed_at = datetime.fromtimestamp(header["iat"], UTC)
    except _WRONG:
        raise AlteredError from None
    if not is_sound:
        raise AlteredError
    content = SignedContent(signed.payload, chain[0], signed_at)
    check_signed(content, chain[1:], trust, at=at)
    return content


def _check_recipient(data: bytes, recipient: FileKey) -> None:
    try:
        if len(data) > MOST_BYTES:
            raise ValueError
        header_part, *others = data.split(b".")
        header = json.loads(base64.urlsafe_b64decode(header_part + b"=" * (-len(header_part) % 4)))
        named = str(header["x5t#S256"])
        if len(others) != 4:
            raise ValueError
    except MALFORMED as error:
        raise CmsFormatError(
            "this is no compact JWE for a certificate, or not all of it, or too long; give a whole .jwe file"
        ) from error
    if named != _thumbprint(recipient.certificate):
        raise NotForUsError(
            f"this was not sealed for certificate {fingerprint(recipient.certificate)}; give the recipient's key and "
            "certificate"
        )


def _key(key: rsa.RSAPublicKey | rsa.RSAPrivateKey) -> RSAKey:
    return RSAKey(key, key)


def _thumbprint(certificate: x509.Certificate) -> str:
    """X.509 certificate SHA-256 thumbprint (RFC 7516 section 4.1.8)."""
    return _encoded(hashlib.sha256(certificate.public_bytes(Encoding.DER)).digest()).decode()


def _encoded(data: bytes) -> bytes:
    """Base64url without padding (RFC 7515 section 2)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=")
