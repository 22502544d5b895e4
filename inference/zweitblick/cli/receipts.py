"""Who signs receipts: a key in the HSM where the settings name one, else that of the audit trail."""

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from zweitblick.cli.recording import audit_signer
from zweitblick.errors import KeyHolderError, SigningKeyError
from zweitblick.receipt_settings import ReceiptSettings
from zweitblick.settings import Settings
from zweitblick.signing.jws import key_id
from zweitblick.signing.keys import Signer, checked_signature, load_public_key


def receipt_signer(settings: Settings) -> Signer:
    """Return what signs receipts; a key in the HSM is tried.

    Raises
    ------
    SigningKeyError
        If a file cannot be used, or the key in the HSM is not that of the public key.
    KeyHolderError
        If the HSM cannot be used, or the extra that it needs is not installed.
    """
    if settings.receipts is None:
        return audit_signer(settings)
    signer = _in_token(settings.receipts)
    checked_signature(b"", signer)
    return signer


def receipt_key(settings: Settings) -> str:
    """Try whether receipts can be signed, and name the key.

    Raises
    ------
    SigningKeyError, KeyHolderError
        If not; see `receipt_signer`.
    """
    return f"signed by key {key_id(receipt_signer(settings).public_key)}"


def _in_token(receipts: ReceiptSettings) -> Signer:
    try:
        from zweitblick.vault.token_key import TokenDocumentSigner  # noqa: PLC0415 -- an optional extra
    except ImportError as error:
        raise KeyHolderError("receipts.hsm_key needs an extra: pip install 'zweitblick[hsm]'") from error
    public_key = load_public_key(receipts.public_key)
    if not isinstance(public_key, RSAPublicKey):
        raise SigningKeyError(f"the key of {receipts.public_key} is not RSA; give that of receipts.hsm_key")
    return TokenDocumentSigner(receipts.place, receipts.label, public_key)
