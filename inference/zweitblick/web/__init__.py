"""What is served over HTTP: states, findings and results of studies, for programs and people who may see them."""

from zweitblick.web.app import create_app, create_worker_app
from zweitblick.web.doors import Doors, one_token
from zweitblick.web.server import HttpServer
from zweitblick.web.service import Service, Watched

__all__ = ["Doors", "HttpServer", "Service", "Watched", "create_app", "create_worker_app", "one_token"]
