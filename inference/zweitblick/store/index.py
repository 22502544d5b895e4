"""KeyedIndex: columns by which an identifier is found, and from which it cannot be had."""

from enum import StrEnum

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hmac import HMAC
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from sqlalchemy import insert, select

from zweitblick.store.database import Database
from zweitblick.store.keyring import INDEX, Keyring
from zweitblick.store.schema import identities
from zweitblick.vault.data_key import KEY_BYTES, DataKey


class Indexed(StrEnum):
    """What is looked up; equal values of two kinds have different hashes."""

    STUDY = "study instance uid"
    SERIES = "series instance uid"
    INSTANCE = "sop instance uid"
    RESULT = "result name"
    PATIENT = "patient id"
    ACCESSION = "accession number"
    CONTENT = "content"
    WORKITEM = "workitem uid"
    DESTINATION = "destination"
    STEP = "procedure step uid"


class KeyedIndex:
    """HMAC-SHA256 (RFC 2104) under a key that is derived from a store's index key (HKDF-SHA256, RFC 5869).

    Without the key a hash cannot be told from random bytes, though UIDs and patient ids could be guessed one by one.

    Parameters
    ----------
    key
        The store's index key.
    """

    def __init__(self, key: DataKey) -> None:
        self._secret = HKDF(SHA256(), KEY_BYTES, salt=None, info=b"zweitblick store index").derive(key.secret)

    def of(self, kind: Indexed, *values: str) -> bytes:
        """Hash values, each after its length, so that no two lists of them read the same.

        Returns
        -------
        32 bytes; equal if and only if kind and values are.
        """
        mac = HMAC(self._secret, SHA256())
        for part in (kind, *values):
            encoded = part.encode("utf-8", "surrogatepass")
            mac.update(len(encoded).to_bytes(4, "big") + encoded)
        return mac.finalize()


def index_key(data: Database, keyring: Keyring) -> DataKey:
    """Return the store's index key; made where there is none, and refused where the data know another."""
    with data.reading() as transaction:
        known = transaction.execute(select(identities.c.index_key_id)).scalar_one_or_none()
    if known is not None:
        return keyring.index_key(known)
    key = keyring.make(INDEX)
    with data.writing() as transaction:
        if not transaction.execute(select(identities)).all():
            transaction.execute(insert(identities).values(index_key_id=key.id))
    return key
