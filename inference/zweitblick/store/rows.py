"""What rows have in common: ids, times, and details that are sealed."""

import json
import secrets
from datetime import UTC, datetime, timedelta

from zweitblick.vault.data_key import DataKey
from zweitblick.vault.envelope import opened, sealed

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def fresh_id() -> str:
    """Draw 32 hexadecimal digits."""
    return secrets.token_hex(16)


def microseconds(time: datetime) -> int:
    """Return an aware time as microseconds since 1970 in UTC."""
    return (time - _EPOCH) // timedelta(microseconds=1)


def moment(time_us: int) -> datetime:
    """Return the time of a column that ends in ``_us``."""
    return _EPOCH + timedelta(microseconds=time_us)


def sealed_details(details: dict[str, str | int], key: DataKey, *, study: str, row: str) -> bytes:
    """Seal what a row says, bound to its study and to the row."""
    return sealed(json.dumps(details).encode(), key, study=study, name=f"{row}/details")


def opened_details(data: bytes, key: DataKey, *, study: str, row: str) -> dict[str, str | int]:
    """Open what `sealed_details` has sealed."""
    details: dict[str, str | int] = json.loads(opened(data, key, study=study, name=f"{row}/details"))
    return details
