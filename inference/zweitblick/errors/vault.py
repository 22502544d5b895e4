"""What goes wrong while something is sealed or opened."""

from zweitblick.errors.root import ZweitblickError


class VaultError(ZweitblickError):
    """Something cannot be sealed or opened; no message holds a key, a plaintext, or the name of a study or object."""

    code = "vault"


class SealVersionError(VaultError):
    """Data do not begin with the mark of a sealed object."""

    code = "vault.seal-version"


class SealBrokenError(VaultError):
    """A sealed object was changed or cut, belongs elsewhere, or was sealed with another key."""

    code = "vault.seal-broken"


class SinkError(VaultError):
    """Sealed bytes were not taken whole by what they were written to."""

    code = "vault.sink"


class DataKeyError(VaultError):
    """A data key is of the wrong size."""

    code = "vault.data-key"


class KeyUnwrapError(VaultError):
    """A wrapped data key was changed, or is another than it is said to be."""

    code = "vault.key-unwrap"


class UnknownKekError(VaultError):
    """A data key was wrapped with a key-encryption key that this holder does not have."""

    code = "vault.kek-unknown"


class KeyHolderError(VaultError):
    """A key holder cannot be used."""

    code = "vault.key-holder"


class KekInUseError(VaultError):
    """A key-encryption key is not destroyed, since it still wraps data keys."""

    code = "vault.kek-in-use"


class ShareError(VaultError):
    """Shares of a key-encryption key cannot be made or joined."""

    code = "vault.share"
