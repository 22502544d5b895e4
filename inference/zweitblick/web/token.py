"""The token that a request must bear (RFC 6750 section 2.1)."""

import secrets
from collections.abc import Callable
from typing import Annotated

from fastapi import Depends
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from zweitblick.errors import TokenError

_BEARER = HTTPBearer(auto_error=False, description="The token that `zweitblick serve` prints.")
_Given = Annotated[HTTPAuthorizationCredentials | None, Depends(_BEARER)]


def token_check(token: str) -> Callable[[HTTPAuthorizationCredentials | None], None]:
    """Make a dependency that raises `TokenError` if a request does not bear this token."""
    expected = token.encode()

    def check(given: _Given) -> None:
        # the comparison takes the same time wherever the two differ
        if given is None or not secrets.compare_digest(given.credentials.encode(), expected):
            raise TokenError("the request does not bear the token; send 'Authorization: Bearer' with the printed one")

    return check
