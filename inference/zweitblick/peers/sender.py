"""Which sender a destination needs."""

from zweitblick.peers.association import PATIENCE, Patience
from zweitblick.peers.cstore import StoreSender
from zweitblick.peers.destination import (
    Destination,
    FhirDestination,
    FolderDestination,
    JweDestination,
    StoreDestination,
    StowDestination,
)
from zweitblick.peers.fhir import FhirSender, JweSender
from zweitblick.peers.folder import FolderSender
from zweitblick.peers.instance import Sender
from zweitblick.peers.stow import StowSender


def sender(destination: Destination, *, patience: Patience = PATIENCE) -> Sender:
    """Return what sends to a destination.

    Parameters
    ----------
    destination
        Where.
    patience
        How long it may take.
    """
    if isinstance(destination, StoreDestination):
        return StoreSender(destination, patience=patience)
    if isinstance(destination, FolderDestination):
        return FolderSender(destination)
    return http_sender(destination, patience=patience)


def http_sender(
    destination: FhirDestination | JweDestination | StowDestination, *, patience: Patience = PATIENCE
) -> FhirSender | JweSender | StowSender:
    """Return what sends to a server of HTTP.

    Parameters
    ----------
    destination
        Where.
    patience
        How long it may take.
    """
    if isinstance(destination, FhirDestination):
        return FhirSender(destination, patience=patience)
    if isinstance(destination, JweDestination):
        return JweSender(destination, patience=patience)
    return StowSender(destination, patience=patience)
