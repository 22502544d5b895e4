"""Rooms: where a store keeps what."""

from dataclasses import dataclass, field

from zweitblick.store.database import Database
from zweitblick.store.doubt import Doubt
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
    doubt: Doubt = field(default_factory=Doubt)
