"""Keys that sign in a hardware security module (HSM) that speaks PKCS#11. Needs the extra ``hsm``."""

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from pkcs11 import Key, Mechanism, ObjectClass, PKCS11Error, Session, lib
from pkcs11.exceptions import NoSuchKey, PinIncorrect, PinInvalid, PinLenRange, PinLocked, UserAlreadyLoggedIn
from pkcs11.types import SignMixin

from zweitblick.errors import KeyHolderError
from zweitblick.vault.keyholders.pkcs11 import turn_of
from zweitblick.vault.keyholders.places import TokenPlace
from zweitblick.vault.keyholders.private import FileMark, read_private

_refused: dict[TokenPlace, FileMark] = {}
"""PIN files whose content a token has refused."""

_worked: set[TokenPlace] = set()
"""Tokens in which something was signed: for one that is lost, the library is worth being initialized anew."""


class TokenKey:
    """An RSA key in the token that keeps the key-encryption keys; for several threads at once, in turn.

    A session is opened for each signature, since there are few. If that fails where it worked before, the library is
    initialized anew, as `zweitblick.vault.keyholders.pkcs11.Pkcs11KeyHolder` does.

    Parameters
    ----------
    place
        The token, and how one logs in there; its key-encryption keys are not used.
    label
        Of the private key.
    """

    def __init__(self, place: TokenPlace, label: str) -> None:
        self._place = place
        self._label = label

    def sign(self, data: bytes, /) -> bytes:
        """Sign with RSASSA-PKCS1-v1_5 and SHA-256 (CKM_SHA256_RSA_PKCS).

        Raises
        ------
        KeyHolderError
            If the HSM cannot be used, has no such key, or does not let it sign.
        """
        ways = [self._signed, self._signed_anew] if self._place in _worked else [self._signed]
        with turn_of(self._place.module):
            for way in ways:
                try:
                    signature = way(data)
                except PKCS11Error as error:
                    lost = error
                else:
                    _worked.add(self._place)
                    return signature
        raise self._away(lost) from lost

    def _signed_anew(self, data: bytes) -> bytes:
        lib(str(self._place.module)).reinitialize()
        return self._signed(data)

    def _signed(self, data: bytes) -> bytes:
        with self._opened() as session:
            return signed_by(session.get_key(object_class=ObjectClass.PRIVATE_KEY, label=self._label), data)

    def _opened(self) -> Session:
        """Log in; with a PIN that was refused not before its file changes, since an HSM counts failures."""
        place = self._place
        pin, mark = read_private(place.pin_file, "PIN file")
        if _refused.get(place) == mark:
            raise KeyHolderError(f"token {place.token} has refused the PIN of {place.pin_file}; correct it")
        token = lib(str(place.module)).get_token(token_label=place.token)
        try:
            return token.open(user_pin=pin)
        except UserAlreadyLoggedIn:
            return token.open()  # the log-in is the whole process's
        except (PinIncorrect, PinLocked, PinInvalid, PinLenRange) as error:
            _refused[place] = mark
            raise unusable(error) from error

    def _away(self, error: PKCS11Error) -> KeyHolderError:
        if isinstance(error, NoSuchKey):
            return KeyHolderError(
                f"token {self._place.token} has no private key {self._label}; make it, or set hsm_key to another"
            )
        return unusable(error)


class TokenDocumentSigner(TokenKey):
    """A key in the token, as a `zweitblick.signing.keys.Signer` of documents.

    Parameters
    ----------
    place, label
        Of the private key, see `TokenKey`.
    public_key
        Of the same key. That it is, the first signature shows.
    """

    def __init__(self, place: TokenPlace, label: str, public_key: RSAPublicKey) -> None:
        super().__init__(place, label)
        self._public_key = public_key

    @property
    def public_key(self) -> RSAPublicKey:
        """The key that checks what this one signs."""
        return self._public_key


def signed_by(key: Key, data: bytes) -> bytes:
    """Sign with an RSA key of an open session: RSASSA-PKCS1-v1_5 and SHA-256 (CKM_SHA256_RSA_PKCS).

    Raises
    ------
    KeyHolderError
        If the HSM does not let the key sign.
    PKCS11Error
        If the HSM cannot be used.
    """
    if not isinstance(key, SignMixin):
        raise KeyHolderError("the HSM does not let this key sign (CKA_SIGN); use another")
    return key.sign(data, mechanism=Mechanism.SHA256_RSA_PKCS)


def unusable(error: PKCS11Error) -> KeyHolderError:
    """Return what says that a key was not used."""
    return KeyHolderError(f"the HSM did not use the key ({type(error).__name__}); check that it runs")
