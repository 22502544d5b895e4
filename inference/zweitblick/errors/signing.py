"""What goes wrong while something is signed, or a signature or a receipt is looked at."""

from zweitblick.errors.root import ZweitblickError


class SigningError(ZweitblickError):
    """Something cannot be signed, or is not what was signed."""

    code = "signing"


class SigningKeyError(SigningError):
    """A key that signs, or tells whether something is signed, cannot be used."""

    code = "signing.key"


class SignatureError(SigningError):
    """A document is not signed by one of the keys."""

    code = "signing.signature"


class ReceiptError(ZweitblickError):
    """A receipt tells of something else."""

    code = "receipt"


class ReceiptFormatError(ReceiptError):
    """A receipt is signed, and none that this release reads."""

    code = "receipt.format"


class ReceiptMismatchError(ReceiptError):
    """A study or a result is not the one that a receipt tells of."""

    code = "receipt.mismatch"
