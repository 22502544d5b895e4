"""Pipeline: the order of the stages, nothing else.

Pure: no network, database, clock or environment. The same study, prior, bundles and stamp on the same machine give the
same reading.
"""

import itertools
from collections.abc import Callable, Mapping, Set
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace

import numpy as np

import zweitblick
from zweitblick.dicom.stack import examined, stack
from zweitblick.errors import (
    DuplicatePositionError,
    GeometryError,
    InstanceError,
    MissingSequenceError,
    MissingSliceError,
    MixedMatrixError,
    RegistrationError,
    SeriesError,
    UnevenSpacingError,
    VoxelError,
)
from zweitblick.findings import DiameterBasis, Findings
from zweitblick.followup import followed_up
from zweitblick.measure import measure
from zweitblick.model.brain_mask import brain_mask
from zweitblick.model.bundle import Bundle, Bundles
from zweitblick.model.certainty import without_doubtful_enhancement
from zweitblick.model.prepare import Prepared, prepare
from zweitblick.model.scope import damage_notices, doubt_notices, missing_notices, scope_notices, signature_notices
from zweitblick.model.sequences import Chosen, choose
from zweitblick.model.specks import without_specks
from zweitblick.model.windows import Windowed
from zweitblick.prediction import Prediction
from zweitblick.prior import Prior, check_comparable
from zweitblick.reading import Alignment, Notice, Reading, Stamp
from zweitblick.register.level import Pyramid
from zweitblick.register.midsagittal import head_from_lps
from zweitblick.register.rigid import align
from zweitblick.study import Sequence, Series, Study
from zweitblick.volume import Float32, Volume

Observer = Callable[[str], AbstractContextManager[None]]
"""Called with a stage's name around that stage; where timings and progress come from."""

REFERENCE_ORDER = (Sequence.T1C, Sequence.FLAIR)
"""The reference is the first of these that is there: RANO measures on T1 with contrast."""


REPORTING_LIMIT_ML = 0.5
"""Smallest lesion listed: a ball 10 mm across, RANO's smallest measurable lesion, has 0.52 ml."""

FAULTS = (DuplicatePositionError, MissingSliceError, MixedMatrixError, UnevenSpacingError)
"""Of these a report tells: the series could have been used had it come whole."""

BASIS_SEEN_ON = {
    DiameterBasis.ENHANCING: (Sequence.T1C, Sequence.FLAIR),
    DiameterBasis.WHOLE_TUMOUR: (Sequence.FLAIR, Sequence.T2, Sequence.T1C),
}
"""The series whose slice distance decides what is measurable: the first of these that is there."""


def silent(stage: str) -> AbstractContextManager[None]:
    """Observe nothing."""
    del stage
    return nullcontext()


def segment(
    volumes: Mapping[Sequence, Volume], bundles: Bundles, *, seed: int = 0, observer: Observer = silent
) -> Prediction:
    """Outline the tumour on volumes that share a patient coordinate system, as NIfTI files of one head do.

    Parameters
    ----------
    volumes
        Any subset of the sequences with T1c or FLAIR in it; each on its own grid.
    bundles
        The networks.
    seed
        Of the registration.
    observer
        See `Observer`.

    Returns
    -------
    Prediction
        On the canonical grid, in the patient coordinates of the first of the volumes.

    Raises
    ------
    MissingSequenceError, NotAHeadError, VoxelError, RegistrationError
        If the volumes cannot be used together.
    """
    prepared, alignments = prepared_head(volumes, bundles, seed=seed, observer=observer)
    prediction = _predicted(prepared, volumes[reference_of(volumes)], bundles.tumour, seed, observer)
    return prediction.carried(alignments[next(iter(volumes))].moving_from_reference_lps)


def prepared_head(
    volumes: Mapping[Sequence, Volume], bundles: Bundles, *, seed: int = 0, observer: Observer = silent
) -> tuple[Prepared, dict[Sequence, Alignment]]:
    """Bring volumes before the tumour network; how each is laid down depends on it and the reference alone.

    So what is prepared serves for every subset of the sequences that has the same reference (`reference_of`).

    Parameters
    ----------
    volumes, bundles, seed, observer
        See `segment`.

    Raises
    ------
    MissingSequenceError, NotAHeadError, VoxelError, RegistrationError
        If the volumes cannot be used together.
    """
    reference = reference_of(volumes)
    with observer("register"):
        jobs = _alignment_jobs(volumes, reference, frozenset(volumes), seed)
        alignments = {sequence: job.result() for sequence, job in jobs.items()}
    return _prepared(volumes, alignments, volumes[reference], bundles, observer), alignments


def outlined(prepared: Prepared, bundle: Bundle) -> Float32:
    """Probabilities of the regions ``(3, K, J, I)`` on the canonical grid, without specks and doubtful enhancement."""
    probabilities = Windowed(bundle.network)(prepared.tensor)[0]
    inside = np.where(prepared.device.held(prepared.brain, np.bool_), probabilities, np.float32(0))
    voxel_ml = prepared.grid.voxel_ml
    found = without_specks(prepared.device.host(inside), voxel_ml=voxel_ml)
    return without_doubtful_enhancement(found, voxel_ml=voxel_ml)


def read(
    study: Study,
    bundles: Bundles,
    *,
    prior: Prior | Notice | None = None,
    stamp: Stamp,
    observer: Observer = silent,
) -> Reading:
    """Read one study from headers to findings.

    Parameters
    ----------
    study
        What the scanner sent.
    bundles
        The networks.
    prior
        An earlier reading of the same patient, to report the change since; or why there is one that cannot be used.
    stamp
        Time and seed; everything that would otherwise come from clock or chance.
    observer
        See `Observer`.

    Raises
    ------
    MissingSequenceError, NotAHeadError, VoxelError, RegistrationError
        If the study cannot be read.
    PriorPatientError, PriorOrderError
        If the earlier reading may be another patient's, or is later.
    """
    if isinstance(prior, Prior):
        check_comparable(prior.timepoint, study)
    reading, volumes = _read_alone(study, bundles, stamp, observer)
    if prior is None:
        return reading
    if isinstance(prior, Notice):
        return replace(reading, notices=(*reading.notices, prior))
    with observer("compare"):
        return followed_up(reading, prior, volumes)


def _read_alone(
    study: Study, bundles: Bundles, stamp: Stamp, observer: Observer
) -> tuple[Reading, dict[Sequence, Volume]]:
    """Read a study by itself; give the volumes that were used, too."""
    with observer("choose"):
        chosen, volumes, candidates = _chosen_volumes(study, bundles.sequence)
    reference = reference_of(volumes)
    with observer("register"):
        alignments, notices = _alignments(chosen, volumes, reference, stamp.seed)
    volumes = {sequence: volumes[sequence] for sequence in alignments}
    prepared = _prepared(volumes, alignments, volumes[reference], bundles, observer)
    prediction = _predicted(prepared, volumes[reference], bundles.tumour, stamp.seed, observer)
    with observer("measure"):
        findings = _measured(prediction, volumes, bundles.tumour)
    missing = tuple(sequence for sequence in Sequence if sequence not in volumes)
    reading = Reading(
        study=study,
        choices={sequence: chosen.choices[sequence] for sequence in volumes},
        missing=missing,
        reference=reference,
        reference_volume=volumes[reference],
        images=prepared.images,
        alignments=alignments,
        prediction=prediction,
        findings=findings,
        models=(bundles.tumour.identity, bundles.brain_mask.identity, bundles.sequence.identity),
        notices=(
            *scope_notices(study),
            *signature_notices(bundles),
            *missing_notices(missing),
            *notices,
            *damage_notices(study, candidates.damaged),
            *doubt_notices(chosen.choices, prepared, findings),
        ),
        rejected=_all_rejected(candidates, chosen),
        stamp=stamp,
        version=zweitblick.__version__,
    )
    return reading, volumes


def reference_of(volumes: Mapping[Sequence, Volume]) -> Sequence:
    """Return the sequence whose grid and patient coordinates the result takes.

    Raises
    ------
    MissingSequenceError
        If neither T1c nor FLAIR is among them.
    """
    for sequence in REFERENCE_ORDER:
        if sequence in volumes:
            return sequence
    found = ", ".join(sorted(volumes)) or "no sequence"
    raise MissingSequenceError(f"neither T1c nor FLAIR among {found}; the tumour cannot be outlined without one")


class _Undecodable(Exception):  # noqa: N818 -- a signal within this module, never an error that leaves it
    """The pixels of a candidate cannot be decoded."""

    def __init__(self, part: Series, reason: str) -> None:
        super().__init__(reason)
        self.part = part


@dataclass(frozen=True, eq=False)
class _Candidates:
    """Volumes that may be chosen, and why others may not.

    Parameters
    ----------
    parts
        Sound volumes, by their headers.
    rejected
        Reasons by name of the series.
    damaged
        Reasons of those among them that could have mattered: MR volumes with a fault.
    """

    parts: tuple[Series, ...]
    rejected: Mapping[str, str]
    damaged: tuple[str, ...]

    def without(self, part: Series, reason: str) -> "_Candidates":
        return _Candidates(
            tuple(one for one in self.parts if one is not part),
            _noted(self.rejected, part.name, reason),
            (*self.damaged, f"{part.name}: {reason}"),
        )


def _chosen_volumes(study: Study, bundle: Bundle) -> tuple[Chosen, dict[Sequence, Volume], _Candidates]:
    """Choose series; a candidate whose pixels do not decode is rejected by name and the choice made again."""
    candidates = _candidates(study)
    decoded: dict[int, Volume] = {}

    def volume_of(part: Series) -> Volume:
        if id(part) not in decoded:
            decoded[id(part)] = _decoded(part)
        return decoded[id(part)]

    while True:
        try:
            chosen = choose(candidates.parts, volume_of, bundle.network)
            return chosen, {sequence: volume_of(part) for sequence, part in chosen.series.items()}, candidates
        except _Undecodable as failure:
            candidates = candidates.without(failure.part, str(failure))


def _decoded(part: Series) -> Volume:
    try:
        return stack(part)
    except (SeriesError, InstanceError, VoxelError, GeometryError) as error:
        raise _Undecodable(part, str(error)) from error


def _candidates(study: Study) -> _Candidates:
    """Part every series into volumes."""
    sound: list[Series] = []
    rejected: Mapping[str, str] = {}
    damaged: list[str] = []
    for series in study.series:
        parts, errors = _parted(series)
        sound += parts
        for error in errors:
            rejected = _noted(rejected, series.name, str(error))
        damaged += [str(error) for error in errors if isinstance(error, FAULTS)]
    return _Candidates(tuple(sound), rejected, tuple(damaged))


def _parted(series: Series) -> tuple[tuple[Series, ...], tuple[SeriesError, ...]]:
    try:
        found = examined(series)
    except SeriesError as error:
        return (), (error,)
    return found.sound, found.errors


def _noted(reasons: Mapping[str, str], name: str, reason: str) -> dict[str, str]:
    """Add a reason; a name that is taken, as series may share a number, gets a count."""
    names = (name if count == 1 else f"{name} ({count})" for count in itertools.count(1))
    return {**reasons, next(one for one in names if one not in reasons): reason}


def _all_rejected(candidates: _Candidates, chosen: Chosen) -> Mapping[str, str]:
    rejected = candidates.rejected
    for name, reason in chosen.rejected.items():
        rejected = _noted(rejected, name, reason)
    return rejected


def _alignments(
    chosen: Chosen, volumes: Mapping[Sequence, Volume], reference: Sequence, seed: int
) -> tuple[dict[Sequence, Alignment], list[Notice]]:
    """Align every sequence; one that cannot be aligned plausibly is left out, and the report says so."""
    frame = chosen.series[reference].frame_of_reference_uid
    in_frame = {one for one in volumes if frame and chosen.series[one].frame_of_reference_uid == frame}
    alignments: dict[Sequence, Alignment] = {}
    notices = []
    for sequence, job in _alignment_jobs(volumes, reference, in_frame, seed).items():
        try:
            alignments[sequence] = job.result()
        except RegistrationError as error:
            notices.append(Notice("not-aligned", f"{sequence} was left out: {error}"))
    return alignments, notices


def _alignment_jobs(
    volumes: Mapping[Sequence, Volume], reference: Sequence, in_frame: Set[Sequence], seed: int
) -> dict[Sequence, Future[Alignment]]:
    """Align every sequence at once: each search keeps one core busy, and its result does not depend on the others."""
    pyramids = {sequence: Pyramid(volume) for sequence, volume in volumes.items()}
    with ThreadPoolExecutor() as pool:
        return {
            sequence: pool.submit(_aligned, pyramid, pyramids[reference], same_frame=sequence in in_frame, seed=seed)
            for sequence, pyramid in pyramids.items()
        }


def _aligned(moving: Pyramid, reference: Pyramid, *, same_frame: bool, seed: int) -> Alignment:
    if moving is reference:
        return Alignment(np.eye(4), "identity", 0.0)
    return align(moving, reference, same_frame=same_frame, seed=seed)


def _prepared(
    volumes: Mapping[Sequence, Volume],
    alignments: Mapping[Sequence, Alignment],
    reference: Volume,
    bundles: Bundles,
    observer: Observer,
) -> Prepared:
    with observer("brain mask"):
        brain = brain_mask(reference, bundles.brain_mask.network)
    with observer("prepare"):
        moves = {sequence: alignment.moving_from_reference_lps for sequence, alignment in alignments.items()}
        device = bundles.tumour.device
        return prepare(volumes, brain, reference=reference.grid, own_from_reference=moves, device=device)


def _predicted(prepared: Prepared, reference: Volume, bundle: Bundle, seed: int, observer: Observer) -> Prediction:
    with observer("network"):
        outline = outlined(prepared, bundle)
    with observer("midline"):
        # Air must be dark here; in the normalised images it lies amid the tissues.
        head = head_from_lps(reference.resampled(prepared.grid), prepared.brain, seed=seed)
    return Prediction(outline, prepared.brain, prepared.grid, head, device=bundle.device)


def _measured(prediction: Prediction, volumes: Mapping[Sequence, Volume], bundle: Bundle) -> Findings:
    """Measure; what is measurable depends on the slice distance of the series that each diameter is seen on."""
    seen_on = {basis: next(one for one in order if one in volumes) for basis, order in BASIS_SEEN_ON.items()}
    return measure(
        prediction,
        slice_distance_mm={basis: volumes[one].grid.slice_distance_mm for basis, one in seen_on.items()},
        reporting_limit_ml=REPORTING_LIMIT_ML,
        validated_ml=bundle.validated_ml,
    )
