"""Run a command and measure it.

A small process stands between: Linux counts what the process held that starts another into the other's peak, and a
benchmark has often grown with its reference.
"""

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass

_BETWEEN = """
import json, os, subprocess, sys, time
began = time.perf_counter()
child = subprocess.Popen(sys.argv[1:], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
said = child.stdout.read()
_, status, usage = os.wait4(child.pid, 0)
seconds = time.perf_counter() - began
print(json.dumps([os.waitstatus_to_exitcode(status), seconds, usage.ru_maxrss / 2**20, said]))
"""


@dataclass(frozen=True)
class Measured:
    """Seconds, the largest resident memory in GiB, and what was printed."""

    seconds: float
    peak_gib: float
    said: str


def measured(command: Sequence[str]) -> Measured:
    """Run a command to its end; the benchmark ends if it fails."""
    between = [sys.executable, "-I", "-S", "-c", _BETWEEN, *command]
    status, *found = json.loads(subprocess.run(between, stdout=subprocess.PIPE, check=True).stdout)
    if status:
        raise SystemExit(f"{command[0]} failed with status {status}")
    return Measured(*found)


def reading(study: str, out: str) -> Measured:
    """Read a study with the command line in a process of its own."""
    return measured([sys.executable, "-m", "zweitblick", "read", study, "--out", out, "--overwrite"])
