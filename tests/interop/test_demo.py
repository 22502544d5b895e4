"""What ``make demo`` does through the service: it succeeds, and nothing that it leaves names the sample patient."""

import os
import subprocess
import sys
from pathlib import Path

import pydicom

from identifiers import UIDS, Search
from kept_study import files_of
from zweitblick.sample import SampleTruth
from zweitblick.vault.envelope import MARK

SCRIPT = Path(__file__).parents[2] / "deploy" / "round_trip.py"


def test_the_round_trip_leaves_nothing_that_names_the_patient(sample: SampleTruth, tmp_path: Path) -> None:
    study = next(iter(sample.series.values())).folder.parent
    service, temporary = tmp_path / "service", tmp_path / "tmp"
    temporary.mkdir()
    done = subprocess.run(
        [sys.executable, SCRIPT, study, service],
        env=os.environ | {"TMPDIR": str(temporary)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "awaiting review" in done.stdout
    assert (service / "log").stat().st_size
    search = Search(identifiers(study))
    assert len(search.below(study)) > 1000
    assert search.below(service, temporary) == []
    objects = [path for path in (service / "data" / "data" / "objects").rglob("*") if path.is_file()]
    kept = [path.read_bytes() for path in objects if path.stat().st_size]
    assert sum(map(len, kept)) > sum(path.stat().st_size for path in files_of(study))
    assert all(content.startswith(MARK) for content in kept)


def identifiers(study: Path) -> dict[str, str]:
    """Name, ID and UIDs of the study, its series, frames of reference and the first image of each series."""
    found = {}
    for series in sorted(study.iterdir()):
        data = pydicom.dcmread(files_of(series)[0], stop_before_pixels=True)
        names = {keyword: str(data.get(keyword)) for keyword in ("PatientName", "PatientID", *UIDS)}
        found |= {f"{keyword} of {series.name}": value for keyword, value in names.items()}
    return {what: value for value, what in {value: what for what, value in found.items()}.items()}
