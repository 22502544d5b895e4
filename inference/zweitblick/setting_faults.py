"""Faults of settings together, each named by its key."""

import ipaddress
from collections.abc import Mapping, Sequence
from typing import Any

from zweitblick.access_settings import access_faults
from zweitblick.delivery.route import Route
from zweitblick.key_settings import without_holder
from zweitblick.peers.destination import StoreDestination
from zweitblick.receipt_settings import half_a_receipt_key
from zweitblick.sealing_settings import without_signer

_PASSWORD = "PGPASSWORD"  # noqa: S105 -- the name of a variable
"""Variable from which libpq takes a password (PostgreSQL 17, section 32.15)."""


def faults_together(values: Mapping[str, Any], found: Sequence[Route], environment: Mapping[str, str]) -> list[str]:
    """Return the faults of values that are right by themselves.

    Parameters
    ----------
    values
        By key, as they were read.
    found
        Destinations without a fault of their own.
    environment
        Variables by name.
    """
    return [
        *_unsafe(values),
        *_databases(values),
        *without_holder(values),
        *_half_a_syslog(values),
        *access_faults(values),
        *_password_variable(environment),
        *without_signer(values),
        *half_a_receipt_key(values),
        *_unreached(values, found),
    ]


def _unsafe(values: Mapping[str, Any]) -> list[str]:
    """Faults of settings together: whoever can be reached from elsewhere knows and protects its senders."""
    faults = []
    if "dicom.host" in values and not _is_loopback(values["dicom.host"]):
        needed = ("dicom.ae_title", "dicom.calling_ae_titles", "dicom.certificate", "dicom.key")
        faults += [
            f"{key} must be set, since dicom.host {values['dicom.host']} can be reached from elsewhere"
            for key in needed
            if not values.get(key)
        ]
    if "http.host" in values and not _is_loopback(values["http.host"]):
        faults.append(
            f"http.host: {values['http.host']} can be reached from elsewhere without TLS; set 127.0.0.1 and let a "
            "proxy with TLS pass requests on"
        )
    if ("dicom.certificate" in values) != ("dicom.key" in values):
        faults.append("dicom.certificate and dicom.key go together; set both or none")
    if "dicom.client_cas" in values and "dicom.certificate" not in values:
        faults.append("dicom.client_cas needs TLS; set dicom.certificate and dicom.key too")
    if "dicom.client_certificates" in values and "dicom.client_cas" not in values:
        faults.append("dicom.client_certificates needs dicom.client_cas, so that senders show a certificate")
    return faults


def _unreached(values: Mapping[str, Any], found: Sequence[Route]) -> list[str]:
    """Faults of archives whose C-MOVE would not get through to our own DICOM server."""
    faults = []
    for there in (route.destination for route in found if route.priors or route.inputs):
        if not isinstance(there, StoreDestination):
            continue
        if values.get("dicom.ae_title") not in (None, there.calling_ae_title):
            key = f"destinations.{there.name}.calling_ae_title"
            faults.append(f"{key}: {there.calling_ae_title} is not dicom.ae_title, so that nothing could be sent here")
        titles = values.get("dicom.calling_ae_titles")
        if titles and there.called_ae_title not in titles:
            faults.append(f"dicom.calling_ae_titles must have {there.called_ae_title}, which sends studies here")
    return faults


def _databases(values: Mapping[str, Any]) -> list[str]:
    if ("database" in values) != ("keys_database" in values):
        return ["database and keys_database go together; set both or none"]
    if "database" in values and values["database"] == values["keys_database"]:
        return ["keys_database is that of the data; give another, so that no backup of the data holds the keys"]
    return []


def _password_variable(environment: Mapping[str, str]) -> list[str]:
    """Fault of a password in the environment, which all that a process starts inherits."""
    return (
        [f"{_PASSWORD} is a secret in the environment; unset it, and name a file"] if _PASSWORD in environment else []
    )


def _half_a_syslog(values: Mapping[str, Any]) -> list[str]:
    """Faults of a receiver of audit messages that is not wholly described: they name patients."""
    together = [f"audit.syslog_{name}" for name in ("host", "certificate", "key", "cas")]
    missing = [key for key in together if key not in values]
    if len(missing) == len(together):
        return []
    return [f"{key} must be set too, since audit messages go over mutual TLS only" for key in missing]


def _is_loopback(host: str) -> bool:
    return ipaddress.ip_address(host).is_loopback
