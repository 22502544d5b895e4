"""What every key holder takes and gives."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

from zweitblick.errors import KeyUnwrapError
from zweitblick.vault.data_key import KEY_BYTES, DataKey

WRAPPED_BYTES = KEY_BYTES + 8
"""Of a data key under AES key wrap (RFC 3394 section 2.2.1)."""


@dataclass(frozen=True)
class Kek:
    """A key-encryption key, by name.

    Parameters
    ----------
    id
        The same for as long as the key is the same.
    version
        1 for a holder's first; rotation counts on. The highest one wraps.
    """

    id: str
    version: int


@dataclass(frozen=True)
class WrappedKey:
    """A data key that only its holder can unwrap; may be stored anywhere.

    Parameters
    ----------
    kek_id
        Names the key-encryption key that wrapped it.
    data_key_id
        `DataKey.id` of what is wrapped or, if it has an owner, `DataKey.id_of`.
    ciphertext
        What the holder made of the data key; its form is the holder's own.
    owner
        Whose key it is; empty if nobody's yet. It cannot be changed unseen by whoever has not the data key.
    """

    kek_id: str
    data_key_id: str
    ciphertext: bytes
    owner: str = ""

    def owned_by(self, owner: str, key: DataKey) -> "WrappedKey":
        """Return the same wrapped key as its owner's; it unwraps as that only.

        Parameters
        ----------
        owner
            Whose it becomes.
        key
            What is wrapped.
        """
        return replace(self, owner=owner, data_key_id=key.id_of(owner))


class KeyHolder(Protocol):
    """Wraps and unwraps data keys with key-encryption keys that it need not give out; for several threads at once."""

    @property
    def kek_id(self) -> str:
        """Name of the key-encryption key that wraps.

        Raises
        ------
        KeyHolderError
            If the holder cannot be used, or has none.
        """
        ...

    def wrap(self, key: DataKey) -> WrappedKey:
        """Wrap a data key, nobody's yet, with the newest key-encryption key.

        Raises
        ------
        KeyHolderError
            If the holder cannot be used.
        """
        ...

    def unwrap(self, wrapped: WrappedKey) -> DataKey:
        """Unwrap a data key, with the key-encryption key that wrapped it.

        Raises
        ------
        UnknownKekError
            If the holder does not have that one.
        KeyUnwrapError
            If it was changed, is another's, or is not the data key that it is said to be.
        KeyHolderError
            If the holder cannot be used.
        """
        ...


class KekKeeper(KeyHolder, Protocol):
    """A key holder whose key-encryption keys can be made and destroyed; for who administrates it."""

    def keks(self) -> Sequence[Kek]:
        """Return the key-encryption keys that it has, the one that wraps last.

        Raises
        ------
        KeyHolderError
            If the holder cannot be used.
        """
        ...

    def make_kek(self) -> Kek:
        """Make the first key-encryption key or the next version, which wraps from now on.

        Raises
        ------
        KeyHolderError
            If it cannot be made.
        """
        ...

    def destroy_kek(self, kek: Kek) -> None:
        """Destroy a key-encryption key; nothing that it wrapped is ever unwrapped again, here or from any backup.

        Raises
        ------
        KeyHolderError
            If it is the one that wraps, or cannot be destroyed.
        """
        ...


@runtime_checkable
class KekImporter(Protocol):
    """A key holder that takes in a key-encryption key that was made outside."""

    def next_version(self) -> int:
        """Return the version that comes next; 1 if there is none yet.

        Raises
        ------
        KeyHolderError
            If the holder cannot be used.
        """
        ...

    def import_kek(self, secret: bytes, version: int) -> Kek:
        """Take in a key of 32 bytes, unless that very one is there.

        Raises
        ------
        KeyHolderError
            If another key of this version is there, or it cannot be taken in.
        """
        ...


def checked_key(secret: bytes, wrapped: WrappedKey) -> DataKey:
    """Make the data key, if it is the one that was asked for and not another that the same holder wrapped.

    Parameters
    ----------
    secret
        What was unwrapped.
    wrapped
        What it came of. An id without an owner in it, as older keyrings have, is taken too: nobody who has not the key
        can make one.

    Raises
    ------
    KeyUnwrapError
        If it is another's or another.
    """
    if len(secret) == KEY_BYTES:
        key = DataKey(secret)
        if wrapped.data_key_id in (key.id_of(wrapped.owner), key.id):
            return key
    raise changed(wrapped)


def changed(wrapped: WrappedKey) -> KeyUnwrapError:
    """Return the error that says that a wrapped key was changed or exchanged."""
    return KeyUnwrapError(
        f"wrapped data key {wrapped.data_key_id} was changed, or is not the key that it is said to be; restore the "
        "entry from a backup of the keys"
    )
