"""``zweitblick deidentify`` on the sample, whose own tissue says where brain is; with the released mask network."""

from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from dicom.test_deface import volumes
from zweitblick.cli import main
from zweitblick.sample import SampleTruth
from zweitblick.study import Sequence


def test_the_command_strips_the_sample_s_head(
    tmp_path: Path, sample: SampleTruth, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = sample.series[Sequence.T1].folder
    arguments = ["--out", str(tmp_path / "out"), "--key", str(tmp_path / "key")]
    assert main(["deidentify", str(folder), *arguments]) == 0
    assert "0 files left out" in capsys.readouterr().out
    (before,) = volumes(sorted(path for path in folder.iterdir() if path.is_file()))
    (after,) = volumes(sorted((tmp_path / "out").rglob("*.dcm")))
    brain = sample.brain.resampled(before.grid).voxels > 0.5
    far = ndimage.distance_transform_edt(~brain, sampling=before.spacing_mm) > 20
    assert np.ptp(before.voxels[far]) > 100
    assert np.ptp(after.voxels[far]) == 0
    assert (before.voxels == after.voxels)[brain].mean() > 0.998
