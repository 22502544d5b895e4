"""Seals, tried before they are needed: keys and certificates of every destination outside of the hospital."""

from collections.abc import Sequence
from datetime import datetime

from zweitblick.delivery.route import Route
from zweitblick.delivery.seal import Seal
from zweitblick.errors import CmsError, SettingsError


def check_seals(routes: Sequence[Route], at: datetime) -> None:
    """Refuse to start with a destination for which nothing could be sealed.

    Parameters
    ----------
    routes
        Where results go.
    at
        The time now, with its zone.

    Raises
    ------
    SettingsError
        For all such destinations at once, each by its name, with the code of `zweitblick.errors.CmsError`.
    KeyHolderError
        If the key that signs is in an HSM that cannot be used.
    """
    faults = []
    for route in routes:
        if route.seal is not None:
            try:
                route.seal.tried(at)
            except CmsError as error:
                faults.append(f"destinations.{route.destination.name}: {error.code}: {error}")
    if faults:
        raise SettingsError("; ".join(faults))


def sealable(seal: Seal, at: datetime) -> str:
    """Try whether something can be sealed, and say for how long.

    Raises
    ------
    CmsError, KeyHolderError
        If not; see `zweitblick.delivery.seal.Seal.tried`.
    """
    parties = seal.tried(at)
    certificates = [parties.signer.certificate, *parties.recipients.certificates]
    end = min(one.not_valid_after_utc for one in certificates)
    count = len(certificates) - 1
    return f"{seal.form} for {count} recipient{'s' * (count > 1)}, until {end:%Y-%m-%d}, for {(end - at).days} days"
