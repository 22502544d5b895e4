"""Key-encryption keys in a hardware security module (HSM) that speaks PKCS#11. Needs the extra ``hsm``."""

import re
import secrets
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import pkcs11
from pkcs11 import Attribute, KeyType, Mechanism, ObjectClass, PKCS11Error, SecretKey, Session

from zweitblick.errors import KeyHolderError, UnknownKekError
from zweitblick.vault.data_key import KEY_BYTES, DataKey
from zweitblick.vault.keyholders.file import kek_id_of
from zweitblick.vault.keyholders.holder import WRAPPED_BYTES, Kek, WrappedKey, changed, checked_key
from zweitblick.vault.keyholders.places import TokenPlace
from zweitblick.vault.keyholders.token_session import token_session

Answer = TypeVar("Answer")

ID_BYTES = 16
_KEK = {
    Attribute.TOKEN: True,
    Attribute.PRIVATE: True,
    Attribute.SENSITIVE: True,
    Attribute.EXTRACTABLE: False,
    Attribute.WRAP: True,
    Attribute.UNWRAP: True,
    Attribute.ENCRYPT: False,
    Attribute.DECRYPT: False,
    Attribute.SIGN: False,
    Attribute.VERIFY: False,
    Attribute.DERIVE: False,
}
"""Not to be read out, not even wrapped (PKCS#11 3.0 section 4.10), and good for nothing but wrapping."""
_DATA_KEY = {Attribute.TOKEN: False, Attribute.SENSITIVE: False, Attribute.EXTRACTABLE: True}
"""In the HSM only for as long as it is wrapped or unwrapped."""


class _NoKeyError(PKCS11Error):
    """Not one key was found. In a session that was lost none is, so another look is needed."""


class Pkcs11KeyHolder:
    """Key-encryption keys that never leave an HSM; for several threads at once, in turn.

    Wraps as RFC 3394 says (CKM_AES_KEY_WRAP), over the session that `~zweitblick.vault.keyholders.token_session` has
    with the token.

    Parameters
    ----------
    place
        Where the keys are.
    """

    def __init__(self, place: TokenPlace) -> None:
        self._place = place
        self._session = token_session(place)
        self._known: dict[str, SecretKey] = {}
        self._session_of_known: Session | None = None

    @property
    def kek_id(self) -> str:
        """Name of the key that wraps: its CKA_ID in hexadecimal digits."""
        return self.keks()[-1].id

    def wrap(self, key: DataKey) -> WrappedKey:
        """Wrap a data key to 40 bytes with the newest key.

        Raises
        ------
        KeyHolderError
            If the HSM cannot be used, or has no key.
        """

        def wrapped(session: Session) -> WrappedKey:
            kek, secret_key = self._found(session)[-1]
            return WrappedKey(kek.id, key.id, _wrapped(session, secret_key, key.secret))

        return self._asked(wrapped)

    def unwrap(self, wrapped: WrappedKey) -> DataKey:
        """Unwrap a data key.

        Raises
        ------
        UnknownKekError
            If the key that wrapped it is not in the token.
        KeyUnwrapError
            If it was changed, is another's, or is not the data key that it is said to be.
        KeyHolderError
            If the HSM cannot be used.
        """

        def secret(session: Session) -> bytes:
            secret_key = self._named(session, wrapped.kek_id)
            if len(wrapped.ciphertext) != WRAPPED_BYTES:
                raise changed(wrapped)
            try:
                return _unwrapped(secret_key, wrapped.ciphertext)
            except PKCS11Error as error:
                # CKR_GENERAL_ERROR, of many HSMs, may mean a changed key as well as a lost session
                _check_works(session, secret_key)
                raise changed(wrapped) from error

        return checked_key(self._asked(secret), wrapped)

    def keks(self) -> Sequence[Kek]:
        """Return the token's keys, the one that wraps last."""
        return [kek for kek, _ in self._asked(self._found)]

    def make_kek(self) -> Kek:
        """Generate the first key or the next version in the HSM, not to be read out.

        Raises
        ------
        KeyHolderError
            If the HSM cannot be used, or does not let it be made.
        """

        def made(session: Session) -> Kek:
            version = self._next(session)
            kek = Kek(secrets.token_bytes(ID_BYTES).hex(), version)
            label, id_ = self._label(version), bytes.fromhex(kek.id)
            session.generate_key(KeyType.AES, 8 * KEY_BYTES, id=id_, label=label, store=True, template=_KEK)
            return kek

        return self._administrated(made)

    def next_version(self) -> int:
        """Return the version that comes next; 1 if there is none yet."""
        return self._asked(self._next)

    def import_kek(self, secret: bytes, version: int) -> Kek:
        """Put a key that was made outside into the HSM, not to be read out any more, unless it is there.

        Raises
        ------
        KeyHolderError
            If the HSM cannot be used, has another key of this version, or lets none be put in.
        """
        kek = Kek(kek_id_of(secret), version)

        def imported(session: Session) -> None:
            there = {each.version: each for each, _ in self._all(session)}
            if there.get(version, kek) != kek:
                raise KeyHolderError(f"token {self._place.token} has another key {self._label(version)}; rename it")
            if version not in there:
                session.create_object(
                    _KEK
                    | {
                        Attribute.CLASS: ObjectClass.SECRET_KEY,
                        Attribute.KEY_TYPE: KeyType.AES,
                        Attribute.VALUE: secret,
                        Attribute.ID: bytes.fromhex(kek.id),
                        Attribute.LABEL: self._label(version),
                    }
                )

        self._administrated(imported)
        return kek

    def destroy_kek(self, kek: Kek) -> None:
        """Destroy a key in the token; the HSM's own backups of it are for its administrator to destroy.

        Raises
        ------
        KeyHolderError
            If it is the key that wraps, is not there, or cannot be destroyed.
        """

        def destroyed(session: Session) -> None:
            found = dict(self._found(session))
            if kek not in found or kek == list(found)[-1]:
                raise KeyHolderError(f"key {kek.id} is the one that wraps, or is not here; destroy an older one")
            found[kek].destroy()

        self._administrated(destroyed)

    def close(self) -> None:
        """Log out, whoever else uses the token; the next call logs in again."""
        self._session.close()

    def _administrated(self, what: Callable[[Session], Answer]) -> Answer:
        try:
            return self._session.administrated(what)
        except PKCS11Error as error:
            raise self._away(error) from error

    def _asked(self, what: Callable[[Session], Answer]) -> Answer:
        try:
            return self._session.asked(what)
        except PKCS11Error as error:
            raise self._away(error) from error

    def _away(self, error: PKCS11Error) -> KeyHolderError:
        if isinstance(error, _NoKeyError):
            return KeyHolderError(f"token {self._place.token} has no key {self._label(1)}; say zweitblick keys init")
        # PKCS11Error itself says why the library cannot be loaded; the others' names are those of PKCS#11
        reason = str(error) if type(error) is PKCS11Error else type(error).__name__
        return KeyHolderError(
            f"token {self._place.token} of {self._place.module} cannot be used ({reason}); see to the HSM and its "
            "connection"
        )

    def _found(self, session: Session) -> list[tuple[Kek, SecretKey]]:
        """Find the keys, the newest last; at least one."""
        if not (found := self._all(session)):
            raise _NoKeyError
        return found

    def _all(self, session: Session) -> list[tuple[Kek, SecretKey]]:
        pattern = re.compile(re.escape(self._place.key) + "-([1-9][0-9]{0,5})")
        found: dict[int, tuple[Kek, SecretKey]] = {}
        known = self._known_from(session)
        for each in list(session.get_objects({Attribute.CLASS: ObjectClass.SECRET_KEY, Attribute.TOKEN: True})):
            if isinstance(each, SecretKey) and (match := pattern.fullmatch(each.label)):
                version = int(match[1])
                if version in found:
                    raise KeyHolderError(f"token {self._place.token} has two keys {each.label}; rename one")
                kek = Kek(each.id.hex(), version)
                if kek.id not in known:
                    known[kek.id] = _checked(each)
                found[version] = (kek, each)
        return [found[version] for version in sorted(found)]

    def _next(self, session: Session) -> int:
        return 1 + max((kek.version for kek, _ in self._all(session)), default=0)

    def _named(self, session: Session, kek_id: str) -> SecretKey:
        if kek_id not in self._known_from(session):
            self._found(session)
        if kek_id in self._known:
            return self._known[kek_id]
        raise UnknownKekError(
            f"key {kek_id} wrapped this data key and is not in token {self._place.token}; name the token that has it, "
            "or restore it there"
        )

    def _known_from(self, session: Session) -> dict[str, SecretKey]:
        """Keys that a session has found, and that are as they must be; those of another session are worth nothing."""
        if session is not self._session_of_known:
            self._known, self._session_of_known = {}, session
        return self._known

    def _label(self, version: int) -> str:
        return f"{self._place.key}-{version}"


def _checked(kek: SecretKey) -> SecretKey:
    """Refuse a key that somebody could read out, or that is none."""
    if kek.key_type is not KeyType.AES or kek[Attribute.VALUE_LEN] != KEY_BYTES:
        raise KeyHolderError(f"key {kek.label} is no AES-256 key; give keys.pkcs11_key another label")
    if kek[Attribute.EXTRACTABLE] or not kek[Attribute.SENSITIVE]:
        raise KeyHolderError(f"key {kek.label} can be read out of the token; make one with zweitblick keys init")
    if not kek[Attribute.WRAP] or not kek[Attribute.UNWRAP]:
        raise KeyHolderError(f"key {kek.label} may not wrap and unwrap; make one with zweitblick keys init")
    return kek


# a SecretKey has its methods for wrapping at run time only, as its attributes allow; so it is Any from here on
def _wrapped(session: Session, kek: Any, secret: bytes) -> bytes:
    data_key = session.create_object(
        _DATA_KEY
        | {
            Attribute.CLASS: ObjectClass.SECRET_KEY,
            Attribute.KEY_TYPE: KeyType.GENERIC_SECRET,
            Attribute.VALUE: secret,
        }
    )
    try:
        return bytes(kek.wrap_key(data_key, mechanism=Mechanism.AES_KEY_WRAP))
    finally:
        data_key.destroy()


def _unwrapped(kek: Any, ciphertext: bytes) -> bytes:
    data_key = kek.unwrap_key(
        ObjectClass.SECRET_KEY,
        KeyType.GENERIC_SECRET,
        ciphertext,
        mechanism=Mechanism.AES_KEY_WRAP,
        template=_DATA_KEY,
    )
    try:
        return bytes(data_key[Attribute.VALUE])
    finally:
        data_key.destroy()


def _check_works(session: Session, kek: SecretKey) -> None:
    """Raise PKCS11Error unless a key and its session do what they should with a key that is right."""
    secret = secrets.token_bytes(KEY_BYTES)
    if _unwrapped(kek, _wrapped(session, kek, secret)) != secret:
        raise pkcs11.DeviceError
