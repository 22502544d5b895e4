"""Inspection: a look at a store that changes nothing, whether it is in use or not."""

from collections.abc import Mapping
from contextlib import closing

from sqlalchemy import select

from zweitblick.errors import StoreUnavailableError
from zweitblick.store import rounds
from zweitblick.store.database import UnchangedDatabase
from zweitblick.store.keyring import Keyring
from zweitblick.store.life import State
from zweitblick.store.places import StorePlaces
from zweitblick.store.rounds import Standing
from zweitblick.store.schema import identities
from zweitblick.store.store import NO_POOL
from zweitblick.vault.keyholders import KeyHolder
from zweitblick.vault.pool import KeyPool


def inspect(places: StorePlaces, holder: KeyHolder) -> Mapping[State, Standing]:
    """Return what is in each state, once it is sure that a store could be opened.

    Parameters
    ----------
    places
        Where it lies.
    holder
        Of its keys; unwraps one of them.

    Raises
    ------
    StoreVersionError
        If a newer release was here.
    StoreKeyError, VaultError
        If keys, data and holder do not belong together, or the holder cannot be used.
    StoreUnavailableError
        If databases or folder are not there or cannot be read.
    """
    if not places.objects.is_dir():
        raise StoreUnavailableError(f"there is no folder {places.objects}; restore it with the databases")
    with (
        closing(UnchangedDatabase(places.data, tables="data")) as data,
        closing(UnchangedDatabase(places.keys, tables="keys")) as keys,
    ):
        with data.reading() as transaction:
            known = transaction.execute(select(identities.c.index_key_id)).scalar_one_or_none()
            found = rounds.standing(transaction)
        if known is not None:
            Keyring(keys, holder, KeyPool(holder, NO_POOL)).index_key(known)
    return found
