"""The DICOM server: C-ECHO and C-STORE over the DICOM Upper Layer, with TLS."""

from zweitblick.dimse.config import ListenerConfig
from zweitblick.dimse.instance import Keeper, Received
from zweitblick.dimse.server import DicomServer
from zweitblick.dimse.storage import Observer
from zweitblick.tls import server_context

__all__ = ["DicomServer", "Keeper", "ListenerConfig", "Observer", "Received", "server_context"]
