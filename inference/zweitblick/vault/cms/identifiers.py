"""How a certificate is named in the Cryptographic Message Syntax."""

from asn1crypto import cms
from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding


def parsed(certificate: x509.Certificate) -> asn1_x509.Certificate:
    """Return asn1crypto's view of a certificate, for its own structures."""
    return asn1_x509.Certificate.load(certificate.public_bytes(Encoding.DER))


def is_named_by(identifier: cms.SignerIdentifier | cms.RecipientIdentifier, certificate: x509.Certificate) -> bool:
    """Tell whether an identifier, by issuer and serial number or by Subject Key Identifier, is of a certificate.

    See RFC 5652 sections 5.3 and 6.2.1.

    Raises
    ------
    ValueError
        If the identifier is malformed.
    """
    ours = parsed(certificate)
    if identifier.name == "issuer_and_serial_number":
        named = identifier.chosen
        return bool(
            named["issuer"].dump() == ours.issuer.dump() and named["serial_number"].native == ours.serial_number
        )
    return bool(ours.key_identifier is not None and identifier.chosen.native == ours.key_identifier)
