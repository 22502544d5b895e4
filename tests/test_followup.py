"""The same head at two times, with known motion and growth, from DICOM files to the change that is reported."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import numpy as np
import pytest
import SimpleITK as sitk

from register.head import target_error_mm
from strategies import itk_image
from written_samples import Written
from zweitblick.change import Category, Fate, Matching, NoProposal, Proposal, Unmatched
from zweitblick.dicom.read import read_study
from zweitblick.dicom.seg import segmentation
from zweitblick.dicom.stack import stack
from zweitblick.documents import documents
from zweitblick.earlier import prior_from, timepoint_from
from zweitblick.errors import PriorMismatchError, PriorOrderError, PriorPatientError
from zweitblick.followup import followed_up
from zweitblick.model.bundle import Bundles
from zweitblick.pipeline import read
from zweitblick.prediction import Region
from zweitblick.prior import Prior, Role
from zweitblick.reading import Notice, Reading, Stamp
from zweitblick.report.findings_json import findings_json
from zweitblick.sample import SampleSpec, SampleTruth, follow_up
from zweitblick.study import Sequence, Study
from zweitblick.volume import Volume

STAMP = Stamp(datetime(2026, 11, 24, 12, 0, tzinfo=UTC))
FIRST = SampleSpec(slice_mm=6.0)


@dataclass(frozen=True)
class Time:
    """One of the two: what was drawn, what was sent, what was read."""

    truth: SampleTruth
    study: Study
    reading: Reading
    seg: bytes
    json: bytes

    @property
    def volumes(self) -> Mapping[Sequence, Volume]:
        choices = self.reading.choices.items()
        return {sequence: stack(self.study.series_by_uid(choice.series_uid)) for sequence, choice in choices}

    def prior(self, study: Study | None = None) -> Prior:
        return prior_from(self.seg, self.json, study)


def time(truth: SampleTruth, bundles: Bundles) -> Time:
    study = read_study(sorted(path for series in truth.series.values() for path in series.folder.iterdir()))
    reading = read(study, bundles, stamp=STAMP)
    return Time(truth, study, reading, segmentation(reading), findings_json(reading))


@pytest.fixture(scope="module")
def first(sample_of: Written, bundles: Bundles) -> Time:
    return time(sample_of(FIRST), bundles)


@pytest.fixture(scope="module")
def second(sample_of: Written, bundles: Bundles) -> Time:
    return time(sample_of(follow_up(FIRST, day=90)), bundles)


@pytest.fixture(scope="module")
def followed(first: Time, second: Time) -> Reading:
    return followed_up(second.reading, first.prior(first.study), second.volumes)


def test_days_and_volumes_are_those_of_the_two_studies(first: Time, second: Time, followed: Reading) -> None:
    change = followed.change
    assert change.days == (90,)
    assert change.study_uid == first.study.uid
    for region in Region:
        grown = second.truth.volume_ml[region] - first.truth.volume_ml[region]
        assert change.volume[region].before_ml == pytest.approx(first.reading.findings.volume_ml[region], abs=1e-3)
        assert change.volume[region].now_ml == second.reading.findings.volume_ml[region]
        assert change.volume[region].difference_ml > 0
        assert change.volume[region].difference_ml == pytest.approx(grown, rel=0.4)


def test_the_motion_of_the_head_is_found(first: Time, second: Time, followed: Reading) -> None:
    """In the reference series' own patient coordinates, which no header relates."""
    assert isinstance(followed.change.matching, Matching)
    true = np.linalg.inv(first.truth.head_from_lps) @ second.truth.head_from_lps
    brain = second.truth.brain.grid.lps(np.argwhere(second.truth.brain.voxels > 0)[::5000])
    assert target_error_mm(true, np.eye(4), brain).max() > 10
    error = target_error_mm(followed.change.matching.earlier_from_present_lps, true, brain)
    assert error.mean() < 1.0
    assert error.max() < 2.0


def test_the_earlier_mask_carried_by_simpleitk_lies_in_the_present_lesion(
    first: Time, second: Time, followed: Reading
) -> None:
    matrix = followed.change.matching.earlier_from_present_lps
    transform = sitk.AffineTransform(matrix[:3, :3].ravel().tolist(), matrix[:3, 3].tolist())
    carried = sitk.Resample(
        itk_image(first.truth.labels), itk_image(second.truth.labels), transform, sitk.sitkNearestNeighbor
    )
    before, now = sitk.GetArrayFromImage(carried) > 0, second.truth.labels.voxels > 0
    assert (before & now).sum() / before.sum() > 0.9
    assert before.sum() < now.sum()


def test_the_lesion_is_matched_and_nothing_is_new(followed: Reading) -> None:
    matching = followed.change.matching
    assert matching.sequence is Sequence.T1C
    largest = matching.lesions[0]
    assert largest.fate is Fate.MATCHED
    assert (largest.before[0].number, largest.now[0].number) == (1, 1)
    assert not matching.of(Fate.NEW, Fate.VANISHED, Fate.NOT_SHOWN)


def test_without_knowledge_of_treatment_there_is_no_category(followed: Reading) -> None:
    assert followed.change.rano == NoProposal("treatment not known")


def test_with_a_baseline_there_is_a_proposal_and_it_is_outside_the_models_scope(first: Time, second: Time) -> None:
    baseline = timepoint_from(first.seg, first.json, Role.BASELINE)
    prior = replace(first.prior(first.study), course=(baseline,))
    reading = followed_up(second.reading, prior, second.volumes)
    products = [one.reading.findings.sum_of_products_mm2 for one in (first, second)]
    assert isinstance(reading.change.rano, Proposal)
    expected = Category.PROGRESSION if products[1] >= 1.25 * products[0] else Category.STABLE
    assert reading.change.rano.category is expected
    assert "outside-scope" in {notice.code for notice in reading.notices}


def test_the_same_study_twice_changes_nothing(first: Time) -> None:
    change = followed_up(first.reading, first.prior(first.study), first.volumes).change
    assert change.days == (0,)
    assert all(abs(one.difference_ml) < 1e-3 for one in change.volume.values())
    assert {one.fate for one in change.matching.lesions} == {Fate.MATCHED}
    assert all(one.before[0].number == one.now[0].number for one in change.matching.lesions)
    assert change.matching.motion_mm < 1.0


def test_the_same_inputs_give_the_same_bytes(first: Time, second: Time, followed: Reading) -> None:
    again = followed_up(second.reading, first.prior(first.study), second.volumes)
    assert documents(again) == documents(followed)


def test_without_the_earlier_images_volumes_change_and_lesions_are_not_matched(first: Time, second: Time) -> None:
    change = followed_up(second.reading, first.prior(), second.volumes).change
    assert change.matching == Unmatched("the earlier images are not at hand")
    assert change.volume[Region.WT].before_ml > 0
    assert change.days == (90,)


def test_two_heads_that_cannot_be_aligned_are_not_matched_and_the_report_says_why(first: Time, second: Time) -> None:
    noise = np.random.default_rng(0).uniform(0, 400, second.volumes[Sequence.T1C].shape).astype(np.float32)
    volumes = {Sequence.T1C: Volume(noise, second.volumes[Sequence.T1C].grid)}
    change = followed_up(second.reading, first.prior(first.study), volumes).change
    assert isinstance(change.matching, Unmatched)
    assert change.matching.reason.startswith("the two heads cannot be aligned: ")
    assert json.loads(findings_json(replace(second.reading, change=change)))["change"]["matching"]["matched"] is False


def test_t1_serves_where_one_study_lacks_t1_with_contrast(first: Time, second: Time) -> None:
    prior = first.prior(first.study)
    prior = replace(prior, images={one: image for one, image in prior.images.items() if one is not Sequence.T1C})
    matching = followed_up(second.reading, prior, second.volumes).change.matching
    assert matching.sequence is Sequence.T1
    assert matching.lesions[0].fate is Fate.MATCHED


def test_no_common_sequence_is_said(first: Time, second: Time) -> None:
    volumes = {Sequence.T2: second.volumes[Sequence.T2]}
    matching = followed_up(second.reading, first.prior(first.study), volumes).change.matching
    assert "none of T1c, T1, FLAIR is in both studies" in matching.reason


def test_other_models_are_a_notice(first: Time, second: Time) -> None:
    prior = first.prior()
    older = replace(prior.timepoint.models[0], version="0.1.0", digest="ab" * 32)
    timepoint = replace(prior.timepoint, models=(older, *prior.timepoint.models[1:]))
    reading = followed_up(second.reading, replace(prior, timepoint=timepoint), second.volumes)
    assert "prior-other-models" in {notice.code for notice in reading.notices}


def other_patient(study: Study, **attributes: object) -> Study:
    return replace(study, patient=replace(study.patient, **attributes))


@pytest.mark.parametrize("attributes", [{"id": "SOMEBODY"}, {"sex": "F"}], ids=str)
def test_another_patients_reading_is_refused_before_any_work(
    first: Time, second: Time, attributes: dict[str, str]
) -> None:
    no_bundles: Bundles = None  # type: ignore[assignment]  # a network would fail
    with pytest.raises(PriorPatientError):
        read(other_patient(second.study, **attributes), no_bundles, prior=first.prior(), stamp=STAMP)


def test_a_later_reading_is_refused_before_any_work(first: Time, second: Time) -> None:
    no_bundles: Bundles = None  # type: ignore[assignment]  # a network would fail
    with pytest.raises(PriorOrderError, match="90 days later"):
        read(first.study, no_bundles, prior=second.prior(), stamp=STAMP)
    with pytest.raises(PriorOrderError, match="must be the last"):
        replace(first.prior(), course=(timepoint_from(second.seg, second.json, Role.BASELINE),))


def test_parts_of_different_studies_are_refused(first: Time, second: Time) -> None:
    with pytest.raises(PriorMismatchError):
        prior_from(first.seg, second.json)
    with pytest.raises(PriorMismatchError):
        first.prior(second.study)


def test_nothing_of_the_patient_is_in_a_repr(first: Time) -> None:
    shown = repr(first.prior(first.study))
    for secret in (first.study.uid, first.study.patient.id, first.study.patient.name, "2020"):
        assert secret not in shown


def test_the_pipeline_compares_and_says_why_it_does_not(first: Time, second: Time, bundles: Bundles) -> None:
    unusable = Notice("prior-other-patient", "The earlier reading may be another patient's.")
    alone = read(second.study, bundles, prior=unusable, stamp=STAMP)
    assert alone.change is None
    assert alone.notices[-1] == unusable
    assert findings_json(replace(alone, notices=alone.notices[:-1])) == second.json
    compared = read(second.study, bundles, prior=first.prior(first.study), stamp=STAMP)
    expected = followed_up(second.reading, first.prior(first.study), second.volumes)
    assert findings_json(compared) == findings_json(expected)
