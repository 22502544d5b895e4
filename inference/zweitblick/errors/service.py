"""What is wrong with how the service is set up or asked."""

from zweitblick.errors.root import ZweitblickError


class SettingsError(ZweitblickError):
    """Settings are unusable; the message lists every fault by its key."""

    code = "settings.invalid"


class CheckError(ZweitblickError):
    """Something that the service needs is not as it must be; what was said before names it."""

    code = "check.faults"


class TokenError(ZweitblickError):
    """A request came without the token, or with another."""

    code = "http.token"


class WorkerError(ZweitblickError):
    """Studies cannot be read, or not any more."""

    code = "worker"


class WorkerRunningError(WorkerError):
    """Another process reads the same folder's studies."""

    code = "worker.running"


class BrokenOffError(WorkerError):
    """The reading of a study was broken off again and again."""

    code = "worker.broken-off"
