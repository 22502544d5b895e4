"""The settings' section ``[receipts]``: which key in the HSM signs receipts."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zweitblick.key_settings import token_of
from zweitblick.vault.keyholders.places import TokenPlace


@dataclass(frozen=True)
class ReceiptSettings:
    """The RSA key in an HSM that signs receipts, and the file of its public key.

    Parameters
    ----------
    place
        The token; that of the key-encryption keys.
    label
        Of the private key.
    public_key
        PEM file, with which receipts are verified.
    """

    place: TokenPlace
    label: str
    public_key: Path


def half_a_receipt_key(values: Mapping[str, Any]) -> list[str]:
    """Return the faults of a key that is not wholly described, by key.

    Parameters
    ----------
    values
        What was read without fault, by the settings' keys.
    """
    if ("receipts.hsm_key" in values) != ("receipts.public_key" in values):
        return ["receipts.hsm_key and receipts.public_key go together; set both, or none to sign with the trail's key"]
    if "receipts.hsm_key" in values and token_of(values) is None:
        return ["receipts.hsm_key is a key in the HSM of [keys]; set keys.holder to pkcs11, or leave it out"]
    return []


def composed_receipts(values: Mapping[str, Any]) -> ReceiptSettings | None:
    """Put the settings together; None if the key is not in an HSM, or not all that it takes was given.

    Parameters
    ----------
    values
        What was read without fault, by the settings' keys.
    """
    place = token_of(values)
    if place is None or half_a_receipt_key(values) or "receipts.hsm_key" not in values:
        return None
    return ReceiptSettings(place, values["receipts.hsm_key"], values["receipts.public_key"])
