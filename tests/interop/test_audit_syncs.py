"""What the kernel is asked for, as `strace` sees it: an entry is synced before anybody is told that it is on record."""

import os
import re
import sys
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CALL = re.compile(r"\d+ +(?P<name>\w+)\(\d+<(?P<file>[^>]*)>(?P<rest>.*)")
WRITER = """
import os, sys
from pathlib import Path
from audit.happenings import access, opened_trail

with opened_trail(Path(sys.argv[1]), file_bytes=3000) as trail:
    for number in range(8):
        trail.record(access(f"P{number}"))
        os.write(1, b"told %d" % number)
"""


def test_nobody_is_told_before_entry_file_and_name_of_the_file_are_safe(
    program: Callable[..., object], tmp_path: Path
) -> None:
    trace = tmp_path / "trace"
    paths = os.pathsep.join([str(ROOT / "tests"), *sys.path])
    traced = ["-f", "-y", "-e", "trace=pwrite64,ftruncate,write,fsync,fdatasync", "-o", trace]
    program("strace", *traced, "env", f"PYTHONPATH={paths}", sys.executable, "-c", WRITER, tmp_path)
    unsynced: set[str] = set()
    seen: set[str] = set()
    told = 0
    for call in filter(None, map(CALL.match, trace.read_text(errors="replace").splitlines())):
        name, file = call["name"], call["file"]
        if name in ("fsync", "fdatasync"):
            unsynced.discard(file)
        elif file.endswith(".trail"):
            unsynced |= {file} if file in seen else {file, str(tmp_path / "audit")}
            seen.add(file)
        elif '"told ' in call["rest"]:
            assert not unsynced
            told += 1
    assert told == 8
    assert len(seen) > 2
