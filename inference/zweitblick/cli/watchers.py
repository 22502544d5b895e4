"""Who watches the service from outside: receivers of its audit trail and of its spans, opened and tried."""

import os
from collections.abc import Callable, Mapping
from types import ModuleType

from zweitblick.audit.connection import try_receiver
from zweitblick.audit.syslog import Receiver
from zweitblick.cli.recording import audit_key_file, syslog_receiver, trail_folder
from zweitblick.errors import AuditWriteError, SettingsError
from zweitblick.settings import Settings
from zweitblick.signing.keys import FileSigner

LATER = "is made when the service first starts"


def traces() -> ModuleType:
    """Return `zweitblick.traces`.

    Raises
    ------
    SettingsError
        If what it needs is not installed.
    """
    try:
        from zweitblick import traces  # noqa: PLC0415 -- of an extra
    except ImportError as error:
        raise SettingsError("otlp_endpoint needs an extra: pip install 'zweitblick[telemetry]'") from error
    return traces


def watcher_checks(settings: Settings) -> Mapping[str, Callable[[], str]]:
    """Return what can be tried of them, by name; a name with a dot or underscore is a key of the settings."""
    found: dict[str, Callable[[], str]] = {"audit": lambda: _trail(settings)}
    if settings.audit.syslog_host is not None:
        found["audit.syslog_host"] = lambda: _tried_receiver(syslog_receiver(settings.audit))
    if (endpoint := settings.otlp_endpoint) is not None:
        found["otlp_endpoint"] = lambda: _tried_endpoint(endpoint)
    return found


def _trail(settings: Settings) -> str:
    """Try whether the audit trail can be signed and written to."""
    key, folder = audit_key_file(settings), trail_folder(settings)
    if key.exists():
        FileSigner(key)
    if not (key.exists() and folder.exists()):
        return f"{key if folder.exists() else folder} {LATER}"
    if not os.access(folder, os.W_OK | os.X_OK):
        raise AuditWriteError(f"{folder} cannot be written; give it to the user that the service runs as")
    return f"{folder}, signed with {key}"


def _tried_receiver(receiver: Receiver | None) -> str:
    if receiver is None:  # only half is set, which the settings refuse
        return "none"
    try_receiver(receiver)
    return f"{receiver.host} port {receiver.port} lets us in"


def _tried_endpoint(endpoint: str) -> str:
    traces().try_endpoint(endpoint)
    return f"{endpoint} takes spans"
