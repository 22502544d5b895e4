"""The HTTP server: an application on a socket, in a thread."""

import logging
import socket
import threading
from types import TracebackType
from typing import Self

import uvicorn
from fastapi import FastAPI

from zweitblick.errors import SettingsError

ANSWER_S = 10
"""So long requests under way may take at the end."""


class HttpServer:
    """Serves an application, listening from construction until `close`; use it in a ``with``, or close it.

    Uvicorn logs nothing: paths name studies, and tracebacks may quote them.

    Parameters
    ----------
    app
        What answers.
    host, port
        IP address and port; port 0 takes a free one.
    is_proxied
        Whether requests come from a proxy on this machine, which says whose they are (X-Forwarded-For).

    Raises
    ------
    SettingsError
        If it cannot listen there.
    """

    def __init__(self, app: FastAPI, *, host: str, port: int, is_proxied: bool = False) -> None:
        _silence_uvicorn()
        self._listener = _listener(host, port)
        self._host = f"[{host}]" if ":" in host else host
        config = uvicorn.Config(
            app,
            access_log=False,
            log_config=None,
            lifespan="off",
            timeout_graceful_shutdown=ANSWER_S,
            proxy_headers=is_proxied,
            forwarded_allow_ips=["127.0.0.1", "::1"],
            server_header=False,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, args=([self._listener],), name="http")
        self._thread.start()

    @property
    def address(self) -> str:
        """URL of the root."""
        return f"http://{self._host}:{self._listener.getsockname()[1]}"

    def close(self) -> None:
        """Stop listening, let requests be answered, end the thread."""
        self._server.should_exit = True
        self._thread.join()
        self._listener.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _silence_uvicorn() -> None:
    """Drop its records; a filter holds whatever levels and handlers are set to."""
    for name in ("uvicorn.access", "uvicorn.error", "uvicorn.asgi"):
        logging.getLogger(name).addFilter(_is_dropped)  # added once however often it is called


def _is_dropped(_record: logging.LogRecord) -> bool:
    return False


def _listener(host: str, port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen()
    except OSError as error:
        listener.close()
        raise SettingsError(f"http: port {port} of {host} is not to be had ({error.strerror}); set another") from error
    return listener
