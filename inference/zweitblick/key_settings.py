"""The settings' section ``[keys]``: who keeps the key-encryption keys."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Any

from zweitblick.vault.keyholders.places import TokenPlace, TransitPlace
from zweitblick.vault.pool import PoolLimits

LARGEST_POOL = 1000
USUAL_POOL = PoolLimits(count=32, age=timedelta(hours=4))


class Holder(StrEnum):
    """Who keeps the key-encryption keys."""

    FILE = "file"
    PKCS11 = "pkcs11"
    VAULT = "vault"


@dataclass(frozen=True)
class KeySettings:
    """Who keeps the key-encryption keys, and how many data keys are wrapped ahead.

    Parameters
    ----------
    hsm
        Where they are in an HSM that speaks PKCS#11; None if they are not.
    vault
        Where they are in a HashiCorp Vault or OpenBao server; None if they are not. If neither is given they are in the
        key file.
    pool
        Data keys that are wrapped ahead, for when the holder is away.
    """

    hsm: TokenPlace | None = None
    vault: TransitPlace | None = None
    pool: PoolLimits = USUAL_POOL


USUAL_KEYS = KeySettings()


def without_holder(values: Mapping[str, Any]) -> list[str]:
    """Return the faults of a key holder that cannot be found or logged in to, by key.

    Parameters
    ----------
    values
        What was read without fault, by the settings' keys.
    """
    holder = values.get("keys.holder", Holder.FILE)
    return [f"{key} must be set, since keys.holder is {holder}" for key in _NEEDED.get(holder, ()) if key not in values]


def composed_keys(values: Mapping[str, Any]) -> KeySettings:
    """Put the settings together.

    Parameters
    ----------
    values
        What was read, by the keys of the section, and let pass by `without_holder`.
    """
    holder, hsm, vault = values.get("holder", Holder.FILE), None, None
    if holder is Holder.PKCS11:
        hsm = TokenPlace(
            module=values["pkcs11_module"],
            token=values.get("pkcs11_token", "zweitblick"),
            key=values.get("pkcs11_key", "zweitblick"),
            pin_file=values["pkcs11_pin_file"],
        )
    elif holder is Holder.VAULT:
        vault = TransitPlace(
            url=values["vault_url"],
            mount=values.get("vault_mount", "transit"),
            key=values.get("vault_key", "zweitblick"),
            token_file=values["vault_token_file"],
            ca=values.get("vault_ca"),
        )
    pool = PoolLimits(values.get("pool", USUAL_POOL.count), values.get("pool_age_s", USUAL_POOL.age))
    return KeySettings(hsm, vault, pool)


def token_of(values: Mapping[str, Any]) -> TokenPlace | None:
    """Return the token of the section, None if it has none.

    Parameters
    ----------
    values
        What was read without fault, by the settings' keys.
    """
    if without_holder(values):
        return None
    return composed_keys({key.removeprefix("keys."): value for key, value in values.items()}).hsm


def _holder(raw: object) -> Holder:
    try:
        return Holder(str(raw))
    except ValueError:
        raise ValueError(f"{raw!r} is no key holder; give one of {', '.join(Holder)}") from None


def _pool(raw: object) -> int:
    number = int(raw) if isinstance(raw, str) and raw.isdecimal() else raw
    if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number <= LARGEST_POOL:
        raise ValueError(f"{raw!r} is no number of keys; give 0 to {LARGEST_POOL}")
    return number


def _pool_age(raw: object) -> timedelta:
    seconds = float(raw) if isinstance(raw, str) and re.fullmatch(r"\d+(\.\d+)?", raw) else raw
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 60 <= seconds <= 86400:
        raise ValueError(f"{raw!r} is no number of seconds that keys may wait; give 60 to 86400")
    return timedelta(seconds=seconds)


def _name(raw: object) -> str:
    if not isinstance(raw, str) or not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,31}", raw):
        raise ValueError(f"{raw!r} is no name; give 1 to 32 letters, digits, dots, hyphens and underlines")
    return raw


def _mount(raw: object) -> str:
    """Take a path in a URL of Vault."""
    return "/".join(_name(part) for part in str(raw).strip("/").split("/"))


def _token_label(raw: object) -> str:
    """PKCS#11 gives it 32 characters."""
    if not isinstance(raw, str) or not re.fullmatch(r"[\x20-\x7E]{1,32}", raw):
        raise ValueError(f"{raw!r} is no label of a token; give 1 to 32 ASCII characters")
    return raw


def _vault_url(raw: object) -> str:
    """Take the address of a server; without TLS only on this machine, since data keys pass over it."""
    address = raw.rstrip("/") if isinstance(raw, str) else ""
    if not re.fullmatch(r"https://[^/\s]+|http://(127\.0\.0\.1|\[::1\])(:\d+)?", address):
        raise ValueError(f"{raw!r} is no address such as https://vault.example:8200")
    return address


READERS: dict[str, Callable[[object], Any]] = {
    "keys.holder": _holder,
    "keys.pool": _pool,
    "keys.pool_age_s": _pool_age,
    "keys.pkcs11_token": _token_label,
    "keys.pkcs11_key": _name,
    "keys.vault_url": _vault_url,
    "keys.vault_mount": _mount,
    "keys.vault_key": _name,
}
"""The section's keys but for paths, and how their values are read; raise ValueError that says what to give."""

_NEEDED = {
    Holder.PKCS11: ("keys.pkcs11_module", "keys.pkcs11_pin_file"),
    Holder.VAULT: ("keys.vault_url", "keys.vault_token_file"),
}
"""What a key holder cannot do without."""
