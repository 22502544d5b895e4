"""Policy: which role may do what, as one table. What is not in it nobody may do."""

from collections.abc import Iterable
from enum import StrEnum

from zweitblick.access.principal import Role
from zweitblick.errors import ForbiddenError


class Action(StrEnum):
    """What may be allowed; each route has exactly one."""

    ACCOUNT = "account"
    """See who one is, log out, read how the interface is described."""
    VIEW = "view"
    """See findings, images, lists of studies, and work items: everything that names a patient."""
    SEND = "send"
    """Bring images."""
    ORDER = "order"
    """Have studies read, and keep work items."""
    MEASURE = "measure"
    """See counts and durations, which name no patient."""
    BREAK_GLASS = "break glass"
    """See one study for a short time without the right to, with a reason and an alarm."""
    SUPERVISE = "supervise"
    """See whose emergency access is open."""


POLICY: dict[Role, frozenset[Action]] = {
    Role.RADIOLOGIST: frozenset({Action.ACCOUNT, Action.VIEW, Action.SEND, Action.ORDER}),
    Role.ADMINISTRATOR: frozenset({Action.ACCOUNT, Action.MEASURE, Action.BREAK_GLASS, Action.SUPERVISE}),
    Role.RESEARCHER: frozenset({Action.ACCOUNT, Action.MEASURE}),
    Role.AUDITOR: frozenset({Action.ACCOUNT, Action.SUPERVISE}),
    Role.SERVICE: frozenset({Action.ACCOUNT, Action.VIEW, Action.SEND, Action.ORDER, Action.MEASURE}),
}
"""A researcher sees nothing that names a patient: studies leave the house by ``zweitblick deidentify``."""


def allows(roles: Iterable[Role], action: Action) -> bool:
    """Return whether one of the roles may do something."""
    return any(action in POLICY[role] for role in roles)


def check_allowed(roles: Iterable[Role], action: Action) -> None:
    """Let pass who may do something.

    Raises
    ------
    ForbiddenError
        If none of the roles may.
    """
    if not allows(roles, action):
        able = ", ".join(role for role in Role if action in POLICY[role])
        raise ForbiddenError(f"'{action}' is for the roles {able}; ask whoever administrates access for one of them")
