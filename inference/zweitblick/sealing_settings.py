"""The settings' section ``[sealing]``: who signs what leaves the hospital."""

from collections.abc import Mapping
from typing import Any

from zweitblick.delivery.seal import Signing, SigningFiles, SigningToken
from zweitblick.key_settings import token_of

_KEYS = ("sealing.key", "sealing.hsm_key")


def without_signer(values: Mapping[str, Any]) -> list[str]:
    """Return the faults of a signer that is not wholly described, by key.

    Parameters
    ----------
    values
        What was read without fault, by the settings' keys.
    """
    given = [key for key in _KEYS if key in values]
    if len(given) > 1:
        return ["sealing.key: the key is in this file or in the HSM; leave out this or sealing.hsm_key"]
    if not given:
        has_certificate = "sealing.certificate" in values
        return ["sealing.certificate needs a key; set sealing.key or sealing.hsm_key"] if has_certificate else []
    if "sealing.certificate" not in values:
        return [f"{given[0]} needs its certificate; set sealing.certificate"]
    if given == ["sealing.hsm_key"] and token_of(values) is None:
        return ["sealing.hsm_key is a key in the HSM of [keys]; set keys.holder to pkcs11, or sealing.key"]
    return []


def composed_signing(values: Mapping[str, Any]) -> Signing | None:
    """Put the settings together; None if nobody signs, or not all that it takes was given.

    Parameters
    ----------
    values
        What was read without fault, by the settings' keys.
    """
    if without_signer(values) or "sealing.certificate" not in values:
        return None
    certificate = values["sealing.certificate"]
    if "sealing.key" in values:
        return SigningFiles(values["sealing.key"], certificate)
    token = token_of(values)
    return None if token is None else SigningToken(token, values["sealing.hsm_key"], certificate)
