"""TLS as BCP 195 asks: of a server, and of a client."""

import ssl
from pathlib import Path

from zweitblick.errors import CertificateError

CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"
"""For TLS 1.2: forward secrecy and AEAD only (RFC 9325 section 4.2); those of TLS 1.3 are so by themselves."""


def server_context(certificate: Path, key: Path, *, client_cas: Path | None = None) -> ssl.SSLContext:
    """Build a server's context for the BCP 195 TLS Secure Transport Connection Profile (PS3.15 section B.12).

    TLS 1.2 or later, no compression, no renegotiation.

    Parameters
    ----------
    certificate
        PEM file of our certificate, followed by its intermediate ones.
    key
        PEM file of its private key, not encrypted.
    client_cas
        PEM file of the authorities that vouch for senders; with it, a sender without such a certificate is refused.

    Raises
    ------
    CertificateError
        If a file cannot be read or does not fit the others.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _harden(context)
    _show(context, certificate, key)
    if client_cas is not None:
        _trust(context, client_cas)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def client_context(
    cas: Path | None = None, *, certificate: Path | None = None, key: Path | None = None
) -> ssl.SSLContext:
    """Build a client's context for the same profile; the server's certificate must name its host (RFC 9325 section 6).

    Parameters
    ----------
    cas
        PEM file of the authorities that vouch for the server; those of the system if None.
    certificate, key
        PEM files to show to the server; both or none.

    Raises
    ------
    CertificateError
        If a file cannot be read or does not fit the others.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    _harden(context)
    if cas is None:
        context.load_default_certs()
    else:
        _trust(context, cas)
    if certificate is not None and key is not None:
        _show(context, certificate, key)
    return context


def _harden(context: ssl.SSLContext) -> None:
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    context.set_ciphers(CIPHERS)


def _show(context: ssl.SSLContext, certificate: Path, key: Path) -> None:
    try:
        # An empty password: OpenSSL would otherwise ask for one at the terminal.
        context.load_cert_chain(certificate, key, password=bytes)
    except OSError as error:  # ssl.SSLError is one
        raise CertificateError(
            f"{certificate} and {key} are no certificate and its key: {_reason(error)}; give PEM files, key unencrypted"
        ) from error


def _trust(context: ssl.SSLContext, cas: Path) -> None:
    try:
        context.load_verify_locations(cas)
    except OSError as error:
        raise CertificateError(f"{cas} has no certificates: {_reason(error)}; give a PEM file") from error


def _reason(error: OSError) -> str:
    return (error.reason if isinstance(error, ssl.SSLError) else error.strerror) or type(error).__name__
