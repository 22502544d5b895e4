"""Follow-up: a reading and an earlier one brought together, and what is different."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import date

import numpy as np

from zweitblick.change import Change, Matching, Unmatched, VolumeChange
from zweitblick.dicom.stack import stack
from zweitblick.errors import GeometryError, InstanceError, RegistrationError, SeriesError, VoxelError
from zweitblick.measure.matching import lesion_changes, outlined_before, outlined_now
from zweitblick.measure.rano import proposed
from zweitblick.prediction import Region
from zweitblick.prior import Prior, PriorImage, Role, Timepoint
from zweitblick.reading import POPULATION, Notice, Reading
from zweitblick.register.level import Pyramid
from zweitblick.register.rigid import align
from zweitblick.study import Sequence
from zweitblick.volume import Volume

ALIGNED_ON = (Sequence.T1C, Sequence.T1, Sequence.FLAIR)
"""The two heads are aligned on the first of these that both studies have."""


PRECISION = (
    "Unchanged heads that lay otherwise were read with volumes up to 16 % apart, where less than 2 ml enhances up to "
    "83 %, and with sums of products up to 70 % apart."
)
"""Largest differences of ``python -m benchmarks.repeatability``; every change is to be read against them."""


def followed_up(reading: Reading, prior: Prior, volumes: Mapping[Sequence, Volume]) -> Reading:
    """Return the reading with its change since an earlier one, and what to know of the comparison.

    Parameters
    ----------
    reading
        Without change.
    prior
        The earlier reading.
    volumes
        Of this study, as acquired, for registration.
    """
    matching = _matched(reading, prior, volumes)
    present = timepoint_of(reading)
    before = prior.timepoint
    change = Change(
        study_uid=before.study_uid,
        days=days_between(before.studied_on, present.studied_on),
        volume={
            region: VolumeChange(before.findings.volume_ml[region], present.findings.volume_ml[region])
            for region in Region
        },
        matching=matching,
        rano=proposed(present, _course(prior), matching),
    )
    return replace(reading, change=change, notices=(*reading.notices, *_notices(present, prior)))


def timepoint_of(reading: Reading) -> Timepoint:
    """Return what later readings must know of this one."""
    return Timepoint(
        study_uid=reading.study.uid,
        started_at=reading.study.started_at,
        patient=reading.study.patient,
        findings=reading.findings,
        with_contrast=Sequence.T1C not in reading.missing,
        models=reading.models,
    )


def days_between(before: date | None, now: date | None) -> tuple[int, ...]:
    """Days from one date to another; none where one is not known."""
    return ((now - before).days,) if before and now else ()


def _course(prior: Prior) -> tuple[Timepoint, ...]:
    """Every earlier timepoint once; what is said of a role goes before what is not."""
    others = {each.study_uid: each for each in prior.course}
    return tuple({prior.timepoint.study_uid: prior.timepoint, **others}.values())


def _matched(reading: Reading, prior: Prior, volumes: Mapping[Sequence, Volume]) -> Matching | Unmatched:
    """Match on the first sequence that both have; if that one's images or alignment fail, lesions are not matched."""
    if not prior.images:
        return Unmatched("the earlier images are not at hand")
    shared = [sequence for sequence in ALIGNED_ON if sequence in volumes and sequence in prior.images]
    if not shared:
        wanted = ", ".join(ALIGNED_ON)
        return Unmatched(f"none of {wanted} is in both studies as one volume")
    try:
        return _matched_on(shared[0], reading, prior, volumes[shared[0]])
    except RegistrationError as error:
        return Unmatched(f"the two heads cannot be aligned: {error}")
    except (SeriesError, InstanceError, VoxelError, GeometryError) as error:
        return Unmatched(f"the earlier images cannot be used: {error}")


def _matched_on(sequence: Sequence, reading: Reading, prior: Prior, volume: Volume) -> Matching:
    image = prior.images[sequence]
    earlier = stack(image.part)
    alignment = align(
        Pyramid(earlier), Pyramid(volume), same_frame=_same_frame(sequence, reading, image), seed=reading.stamp.seed
    )
    own = reading.alignments[sequence].moving_from_reference_lps
    earlier_from_present = np.linalg.inv(image.own_from_reference_lps) @ alignment.moving_from_reference_lps @ own
    before = outlined_before(
        prior.labels,
        prior.timepoint.findings,
        earlier_from_common_lps=earlier_from_present,
        field=earlier.grid,
        field_from_earlier=image.own_from_reference_lps,
    )
    now = outlined_now(reading.prediction, reading.findings, reading.reference_volume.grid)
    return Matching(sequence, earlier_from_present, alignment.motion_mm, lesion_changes(before, now))


def _same_frame(sequence: Sequence, reading: Reading, image: PriorImage) -> bool:
    own = reading.study.series_by_uid(reading.choices[sequence].series_uid).frame_of_reference_uid
    return bool(own) and own == image.part.frame_of_reference_uid


def _notices(present: Timepoint, prior: Prior) -> list[Notice]:
    """Say what the comparison rests on less than it seems."""
    notices = [*prior.notices, Notice("change-precision", PRECISION)]
    before = prior.timepoint
    if before.models != present.models:
        text = "The earlier study was read by other models: part of the change may be theirs. Read it again to compare."
        notices.append(Notice("prior-other-models", text))
    if before.with_contrast != present.with_contrast:
        text = "T1 with contrast is missing in one of the two studies: enhancing tumour and core cannot be compared."
        notices.append(Notice("prior-other-sequences", text))
    if any(each.role is Role.BASELINE for each in _course(prior)):
        text = f"Outside scope: treatment followed the baseline; the model knows {POPULATION}."
        notices.append(Notice("outside-scope", text))
    return notices
