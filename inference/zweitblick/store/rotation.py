"""Rotation: every data key is wrapped anew under the newest key-encryption key (KEK); no sealed object is touched.

First a newer KEK is made, then the older ones are noted as retired, and from then on nobody keeps a key under them; a
service that runs meanwhile sees the note in the transaction in which it would. Then the rows are wrapped anew, some at
a time. Each row names its KEK, so that both are read meanwhile, and whoever is killed begins where it was. An old KEK
is destroyed only on request, and only if no row names it.
"""

from collections import Counter
from collections.abc import Sequence

from sqlalchemy import Connection as Transaction
from sqlalchemy import func, insert, select, update

from zweitblick.errors import KekInUseError, KeyUnwrapError, UnknownKekError
from zweitblick.store.database import Database
from zweitblick.store.schema import retired_keks, wrapped_keys
from zweitblick.vault.keyholders import Kek, KekKeeper, KeyHolder, WrappedKey

AT_ONCE = 100
_LOCK = 7311930524661873265
"""Any number that no other program uses for PostgreSQL's advisory locks."""


def kept_keys(database: Database) -> Counter[str]:
    """Count the data keys under each KEK, by its id."""
    query = select(wrapped_keys.c.kek_id, func.count()).group_by(wrapped_keys.c.kek_id)
    with database.reading() as transaction:
        return Counter({row[0]: row[1] for row in transaction.execute(query)})


def rows_under(database: Database, kek_id: str) -> list[WrappedKey]:
    """Return the data keys under a KEK, wrapped."""
    query = select(*wrapped_keys.c["kek_id", "data_key_id", "ciphertext", "owner"])
    with database.reading() as transaction:
        return [WrappedKey(*row) for row in transaction.execute(query.where(wrapped_keys.c.kek_id == kek_id))]


def is_retired(transaction: Transaction, kek_id: str) -> bool:
    """Tell whether a KEK was rotated out; until the transaction ends none is."""
    if transaction.dialect.name == "postgresql":
        transaction.exec_driver_sql(f"SELECT pg_advisory_xact_lock_shared({_LOCK})")
    query = select(retired_keks.c.kek_id).where(retired_keks.c.kek_id == kek_id)
    return transaction.execute(query).one_or_none() is not None


def rotate(database: Database, holder: KekKeeper, *, at_once: int = AT_ONCE) -> int:
    """Make a newer KEK, unless a rotation is to be finished, and wrap all data keys anew.

    Whoever may not be alone holds `~zweitblick.store.rotation_lock.rotation_lock`.

    Parameters
    ----------
    database
        Of wrapped keys.
    holder
        Makes the KEK, and wraps.
    at_once
        Rows that one transaction changes.

    Returns
    -------
    How many data keys were wrapped anew.

    Raises
    ------
    KeyHolderError
        If the holder cannot be used.
    KeyUnwrapError
        If some keys could not be unwrapped; all others are wrapped anew.
    StoreUnavailableError, StoreFullError
        If the rows cannot be changed.
    """
    if not unfinished(database, holder):
        holder.make_kek()
    return finish(database, holder, at_once=at_once)


def unfinished(database: Database, holder: KeyHolder) -> bool:
    """Tell whether data keys are there under another KEK than the newest."""
    return bool(kept_keys(database).keys() - {holder.kek_id})


def finish(database: Database, holder: KekKeeper, *, at_once: int = AT_ONCE) -> int:
    """Retire all KEKs but the newest, and wrap all data keys under it, some in a transaction; see `rotate`."""
    *older, newest = holder.keks()
    _retire(database, [kek.id for kek in older])
    count, last = 0, ""
    while rows := _rows_not_under(database, newest.id, last, at_once):
        fresh = [each for row in rows if (each := _wrapped_anew(row, holder)) is not None]
        with database.writing() as transaction:
            count += sum(_replace(transaction, each) for each in fresh)
        last = rows[-1].owner
    database.truncate_log()
    if left := sum((kept := kept_keys(database)).values()) - kept[holder.kek_id]:
        raise KeyUnwrapError(
            f"{left} data keys are damaged or under a key that the holder does not have, {count} were wrapped anew; "
            "restore them from a backup of the keys"
        )
    return count


def destroy_retired(database: Database, holder: KekKeeper) -> list[Kek]:
    """Destroy all KEKs but the newest, the oldest first, and return them.

    Raises
    ------
    KekInUseError
        If data keys are under one of them; it and those after it stay.
    KeyHolderError
        If the holder cannot be used.
    """
    older = list(holder.keks()[:-1])
    _retire(database, [kek.id for kek in older])
    for kek in older:
        if count := kept_keys(database)[kek.id]:
            raise KekInUseError(f"{count} data keys are under key {kek.id}; say zweitblick keys rotate before")
        holder.destroy_kek(kek)
    return older


def _retire(database: Database, kek_ids: Sequence[str]) -> None:
    with database.writing() as transaction:
        if transaction.dialect.name == "postgresql":
            # waits for who has seen that it is not retired, and is about to keep a key under it
            transaction.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_LOCK})")
        for kek_id in kek_ids:
            if not is_retired(transaction, kek_id):
                transaction.execute(insert(retired_keks).values(kek_id=kek_id))


def _replace(transaction: Transaction, fresh: WrappedKey) -> int:
    """Replace a row, not one that was shredded meanwhile, unless another rotation has just retired the KEK."""
    if is_retired(transaction, fresh.kek_id):
        return 0
    values = {"kek_id": fresh.kek_id, "data_key_id": fresh.data_key_id, "ciphertext": fresh.ciphertext}
    return transaction.execute(update(wrapped_keys).where(wrapped_keys.c.owner == fresh.owner).values(values)).rowcount


def _rows_not_under(database: Database, kek_id: str, after: str, most: int) -> list[WrappedKey]:
    query = (
        select(*wrapped_keys.c["kek_id", "data_key_id", "ciphertext", "owner"])
        .where(wrapped_keys.c.kek_id != kek_id, wrapped_keys.c.owner > after)
        .order_by(wrapped_keys.c.owner)
        .limit(most)
    )
    with database.reading() as transaction:
        return [WrappedKey(*row) for row in transaction.execute(query)]


def _wrapped_anew(row: WrappedKey, holder: KeyHolder) -> WrappedKey | None:
    """Return None for what cannot be unwrapped, so that one damaged row does not keep all others from it."""
    try:
        key = holder.unwrap(row)
    except (KeyUnwrapError, UnknownKekError):
        return None
    return holder.wrap(key).owned_by(row.owner, key)
