"""What ``make demo`` does through the service: it succeeds, and nothing that it leaves names the sample patient."""

from pathlib import Path

import pytest

from identifiers import UIDS, Search, values_of
from kept_study import files_of
from test_round_trip import round_trip
from zweitblick.sample import SampleTruth
from zweitblick.vault.envelope import MARK

IDENTIFIERS = ("PatientName", "PatientID", *UIDS)


def test_the_round_trip_leaves_nothing_that_names_the_patient(
    sample: SampleTruth, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = next(iter(sample.series.values())).folder.parent
    service, temporary = tmp_path / "service", tmp_path / "tmp"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    done = round_trip(study, service)
    assert done.returncode == 0, done.stderr
    assert "awaiting review" in done.stdout
    assert (service / "log").stat().st_size
    search = Search(values_of([files_of(series)[0] for series in sorted(study.iterdir())], IDENTIFIERS))
    assert len(search.below(study)) > 1000
    assert search.below(service, temporary) == []
    objects = [path for path in (service / "data" / "data" / "objects").rglob("*") if path.is_file()]
    kept = [path.read_bytes() for path in objects if path.stat().st_size]
    assert sum(map(len, kept)) > sum(path.stat().st_size for path in files_of(study))
    assert all(content.startswith(MARK) for content in kept)
