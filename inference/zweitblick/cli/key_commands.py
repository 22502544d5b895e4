"""What ``zweitblick keys`` does: keys are made, counted, rotated, backed up and restored, and studies shredded."""

import argparse
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from zweitblick.cli import escrow, shred
from zweitblick.cli.keyholder import make_folder_of, opened_holder
from zweitblick.cli.places import store_places
from zweitblick.errors import KeyHolderError
from zweitblick.settings import Settings, load_settings
from zweitblick.store.database import Database
from zweitblick.store.rotation import destroy_retired, finish, kept_keys, unfinished
from zweitblick.store.rotation_lock import rotation_lock
from zweitblick.vault.keyholders import Kek, KekKeeper, make_key_file


def init(arguments: argparse.Namespace) -> None:
    """Make the first key-encryption key.

    Raises
    ------
    KeyHolderError
        If there is one, or it cannot be made.
    ShareError
        If shares are asked for of a holder that gives none.
    """
    settings = load_settings(arguments.config)
    split = escrow.asked(arguments)
    if _is_file(settings):
        make_folder_of(settings.key_file)
        make_key_file(settings.key_file)
    with opened_holder(settings) as holder:
        if not _is_file(settings):
            _check_none(holder)
            _made(holder, split)
        elif split is not None:
            escrow.write(split, settings, holder)
        _say(f"Made {_named(holder.keks()[-1])} in {_place(settings)}.")


def status(arguments: argparse.Namespace) -> None:
    """Show who holds which keys, and how many data keys are under each."""
    settings = load_settings(arguments.config)
    with _keyring(settings) as keys:
        counts = kept_keys(keys)
    _say(f"Holder: {_place(settings)}")
    try:
        with opened_holder(settings) as holder:
            held = {kek.id: kek for kek in holder.keks()}
    except KeyHolderError as error:
        _say(f"Away: {error}")
        held = {}
    for kek in held.values():
        use = "wraps" if kek == list(held.values())[-1] else "rotated out"
        _say(f"{_named(kek).capitalize()}: {counts[kek.id]} data keys, {use}")
    for kek_id in counts.keys() - held.keys():
        _say(f"Key {kek_id}: {counts[kek_id]} data keys, not with the holder now")
    pool = settings.keys.pool
    _say(
        f"Pool: {pool.count} keys for new studies, of {pool.age.total_seconds():.0f} s at most (of a service that runs)"
    )


def rotate(arguments: argparse.Namespace) -> None:
    """Make a newer key, or finish what was begun, wrap all data keys anew and, if asked to, destroy the older keys.

    Shares are written before anything is destroyed, and hold nothing that is destroyed then.

    Raises
    ------
    RotationRunningError
        If another rotation or a restore is under way.
    ShareError
        If shares are asked for of a holder that gives none, as where a rotation is finished; nothing is destroyed then.
    ZweitblickError
        See `zweitblick.store.rotation`.
    """
    settings = load_settings(arguments.config)
    split = escrow.asked(arguments)
    with opened_holder(settings) as holder, _keyring(settings) as keys, rotation_lock(keys):
        if begun := unfinished(keys, holder):
            _say("Finishing a rotation that was begun; no newer key is made.")
        elif _is_file(settings):
            holder.make_kek()
        else:
            _made(holder, split)
        count = finish(keys, holder)
        _say(f"Wrapped {count} data keys anew under {_named(holder.keks()[-1])}.")
        if split is not None and (begun or _is_file(settings)):
            (escrow.write_newest if arguments.destroy_old else escrow.write)(split, settings, holder)
            _say_shares(split)
        if arguments.destroy_old:
            _destroy_older(keys, holder)


def backup(arguments: argparse.Namespace) -> None:
    """Write the key file's keys as shares.

    Raises
    ------
    ShareError
        If the holder gives no key out, or shares and threshold cannot be.
    OutputError
        If they cannot be written.
    """
    settings = load_settings(arguments.config)
    split = escrow.demanded(arguments)
    with opened_holder(settings) as holder:
        escrow.write(split, settings, holder)
    _say_shares(split)


def restore(arguments: argparse.Namespace) -> None:
    """Put keys from shares into the holder, and see whether they open the data keys.

    Raises
    ------
    ShareError
        If the shares give no key, or the holder takes none.
    KeyHolderError
        If it has another key in that place, or cannot be used.
    RotationRunningError
        If a rotation or another restore is under way.
    """
    settings = load_settings(arguments.config)
    with _keyring(settings) as keys, rotation_lock(keys):
        restored = escrow.restored(arguments.files, settings)
        with opened_holder(settings) as holder:
            counts = {kek: escrow.count_opened(keys, holder, kek) for kek in restored}
    for kek, count in counts.items():
        _say(f"Restored {_named(kek)}: {count} data keys open.")


def _made(holder: KekKeeper, split: escrow.Asked | None) -> Kek:
    """Make a key in the holder or, if it is to be shared, here, and then put it there."""
    return holder.make_kek() if split is None else escrow.imported(split, holder)


def _destroy_older(keys: Database, holder: KekKeeper) -> None:
    for kek in destroy_retired(keys, holder):
        _say(f"Destroyed {_named(kek)}. Older backups of the wrapped keys open nothing any more: make a new one.")


def _check_none(holder: KekKeeper) -> None:
    try:
        keks = holder.keks()
    except KeyHolderError:
        return  # it has none, or making one says what is wrong
    raise KeyHolderError(f"there is {_named(keks[-1])} already; zweitblick keys rotate makes a newer one")


@contextmanager
def _keyring(settings: Settings) -> Iterator[Database]:
    keys = Database(store_places(settings).keys, tables="keys")
    try:
        yield keys
    finally:
        keys.close()


def _is_file(settings: Settings) -> bool:
    return settings.keys.hsm is None and settings.keys.vault is None


def _place(settings: Settings) -> str:
    if (hsm := settings.keys.hsm) is not None:
        return f"PKCS#11 token {hsm.token} of {hsm.module}, keys {hsm.key}-1, -2, ..."
    if (vault := settings.keys.vault) is not None:
        return f"Transit key {vault.key} at {vault.url}, mount {vault.mount}"
    return f"key file {settings.key_file} (for development only)"


def _say_shares(split: escrow.Asked) -> None:
    _say(f"Wrote {split.shares} shares to {split.out}, of which {split.threshold} restore the keys.")
    _say("Give each to one person, on paper or a medium of its own, and delete the folder.")


def _named(kek: Kek) -> str:
    return f"key {kek.version} ({kek.id})"


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")


COMMANDS: dict[str, Callable[[argparse.Namespace], None]] = {
    "init": init,
    "status": status,
    "rotate": rotate,
    "shred": shred.run,
    "backup": backup,
    "restore": restore,
}
"""By their names on the command line."""
