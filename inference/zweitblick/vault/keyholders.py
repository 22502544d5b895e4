"""Key holders: whoever keeps the hospital's key-encryption key (KEK), and wraps and unwraps data keys with it."""

import logging
import os
import secrets
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap, aes_key_wrap

from zweitblick.errors import KeyHolderError, KeyUnwrapError, UnknownKekError
from zweitblick.vault.data_key import KEY_BYTES, DataKey, fingerprint

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class WrappedKey:
    """A data key that only its holder can unwrap; may be stored anywhere.

    Parameters
    ----------
    kek_id
        Names the key-encryption key that wrapped it.
    data_key_id
        `DataKey.id` of what is wrapped.
    ciphertext
        What the holder made of the data key; its form is the holder's own.
    """

    kek_id: str
    data_key_id: str
    ciphertext: bytes


class KeyHolder(Protocol):
    """Wraps and unwraps data keys with a key-encryption key that it need not give out."""

    @property
    def kek_id(self) -> str:
        """Name of the key-encryption key, the same for as long as the key is the same."""
        ...

    def wrap(self, key: DataKey) -> WrappedKey:
        """Wrap a data key.

        Raises
        ------
        KeyHolderError
            If the holder cannot be used.
        """
        ...

    def unwrap(self, wrapped: WrappedKey) -> DataKey:
        """Unwrap a data key.

        Raises
        ------
        UnknownKekError
            If another key-encryption key wrapped it.
        KeyUnwrapError
            If it was changed, or is not the data key that it is said to be.
        KeyHolderError
            If the holder cannot be used.
        """
        ...


class FileKeyHolder:
    """Key-encryption key in a file, for development: whoever copies file and store has everything.

    Wraps as RFC 3394 says (AES-256 key wrap). Logs a warning when it is made.

    Parameters
    ----------
    path
        File of 32 random bytes that nobody but its owner may read, as `make_key_file` writes it.

    Raises
    ------
    KeyHolderError
        If the file is absent, open to others than its owner, or of another size.
    """

    def __init__(self, path: Path) -> None:
        self._kek = _read_key_file(path)
        self.kek_id = fingerprint(self._kek, b"zweitblick kek id")
        log.warning(
            "DEVELOPMENT ONLY: the key-encryption key lies in the file %s; patients' data need one that no file holds",
            path,
        )

    def wrap(self, key: DataKey) -> WrappedKey:
        """Wrap a data key to 40 bytes."""
        return WrappedKey(self.kek_id, key.id, aes_key_wrap(self._kek, key.secret))

    def unwrap(self, wrapped: WrappedKey) -> DataKey:
        """Unwrap a data key.

        Raises
        ------
        UnknownKekError
            If another key-encryption key wrapped it.
        KeyUnwrapError
            If it was changed, or is not the data key that it is said to be.
        """
        if wrapped.kek_id != self.kek_id:
            raise UnknownKekError(
                f"key {wrapped.kek_id} wrapped this data key and the key file holds {self.kek_id}; give the other file"
            )
        try:
            secret = aes_key_unwrap(self._kek, wrapped.ciphertext)
        except InvalidUnwrap as error:
            raise KeyUnwrapError(
                f"wrapped data key {wrapped.data_key_id} was changed; restore it from a backup"
            ) from error
        return _checked(secret, wrapped)


def make_key_file(path: Path) -> None:
    """Write a new key-encryption key to a new file that only its owner may read.

    Raises
    ------
    KeyHolderError
        If the file is there already, since data sealed under its key would be lost, or cannot be written.
    """
    try:
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_bytes(KEY_BYTES))
    except FileExistsError as error:
        raise KeyHolderError(f"{path} is there already and is not replaced; choose another name") from error
    except OSError as error:
        raise KeyHolderError(f"{path} cannot be written: {error.strerror}; choose another folder") from error


def _read_key_file(path: Path) -> bytes:
    """Check and read one and the same open file, so that it cannot be exchanged in between."""
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            kek = file.read(KEY_BYTES + 1)
    except OSError as error:
        raise KeyHolderError(f"key file {path} cannot be read: {error.strerror}; make one") from error
    if stat.S_IMODE(mode) & (stat.S_IRWXG | stat.S_IRWXO):
        raise KeyHolderError(
            f"key file {path} has mode {stat.S_IMODE(mode):04o} and is open to others than its owner; "
            "say chmod 600, and make a new key if others may have read it"
        )
    if len(kek) != KEY_BYTES:
        raise KeyHolderError(f"key file {path} does not hold {KEY_BYTES} bytes; give the file that was made as a key")
    return kek


def _checked(secret: bytes, wrapped: WrappedKey) -> DataKey:
    """Make the data key, if it is the one that was asked for and not another that the same holder wrapped."""
    if len(secret) == KEY_BYTES and (key := DataKey(secret)).id == wrapped.data_key_id:
        return key
    raise KeyUnwrapError(f"what was wrapped is not data key {wrapped.data_key_id}; restore the entry from a backup")
