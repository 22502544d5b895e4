"""How the DICOM server listens; safe by default."""

import ipaddress
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field

from zweitblick.dicom.identity import is_ae_title
from zweitblick.errors import DimseSettingError


@dataclass(frozen=True)
class ListenerConfig:
    """Where and to whom the server listens.

    Anything but a loopback address needs ``ae_title``, ``calling_ae_titles`` and ``tls``.

    Parameters
    ----------
    host
        IP address to listen on.
    port
        0 takes a free one.
    ae_title
        The called AE title that senders must use; None takes any.
    calling_ae_titles
        Senders that may associate; empty takes any.
    client_certificates
        By calling AE title, what certificate its sender must show; see `zweitblick.dimse.identity.is_bound`.
    tls
        As `zweitblick.tls.server_context` builds it; None listens without TLS.
    maximum_associations
        More at once are rejected with "local limit exceeded" (PS3.8 table 9-21).
    maximum_pdu_bytes
        Longest P-DATA-TF that is taken (PS3.8 annex D.1).
    maximum_instance_bytes
        A longer data set is refused with 0xC001. An association holds two at most, one being served and one received.
    maximum_held_bytes
        All data sets of more than 1 MiB that are held at once have no more together, or no more than
        ``maximum_instance_bytes`` if that is more; one that would go beyond is refused with 0xA700. While they are
        sealed they take as much again.
    acse_timeout_s
        Patience for the association request, and for each step of a TLS handshake.
    network_timeout_s
        Patience for a silent peer, and for a PDU that does not end. A DIMSE timeout is for who waits for a response,
        which a provider does not.
    reuse_port
        Several processes listen on one port (SO_REUSEPORT) and the system spreads the connections.

    Raises
    ------
    DimseSettingError
        If a value is out of range, or the address is reachable from elsewhere and not protected.
    """

    host: str = "127.0.0.1"
    port: int = 11112
    ae_title: str | None = None
    calling_ae_titles: frozenset[str] = frozenset()
    client_certificates: Mapping[str, str] = field(default_factory=dict)
    tls: ssl.SSLContext | None = field(default=None, repr=False)
    maximum_associations: int = 32
    maximum_pdu_bytes: int = 2**17
    maximum_instance_bytes: int = 2**30
    maximum_held_bytes: int = 2**31
    acse_timeout_s: float = 30.0
    network_timeout_s: float = 60.0
    reuse_port: bool = False

    def __post_init__(self) -> None:
        _check_range("port", self.port, 0, 65535)
        _check_range("maximum_associations", self.maximum_associations, 1, 4096)
        _check_range("maximum_pdu_bytes", self.maximum_pdu_bytes, 2**12, 2**20)
        _check_range("maximum_instance_bytes", self.maximum_instance_bytes, 2**10, 2**32)
        _check_range("maximum_held_bytes", self.maximum_held_bytes, 2**10, 2**40)
        for name in ("acse_timeout_s", "network_timeout_s"):
            _check_range(name, getattr(self, name), 0.01, 86400.0)
        for title in self.calling_ae_titles:
            _check_title("calling_ae_titles", title)
        if self.ae_title is not None:
            _check_title("ae_title", self.ae_title)
        if self.client_certificates and (self.tls is None or self.tls.verify_mode is not ssl.CERT_REQUIRED):
            raise DimseSettingError("client_certificates needs TLS that asks senders for certificates; set client_cas")
        if not _is_loopback(self.host):
            self._check_protected()

    def _check_protected(self) -> None:
        given = {"ae_title": self.ae_title, "calling_ae_titles": self.calling_ae_titles, "tls": self.tls}
        for name, value in given.items():
            if not value:
                raise DimseSettingError(
                    f"{name} is not set and host {self.host} can be reached from elsewhere; set {name}, or listen on "
                    "127.0.0.1"
                )


def cannot_listen(host: str, port: int, error: OSError) -> DimseSettingError:
    """Return what to raise where an address is not to be had."""
    return DimseSettingError(f"cannot listen on {host} port {port}: {error.strerror}; choose another or stop its user")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        raise DimseSettingError(f"host is {host!r} and no IP address; give one such as 127.0.0.1") from None


def _check_range(name: str, value: float, least: float, most: float) -> None:
    if not least <= value <= most:
        raise DimseSettingError(f"{name} is {value}; give {least} to {most}")


def _check_title(name: str, title: str) -> None:
    if not is_ae_title(title):
        raise DimseSettingError(
            f"{name} has {title!r}; an AE title is 1 to 16 ASCII characters without backslash or outer spaces"
        )
