"""``zweitblick serve`` as a process of its own, started as on a fresh machine."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from kept_study import wait_until


class Service:
    """A running service, by what it printed."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        lines = [process.stdout.readline() for _ in range(4)]
        said = dict(line.rstrip("\n").split(": ", 1) for line in lines)
        self.port = re.fullmatch(r"127\.0\.0\.1 port (\d+)", said["DICOM"])[1]
        self.client = httpx.Client(base_url=said["HTTP"], headers={"Authorization": f"Bearer {said['Token']}"})

    def read(self, uid: str) -> dict[str, Any]:
        answer = self.client.get(f"/api/v1/reads/{uid}")
        assert answer.status_code == 200
        return answer.json()

    def reached(self, uid: str, state: str) -> dict[str, Any]:
        wait_until(lambda: self.read(uid)["state"] == state)
        return self.read(uid)

    def result(self, uid: str, name: str) -> bytes:
        answer = self.client.get(f"/api/v1/reads/{uid}/results/{name}")
        assert answer.status_code == 200
        return answer.content


@contextmanager
def serving(home: Path, *arguments: str, **settings: str) -> Iterator[Service]:
    """Start the service as on a fresh machine; it is killed at the end if it still runs."""
    free = {"ZWEITBLICK_DICOM_PORT": "0", "ZWEITBLICK_HTTP_PORT": "0", "ZWEITBLICK_QUIET_TIME_S": "1"}
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("ZWEITBLICK_", "XDG_"))}
    (home / "tmp").mkdir(exist_ok=True)
    with (home / "log").open("a") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "zweitblick", "serve", *arguments],
            env=kept | {"HOME": str(home), "TMPDIR": str(home / "tmp")} | free | settings,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
    with process:
        try:
            service = Service(process)
            with service.client:
                yield service
        finally:
            process.kill()
