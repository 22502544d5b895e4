"""The released networks outline nothing worth a word in a head without a lesion."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from zweitblick.dicom.read import read_study
from zweitblick.model.bundle import Bundles
from zweitblick.pipeline import read
from zweitblick.prediction import Region
from zweitblick.reading import Stamp
from zweitblick.sample import SampleSpec, write_sample

FALSE_ML = 1.0
"""Whole tumour that may be found in all."""


@pytest.mark.timeout(600)
def test_the_sample_without_a_lesion_has_no_false_lesion(bundles: Bundles, tmp_path: Path) -> None:
    write_sample(tmp_path, spec=SampleSpec(lesion=None))  # what `zweitblick sample --no-lesion` writes
    study = read_study(sorted(path for path in tmp_path.rglob("*") if path.is_file()))
    findings = read(study, bundles, stamp=Stamp(datetime(2026, 1, 1, tzinfo=UTC))).findings
    assert findings.volume_ml[Region.WT] <= FALSE_ML
