"""The key holder that the settings name."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from zweitblick.errors import KeyHolderError
from zweitblick.settings import Settings
from zweitblick.vault.keyholders import FileKeyHolder, KekKeeper, make_key_file
from zweitblick.vault.keyholders.file import key_file_exists
from zweitblick.vault.keyholders.places import TokenPlace
from zweitblick.vault.keyholders.transit import TransitKeyHolder

if TYPE_CHECKING:
    from zweitblick.vault.keyholders.pkcs11 import Pkcs11KeyHolder


@contextmanager
def opened_holder(settings: Settings) -> Iterator[KekKeeper]:
    """Give the key holder, and let go of it at the end.

    Raises
    ------
    KeyHolderError
        If the extra that it needs is not installed, or its files cannot be used.
    """
    if settings.keys.hsm is not None:
        with closing(_hsm(settings.keys.hsm)) as holder:
            yield holder
    elif settings.keys.vault is not None:
        with closing(TransitKeyHolder(settings.keys.vault)) as holder:
            yield holder
    else:
        yield FileKeyHolder(settings.key_file)


def make_key_file_once(path: Path) -> None:
    """Make a key file and its folder, if there is none.

    Raises
    ------
    KeyHolderError
        If it cannot be made.
    """
    if not key_file_exists(path):
        make_folder_of(path)
        make_key_file(path)


def make_folder_of(path: Path) -> None:
    """Make the folder of a key file.

    Raises
    ------
    KeyHolderError
        If it cannot be made.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise KeyHolderError(f"{path.parent} cannot be made ({error.strerror}); set key_file to another") from error


def _hsm(place: TokenPlace) -> "Pkcs11KeyHolder":
    try:
        from zweitblick.vault.keyholders.pkcs11 import Pkcs11KeyHolder  # noqa: PLC0415 -- an optional extra
    except ImportError as error:
        raise KeyHolderError("keys.holder is pkcs11, which needs an extra: pip install 'zweitblick[hsm]'") from error
    return Pkcs11KeyHolder(place)
