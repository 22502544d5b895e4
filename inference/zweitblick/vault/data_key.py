"""DataKey: the key that seals one study's objects. Keys are named by fingerprints that do not give them away."""

import secrets
from dataclasses import dataclass, field
from typing import NoReturn, Self

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from zweitblick.errors import DataKeyError

KEY_BYTES = 32
"""AES-256."""
ID_BYTES = 16
"""Two of 2^32 keys share an id with a probability below 2^-64."""


@dataclass(frozen=True)
class DataKey:
    """Key of one study (DEK). It seals nothing itself: each object has a subkey derived from it.

    Pickle refuses it, since a queue or a cache that pickles its arguments would keep the key in clear.

    Parameters
    ----------
    secret
        32 bytes, uniformly random; neither ``repr`` nor an error shows them.

    Raises
    ------
    DataKeyError
        If it is not 32 bytes long.
    """

    secret: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if len(self.secret) != KEY_BYTES:
            raise DataKeyError(f"a data key has {KEY_BYTES} bytes, not {len(self.secret)}; take DataKey.fresh()")

    @classmethod
    def fresh(cls) -> Self:
        """Make a key from the operating system's random numbers."""
        return cls(secrets.token_bytes(KEY_BYTES))

    @property
    def id(self) -> str:
        """32 hexadecimal digits that name the key; see `fingerprint`."""
        return fingerprint(self.secret, b"zweitblick data key id")

    def id_of(self, owner: str) -> str:
        """Name the key as an owner's, 32 hexadecimal digits; it is `id` for nobody's.

        Parameters
        ----------
        owner
            A study's token, or what else a key belongs to. Whoever has not the key cannot make another owner's id.
        """
        if not owner:
            return self.id
        return fingerprint(self.secret, b"zweitblick owned data key id " + owner.encode("utf-8", "surrogatepass"))

    def __reduce__(self) -> NoReturn:
        raise TypeError("a data key is not pickled; wrap it with a key holder")


@dataclass(frozen=True)
class KeyIds:
    """Names of the keys that something is sealed under; they do not give the keys away.

    Parameters
    ----------
    data_key
        See `DataKey.id_of`.
    kek
        Of the key-encryption key that the data key was wrapped with at that time.
    """

    data_key: str
    kek: str


def fingerprint(secret: bytes, purpose: bytes) -> str:
    """Name a random key so that it can be looked up and mix-ups are seen.

    HKDF-SHA256 (RFC 5869) of the key: without the key it is random, and it tells nothing of it or of its other subkeys.

    Parameters
    ----------
    secret
        32 random bytes; of a password it would allow a search.
    purpose
        Bytes that no other use of HKDF under this key begins with.

    Returns
    -------
    32 hexadecimal digits.
    """
    return HKDF(SHA256(), ID_BYTES, salt=None, info=purpose).derive(secret).hex()
