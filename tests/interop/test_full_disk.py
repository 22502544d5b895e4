"""A service whose disk is full refuses what is sent, and goes on by itself once there is room."""

import os
import re
import subprocess
import sys
from pathlib import Path

from interop import full_disk_service

UNSHARE = ["unshare", "--map-root-user", "--mount"]


def test_a_full_disk_refuses_loses_nothing_and_recovers(tmp_path: Path, quick_files: list[Path]) -> None:
    done = subprocess.run(
        [*UNSHARE, sys.executable, full_disk_service.__file__, str(tmp_path), str(quick_files[0].parent)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.returncode == 0, done.stderr
    assert int(re.fullmatch(r"(\d+) kept\n", done.stdout)[1]) > 10
