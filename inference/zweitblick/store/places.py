"""Places: where a store lies."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

from zweitblick.errors import StoreUnavailableError


@dataclass(frozen=True)
class StorePlaces:
    """Where a store lies.

    Parameters
    ----------
    data, keys
        URLs, as SQLAlchemy reads them, of two databases. Backups of the data must not hold the keys: that is what makes
        shredding last.
    objects
        Folder of sealed objects, which belongs to the data.
    """

    data: str
    keys: str
    objects: Path

    @classmethod
    def within(cls, folder: Path) -> Self:
        """Return the places of a store on SQLite: ``data`` and ``keys`` of a folder, which are made.

        Raises
        ------
        StoreUnavailableError
            If they cannot be.
        """
        try:
            for name in ("data", "keys"):
                (folder / name).mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise StoreUnavailableError(f"{folder} cannot be made ({error.strerror}); choose another") from error
        absolute = folder.resolve()
        return cls(
            f"sqlite:///{absolute}/data/store.sqlite",
            f"sqlite:///{absolute}/keys/keys.sqlite",
            absolute / "data" / "objects",
        )
