"""Private keys in a hardware security module (HSM) that speaks PKCS#11. Needs the extra ``hsm``."""

from cryptography import x509
from pkcs11 import Mechanism, PKCS11Error, PrivateKey
from pkcs11.exceptions import EncryptedDataInvalid, EncryptedDataLenRange, FunctionFailed, GeneralError
from pkcs11.types import DecryptMixin

from zweitblick.errors import AlteredError, KeyHolderError
from zweitblick.vault.keyholders.places import TokenPlace
from zweitblick.vault.token_key import TokenKey, signed_by, unusable

_WRONG_PADDING = (EncryptedDataInvalid, EncryptedDataLenRange, FunctionFailed, GeneralError)
"""What makers' modules return for it; SoftHSM 2.6 has but the last.

A lost session may look the same: a file is then said to be altered until the HSM is back.
"""


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
        try:
            return signed_by(self._key, data)
        except PKCS11Error as error:
            raise unusable(error) from error

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
            raise unusable(error) from error


class TokenSigner(TokenKey):
    """A key in the token and its certificate, as a `Signer`.

    Parameters
    ----------
    place, label
        Of the private key, see `zweitblick.vault.token_key.TokenKey`.
    certificate
        Of the same key.
    """

    def __init__(self, place: TokenPlace, label: str, certificate: x509.Certificate) -> None:
        super().__init__(place, label)
        self.certificate = certificate
