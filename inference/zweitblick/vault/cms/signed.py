"""SignedData (RFC 5652 section 5): a content, its signature and the signer's certificate in one structure."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from asn1crypto import cms
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256, SHA384, SHA512, HashAlgorithm

from zweitblick.errors import AlteredError, CertificateNotYetValidError, CmsKeyError
from zweitblick.vault.cms.certificates import Trust, check_signer, fingerprint, rsa_key
from zweitblick.vault.cms.identifiers import is_named_by, parsed
from zweitblick.vault.cms.keys import Signer
from zweitblick.vault.cms.malformed import MALFORMED

CLOCK_SKEW = timedelta(minutes=5)
"""By so much the clocks of signer and reader may differ (Kerberos' default, RFC 4120 section 8.2)."""

_HASHES: dict[str, type[HashAlgorithm]] = {"sha256": SHA256, "sha384": SHA384, "sha512": SHA512}


@dataclass(frozen=True)
class SignedContent:
    """A content whose signature was verified.

    Parameters
    ----------
    content
        What was signed, byte for byte.
    signer
        Certificate of who signed.
    signed_at
        When, as the signer says.
    """

    content: bytes = field(repr=False)
    signer: x509.Certificate
    signed_at: datetime


def signed(content: bytes, signer: Signer, *, at: datetime) -> bytes:
    """Sign a content.

    RSA (PKCS #1 v1.5) with SHA-256. The signed attributes are content type, message digest and signing time
    (RFC 5652 section 11).

    Parameters
    ----------
    content
        Any bytes; they are part of the result.
    signer
        Has the key; its certificate is part of the result.
    at
        Signing time, with its zone; to the second.

    Returns
    -------
    DER of a ContentInfo of SignedData.

    Raises
    ------
    WeakCryptographyError, CertificateNotYetValidError, CertificateExpiredError, KeyUsageError
        If the signer's certificate must not be used so; see `zweitblick.vault.cms.certificates.check_signer`.
    CmsKeyError
        If the signer signs with another key than that of its certificate.
    KeyHolderError
        If the signer's key cannot be reached.
    """
    attributes = _attributes(content, at)
    signature = checked_signature(attributes.dump(), signer, at=at)
    return _content_info(content, signer.certificate, attributes, signature)


def checked_signature(data: bytes, signer: Signer, *, at: datetime) -> bytes:
    """Sign bytes (RSA, PKCS #1 v1.5, SHA-256), and see that the signature fits the signer's certificate.

    Raises
    ------
    WeakCryptographyError, CertificateNotYetValidError, CertificateExpiredError, KeyUsageError
        If the signer's certificate must not be used so; see `zweitblick.vault.cms.certificates.check_signer`.
    CmsKeyError
        If the signer signs with another key than that of its certificate.
    KeyHolderError
        If the signer's key cannot be reached.
    """
    certificate = signer.certificate
    check_signer(certificate, at)
    signature = signer.sign(data)
    try:
        rsa_key(certificate).verify(signature, data, PKCS1v15(), SHA256())
    except InvalidSignature as error:
        raise CmsKeyError(
            f"what was signed does not fit certificate {fingerprint(certificate)}; give the key and its certificate"
        ) from error
    return signature


def verified(data: bytes, trust: Trust, *, at: datetime) -> SignedContent:
    """Verify a signed content.

    The certificate of the signer must have been valid when it signed, by the signer's own word: who has stolen a key
    can date back to before it expired.

    Parameters
    ----------
    data
        DER of a ContentInfo of SignedData with one signer; bytes behind it are not looked at, since DICOM pads to even
        length.
    trust
        Whose signature is taken.
    at
        The time now, with its zone.

    Raises
    ------
    AlteredError
        If structure, digest or signature is wrong in any way.
    WeakCryptographyError, CertificateExpiredError, CertificateNotYetValidError, KeyUsageError
        If the signature is sound, but its certificate must not be used so.
    WrongSignerError
        If the signature is sound, but not of anybody trusted.
    """
    try:
        found, others = _found(data)
    except (*MALFORMED, InvalidSignature, UnsupportedAlgorithm, x509.InvalidVersion):
        raise AlteredError from None
    check_signed(found, others, trust, at=at)
    return found


def check_signed(found: SignedContent, others: Sequence[x509.Certificate], trust: Trust, *, at: datetime) -> None:
    """Refuse a sound signature that is not good enough: of the future, by a wrong certificate, or by a stranger.

    Parameters
    ----------
    found
        Whose signature was verified.
    others
        Certificates that came with it; not trusted.
    trust
        Whose signature is taken.
    at
        The time now, with its zone.

    Raises
    ------
    WeakCryptographyError, CertificateExpiredError, CertificateNotYetValidError, KeyUsageError
        If the certificate must not be used so.
    WrongSignerError
        If nobody trusted signed.
    """
    if found.signed_at > at + CLOCK_SKEW:
        raise CertificateNotYetValidError(
            f"the signature is of {found.signed_at:%Y-%m-%d %H:%M} UTC, later than this clock's; check both clocks"
        )
    check_signer(found.signer, found.signed_at)
    trust.check(found.signer, others, found.signed_at)


def _attributes(content: bytes, at: datetime) -> cms.CMSAttributes:
    moment = at.astimezone(UTC).replace(microsecond=0)
    # UTCTime ends with 2049 (RFC 5652 section 11.3).
    time = cms.Time(name="utc_time" if moment.year < 2050 else "generalized_time", value=moment)
    return cms.CMSAttributes(
        [
            cms.CMSAttribute({"type": "content_type", "values": ["data"]}),
            cms.CMSAttribute({"type": "message_digest", "values": [hashlib.sha256(content).digest()]}),
            cms.CMSAttribute({"type": "signing_time", "values": [time]}),
        ]
    )


def _content_info(
    content: bytes, certificate: x509.Certificate, attributes: cms.CMSAttributes, signature: bytes
) -> bytes:
    ours = parsed(certificate)
    signer_info = cms.SignerInfo(
        {
            "version": "v1",
            "sid": cms.SignerIdentifier(
                name="issuer_and_serial_number",
                value={"issuer": ours.issuer, "serial_number": ours.serial_number},
            ),
            "digest_algorithm": {"algorithm": "sha256"},
            "signed_attrs": attributes,
            "signature_algorithm": {"algorithm": "rsassa_pkcs1v15"},
            "signature": signature,
        }
    )
    signed_data = cms.SignedData(
        {
            "version": "v1",
            "digest_algorithms": [{"algorithm": "sha256"}],
            "encap_content_info": {"content_type": "data", "content": content},
            "certificates": [ours],
            "signer_infos": [signer_info],
        }
    )
    result: bytes = cms.ContentInfo({"content_type": "signed_data", "content": signed_data}).dump()
    return result


def _found(data: bytes) -> tuple[SignedContent, list[x509.Certificate]]:
    """Take everything out and verify the signature with the certificate that came with it."""
    info = cms.ContentInfo.load(data)
    signed_data = info["content"]
    encapsulated = signed_data["encap_content_info"]
    if (info["content_type"].native, encapsulated["content_type"].native) != ("signed_data", "data"):
        raise AlteredError
    content = bytes(encapsulated["content"])
    (signer_info,) = signed_data["signer_infos"]
    certificates = [_certificate(one) for one in signed_data["certificates"]]
    signer = next(one for one in certificates if is_named_by(signer_info["sid"], one))
    signed_at = _checked_attributes(signer_info, content)
    _check_signature(signer_info, signer)
    return SignedContent(content, signer, signed_at), certificates


def _certificate(carried: cms.CertificateChoices) -> x509.Certificate:
    if carried.chosen.serial_number <= 0:  # RFC 5280 section 4.1.2.2; cryptography only warns
        raise AlteredError
    return x509.load_der_x509_certificate(carried.chosen.dump())


def _checked_attributes(signer_info: cms.SignerInfo, content: bytes) -> datetime:
    """Check content type and digest, and return the signing time; each of the three is there once (RFC 5652 11).

    They are asked for, since a signature without them could be passed off as one of other content (Strenzke,
    "ForgedAttributes", 2023).
    """
    values: dict[str, list[object]] = {}
    for attribute in signer_info["signed_attrs"]:
        values.setdefault(attribute["type"].native, []).extend(value.native for value in attribute["values"])
    (content_type,), (digest,), (signed_at,) = (
        values[name] for name in ("content_type", "message_digest", "signing_time")
    )
    expected = hashlib.new(_digest_name(signer_info), content).digest()
    if content_type != "data" or digest != expected or not isinstance(signed_at, datetime):
        raise AlteredError
    return signed_at.astimezone(UTC)


def _check_signature(signer_info: cms.SignerInfo, signer: x509.Certificate) -> None:
    digest, key = _digest_name(signer_info), signer.public_key()
    algorithm = signer_info["signature_algorithm"]["algorithm"].native
    if algorithm not in ("rsassa_pkcs1v15", f"{digest}_rsa") or not isinstance(key, rsa.RSAPublicKey):
        raise AlteredError
    # Signed is the SET OF itself, not what it is tagged as in the structure (RFC 5652 section 5.4).
    attributes = b"\x31" + signer_info["signed_attrs"].dump()[1:]
    key.verify(signer_info["signature"].native, attributes, PKCS1v15(), _HASHES[digest]())


def _digest_name(signer_info: cms.SignerInfo) -> str:
    name: str = signer_info["digest_algorithm"]["algorithm"].native
    if name not in _HASHES:
        raise AlteredError
    return name
