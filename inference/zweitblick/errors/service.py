"""What is wrong with how the service is set up or asked."""

from zweitblick.errors.root import ZweitblickError


class SettingsError(ZweitblickError):
    """Settings are unusable; the message lists every fault by its key."""

    code = "settings.invalid"


class CheckError(ZweitblickError):
    """Something that the service needs is not as it must be; what was said before names it."""

    code = "check.faults"


class TokenError(ZweitblickError):
    """A request does not say who asks, or says it with a token or session that does not hold."""

    code = "http.token"


class WorkerError(ZweitblickError):
    """Studies cannot be read, or not any more."""

    code = "worker"


class WorkerRunningError(WorkerError):
    """Another process reads the same folder's studies."""

    code = "worker.running"


class LostTurnError(WorkerError):
    """A round's turn in the queue has ended, and what was to be done in it was not done."""

    code = "worker.lost"


class BrokenOffError(WorkerError):
    """The reading of a study was broken off again and again."""

    code = "worker.broken-off"
