"""What goes wrong while something is put on record, or a record is looked at."""

from typing import TYPE_CHECKING

from zweitblick.errors.root import ZweitblickError

if TYPE_CHECKING:
    from collections.abc import Sequence


class AuditError(ZweitblickError):
    """The audit trail cannot be used; no message holds anything that an entry says."""

    code = "audit"


class AuditWriteError(AuditError):
    """An event was not put on record, so that what it tells of must not happen."""

    code = "audit.write"


class AuditReadError(AuditError):
    """The folder of an audit trail cannot be read, or holds none."""

    code = "audit.read"


class TrailBrokenError(AuditError):
    """Entries of an audit trail were altered, removed, reordered or cut off.

    Parameters
    ----------
    message
        Names entries by their numbers.
    faults
        The same, one by one.
    """

    code = "audit.broken"

    def __init__(self, message: str, *, faults: "Sequence[object]" = ()) -> None:
        super().__init__(message)
        self.faults = tuple(faults)


class HeadError(AuditError):
    """A signed head of an audit trail is none, or its signature is not the key's."""

    code = "audit.head"


class SyslogSettingError(AuditError):
    """The files for mutual TLS with a syslog receiver cannot be used."""

    code = "audit.syslog"
