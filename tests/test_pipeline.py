"""The order of the stages, and what a reading says of data that came incomplete."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from written_samples import Written
from zweitblick.dicom.read import read_study
from zweitblick.errors import MissingSequenceError
from zweitblick.model.bundle import Bundles
from zweitblick.pipeline import read, reference_of, segment
from zweitblick.reading import Reading, Stamp
from zweitblick.report.findings_json import findings_json
from zweitblick.sample import SampleSpec, SampleTruth
from zweitblick.study import Sequence, Study

STAMP = Stamp(datetime(2026, 11, 24, 12, 0, tzinfo=UTC))


@pytest.fixture(scope="module")
def truth(sample_of: Written) -> SampleTruth:
    return sample_of(SampleSpec(slice_mm=6.0))


def files(truth: SampleTruth, *sequences: Sequence) -> list[Path]:
    return sorted(path for sequence in sequences for path in truth.series[sequence].folder.iterdir())


@pytest.fixture(scope="module")
def damaged(truth: SampleTruth) -> Study:
    """FLAIR whole, T1 without a slice, T1c cut short, and a file that is no DICOM."""
    study = read_study(files(truth, Sequence.FLAIR, Sequence.T1, Sequence.T1C))
    flair, t1, t1c = study.series
    names = {series.number: sequence for sequence, series in truth.series.items()}
    series = {names[one.number]: one for one in (flair, t1, t1c)}
    lost = series[Sequence.T1].frames[8].instance
    without_a_slice = replace(
        series[Sequence.T1],
        instances=tuple(one for one in series[Sequence.T1].instances if one is not lost),
        frames=tuple(one for one in series[Sequence.T1].frames if one.instance is not lost),
    )
    cut = cut_short(series[Sequence.T1C].frames[5].instance.source)
    frames = tuple(
        replace(frame, instance=replace(frame.instance, source=cut)) if number == 5 else frame
        for number, frame in enumerate(series[Sequence.T1C].frames)
    )
    cut_series = replace(series[Sequence.T1C], frames=frames, instances=tuple(frame.instance for frame in frames))
    return replace(study, series=(series[Sequence.FLAIR], without_a_slice, cut_series), unreadable={"file 9": "text"})


def cut_short(source: Path | bytes) -> bytes:
    return Path(str(source)).read_bytes()[:-500]


@pytest.fixture(scope="module")
def reading(damaged: Study, bundles: Bundles) -> Reading:
    return read(damaged, bundles, stamp=STAMP)


def test_a_study_is_read_from_what_is_whole(reading: Reading) -> None:
    assert set(reading.choices) == {Sequence.FLAIR}
    assert reading.reference is Sequence.FLAIR
    assert set(reading.missing) == {Sequence.T1, Sequence.T1C, Sequence.T2}


def test_what_was_left_out_is_said(reading: Reading, truth: SampleTruth) -> None:
    texts = {code: [one.text for one in reading.notices if one.code == code] for code in ("series-damaged",)}
    assert len(texts["series-damaged"]) == 2
    for sequence in (Sequence.T1, Sequence.T1C):
        name = f"series {truth.series[sequence].number}"
        assert any(name in text for text in texts["series-damaged"])
        assert name in reading.rejected
    assert "unreadable-files" in {one.code for one in reading.notices}


def test_the_side_is_right_with_flair_alone(reading: Reading, truth: SampleTruth) -> None:
    assert reading.findings.lesions[0].side == truth.side
    middle = reading.prediction.head_from_lps @ [*truth_midline(truth), 1.0]
    assert abs(middle[0]) < 3.0


def truth_midline(truth: SampleTruth) -> np.ndarray:
    """A point of the midsagittal plane near the middle of the head."""
    return (np.linalg.inv(truth.head_from_lps) @ [0.0, -20.0, 20.0, 1.0])[:3]


def test_a_study_read_twice_gives_the_same_bytes(reading: Reading, damaged: Study, bundles: Bundles) -> None:
    again = read(damaged, bundles, stamp=STAMP)
    assert findings_json(again) == findings_json(reading)
    assert (again.prediction.probabilities == reading.prediction.probabilities).all()


def test_neither_t1c_nor_flair_is_an_error(truth: SampleTruth, bundles: Bundles) -> None:
    study = read_study(files(truth, Sequence.T1, Sequence.T2))
    with pytest.raises(MissingSequenceError):
        read(study, bundles, stamp=STAMP)
    with pytest.raises(MissingSequenceError, match="T1, T2"):
        reference_of({Sequence.T1: None, Sequence.T2: None})  # type: ignore[dict-item]  # only the keys count
    with pytest.raises(MissingSequenceError, match="no sequence"):
        segment({}, bundles)
