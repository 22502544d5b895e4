"""Key holders: whoever keeps the hospital's key-encryption keys (KEKs), and wraps and unwraps data keys with them.

`pkcs11` and `transit` are imported on their own, since they need the extras ``hsm`` and ``vault``.
"""

from zweitblick.vault.keyholders.file import FileKeyHolder, make_key_file
from zweitblick.vault.keyholders.holder import Kek, KekImporter, KekKeeper, KeyHolder, WrappedKey

__all__ = ["FileKeyHolder", "Kek", "KekImporter", "KekKeeper", "KeyHolder", "WrappedKey", "make_key_file"]
