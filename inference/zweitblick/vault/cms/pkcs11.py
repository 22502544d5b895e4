"""Private keys in a hardware security module (HSM) that speaks PKCS#11. Needs the extra ``hsm``."""

from cryptography import x509
from pkcs11 import Mechanism, ObjectClass, PKCS11Error, PrivateKey, Session, lib
from pkcs11.exceptions import (
    EncryptedDataInvalid,
    EncryptedDataLenRange,
    FunctionFailed,
    GeneralError,
    NoSuchKey,
    PinIncorrect,
    PinInvalid,
    PinLenRange,
    PinLocked,
    UserAlreadyLoggedIn,
)
from pkcs11.types import DecryptMixin, SignMixin

from zweitblick.errors import AlteredError, KeyHolderError
from zweitblick.vault.keyholders.pkcs11 import turn_of
from zweitblick.vault.keyholders.places import TokenPlace
from zweitblick.vault.keyholders.private import FileMark, read_private

_WRONG_PADDING = (EncryptedDataInvalid, EncryptedDataLenRange, FunctionFailed, GeneralError)
"""What makers' modules return for it; SoftHSM 2.6 has but the last.

A lost session may look the same: a file is then said to be altered until the HSM is back.
"""

_refused: dict[TokenPlace, FileMark] = {}
"""PIN files whose content a token has refused."""


class Pkcs11Key:
    """An RSA key that never leaves an HSM, and its certificate; a `Signer` and a `Recipient`.

    Not for several threads at once: a session does one thing at a time.

    Parameters
    ----------
    key
        Of an open session; who opened it closes it.
    certificate
        Of the same key.
    """

    def __init__(self, key: PrivateKey, certificate: x509.Certificate) -> None:
        self._key = key
        self.certificate = certificate

    def sign(self, data: bytes) -> bytes:
        """Sign with RSASSA-PKCS1-v1_5 and SHA-256 (CKM_SHA256_RSA_PKCS).

        Raises
        ------
        KeyHolderError
            If the HSM cannot be used, or does not let the key sign.
        """
        key = self._key
        if not isinstance(key, SignMixin):
            raise KeyHolderError("the HSM does not let this key sign (CKA_SIGN); use another")
        try:
            return key.sign(data, mechanism=Mechanism.SHA256_RSA_PKCS)
        except PKCS11Error as error:
            raise _unusable(error) from error

    def decrypt(self, encrypted: bytes) -> bytes:
        """Decrypt with RSAES-PKCS1-v1_5 (CKM_RSA_PKCS).

        Raises
        ------
        AlteredError
            If that fails.
        KeyHolderError
            If the HSM cannot be used, or does not let the key decrypt.
        """
        key = self._key
        if not isinstance(key, DecryptMixin):
            raise KeyHolderError("the HSM does not let this key decrypt (CKA_DECRYPT); use another")
        try:
            return key.decrypt(encrypted, mechanism=Mechanism.RSA_PKCS)  # type: ignore[return-value]  # bytes of bytes
        except _WRONG_PADDING:
            raise AlteredError from None
        except PKCS11Error as error:
            raise _unusable(error) from error


class TokenSigner:
    """An RSA key in the token that keeps the key-encryption keys, as a `Signer`; for several threads at once, in turn.

    A session is opened for each signature: there are few, and none is lost in between.

    Parameters
    ----------
    place
        The token, and how one logs in there; its key-encryption keys are not used.
    label
        Of the private key.
    certificate
        Of the same key.
    """

    def __init__(self, place: TokenPlace, label: str, certificate: x509.Certificate) -> None:
        self._place = place
        self._label = label
        self.certificate = certificate

    def sign(self, data: bytes) -> bytes:
        """Sign with RSASSA-PKCS1-v1_5 and SHA-256 (CKM_SHA256_RSA_PKCS).

        Raises
        ------
        KeyHolderError
            If the HSM cannot be used, has no such key, or does not let it sign.
        """
        with turn_of(self._place.module):
            try:
                with self._opened() as session:
                    key = session.get_key(object_class=ObjectClass.PRIVATE_KEY, label=self._label)
                    return Pkcs11Key(key, self.certificate).sign(data)  # type: ignore[arg-type]  # of this class
            except NoSuchKey as error:
                raise KeyHolderError(
                    f"token {self._place.token} has no private key {self._label}; make it, or set sealing.hsm_key"
                ) from error
            except PKCS11Error as error:
                raise _unusable(error) from error

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
        except (PinIncorrect, PinLocked, PinInvalid, PinLenRange):
            _refused[place] = mark
            raise


def _unusable(error: PKCS11Error) -> KeyHolderError:
    return KeyHolderError(f"the HSM did not use the key ({type(error).__name__}); check that it runs")
