"""Principal: who asks, and how that is known."""

from dataclasses import dataclass, field
from enum import StrEnum


class Role(StrEnum):
    """What somebody is here for."""

    RADIOLOGIST = "radiologist"
    ADMINISTRATOR = "administrator"
    RESEARCHER = "researcher"
    AUDITOR = "auditor"
    SERVICE = "service"
    """A machine, such as a PACS or a viewer."""


class Means(StrEnum):
    """How it is known who asks."""

    ONE_TIME_TOKEN = "one-time token"  # noqa: S105 -- what is printed at the start, not the token
    ACCESS_TOKEN = "access token"  # noqa: S105 -- a kind, not a token
    """Of an identity provider."""
    MACHINE_TOKEN = "machine token"  # noqa: S105 -- as above
    PROVIDER_LOGIN = "log-in at the identity provider"
    PASSWORD = "password"  # noqa: S105 -- as above


@dataclass(frozen=True)
class Principal:
    """Who asks; nothing that names them is in the ``repr``.

    Parameters
    ----------
    user_id
        ``login@domain``, as audit messages have it (PS3.15 section A.5.2.1); one person, one id.
    roles
        What they are here for; what any of them may do, they may.
    means
        How it is known.
    name
        For people; empty if it is not known.
    entry
        Digest of what a local user was let in by; empty of others.
    """

    user_id: str = field(repr=False)
    roles: frozenset[Role]
    means: Means
    name: str = field(default="", repr=False)
    entry: str = field(default="", repr=False)
