"""What the kernel is asked for, as `strace` sees it: bytes are synced before rows, and rows before the answer.

SIGKILL cannot show this, since the kernel still writes what it has taken; a loss of power would.
"""

import os
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CALL = re.compile(r"\d+ +(?P<name>\w+)\(\d+<(?P<file>[^>]*)>(?P<rest>.*)")
SENDER = """
import os, sys
from pathlib import Path
from store.stores import Clock, file_holder, instance, opened_store
from zweitblick.store.places import StorePlaces

folder = Path(sys.argv[1])
with opened_store(StorePlaces.within(folder), file_holder(folder), Clock()) as store:
    for number in range(12):
        store.keep(instance(number % 3, number))
        os.write(1, b"kept %d" % number)
"""


def test_an_answer_comes_after_the_rows_sync_and_they_after_the_bytes(
    program: Callable[..., object], tmp_path: Path
) -> None:
    trace = tmp_path / "trace"
    paths = os.pathsep.join([str(ROOT / "tests"), *sys.path])
    traced = ["-f", "-y", "-e", "trace=pwrite64,write,fsync,fdatasync", "-o", trace]
    program("strace", *traced, "env", f"PYTHONPATH={paths}", sys.executable, "-c", SENDER, tmp_path)
    unsynced: set[str] = set()
    answers = 0
    for name, file, rest in calls(trace):
        if name in ("fsync", "fdatasync"):
            unsynced.discard(file)
        elif file.endswith("-wal") or "/objects/" in file:
            bytes_unsynced = [other for other in unsynced if "/objects/" in other]
            assert "/objects/" in file or not bytes_unsynced, (
                "rows are written before the bytes that they name are safe"
            )
            unsynced.add(file)
        elif '"kept ' in rest:
            assert not unsynced, "an answer is given before all is safe"
            answers += 1
    assert answers == 12


def calls(trace: Path) -> Iterator[tuple[str, str, str]]:
    for line in trace.read_text(errors="replace").splitlines():
        if (call := CALL.match(line)) is not None:
            yield call["name"], call["file"], call["rest"]
