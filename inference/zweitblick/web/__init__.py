"""What is served over HTTP: states, findings and results of studies, for programs and people with the token."""

from zweitblick.web.app import create_app
from zweitblick.web.server import HttpServer
from zweitblick.web.service import Service

__all__ = ["HttpServer", "Service", "create_app"]
