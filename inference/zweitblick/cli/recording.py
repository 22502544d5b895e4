"""The audit trail put together: its seal from the vault, its key from the keyring, its receiver from the settings."""

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path

from zweitblick.audit.exporter import SyslogExporter
from zweitblick.audit.message import Source
from zweitblick.audit.reader import TrailReader
from zweitblick.audit.syslog import Origin, Receiver, client_context
from zweitblick.audit.trail import Sealer, Trail
from zweitblick.cli.keyholder import opened_holder
from zweitblick.cli.places import store_places
from zweitblick.errors import SigningKeyError
from zweitblick.settings import AuditSettings, Settings
from zweitblick.signing.keys import FileSigner, make_signing_key
from zweitblick.store.database import Database
from zweitblick.store.keyring import AUDIT, Keyring
from zweitblick.store.store import NO_POOL
from zweitblick.vault.data_key import DataKey
from zweitblick.vault.envelope import opened, sealed
from zweitblick.vault.keyholders import KeyHolder
from zweitblick.vault.pool import KeyPool

POSITION = "syslog.position"
"""File that keeps which entry was delivered last."""


class _Envelope:
    """Seals audit messages as objects of a study of their own."""

    def __init__(self, key: DataKey) -> None:
        self._key = key

    def seal(self, plain: bytes, /, *, name: str) -> bytes:
        return sealed(plain, self._key, study=AUDIT, name=name)

    def open(self, sealed_bytes: bytes, /, *, name: str) -> bytes:
        return opened(sealed_bytes, self._key, study=AUDIT, name=name)


def audit_sealer(settings: Settings, holder: KeyHolder) -> Sealer:
    """Return what seals the audit trail; its key is made at the first call, and no shredding destroys it.

    Raises
    ------
    StoreError, VaultError
        If the keys cannot be reached, or another's are here.
    """
    with closing(Database(store_places(settings).keys, tables="keys")) as database:
        return _Envelope(Keyring(database, holder, KeyPool(holder, NO_POOL)).make(AUDIT))


def trail_folder(settings: Settings) -> Path:
    """Return where the audit trail lies."""
    return settings.audit.folder or settings.data / "audit"


def audit_key_file(settings: Settings) -> Path:
    """Return where the key lies that signs the audit trail."""
    return settings.audit.signing_key or settings.key_file.with_name("audit-key.pem")


def audit_signer(settings: Settings) -> FileSigner:
    """Return what signs the audit trail; the key is made if there is none.

    Raises
    ------
    SigningKeyError
        If it cannot be used or made.
    """
    path = audit_key_file(settings)
    if not path.exists():
        _make_signing_key(path)
    return FileSigner(path)


@contextmanager
def recording(settings: Settings, sealer: Sealer, *, clock: Callable[[], datetime]) -> Iterator[Trail]:
    """Open the audit trail; its signing key is made if there is none.

    Raises
    ------
    AuditError, SigningKeyError
        If it cannot be used.
    """
    source = Source(f"zweitblick@{socket.getfqdn()}", settings.audit.site)
    with Trail(trail_folder(settings), sealer, audit_signer(settings), source=source, clock=clock) as trail:
        yield trail


def syslog_receiver(audit: AuditSettings) -> Receiver | None:
    """Return where the audit trail is delivered to, if that is set.

    Raises
    ------
    SyslogSettingError
        If the files for TLS cannot be used.
    """
    if not (audit.syslog_host and audit.syslog_certificate and audit.syslog_key and audit.syslog_cas):
        return None
    context = client_context(audit.syslog_certificate, audit.syslog_key, authorities=audit.syslog_cas)
    return Receiver(audit.syslog_host, audit.syslog_port, context)


@contextmanager
def exporting(settings: Settings, sealer: Sealer) -> Iterator[None]:
    """Deliver the audit trail meanwhile, if a receiver is set.

    Raises
    ------
    AuditError
        If the files for TLS cannot be used, or another process delivers.
    """
    folder, receiver = trail_folder(settings), syslog_receiver(settings.audit)
    if receiver is None:
        yield
        return
    origin = Origin(socket.getfqdn(), os.getpid())
    with SyslogExporter(TrailReader(folder, sealer), receiver, origin, position=folder / POSITION):
        yield


@contextmanager
def opened_trail(settings: Settings) -> Iterator[tuple[Trail, TrailReader]]:
    """Open the trail of a service, which may be running, for another command.

    Raises
    ------
    ZweitblickError
        If its key or its folder cannot be used.
    """
    with opened_holder(settings) as holder:
        sealer = audit_sealer(settings, holder)
    with recording(settings, sealer, clock=lambda: datetime.now(UTC)) as trail:
        yield trail, TrailReader(trail_folder(settings), sealer)


def _make_signing_key(path: Path) -> None:
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise SigningKeyError(f"{path.parent} cannot be made ({error.strerror}); set audit.signing_key") from error
    make_signing_key(path)
