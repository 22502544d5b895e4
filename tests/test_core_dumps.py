"""No command leaves a core dump, nor a process that it starts, whatever becomes of it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

COMMANDS = {
    "serve": ["serve", "--config", "nowhere"],
    "work": ["work", "--config", "nowhere"],
    "keys": ["keys", "status", "--config", "nowhere"],
    "open": ["open", "nowhere", "--key", "nowhere", "--trust", "nowhere"],
}
"""Each ends soon, since what it needs is not there."""

SCRIPT = """
import ctypes, json, os, resource, sys
from zweitblick.cli import main

def state():
    return {
        "limit": resource.getrlimit(resource.RLIMIT_CORE),
        "dumpable": ctypes.CDLL(None).prctl(3, 0, 0, 0, 0),
        "owner": os.stat("/proc/self/mem").st_uid,
    }

hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))
told = {"before": state()}
for name, arguments in json.loads(sys.argv[1]).items():
    read, write = os.pipe()
    if (child := os.fork()) == 0:
        code = main(arguments)
        os.write(write, json.dumps(state() | {"code": code}).encode())
        os.abort()
    os.close(write)
    told[name] = json.loads(os.read(read, 4096)) | {"core": os.WCOREDUMP(os.waitpid(child, 0)[1])}
print(json.dumps(told))
"""
"""3 is PR_GET_DUMPABLE of linux/prctl.h."""


def test_no_command_leaves_a_core_dump(tmp_path: Path) -> None:
    command = [sys.executable, "-c", SCRIPT, json.dumps(COMMANDS)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    told = json.loads(done.stdout)
    assert told.pop("before")["dumpable"] == 1, "or this would show nothing"
    assert set(told) == set(COMMANDS)
    for after in told.values():
        assert after["code"] == 3
        assert after["limit"] == [0, 0]
        assert after["dumpable"] == 0
        assert after["owner"] == 0, "nobody else of the account may open its memory"
        assert not after["core"]
    assert not list(tmp_path.iterdir())


STARTED = {
    "decoder": "runpy.run_module('zweitblick.dicom.decoder', run_name='__main__')",
    "receiver": "receive(replace(load_settings(None, {'HOME': '.'}), keys=None), Pipe()[0], 0)",
}
"""Each ends soon: nobody asks the decoder, and the receiver meets a defect where it looks for its settings."""

STARTED_SCRIPT = """
import ctypes, json, resource, runpy, sys, warnings
from dataclasses import replace
from multiprocessing import Pipe
from zweitblick.cli.receiving import receive
from zweitblick.settings import load_settings

code = 0
try:
    exec(sys.argv[1])
except SystemExit as end:
    code = end.code
limit, dumpable = resource.getrlimit(resource.RLIMIT_CORE), ctypes.CDLL(None).prctl(3, 0, 0, 0, 0)
if code:
    warnings.warn("SECRET in a header")
print(json.dumps({"code": code, "limit": limit, "dumpable": dumpable}))
"""


@pytest.mark.parametrize(("name", "code"), [("decoder", 0), ("receiver", os.EX_SOFTWARE)])
def test_no_process_that_a_command_starts_leaves_a_core_dump(tmp_path: Path, name: str, code: int) -> None:
    command = [sys.executable, "-c", STARTED_SCRIPT, STARTED[name]]
    done = subprocess.run(command, cwd=tmp_path, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == {"code": code, "limit": [0, 0], "dumpable": 0}
    assert "Traceback" not in done.stderr
    assert "SECRET" not in done.stderr
    assert ("AttributeError" in done.stderr) == (name == "receiver"), "of a defect the kind alone is told"
