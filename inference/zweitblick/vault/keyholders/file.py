"""Key-encryption keys in files, for development."""

import logging
import os
import re
import secrets
import stat
from collections.abc import Sequence
from pathlib import Path

from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap, aes_key_wrap

from zweitblick.durable import sync_folder
from zweitblick.errors import KeyHolderError, UnknownKekError
from zweitblick.vault.data_key import KEY_BYTES, DataKey, fingerprint
from zweitblick.vault.keyholders.holder import Kek, WrappedKey, changed, checked_key

log = logging.getLogger(__name__)

_PURPOSE = b"zweitblick kek id"


class FileKeyHolder:
    """Key-encryption keys in files, for development: whoever copies files and store has everything.

    Wraps as RFC 3394 says (AES-256 key wrap). Logs a warning when it is made. The first key lies in the file that is
    given, later versions beside it, with a dot and their number at the end.

    Parameters
    ----------
    path
        File of 32 random bytes that nobody but its owner may read, as `make_key_file` writes it.

    Raises
    ------
    KeyHolderError
        If there is no such file, or one is open to others than its owner, or of another size.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read: dict[str, bytes] = {}
        self.keks()
        log.warning(
            "DEVELOPMENT ONLY: the key-encryption key lies in the file %s; patients' data need one that no file holds",
            path,
        )

    @property
    def kek_id(self) -> str:
        """Name of the key that wraps: a fingerprint of it."""
        return self.keks()[-1].id

    def wrap(self, key: DataKey) -> WrappedKey:
        """Wrap a data key to 40 bytes."""
        kek, secret = list(self.secrets().items())[-1]
        return WrappedKey(kek.id, key.id, aes_key_wrap(secret, key.secret))

    def unwrap(self, wrapped: WrappedKey) -> DataKey:
        """Unwrap a data key.

        Raises
        ------
        UnknownKekError
            If none of the files' keys wrapped it.
        KeyUnwrapError
            If it was changed, is another's, or is not the data key that it is said to be.
        """
        try:
            return checked_key(aes_key_unwrap(self._secret_of(wrapped.kek_id), wrapped.ciphertext), wrapped)
        except InvalidUnwrap as error:
            raise changed(wrapped) from error

    def keks(self) -> Sequence[Kek]:
        """Return the files' keys, the one that wraps last."""
        return list(self.secrets())

    def secrets(self) -> dict[Kek, bytes]:
        """Return the keys themselves, the one that wraps last, for their backup."""
        found = {_kek(version, secret): secret for version, secret in _read_versions(self._path).items()}
        self._read = {kek.id: secret for kek, secret in found.items()}
        return found

    def make_kek(self) -> Kek:
        """Write a file with the next version.

        Raises
        ------
        KeyHolderError
            If it cannot be written.
        """
        return self.import_kek(secrets.token_bytes(KEY_BYTES), self.next_version())

    def next_version(self) -> int:
        """Return the version that comes next."""
        return self.keks()[-1].version + 1

    def import_kek(self, secret: bytes, version: int) -> Kek:
        """Write a file with a given key, unless that very one is there.

        Raises
        ------
        KeyHolderError
            If the version's file is there and holds another key, or cannot be written.
        """
        return import_key_file(self._path, secret, version)

    def destroy_kek(self, kek: Kek) -> None:
        """Overwrite and delete a key's file. Copies, and what a file system or disk keeps, are not reached.

        Raises
        ------
        KeyHolderError
            If it is the key that wraps, is not there, or its file cannot be written.
        """
        keks = self.keks()
        if kek not in keks or kek == keks[-1]:
            raise KeyHolderError(f"key {kek.id} is the one that wraps, or is not here; destroy an older one")
        path = _file(self._path, kek.version)
        try:
            with path.open("r+b", buffering=0) as file:
                file.write(bytes(KEY_BYTES))
                os.fsync(file.fileno())
            path.unlink()
            sync_folder(path.parent)
        except OSError as error:
            raise KeyHolderError(f"{path} cannot be destroyed: {error.strerror}; see to its folder") from error
        self.keks()

    def _secret_of(self, kek_id: str) -> bytes:
        """Look among the keys that were read last, then in the files again: another process may have made one."""
        if kek_id not in self._read:
            self.keks()
        if (secret := self._read.get(kek_id)) is None:
            raise UnknownKekError(
                f"key {kek_id} wrapped this data key and the key file {self._path} lacks it; give the other file"
            )
        return secret


def make_key_file(path: Path) -> None:
    """Write a new key-encryption key to a new file that only its owner may read.

    Raises
    ------
    KeyHolderError
        If it or a later version is there already, since data sealed under its key would be lost, or cannot be written.
    """
    if _versions(path):
        raise KeyHolderError(f"{path} is there already and is not replaced; choose another name")
    _write(path, secrets.token_bytes(KEY_BYTES))


def import_key_file(path: Path, secret: bytes, version: int) -> Kek:
    """Write a given key-encryption key as a version's file, unless it is there; see `FileKeyHolder.import_kek`.

    Raises
    ------
    KeyHolderError
        If the file is there and holds another key, or cannot be written.
    """
    file = _file(path, version)
    if file.exists():
        if _read(file) != secret:
            raise KeyHolderError(f"{file} holds another key and is not replaced; move it away first")
    else:
        _write(file, secret)
    return _kek(version, secret)


def key_file_exists(path: Path) -> bool:
    """Tell whether a version of a key file is there."""
    return bool(_versions(path))


def kek_id_of(secret: bytes) -> str:
    """Return the name that a key-encryption key of 32 bytes has in a file: its fingerprint."""
    return fingerprint(secret, _PURPOSE)


def _kek(version: int, secret: bytes) -> Kek:
    return Kek(kek_id_of(secret), version)


def _file(path: Path, version: int) -> Path:
    return path if version == 1 else path.with_name(f"{path.name}.{version}")


def _versions(path: Path) -> list[int]:
    """Versions whose files are there, in order."""
    pattern = re.compile(re.escape(path.name) + r"\.([1-9][0-9]{0,5})")
    try:
        names = [each.name for each in path.parent.iterdir()]
    except OSError:
        return []
    found = [int(match[1]) for name in names if (match := pattern.fullmatch(name))]
    return sorted(([1] if path.name in names else []) + [version for version in found if version > 1])


def _read_versions(path: Path) -> dict[int, bytes]:
    """Read all versions, in order; at least one. Looks again where one was destroyed before it was read."""
    while True:
        versions = _versions(path) or [1]
        try:
            return {version: _read(_file(path, version)) for version in versions}
        except KeyHolderError:
            if (_versions(path) or [1]) == versions:
                raise


def _read(path: Path) -> bytes:
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


def _write(path: Path, secret: bytes) -> None:
    """Write a key durably under another name, then give it its own, so that no version is ever half a key."""
    part = path.with_name(f".{path.name}.part")
    try:
        part.unlink(missing_ok=True)
        with os.fdopen(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as file:
            file.write(secret)
            file.flush()
            os.fsync(file.fileno())
        os.link(part, path)  # unlike a rename, it replaces nothing
        part.unlink()
        sync_folder(path.parent)
    except FileExistsError as error:
        raise KeyHolderError(f"{path} is there already and is not replaced; choose another name") from error
    except OSError as error:
        raise KeyHolderError(f"{path} cannot be written: {error.strerror}; choose another folder") from error
