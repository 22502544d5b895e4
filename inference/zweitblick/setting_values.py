"""How each value of the settings is read, from TOML or from a variable of the environment.

Each function raises ValueError that says what to give.
"""

import ipaddress
import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from zweitblick.dicom.identity import is_ae_title
from zweitblick.study import Priority

LONGEST_S = 86400.0
SHORTEST_TIMEOUT_S = 0.01
MOST_RECEIVERS = 64
LOG_FORMATS = ("console", "json")
"""Lines for people, and one JSON object a line."""

_SECRETS = frozenset({"password", "sslpassword", "oauth_client_secret"})
"""Parameters of a PostgreSQL URL that are secrets themselves, and not names of files."""
_FINGERPRINT = re.compile(r"[0-9a-f]{64}")
_COMMON_NAME = re.compile(r"CN=[^,=]{1,64}")
"""X.520 gives a common name 64 characters."""


def as_path(raw: object) -> Path:
    """Take a path."""
    if not isinstance(raw, str) or not raw:
        raise ValueError(f"{raw!r} is no path")
    return Path(raw)


def as_paths(raw: object) -> tuple[Path, ...]:
    """Take a list, or paths parted by commas."""
    parts = [part.strip() for part in raw.split(",")] if isinstance(raw, str) else raw
    if not isinstance(parts, list):
        raise ValueError(f"{raw!r} is no list of paths")  # noqa: TRY004 -- one error for all faults
    return tuple(as_path(part) for part in parts)


def as_switch(raw: object) -> bool:
    """Take true or false."""
    value = {"true": True, "false": False}.get(raw) if isinstance(raw, str) else raw
    if not isinstance(value, bool):
        raise ValueError(f"{raw!r} is neither true nor false")  # noqa: TRY004 -- one error for all faults
    return value


def as_host(raw: object) -> str:
    """Take an IP address."""
    if not isinstance(raw, str):
        raise ValueError(f"{raw!r} is no IP address such as 127.0.0.1")  # noqa: TRY004 -- one error for all faults
    try:
        return str(ipaddress.ip_address(raw))
    except ValueError:
        raise ValueError(f"{raw!r} is no IP address such as 127.0.0.1") from None


def as_name(raw: object) -> str:
    """Take a printable name."""
    if not isinstance(raw, str) or not raw.isprintable() or not raw.strip():
        raise ValueError(f"{raw!r} is no name")
    return raw.strip()


def as_port(raw: object) -> int:
    """Take a port, as a number or its digits."""
    return _whole(raw, 0, 65535, f"{raw!r} is no port; give 0 to 65535")


def count_of(what: str, lowest: int, highest: int) -> Callable[[object], int]:
    """Return what takes a whole number of something within bounds."""

    def as_count(raw: object) -> int:
        """Take a whole number within bounds."""
        return _whole(raw, lowest, highest, f"{raw!r} is no number of {what}; give {lowest} to {highest}")

    return as_count


as_receivers = count_of("processes", 1, MOST_RECEIVERS)


def as_size_bytes(raw: object) -> int:
    """Take a number of bytes."""
    return _whole(raw, 2**10, 2**50, f"{raw!r} is no number of bytes; give 1024 or more")


def as_title(raw: object) -> str:
    """Take an AE title."""
    if not isinstance(raw, str) or not is_ae_title(raw):
        raise ValueError(f"{raw!r} is no AE title; give 1 to 16 ASCII characters, no backslash, no outer spaces")
    return raw


def as_titles(raw: object) -> frozenset[str]:
    """Take a list, or titles parted by commas."""
    parts = raw.split(",") if isinstance(raw, str) else raw
    if not isinstance(parts, list):
        raise ValueError(f"{raw!r} is no list of AE titles")  # noqa: TRY004 -- one error for all faults
    return frozenset(as_title(part.strip() if isinstance(part, str) else part) for part in parts)


def as_certificates(raw: object) -> dict[str, str]:
    """Take a table, or ``TITLE=CERTIFICATE`` parted by commas: a SHA-256 fingerprint, or ``CN=`` and a common name."""
    table = dict(part.partition("=")[::2] for part in raw.split(",")) if isinstance(raw, str) else raw
    if not isinstance(table, dict):
        raise ValueError(f"{raw!r} is no table of certificates by AE title")  # noqa: TRY004 -- one error for all faults
    return {as_title(title.strip()): _as_certificate(shown) for title, shown in table.items()}


def _as_certificate(raw: object) -> str:
    fingerprint = raw.replace(":", "").lower() if isinstance(raw, str) else ""
    if _FINGERPRINT.fullmatch(fingerprint):
        return fingerprint
    if isinstance(raw, str) and _COMMON_NAME.fullmatch(raw):
        return raw
    raise ValueError(f"{raw!r} is no certificate; give its SHA-256 fingerprint, or CN= and its common name")


def as_log_format(raw: object) -> str:
    """Take one of `LOG_FORMATS`."""
    if raw not in LOG_FORMATS:
        raise ValueError(f"{raw!r} is no form of log; give {' or '.join(LOG_FORMATS)}")
    return str(raw)


def as_quiet_time(raw: object) -> timedelta:
    """Take a number of seconds."""
    return timedelta(seconds=_seconds(raw, 0))


def as_timeout_s(raw: object) -> float:
    """Take a number of seconds that somebody may be silent."""
    return _seconds(raw, SHORTEST_TIMEOUT_S)


def _whole(raw: object, lowest: int, highest: int, fault: str) -> int:
    number = int(raw) if isinstance(raw, str) and raw.isdecimal() else raw
    if isinstance(number, bool) or not isinstance(number, int) or not lowest <= number <= highest:
        raise ValueError(fault)
    return number


def _seconds(raw: object, lowest: float) -> float:
    seconds = float(raw) if isinstance(raw, str) and re.fullmatch(r"\d+(\.\d+)?", raw) else raw
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not lowest <= seconds <= LONGEST_S:
        raise ValueError(f"{raw!r} is no number of seconds; give {lowest:g} to {LONGEST_S:.0f}")
    return float(seconds)


def as_quiet_times(raw: object) -> dict[str, timedelta]:
    """Take a table, or ``TITLE=SECONDS`` parted by commas."""
    table = dict(part.partition("=")[::2] for part in raw.split(",")) if isinstance(raw, str) else raw
    if not isinstance(table, dict):
        raise ValueError(f"{raw!r} is no table of seconds by AE title")  # noqa: TRY004 -- one error for all faults
    return {as_title(title.strip()): as_quiet_time(seconds) for title, seconds in table.items()}


def as_priority(raw: object) -> Priority:
    """Take a priority by its name."""
    if not isinstance(raw, str) or raw.lower() not in list(Priority):
        raise ValueError(f"{raw!r} is no priority; give {', '.join(Priority)}")
    return Priority(raw.lower())


def as_priorities(raw: object) -> dict[str, Priority]:
    """Take a table, or ``TITLE=PRIORITY`` parted by commas."""
    table = dict(part.partition("=")[::2] for part in raw.split(",")) if isinstance(raw, str) else raw
    if not isinstance(table, dict):
        raise ValueError(f"{raw!r} is no table of priorities by AE title")  # noqa: TRY004 -- one error for all faults
    return {as_title(title.strip()): as_priority(urgency) for title, urgency in table.items()}


def as_url(raw: object) -> str:
    """Take the root of an HTTP server, and say nothing of it: it may hold a password, which is refused."""
    try:
        parts = urlsplit(raw) if isinstance(raw, str) else None
        fits = parts is not None and parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:  # a port that is none
        fits = False
    if not fits or parts is None or parts.query or parts.fragment or "@" in parts.netloc:
        raise ValueError("no URL of a server such as https://pacs.example/dicom-web, without user, query or fragment")
    return str(raw)


def as_database(raw: object) -> str:
    """Take a URL without a password, and say nothing of it: it may hold one.

    libpq reads the password itself from the file that ``passfile`` names, and the key of a client's certificate from
    that of ``sslkey`` (PostgreSQL 17, sections 32.1.2 and 32.16).
    """
    scheme, parted, rest = raw.partition("://") if isinstance(raw, str) else ("", "", "")
    if scheme not in ("postgresql", "postgresql+psycopg") or not rest:
        raise ValueError(f"no URL of a PostgreSQL database; give postgresql{parted or '://'}user@host/name")
    address, _, query = rest.partition("?")
    parameters = dict(parse_qsl(query, keep_blank_values=True))
    if ":" in address.rpartition("@")[0] or _SECRETS & parameters.keys():
        raise ValueError(
            "a password stands in the URL, where backups, process lists and crash reports find it; write it into a "
            "file as pgpass has it, and give postgresql://user@host/name?passfile=FILE"
        )
    return f"postgresql+psycopg://{rest}"
