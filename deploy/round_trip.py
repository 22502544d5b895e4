"""Round trip: start the service, send it a study over DICOM, show its findings over HTTP, stop it.

``python deploy/round_trip.py STUDY FOLDER`` keeps everything that the service writes in FOLDER. It ends with 0 only if
all of it went well, and leaves no process behind. ``make demo`` calls it.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import ProxyHandler, Request, build_opener

import pydicom

READ_S = 900
"""Ten times what a reading takes on two slow cores."""
STOP_S = 60

DONE, FAILED = "awaiting review", "failed"


class RoundTripError(Exception):
    """Says which step did not go well."""


def main() -> None:
    """Make the round trip of the command line's study."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("study", type=Path)
    parser.add_argument("folder", type=Path, help="where the service keeps what it receives; made if absent")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))
    try:
        with serving(arguments.folder) as said:
            send(arguments.study, *said["DICOM"].split(" port "))
            show(findings(said, study_uid(arguments.study)))
    except (RoundTripError, OSError) as error:
        sys.exit(f"the round trip failed: {error}; the service's log is {arguments.folder / 'log'}")


@contextmanager
def serving(folder: Path) -> Iterator[dict[str, str]]:
    """Run the service on free ports, and yield the addresses and the token that it prints."""
    folder.mkdir(parents=True, exist_ok=True)
    variables = {name: value for name, value in os.environ.items() if not name.startswith("ZWEITBLICK_")} | {
        "ZWEITBLICK_DATA": str(folder / "data"),
        "ZWEITBLICK_KEY_FILE": str(folder / "key"),
        "ZWEITBLICK_DICOM_PORT": "0",
        "ZWEITBLICK_HTTP_PORT": "0",
        "ZWEITBLICK_QUIET_TIME_S": "2",
    }
    command = [sys.executable, "-m", "zweitblick", "serve"]
    with (
        (folder / "log").open("wb") as log,
        subprocess.Popen(command, env=variables, stdout=subprocess.PIPE, stderr=log, text=True) as process,
    ):
        try:
            yield addresses(process)
            process.send_signal(signal.SIGTERM)
            if process.wait(STOP_S):
                raise RoundTripError("the service did not stop as it should")
        except subprocess.TimeoutExpired:
            raise RoundTripError("the service did not stop") from None
        finally:
            process.kill()


def addresses(process: subprocess.Popen[str]) -> dict[str, str]:
    """Take what the service prints when it listens."""
    lines = [process.stdout.readline() for _ in range(4)] if process.stdout else []
    said = dict(line.strip().split(": ", 1) for line in lines if line)
    if not {"DICOM", "HTTP", "Token"} <= said.keys():
        raise RoundTripError("the service did not start")
    print(f"zweitblick serve listens for DICOM on {said['DICOM']} and for HTTP on {said['HTTP']}")
    return said


def send(study: Path, host: str, port: str) -> None:
    """Send all files of a folder by C-STORE, with pynetdicom's own program."""
    print(f"storescu sends {sum(path.is_file() for path in study.rglob('*'))} images", flush=True)
    sending = [sys.executable, "-m", "pynetdicom", "storescu", "--quiet", "--recurse", host, port, str(study)]
    if subprocess.run(sending, check=False).returncode:
        raise RoundTripError("the study was not sent")


def study_uid(study: Path) -> str:
    """Read the UID that findings are asked for by."""
    first = min(path for path in study.rglob("*") if path.is_file())
    return str(pydicom.dcmread(first, stop_before_pixels=True).StudyInstanceUID)


def findings(said: dict[str, str], uid: str) -> dict[str, Any]:
    """Ask again and again until the study is read."""
    address, state = f"{said['HTTP']}/api/v1/reads/{uid}", ""
    request = Request(address, headers={"Authorization": f"Bearer {said['Token']}"})  # noqa: S310 -- the service's own
    opener = build_opener(ProxyHandler({}))
    print(f"GET {address}")
    end = time.monotonic() + READ_S
    while time.monotonic() < end:
        with opener.open(request, timeout=STOP_S) as answer:
            read: dict[str, Any] = json.load(answer)
        if read["state"] != state:
            state = read["state"]
            print(f"  {state}", flush=True)
        if state == DONE:
            return read
        if state == FAILED:
            raise RoundTripError(f"the study cannot be read: {read['error']['code']}")
        time.sleep(0.2)
    raise RoundTripError(f"the study was not read in {READ_S} s")


def show(read: dict[str, Any]) -> None:
    """Print findings and results in a few lines."""
    found = read["findings"]["findings"]
    print(found["statement"])
    for lesion in found["lesions"]:
        volumes = ", ".join(f"{region} {ml:.1f} ml" for region, ml in lesion["volume_ml"].items())
        print(f"  lesion {lesion['number']}, {lesion['side']}: {volumes}")
    print("results: " + ", ".join(f"{one['name']} ({one['bytes']} bytes)" for one in read["results"]))
    print(read["findings"]["research_use"])


if __name__ == "__main__":
    main()
