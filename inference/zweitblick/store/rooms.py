"""Rooms: where a store keeps what."""

from dataclasses import dataclass

from zweitblick.store.database import Database
from zweitblick.store.folder import ObjectFolder
from zweitblick.store.index import KeyedIndex
from zweitblick.store.keyring import Keyring
from zweitblick.store.studies import Studies


@dataclass(frozen=True)
class Rooms:
    """Where a store keeps what, and how it finds it."""

    database: Database
    folder: ObjectFolder
    keyring: Keyring
    index: KeyedIndex
    studies: Studies
