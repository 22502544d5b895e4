"""Settings: one TOML file, and the environment over it. Nothing else of zweitblick reads either.

A key of the file is a variable of the environment: ``dicom.port`` is ``ZWEITBLICK_DICOM_PORT``. Without any settings
the service listens on loopback only.
"""

import os
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from zweitblick.access_settings import READERS as ACCESS_READERS
from zweitblick.access_settings import USUAL_ACCESS, AccessSettings, composed_access
from zweitblick.delivery.route import Route
from zweitblick.delivery.seal import Signing
from zweitblick.delivery.tables import Readers, routes
from zweitblick.errors import SettingsError
from zweitblick.key_settings import READERS, USUAL_KEYS, KeySettings, composed_keys
from zweitblick.receipt_settings import ReceiptSettings, composed_receipts
from zweitblick.sealing_settings import composed_signing
from zweitblick.setting_faults import faults_together
from zweitblick.setting_values import (
    as_certificates,
    as_database,
    as_host,
    as_log_format,
    as_name,
    as_path,
    as_paths,
    as_port,
    as_priorities,
    as_quiet_time,
    as_quiet_times,
    as_receivers,
    as_size_bytes,
    as_switch,
    as_timeout_s,
    as_title,
    as_titles,
    as_url,
    count_of,
)
from zweitblick.study import Priority

PREFIX = "ZWEITBLICK_"
OTLP_ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
"""What OpenTelemetry's own specification calls ``otlp_endpoint``."""


@dataclass(frozen=True)
class DicomSettings:
    """Where and to whom the DICOM server listens.

    Parameters
    ----------
    host, port
        IP address and port; port 0 takes a free one.
    ae_title
        Called AE title that senders must use; None takes any.
    calling_ae_titles
        Senders that may associate; empty takes any.
    certificate, key, client_cas
        PEM files for TLS; `client_cas` asks senders for certificates too.
    receivers
        So many processes receive on the port; 1 is the service's own.
    client_certificates
        By calling AE title, the certificate that its sender must show: SHA-256 fingerprint, or common name.
    maximum_associations, maximum_pdu_bytes, maximum_instance_bytes, maximum_held_bytes
        Limits of each receiver's associations, as `zweitblick.dimse.config.ListenerConfig` has them.
    acse_timeout_s, network_timeout_s
        Their patience, likewise.
    """

    host: str = "127.0.0.1"
    port: int = 11112
    ae_title: str | None = None
    calling_ae_titles: frozenset[str] = frozenset()
    certificate: Path | None = None
    key: Path | None = None
    client_cas: Path | None = None
    receivers: int = 1
    client_certificates: Mapping[str, str] = field(default_factory=dict)
    maximum_associations: int = 32
    maximum_pdu_bytes: int = 2**17
    maximum_instance_bytes: int = 2**30
    maximum_held_bytes: int = 2**31
    acse_timeout_s: float = 30.0
    network_timeout_s: float = 60.0


@dataclass(frozen=True)
class HttpSettings:
    """Where HTTP is served: a loopback address.

    Parameters
    ----------
    host, port
        IP address and port; port 0 takes a free one.
    worker_port
        Of a worker that receives nothing, for its health and metrics; None if it listens nowhere.
    largest_upload_bytes
        A longer body is refused.
    """

    host: str = "127.0.0.1"
    port: int = 8080
    worker_port: int | None = None
    largest_upload_bytes: int = 2 * 2**30


@dataclass(frozen=True)
class AuditSettings:
    """Where the audit trail lies, and where it is sent to.

    Parameters
    ----------
    folder
        Of the trail; None takes ``audit`` in the data folder.
    signing_key
        PEM file of the Ed25519 key that signs it, made if it is not there, with the public key beside it; None takes
        ``audit-key.pem`` beside the key file.
    site
        Name of the hospital or department in audit messages.
    syslog_host, syslog_port
        Receiver of syslog over TLS; None sends nothing.
    syslog_certificate, syslog_key, syslog_cas
        PEM files for mutual TLS with it.
    """

    folder: Path | None = None
    signing_key: Path | None = None
    site: str = ""
    syslog_host: str | None = None
    syslog_port: int = 6514
    syslog_certificate: Path | None = None
    syslog_key: Path | None = None
    syslog_cas: Path | None = None


@dataclass(frozen=True)
class Settings:
    """Everything that can be set.

    Parameters
    ----------
    data
        Folder of the store and of what is under way.
    key_file
        Of the development key holder; outside of the data folder, so that no copy of the data holds it.
    models
        Folder of model bundles; None takes the released ones.
    trusted_keys
        PEM files of public keys whose owners may have signed bundles, besides this project's.
    allow_unsigned_models
        Whether a bundle is used that nobody trusted has signed, or that was altered; reports then say so.
    quiet_time
        How long after an instance more may be on the way.
    quiet_times
        The same by calling AE title, where it differs.
    priorities
        By calling AE title, where a sender's studies are more urgent than routine.
    largest_study_bytes
        A study whose MR instances have more is not read: they are held in memory as a whole, of two studies at once.
    database, keys_database
        URLs of the store's two PostgreSQL databases, which any number of processes may share; None for SQLite in the
        data folder. Passwords are in files that they name.
    dicom, http
        Where to listen.
    access
        Who is let in over HTTP.
    audit
        Where the audit trail lies and goes.
    routes
        Where results go.
    sealing
        Signs what leaves the hospital; None if nothing does.
    receipts
        Signs receipts in the HSM; None if the audit trail's key signs them.
    keys
        Who keeps the key-encryption keys.
    log_format
        One of `LOG_FORMATS`.
    otlp_endpoint
        URL that traces are sent to, by OTLP over HTTP; None sends none.
    """

    data: Path
    key_file: Path
    models: Path | None = None
    trusted_keys: tuple[Path, ...] = ()
    allow_unsigned_models: bool = False
    quiet_time: timedelta = timedelta(seconds=30)
    quiet_times: Mapping[str, timedelta] = field(default_factory=dict)
    priorities: Mapping[str, Priority] = field(default_factory=dict)
    largest_study_bytes: int = 2**31
    database: str | None = field(default=None, repr=False)
    keys_database: str | None = field(default=None, repr=False)
    dicom: DicomSettings = DicomSettings()
    http: HttpSettings = HttpSettings()
    access: AccessSettings = USUAL_ACCESS
    audit: AuditSettings = AuditSettings()
    routes: tuple[Route, ...] = ()
    sealing: Signing | None = None
    receipts: ReceiptSettings | None = None
    keys: KeySettings = USUAL_KEYS
    log_format: str = "console"
    otlp_endpoint: str | None = None


def load_settings(file: Path | None, environment: Mapping[str, str] = os.environ) -> Settings:
    """Read the settings.

    Parameters
    ----------
    file
        TOML file; None for none.
    environment
        Variables by name; those of the process if not given.

    Raises
    ------
    SettingsError
        If the file cannot be read, or for all faults at once, each named by its key.
    """
    faults: list[str] = []
    given = _flat({} if file is None else _parsed(file)) | _from(environment)
    destinations = given.pop("destinations", [])
    values = {key: value for key, raw in given.items() if (value := _read(key, raw, faults)) is not None}
    readers = Readers(as_path, as_port, as_title, as_titles, as_url)
    found = routes(destinations, faults, readers, signing=composed_signing(values))
    faults += faults_together(values, found, environment)
    if faults:
        raise SettingsError("; ".join(faults))
    return replace(_composed(values, environment), routes=found)


def _parsed(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"{file} cannot be read ({error.strerror}); give another --config") from error
    except ValueError as error:  # no TOML, or no UTF-8
        raise SettingsError(f"{file} is no TOML file: {error}") from error


def _flat(tables: Mapping[str, Any]) -> dict[str, Any]:
    """Keys of sections with a dot; what is no section of ours stays as it is."""
    flat: dict[str, Any] = {}
    for name, value in tables.items():
        if name in ("access", "audit", "dicom", "http", "keys", "receipts", "sealing") and isinstance(value, dict):
            flat |= {f"{name}.{key}": inner for key, inner in value.items()}
        else:
            flat[name] = value
    return flat


def _from(environment: Mapping[str, str]) -> dict[str, Any]:
    names = {PREFIX + key.replace(".", "_").upper(): key for key in _READERS}
    standard = {"otlp_endpoint": environment[OTLP_ENDPOINT]} if environment.get(OTLP_ENDPOINT) else {}
    return standard | {names.get(name, name): value for name, value in environment.items() if name.startswith(PREFIX)}


def _read(key: str, raw: object, faults: list[str]) -> Any:
    """Return the value of a key; where there is a fault, note it and return None, which is no key's value."""
    if key not in _READERS:
        faults.append(f"{key} is no setting; known: {', '.join(_READERS)}, destinations")
        return None
    try:
        return _READERS[key](raw)
    except ValueError as error:
        faults.append(f"{key}: {error}")
        return None


def _composed(values: Mapping[str, Any], environment: Mapping[str, str]) -> Settings:
    def section(name: str) -> dict[str, Any]:
        return {key.removeprefix(f"{name}."): value for key, value in values.items() if key.startswith(f"{name}.")}

    return Settings(
        data=values.get("data") or _home(environment, "XDG_DATA_HOME", ".local/share") / "zweitblick",
        key_file=values.get("key_file") or _home(environment, "XDG_CONFIG_HOME", ".config") / "zweitblick" / "key",
        models=values.get("models"),
        trusted_keys=values.get("trusted_keys", ()),
        allow_unsigned_models=values.get("allow_unsigned_models", False),
        quiet_time=values.get("quiet_time_s", Settings.quiet_time),
        quiet_times=values.get("quiet_times_s", {}),
        priorities=values.get("priorities", {}),
        largest_study_bytes=values.get("largest_study_bytes", Settings.largest_study_bytes),
        database=values.get("database"),
        keys_database=values.get("keys_database"),
        dicom=DicomSettings(**section("dicom")),
        http=HttpSettings(**section("http")),
        access=composed_access(section("access")),
        audit=AuditSettings(**section("audit")),
        sealing=composed_signing(values),
        receipts=composed_receipts(values),
        keys=composed_keys(section("keys")),
        log_format=values.get("log_format", Settings.log_format),
        otlp_endpoint=values.get("otlp_endpoint"),
    )


def _home(environment: Mapping[str, str], variable: str, default: str) -> Path:
    """Folder as the XDG Base Directory Specification finds it: relative values do not count."""
    given = Path(environment.get(variable, ""))
    if given.is_absolute():
        return given
    return Path(environment.get("HOME") or Path.home()) / default


_READERS: dict[str, Callable[[object], Any]] = {
    "data": as_path,
    "key_file": as_path,
    "models": as_path,
    "trusted_keys": as_paths,
    "allow_unsigned_models": as_switch,
    "quiet_time_s": as_quiet_time,
    "quiet_times_s": as_quiet_times,
    "log_format": as_log_format,
    "otlp_endpoint": as_url,
    "audit.folder": as_path,
    "audit.signing_key": as_path,
    "audit.site": as_name,
    "audit.syslog_host": as_name,
    "audit.syslog_port": as_port,
    "audit.syslog_certificate": as_path,
    "audit.syslog_key": as_path,
    "audit.syslog_cas": as_path,
    "priorities": as_priorities,
    "largest_study_bytes": as_size_bytes,
    "database": as_database,
    "keys_database": as_database,
    "dicom.host": as_host,
    "dicom.port": as_port,
    "dicom.ae_title": as_title,
    "dicom.calling_ae_titles": as_titles,
    "dicom.certificate": as_path,
    "dicom.key": as_path,
    "dicom.client_cas": as_path,
    "dicom.client_certificates": as_certificates,
    "dicom.receivers": as_receivers,
    "dicom.maximum_associations": count_of("associations", 1, 4096),
    "dicom.maximum_pdu_bytes": count_of("bytes", 2**12, 2**20),
    "dicom.maximum_instance_bytes": count_of("bytes", 2**10, 2**32),
    "dicom.maximum_held_bytes": count_of("bytes", 2**10, 2**40),
    "dicom.acse_timeout_s": as_timeout_s,
    "dicom.network_timeout_s": as_timeout_s,
    "http.host": as_host,
    "http.port": as_port,
    "http.worker_port": as_port,
    "http.largest_upload_bytes": as_size_bytes,
    "access.users_file": as_path,
    "access.client_secret_file": as_path,
    "access.ca": as_path,
    **ACCESS_READERS,
    "keys.pkcs11_module": as_path,
    "keys.pkcs11_pin_file": as_path,
    "keys.vault_token_file": as_path,
    "keys.vault_ca": as_path,
    "receipts.hsm_key": as_name,
    "receipts.public_key": as_path,
    "sealing.key": as_path,
    "sealing.hsm_key": as_name,
    "sealing.certificate": as_path,
    **READERS,
}
"""Every key, and how its value is read from TOML or from a variable; raises ValueError that says what to give."""
