"""What goes wrong while a Secure DICOM File or encrypted attributes are made or opened."""

from zweitblick.errors.root import ZweitblickError


class CmsError(ZweitblickError):
    """Something cannot be signed, enveloped or opened; a certificate is named by its fingerprint, not its subject."""

    code = "cms"


class CmsFormatError(CmsError):
    """What was given is neither a Secure DICOM File nor an instance with encrypted attributes that we know."""

    code = "cms.format"


class CmsKeyError(CmsError):
    """A key or certificate cannot be read or does not fit the other."""

    code = "cms.key"


class NotForUsError(CmsError):
    """The recipients are others."""

    code = "cms.not-for-us"


class AlteredError(CmsError):
    """What is inside cannot be taken out; why is not told, since each difference would be an oracle.

    The outer CBC is not authenticated: who may send altered files and learns which of padding, structure or signature
    failed can decrypt bit by bit (Vaudenay, EUROCRYPT 2002; for the key, Bleichenbacher, CRYPTO 1998).
    """

    code = "cms.altered"

    def __init__(self) -> None:
        super().__init__(
            "the content cannot be taken out: it was altered or cut, or is not signed as a Secure DICOM File is "
            "(RSA with SHA-2, one signer); nothing of it is shown, ask the sender for it again"
        )


class WrongSignerError(CmsError):
    """The signature is sound, but nobody who is trusted made it or vouches for who did."""

    code = "cms.wrong-signer"


class WeakCryptographyError(CmsError):
    """A key is too short or an algorithm too weak."""

    code = "cms.weak"


class CertificateExpiredError(CmsError):
    """A certificate was no longer valid when it was used."""

    code = "cms.expired"


class CertificateNotYetValidError(CmsError):
    """A certificate was not yet valid when it was used, or a signature is of the future."""

    code = "cms.not-yet-valid"


class KeyUsageError(CmsError):
    """A certificate does not allow what its key was to do."""

    code = "cms.key-usage"
