"""Policy: which role may do what, as one table. What is not in it nobody may do."""

from collections.abc import Iterable
from enum import StrEnum

from zweitblick.access.principal import Role


class Permission(StrEnum):
    """What a role may be allowed; each route needs exactly one."""

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


_READS = frozenset({Permission.ACCOUNT, Permission.VIEW, Permission.SEND, Permission.ORDER})

POLICY: dict[Role, frozenset[Permission]] = {
    Role.RADIOLOGIST: _READS,
    Role.ADMINISTRATOR: frozenset(
        {Permission.ACCOUNT, Permission.MEASURE, Permission.BREAK_GLASS, Permission.SUPERVISE}
    ),
    Role.RESEARCHER: frozenset({Permission.ACCOUNT, Permission.MEASURE}),
    Role.AUDITOR: frozenset({Permission.ACCOUNT, Permission.SUPERVISE}),
    Role.SERVICE: _READS | {Permission.MEASURE},
}
"""A researcher sees nothing that names a patient: studies leave the house by ``zweitblick deidentify``."""


def allows(roles: Iterable[Role], needed: Permission) -> bool:
    """Return whether one of the roles has a permission."""
    return any(needed in POLICY[role] for role in roles)


def able(needed: Permission) -> list[Role]:
    """Return the roles that have a permission."""
    return [role for role in Role if needed in POLICY[role]]
