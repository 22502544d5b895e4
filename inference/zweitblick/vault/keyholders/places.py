"""Where key holders keep their keys, and with what one logs in there."""

from dataclasses import dataclass
from pathlib import Path

TIMEOUT_S = 5.0


@dataclass(frozen=True)
class TokenPlace:
    """Where in an HSM the key-encryption keys are.

    Parameters
    ----------
    module
        PKCS#11 library of the HSM's maker.
    token
        Label of the token.
    key
        Keys have this label, a hyphen, and the number of their version at its end.
    pin_file
        Holds the user's PIN.
    """

    module: Path
    token: str
    key: str
    pin_file: Path


@dataclass(frozen=True)
class TransitPlace:
    """Where the key-encryption key is.

    Parameters
    ----------
    url
        Of the server, as in ``https://vault.example:8200``.
    mount
        Path at which the Transit engine is mounted.
    key
        Name of the key.
    token_file
        Holds a token; read for every request, so that whoever renews it writes it there.
    ca
        PEM file of the authorities that may sign the server's certificate; None takes the system's.
    timeout_s
        After so long without an answer the server counts as away.
    """

    url: str
    mount: str
    key: str
    token_file: Path
    ca: Path | None = None
    timeout_s: float = TIMEOUT_S
