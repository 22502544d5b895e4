"""What goes wrong when we are the client: what a destination says, or does not say."""

from zweitblick.errors.root import ZweitblickError


class PeerError(ZweitblickError):
    """A destination has not acknowledged what was sent; messages name it by its name in the settings."""

    code = "peer"


class PeerUnreachableError(PeerError):
    """No connection can be made, or its certificate is not trusted."""

    code = "peer.unreachable"


class PeerTimeoutError(PeerError):
    """No answer came in time."""

    code = "peer.timeout"


class PeerBrokenOffError(PeerError):
    """The connection ended before everything was acknowledged."""

    code = "peer.broken-off"


class PeerRejectedError(PeerError):
    """The association was rejected, for its AE titles or for the moment."""

    code = "peer.rejected"


class PeerBusyError(PeerError):
    """An instance was refused for reasons that may pass."""

    code = "peer.busy"


class PeerAnswerError(PeerError):
    """The answer cannot be understood, or does not name every instance."""

    code = "peer.answer"


class PeerRefusedError(PeerError):
    """An instance was refused, and would be refused again."""

    code = "peer.refused"


class PeerContextError(PeerError):
    """The peer takes no instances of this SOP class in this transfer syntax."""

    code = "peer.context"


class PeerCredentialsError(PeerError):
    """The file with a token or password cannot be used, or the destination does not take what it holds."""

    code = "peer.credentials"


class NotCommittedError(PeerError):
    """The peer has taken the instances, and has not committed itself to keep them."""

    code = "peer.not-committed"


class UnknownDestinationError(PeerError):
    """A delivery waits for a destination that is no longer in the settings."""

    code = "peer.unknown-destination"
