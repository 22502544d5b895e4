"""The DICOM server: C-ECHO and C-STORE over the DICOM Upper Layer, with TLS; in one process or several."""

from zweitblick.dimse.config import ListenerConfig
from zweitblick.dimse.instance import Keeper, Received
from zweitblick.dimse.link import ServiceLink
from zweitblick.dimse.receivers import Crew, Receivers
from zweitblick.dimse.server import DicomServer
from zweitblick.dimse.storage import Observer
from zweitblick.tls import server_context

__all__ = [
    "Crew",
    "DicomServer",
    "Keeper",
    "ListenerConfig",
    "Observer",
    "Received",
    "Receivers",
    "ServiceLink",
    "server_context",
]
