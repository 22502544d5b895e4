"""Keys that sign in a hardware security module (HSM) that speaks PKCS#11. Needs the extra ``hsm``."""

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from pkcs11 import Key, Mechanism, ObjectClass, PKCS11Error, Session
from pkcs11.exceptions import NoSuchKey
from pkcs11.types import SignMixin

from zweitblick.errors import KeyHolderError
from zweitblick.vault.keyholders.places import TokenPlace
from zweitblick.vault.keyholders.token_session import token_session


class TokenKey:
    """An RSA key in the token that keeps the key-encryption keys; for several threads at once, in turn.

    It signs over the session that `~zweitblick.vault.keyholders.token_session` has with the token.

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

        def signed(session: Session) -> bytes:
            return signed_by(session.get_key(object_class=ObjectClass.PRIVATE_KEY, label=self._label), data)

        try:
            return token_session(self._place).asked(signed)
        except NoSuchKey as error:
            raise KeyHolderError(
                f"token {self._place.token} has no private key {self._label}; make it, or set hsm_key to another"
            ) from error
        except PKCS11Error as error:
            raise unusable(error) from error


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
