"""Keyring: the data key of each study, wrapped by the key holder and kept apart from the data."""

import logging

from sqlalchemy import delete, insert, select
from sqlalchemy.exc import IntegrityError

from zweitblick.errors import KeyHolderError, StoreKeyError
from zweitblick.store.database import Database
from zweitblick.store.recent import Recent
from zweitblick.store.rotation import is_retired
from zweitblick.store.schema import wrapped_keys
from zweitblick.vault.data_key import DataKey, KeyIds
from zweitblick.vault.keyholders import KeyHolder, WrappedKey
from zweitblick.vault.pool import KeyPool

log = logging.getLogger(__name__)

INDEX = "index"
"""Owner of the index key; no study's token reads so."""

AUDIT = "audit"
"""Owner of the key that seals the audit trail, which outlives all studies."""

TRIES = 8
"""A rotation may begin between the wrapping of a key and its keeping; so many in a row mean that something is wrong."""


class Keyring:
    """Makes, gives and destroys data keys; for several threads at once.

    Parameters
    ----------
    database
        Of wrapped keys.
    holder
        Unwraps them. If it is away, studies whose keys are not in use are refused.
    pool
        Gives fresh ones. New studies are refused if it has none.
    """

    def __init__(self, database: Database, holder: KeyHolder, pool: KeyPool) -> None:
        self._database = database
        self._holder = holder
        self._pool = pool
        self._in_use: Recent[DataKey] = Recent()

    def make(self, owner: str) -> DataKey:
        """Make a key and keep it, durably, before anything is sealed with it; one that is there already is given.

        Raises
        ------
        KeyHolderError
            If the holder cannot be used and the pool is empty, or the holder has only keys that were rotated out.
        StoreFullError, StoreUnavailableError
            If the wrapped key cannot be kept.
        """
        try:
            key = self._made(owner)
        except IntegrityError:
            return self.key(owner)
        self._in_use.put(owner, key)
        return key

    def key(self, owner: str) -> DataKey:
        """Return an owner's key.

        Raises
        ------
        StoreKeyError
            If there is none: it was shredded.
        VaultError
            If the holder cannot be used or does not unwrap it.
        StoreUnavailableError
            If the database cannot be reached.
        """
        if (key := self._in_use.get(owner)) is not None:
            return key
        key = self._unwrapped(owner)
        self._in_use.put(owner, key)
        return key

    def is_in_use(self, owner: str) -> bool:
        """Whether an owner's key is in memory."""
        return self._in_use.get(owner) is not None

    def ids(self, owner: str) -> KeyIds:
        """Name an owner's key, and the key that wraps it now.

        Raises
        ------
        StoreKeyError
            If there is none: it was shredded.
        StoreUnavailableError
            If the database cannot be reached.
        """
        wrapped = self._wrapped(owner)
        return KeyIds(wrapped.data_key_id, wrapped.kek_id)

    def check(self) -> None:
        """Unwrap a key that is always there and wrap a fresh one, to see whether the holder can be used.

        Raises
        ------
        VaultError, StoreError
            If it cannot; the message says how many new studies can be taken all the same.
        """
        try:
            self._unwrapped(INDEX)
            self._holder.wrap(DataKey.fresh())
        except KeyHolderError as error:
            # its addresses and paths are for the log, not for everybody who asks
            log.warning("the key holder cannot be used: %s", error)
            raise KeyHolderError(
                f"the key holder cannot be used; see the log, or zweitblick keys status; until it is back "
                f"{self._pool.left()} new studies can be taken"
            ) from error

    def index_key(self, key_id: str) -> DataKey:
        """Return the store's index key, if it is the one that the data know by this id.

        Raises
        ------
        StoreKeyError
            If it is another, or there is none.
        VaultError, StoreUnavailableError
            As from `key`.
        """
        key = self.key(INDEX)
        if key.id != key_id:
            raise StoreKeyError("these are the keys of another store than the data's; give the URL of its own")
        return key

    def forget(self, owner: str) -> None:
        """Drop a key from memory."""
        self._in_use.forget(lambda name, _: name == owner)

    def destroy(self, owner: str) -> None:
        """Delete a key for good, so that nothing it sealed can be opened again. Its second time does nothing.

        Raises
        ------
        StoreUnavailableError
            If the database cannot be reached, or its log still holds the key; say it again.
        """
        self.discard(owner)
        self._database.truncate_log()

    def discard(self, owner: str) -> None:
        """Delete a key with which nothing that is kept was sealed; SQLite's log may hold it for a while.

        Raises
        ------
        StoreUnavailableError
            If the database cannot be reached.
        """
        with self._database.writing() as transaction:
            transaction.execute(delete(wrapped_keys).where(wrapped_keys.c.owner == owner))
        self.forget(owner)

    def _made(self, owner: str) -> DataKey:
        """Keep a fresh key; if a rotation has begun since it was wrapped, another one, wrapped anew."""
        for _ in range(TRIES):
            key, wrapped = self._pool.take()
            with self._database.writing() as transaction:
                if not is_retired(transaction, wrapped.kek_id):
                    transaction.execute(insert(wrapped_keys).values(**vars(wrapped.owned_by(owner, key))))
                    return key
            self._pool.drop()
        raise KeyHolderError(
            f"key {wrapped.kek_id} was rotated out and the key holder still wraps with it; give it back the newer key"
        )

    def _unwrapped(self, owner: str) -> DataKey:
        return self._holder.unwrap(self._wrapped(owner))

    def _wrapped(self, owner: str) -> WrappedKey:
        columns = select(*wrapped_keys.c["kek_id", "data_key_id", "ciphertext", "owner"])
        with self._database.reading() as transaction:
            row = transaction.execute(columns.where(wrapped_keys.c.owner == owner)).one_or_none()
        if row is None:
            raise StoreKeyError(
                f"no wrapped key of {owner} is kept; it was shredded, or these are another store's keys"
            )
        return WrappedKey(*row)
