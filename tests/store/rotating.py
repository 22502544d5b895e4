"""Program that a test kills: wraps all data keys anew, and says "begins", then something for each key unwrapped.

python rotating.py FOLDER
"""

import sys
from pathlib import Path

from store.killed import say
from zweitblick.store.database import Database
from zweitblick.store.places import StorePlaces
from zweitblick.store.rotation import rotate
from zweitblick.store.rotation_lock import rotation_lock
from zweitblick.vault.data_key import DataKey
from zweitblick.vault.keyholders import FileKeyHolder, WrappedKey


class Telling(FileKeyHolder):
    def unwrap(self, wrapped: WrappedKey) -> DataKey:
        say("unwraps")
        return super().unwrap(wrapped)


def main() -> None:
    folder = Path(sys.argv[1])
    keys = Database(StorePlaces.within(folder).keys, tables="keys")
    with rotation_lock(keys):
        say("begins")
        rotate(keys, Telling(folder / "kek"), at_once=1)
    keys.close()


if __name__ == "__main__":
    main()
