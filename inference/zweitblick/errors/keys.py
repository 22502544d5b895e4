"""What stops a command about keys."""

from zweitblick.errors.root import ZweitblickError


class NotConfirmedError(ZweitblickError):
    """What cannot be undone was not confirmed."""

    code = "keys.not-confirmed"


class RotationRunningError(ZweitblickError):
    """Key-encryption keys are made or restored by another at the same time."""

    code = "keys.rotation-running"
