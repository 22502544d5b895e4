"""Audit messages as syslog has them (RFC 5424), in frames for TLS (RFC 5425), as PS3.15 section A.6 asks."""

import re
import ssl
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as ET

from zweitblick.audit.reader import Recorded
from zweitblick.errors import SyslogSettingError

PORT = 6514
"""Of syslog over TLS (RFC 5425 section 4.1)."""

AUDIT_MESSAGE = "DICOM+RFC3881"
"""MSGID of an audit message (PS3.15 section A.6)."""

HEAD_MESSAGE = "ZWEITBLICK+HEAD"
"""MSGID of a signed head, as JSON; a connection may carry messages of other kinds too (section A.6, note 1)."""

MOST_SEQUENCE_ID = 2147483647
"""After it sequenceId begins at 1 again (RFC 5424 section 7.3.1)."""

CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"
"""For TLS 1.2: forward secrecy and AEAD only (RFC 9325 section 4.2); those of TLS 1.3 are so by themselves."""

_AUTHPRIV = 10
"""Facility: security/authorization messages."""
_NOTICE, _WARNING = 5, 4
_BOM = b"\xef\xbb\xbf"
_NOT_PRINTABLE = re.compile(r"[^\x21-\x7e]")
_APP_NAME = "zweitblick"


@dataclass(frozen=True)
class Origin:
    """Who sends.

    Parameters
    ----------
    host
        Name of this machine.
    process_id
        Of this process.
    """

    host: str
    process_id: int


@dataclass(frozen=True)
class Receiver:
    """Where messages go.

    Parameters
    ----------
    host, port
        Name or IP address, which the receiver's certificate must name, and port.
    context
        From `client_context`.
    """

    host: str
    port: int
    context: ssl.SSLContext


def client_context(certificate: Path, key: Path, *, authorities: Path) -> ssl.SSLContext:
    """Build a client's context for mutual TLS (RFC 5425 section 4.2): TLS 1.2 or later, both sides named.

    Parameters
    ----------
    certificate, key
        PEM files of our certificate, followed by its intermediate ones, and of its private key, not encrypted.
    authorities
        PEM file of those that vouch for the receiver. No others are trusted.

    Raises
    ------
    SyslogSettingError
        If a file cannot be read or does not fit the others.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    context.set_ciphers(CIPHERS)
    try:
        # An empty password: OpenSSL would otherwise ask for one at the terminal.
        context.load_cert_chain(certificate, key, password=bytes)
        context.load_verify_locations(authorities)
    except OSError as error:  # ssl.SSLError is one
        raise SyslogSettingError(
            f"{certificate}, {key} and {authorities} are no certificate, its key and authorities "
            f"({error.strerror or type(error).__name__}); give PEM files, the key unencrypted"
        ) from error
    return context


def audit_frame(recorded: Recorded, origin: Origin) -> bytes:
    """Write an audit message as a frame; its number is the sequenceId, by which a repeated one is known."""
    event = ET.fromstring(recorded.message)[0]  # noqa: S314 -- sealed by us
    severity = _NOTICE if event.get("EventOutcomeIndicator") == "0" else _WARNING
    at = event.get("EventDateTime", "-")
    sequence = (recorded.number - 1) % MOST_SEQUENCE_ID + 1
    header = _header(origin, severity, at, AUDIT_MESSAGE)
    return _framed(f'{header} [meta sequenceId="{sequence}"] '.encode() + _BOM + recorded.message)


def head_frame(recorded: Recorded, origin: Origin) -> bytes:
    """Write the signed head of the trail up to a message as a frame."""
    header = _header(origin, _NOTICE, "-", HEAD_MESSAGE)
    return _framed(f"{header} - ".encode() + _BOM + recorded.head.json())


def _header(origin: Origin, severity: int, at: str, message_id: str) -> str:
    host = _NOT_PRINTABLE.sub("", origin.host)[:255] or "-"
    return f"<{_AUTHPRIV * 8 + severity}>1 {at} {host} {_APP_NAME} {origin.process_id} {message_id}"


def _framed(message: bytes) -> bytes:
    """Put the number of octets before a message (RFC 5425 section 4.3)."""
    return b"%d %s" % (len(message), message)
