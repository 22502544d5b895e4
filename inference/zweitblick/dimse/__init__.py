"""The DICOM server: storage, queries and procedure steps, with TLS; in one process or several."""

from zweitblick.dimse.commitment import Committed
from zweitblick.dimse.config import ListenerConfig
from zweitblick.dimse.instance import Keeper, Received
from zweitblick.dimse.link import ServiceLink
from zweitblick.dimse.receivers import Crew, Receivers
from zweitblick.dimse.server import DicomServer
from zweitblick.dimse.services import Services
from zweitblick.dimse.storage import Observer
from zweitblick.tls import server_context

__all__ = [
    "Committed",
    "Crew",
    "DicomServer",
    "Keeper",
    "ListenerConfig",
    "Observer",
    "Received",
    "Receivers",
    "ServiceLink",
    "Services",
    "server_context",
]
