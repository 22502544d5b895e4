"""The demonstration fails where the service does, and leaves nothing behind; ``make demo`` shows that it succeeds."""

import subprocess
import sys
from pathlib import Path

import pytest

from zweitblick.sample import SampleTruth

SCRIPT = Path(__file__).parents[1] / "deploy" / "round_trip.py"


def round_trip(study: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, SCRIPT, study, folder], capture_output=True, text=True, check=False)


def processes_of(folder: Path) -> list[str]:
    """Processes whose environment names a folder."""
    found = []
    for environment in Path("/proc").glob("[0-9]*/environ"):
        try:
            if str(folder).encode() in environment.read_bytes():
                found.append(environment.parent.name)
        except OSError:  # has ended, or is not ours
            continue
    return found


@pytest.fixture(scope="module")
def one_series(sample: SampleTruth) -> Path:
    return next(truth.folder for sequence, truth in sample.series.items() if sequence.value == "T1")


def test_a_study_that_cannot_be_read_fails_it(tmp_path: Path, one_series: Path) -> None:
    done = round_trip(one_series, tmp_path / "service")
    assert done.returncode != 0
    assert "listens for DICOM on 127.0.0.1 port" in done.stdout
    assert "the study cannot be read: study.missing-sequence" in done.stderr
    assert processes_of(tmp_path / "service") == []


def test_a_service_that_does_not_start_fails_it(tmp_path: Path, one_series: Path) -> None:
    (tmp_path / "service").mkdir()
    (tmp_path / "service" / "data").write_text("in the way")
    done = round_trip(one_series, tmp_path / "service")
    assert done.returncode != 0
    assert "the service did not start" in done.stderr
    assert "store.unavailable" in (tmp_path / "service" / "log").read_text()
    assert processes_of(tmp_path / "service") == []
