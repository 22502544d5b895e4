"""Shares of key-encryption keys as files, for ``zweitblick keys``."""

import argparse
import os
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from zweitblick.cli.keyholder import make_folder_of, opened_holder
from zweitblick.errors import KeyUnwrapError, OutputError, ShareError
from zweitblick.settings import Settings
from zweitblick.store.database import Database
from zweitblick.store.rotation import rows_under
from zweitblick.vault.data_key import KEY_BYTES
from zweitblick.vault.escrow import joined, split
from zweitblick.vault.keyholders import FileKeyHolder, Kek, KekImporter, KekKeeper
from zweitblick.vault.keyholders.file import import_key_file, kek_id_of

NO_SHARES = "a Vault server gives no key out and takes none in; back it up and restore it as its maker says"

NOT_FROM_HSM = (
    "an HSM gives no key out; use its maker's backup, or zweitblick keys rotate with --shares, which makes a key "
    "outside, shares it and puts it in"
)


@dataclass(frozen=True)
class Asked:
    """How a key is to be shared, and where the shares are written."""

    shares: int
    threshold: int
    out: Path


def asked(arguments: argparse.Namespace) -> Asked | None:
    """Return what the options ask for, None if for no shares.

    Raises
    ------
    ShareError
        If only some of them are given.
    OutputError
        If the folder is there already.
    """
    if arguments.shares is arguments.threshold is arguments.out is None:
        return None
    return demanded(arguments)


def demanded(arguments: argparse.Namespace) -> Asked:
    """Return what the options ask for, where shares must be asked for.

    Raises
    ------
    ShareError, OutputError
        See `asked`.
    """
    given = (arguments.shares, arguments.threshold, arguments.out)
    if any(value is None for value in given):
        raise ShareError("--shares, --threshold and --out go together; give all three or none")
    if arguments.out.exists():
        raise OutputError(f"{arguments.out} is there already; give a new folder as --out")
    return Asked(*given)


def write(how: Asked, settings: Settings, holder: KekKeeper) -> None:
    """Write shares of all keys of a key file.

    Raises
    ------
    ShareError
        If the holder is no key file.
    OutputError
        If they cannot be written.
    """
    _write(how, _given_out(settings, holder))


def write_newest(how: Asked, settings: Settings, holder: KekKeeper) -> None:
    """Write shares of the key of a key file that wraps, and of none that was rotated out.

    Raises
    ------
    ShareError, OutputError
        See `write`.
    """
    kek, secret = list(_given_out(settings, holder).items())[-1]
    _write(how, {kek: secret})


def imported(how: Asked, holder: KekKeeper) -> Kek:
    """Make a key here, write its shares, and put it into an HSM, from which it does not come out.

    Raises
    ------
    ShareError
        If the holder takes none in.
    OutputError, KeyHolderError
        If the shares cannot be written, or the key cannot be put in.
    """
    if not isinstance(holder, KekImporter):
        raise ShareError(NO_SHARES)
    secret, version = secrets.token_bytes(KEY_BYTES), holder.next_version()
    _write(how, {Kek(kek_id_of(secret), version): secret})
    return holder.import_kek(secret, version)


def restored(files: Sequence[Path], settings: Settings) -> list[Kek]:
    """Put the keys of shares where the settings keep them.

    Raises
    ------
    ShareError
        If the shares give no key, or the holder takes none in.
    KeyHolderError
        If it has another key in that place, or cannot be used.
    """
    keks = joined(_text(file) for file in files)
    for kek, secret in keks.items():
        if kek_id_of(secret) != kek.id:
            raise ShareError(f"the shares give another key than {kek.id}; a line was copied to the wrong place")
    if settings.keys.vault is not None:
        raise ShareError(NO_SHARES)
    if settings.keys.hsm is None:
        make_folder_of(settings.key_file)
        return [import_key_file(settings.key_file, secret, kek.version) for kek, secret in keks.items()]
    with opened_holder(settings) as holder:
        if not isinstance(holder, KekImporter):
            raise ShareError(NO_SHARES)
        return [holder.import_kek(secret, kek.version) for kek, secret in keks.items()]


def count_opened(keys: Database, holder: KekKeeper, kek: Kek) -> str:
    """Say how many of the data keys that are under a key it unwraps."""
    rows = rows_under(keys, kek.id)
    opened = 0
    for row in rows:
        try:
            holder.unwrap(row)
        except KeyUnwrapError:
            continue
        opened += 1
    return f"{opened} of {len(rows)}"


def _given_out(settings: Settings, holder: KekKeeper) -> dict[Kek, bytes]:
    if not isinstance(holder, FileKeyHolder):
        raise ShareError(NO_SHARES if settings.keys.vault is not None else NOT_FROM_HSM)
    return holder.secrets()


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ShareError(f"{file} cannot be read as text ({type(error).__name__}); give a file of a share") from error


def _write(how: Asked, keks: dict[Kek, bytes]) -> None:
    parts = split(keks, shares=how.shares, threshold=how.threshold)
    try:
        how.out.mkdir(mode=0o700)
        for part in parts:
            descriptor = os.open(how.out / f"share-{part.number}.txt", os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(part.text())
                file.flush()
                os.fsync(file.fileno())
    except OSError as error:
        raise OutputError(f"{how.out} cannot be written ({error.strerror}); give a new folder as --out") from error
