"""Keyring: the data key of each study, wrapped by the key holder and kept apart from the data."""

from sqlalchemy import delete, insert, select
from sqlalchemy.exc import IntegrityError

from zweitblick.errors import StoreKeyError
from zweitblick.store.database import Database
from zweitblick.store.recent import Recent
from zweitblick.store.schema import wrapped_keys
from zweitblick.vault.data_key import DataKey
from zweitblick.vault.keyholders import KeyHolder, WrappedKey

INDEX = "index"
"""Owner of the index key; no study's token reads so."""

AUDIT = "audit"
"""Owner of the key that seals the audit trail, which outlives all studies."""


class Keyring:
    """Makes, gives and destroys data keys; for several threads at once.

    Parameters
    ----------
    database
        Of wrapped keys.
    holder
        Wraps and unwraps them. If it is away, new studies and those whose keys are not in use are refused.
    """

    def __init__(self, database: Database, holder: KeyHolder) -> None:
        self._database = database
        self._holder = holder
        self._in_use: Recent[DataKey] = Recent()

    def make(self, owner: str) -> DataKey:
        """Make a key and keep it, durably, before anything is sealed with it; one that is there already is given.

        Raises
        ------
        KeyHolderError
            If the holder cannot be used.
        StoreFullError, StoreUnavailableError
            If the wrapped key cannot be kept.
        """
        key = DataKey.fresh()
        wrapped = self._holder.wrap(key)
        try:
            with self._database.writing() as transaction:
                transaction.execute(insert(wrapped_keys).values(owner=owner, **vars(wrapped)))
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
        columns = select(*wrapped_keys.c["kek_id", "data_key_id", "ciphertext"])
        with self._database.reading() as transaction:
            row = transaction.execute(columns.where(wrapped_keys.c.owner == owner)).one_or_none()
        if row is None:
            raise StoreKeyError(
                f"no wrapped key of {owner} is kept; it was shredded, or these are another store's keys"
            )
        key = self._holder.unwrap(WrappedKey(*row))
        self._in_use.put(owner, key)
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
        with self._database.writing() as transaction:
            transaction.execute(delete(wrapped_keys).where(wrapped_keys.c.owner == owner))
        self._database.truncate_log()
        self.forget(owner)
