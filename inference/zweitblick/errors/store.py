"""What goes wrong while something is kept or looked for."""

from zweitblick.errors.root import ZweitblickError


class StoreError(ZweitblickError):
    """What was received cannot be kept."""

    code = "store"


class StoreFullError(StoreError):
    """There is no room."""

    code = "store.full"


class StoreUnavailableError(StoreError):
    """Nothing can be kept now."""

    code = "store.unavailable"
