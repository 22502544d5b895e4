"""Why somebody is not let in, or not that far."""

from typing import ClassVar

from zweitblick.errors.root import ZweitblickError


class AccessError(ZweitblickError):
    """Somebody is not let in, or may not do what was asked; messages tell nothing that helps to guess."""

    code = "access"


class LoginError(AccessError):
    """A log-in does not succeed; whether the name is known is not told."""

    code = "access.login"


class ForbiddenError(AccessError):
    """Who asks is known, and may not do this."""

    code = "access.forbidden"


class CsrfError(AccessError):
    """A request of a session does not prove that it comes from our own pages."""

    code = "access.csrf"


class TooManyRequestsError(AccessError):
    """More was asked in a short time than is answered.

    Attributes
    ----------
    retry_after_s
        Whole seconds after which it is worth while to ask again.
    """

    code: ClassVar[str] = "access.too-many"

    def __init__(self, message: str, *, retry_after_s: int) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class IdentityProviderError(AccessError):
    """The identity provider cannot be asked, or answers what cannot be trusted; nobody new is let in meanwhile."""

    code = "access.provider"


class UsersError(AccessError):
    """The file of local users cannot be used, or a user cannot be made."""

    code = "access.users"
