"""A PostgreSQL cluster in a folder (Debian package postgresql), without a network: through a socket beside it."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex

import pytest
from sqlalchemy import create_engine

ACCOUNT = "postgres"
"""PostgreSQL does not run as root; Debian's package makes this account."""


def programs() -> Path:
    """Debian keeps them off the path."""
    on_path = shutil.which("pg_ctl")
    found = [Path(on_path)] if on_path else sorted(Path("/usr/lib/postgresql").glob("*/bin/pg_ctl"))
    if not found:
        pytest.fail("pg_ctl is not installed (Debian package postgresql): make system")
    return found[-1].parent


class Server:
    """One cluster in a folder of its own, with a socket beside it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._account = {"user": ACCOUNT} if os.getuid() == 0 else {}
        if self._account:
            shutil.chown(folder, ACCOUNT)
        self._run("initdb", "--pgdata", folder / "cluster", "--username", ACCOUNT, "--auth", "trust", "--no-sync")

    def start(self) -> None:
        # whether PostgreSQL survives a loss of power is not what is tested here
        options = f"-c fsync=off -c listen_addresses='' -c unix_socket_directories={self._folder}"
        self._control("start", "--options", options, "--log", self._folder / "log")

    def stop(self) -> None:
        self._control("stop", "--mode", "immediate")

    def url(self, name: str) -> str:
        return f"postgresql+psycopg://{ACCOUNT}@/{name}?host={self._folder}"

    def new_database(self) -> str:
        name = f"store_{token_hex(4)}"
        engine = create_engine(self.url("postgres"), isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.exec_driver_sql(f"CREATE DATABASE {name}")
        engine.dispose()
        return self.url(name)

    def _control(self, action: str, *arguments: str | Path) -> None:
        self._run("pg_ctl", action, "--wait", "--silent", "--pgdata", self._folder / "cluster", *arguments)

    def _run(self, program: str, *arguments: str | Path) -> None:
        command = [programs() / program, *map(str, arguments)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, timeout=120, cwd=self._folder, **self._account)


@contextmanager
def running_server() -> Iterator[Server]:
    with tempfile.TemporaryDirectory(prefix="pg") as room:
        server = Server(Path(room))
        server.start()
        yield server
        server.stop()
