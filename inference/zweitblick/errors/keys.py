"""What stops a command about keys."""

from zweitblick.errors.root import ZweitblickError


class NotConfirmedError(ZweitblickError):
    """What cannot be undone was not confirmed."""

    code = "keys.not-confirmed"
