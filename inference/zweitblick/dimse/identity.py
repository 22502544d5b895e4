"""Identity of senders: an AE title is a name that anybody may give; a certificate shows whose it is."""

from collections.abc import Mapping

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.oid import NameOID

COMMON_NAME = "CN="
"""What a binding to a common name begins with; others are SHA-256 fingerprints in hexadecimal."""


def is_bound(title: str, certificate: bytes, bindings: Mapping[str, str]) -> bool:
    """Return whether whoever shows a certificate may use an AE title.

    Parameters
    ----------
    title
        Calling AE title, without padding.
    certificate
        That was shown and is vouched for, as DER; empty if none was.
    bindings
        By AE title, what the certificate must be; who uses another title is not held to one.
    """
    expected = bindings.get(title)
    if expected is None:
        return True
    if not certificate:
        return False
    shown = x509.load_der_x509_certificate(certificate)
    if not expected.startswith(COMMON_NAME):
        return shown.fingerprint(SHA256()).hex() == expected
    names = [one.value for one in shown.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    return names == [expected.removeprefix(COMMON_NAME)]
