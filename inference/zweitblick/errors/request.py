"""What is wrong with what was asked for, over HTTP or by a query."""

from zweitblick.errors.root import ZweitblickError


class RequestError(ZweitblickError):
    """A request cannot be served as it is; messages tell nothing of the values that were asked for."""

    code = "request"


class QueryError(RequestError):
    """A query asks for what is not searched for, or in a way that is not understood."""

    code = "request.query"


class TooManyMatchesError(RequestError):
    """More matches a query than is answered."""

    code = "request.too-many-matches"


class NoUidError(RequestError):
    """Something stands where a UID must."""

    code = "request.no-uid"


class MalformedBodyError(RequestError):
    """A body is not what its media type says, or passes a limit of its parts."""

    code = "request.malformed-body"


class BodyTooLargeError(RequestError):
    """A body is longer than allowed."""

    code = "request.body-too-large"


class BodyBrokenOffError(RequestError):
    """A body stopped before its end."""

    code = "request.body-broken-off"


class UnsupportedMediaError(RequestError):
    """A body has a media type that is not taken here."""

    code = "request.unsupported-media"


class NotAcceptableError(RequestError):
    """The answer is not there in a media type or transfer syntax that was asked for."""

    code = "request.not-acceptable"
