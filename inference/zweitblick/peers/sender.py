"""Which sender a destination needs."""

from zweitblick.peers.association import PATIENCE, Patience
from zweitblick.peers.cstore import StoreSender
from zweitblick.peers.destination import Destination, StoreDestination
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
    return StowSender(destination, patience=patience)
