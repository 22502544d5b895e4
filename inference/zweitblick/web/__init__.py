"""What is served over HTTP: states, findings and results of studies, for programs and people who may see them."""

from zweitblick.web.app import create_app
from zweitblick.web.doors import Doors, one_token
from zweitblick.web.server import HttpServer
from zweitblick.web.service import Service

__all__ = ["Doors", "HttpServer", "Service", "create_app", "one_token"]
