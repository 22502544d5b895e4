"""Compiled functions where no folder for them can be written."""

import subprocess
import sys
from pathlib import Path

import pytest

ADDS = """
from zweitblick.compiled import compiled

@compiled
def add(one, other):
    return one + other

print(add(2, 3))
"""


@pytest.mark.parametrize("cached", [True, False])
def test_the_answer_is_the_same_with_and_without_a_place_to_keep_it(tmp_path: Path, *, cached: bool) -> None:
    source = tmp_path / "adds.py"
    source.write_text(ADDS)
    nowhere = tmp_path / "taken"
    nowhere.write_text("a file where a folder is wanted")
    places = (
        {"NUMBA_CACHE_DIR": str(tmp_path / "kept")}
        if cached
        else dict.fromkeys(("HOME", "XDG_CACHE_HOME"), str(nowhere))
    )
    if not cached:
        (tmp_path / "__pycache__").write_text("taken as well")
    done = subprocess.run(
        [sys.executable, source], env={"PATH": "/usr/bin:/bin", **places}, capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.returncode) == ("5\n", 0), done.stderr
    assert any((tmp_path / "kept").rglob("*.nbi")) is cached
