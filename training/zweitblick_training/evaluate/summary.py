"""Many records as the figures of a card: by region, source and subset, with intervals over patients."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

from zweitblick.pipeline import REPORTING_LIMIT_ML
from zweitblick.prediction import REGIONS, Region
from zweitblick_training.evaluate.calibrated import Calibration, calibration
from zweitblick_training.evaluate.record import Asked, CaseScore, Record, Refused, rounded
from zweitblick_training.evaluate.subsets import SUBSETS, subset_name
from zweitblick_training.scores import RegionScore, Spread, spread, validated_ml

Score = TypeVar("Score")
Taught = Mapping[str, Collection[str]]
"""Names of the cases that each network has learnt from, by its key."""

NOT_TOLD: Taught = {}


@dataclass(frozen=True)
class Statistics:
    """Scores of one region over some cases; None where none of them has that score.

    Parameters
    ----------
    cases
        How many.
    dice, sensitivity, precision
        0 to 1.
    volume_error
        Distance of the volume found from that drawn, as a share of the latter.
    volume_error_ml, hd95_mm
        In ml and mm.
    lesion_dice, lesion_hd95_mm
        Lesion-wise, see `zweitblick_training.scores.lesion_wise`.
    lesions, lesions_found
        Truth lesions that count, and those of them that were touched.
    false_positives
        Of a case, on average.
    """

    cases: int
    dice: Spread | None
    sensitivity: Spread | None
    precision: Spread | None
    volume_error: Spread | None
    volume_error_ml: Spread | None
    hd95_mm: Spread | None
    lesion_dice: Spread | None
    lesion_hd95_mm: Spread | None
    lesions: int
    lesions_found: int
    false_positives: float | None


@dataclass(frozen=True)
class RegionSummary:
    """One region.

    Parameters
    ----------
    every
        Over every case; where the truth is empty, `zweitblick_training.scores.dice` says what counts.
    present
        Over the cases in which experts drew the region.
    """

    every: Statistics
    present: Statistics


Regions = Mapping[Region, RegionSummary]


@dataclass(frozen=True)
class FalseTumour:
    """What was found in a head without a tumour: all of it, and its largest part; None if its spacing is not known."""

    name: str
    whole_ml: float | None
    largest_ml: float | None


@dataclass(frozen=True)
class SubsetSummary:
    """What the same cases give from some of their sequences."""

    cases: int
    dice: Mapping[Region, Spread]


@dataclass(frozen=True)
class Summary:
    """The figures of a card.

    Parameters
    ----------
    networks
        How many judged; more than one where folds were joined.
    glioma
        Cases with all three regions drawn.
    sources
        The same by data set and by its parts, as ``brats`` and ``brats CBICA``; with fewer regions where fewer were
        drawn.
    left_out
        Those sources of which no network that judged them had learnt from a case.
    subsets
        By name of the subset, over the glioma cases that have all four sequences.
    refused
        What serving says of the others.
    no_tumour
        Heads without a tumour.
    calibration
        Over the cases with all three regions drawn, or known to be empty.
    """

    networks: int
    glioma: Regions
    sources: Mapping[str, Regions]
    left_out: tuple[str, ...]
    subsets: Mapping[str, SubsetSummary]
    refused: Mapping[str, str]
    no_tumour: tuple[FalseTumour, ...]
    calibration: Calibration

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        return dict(rounded(asdict(self)))


def summary(records: Iterable[Record], *, taught: Taught = NOT_TOLD) -> Summary:
    """Summarise records that `merged` joined.

    Parameters
    ----------
    records
        Of every fold.
    taught
        What each network has learnt from. A case that no record is of may be from any source: of a network that has
        learnt from one it is not said what was left out.
    """
    answers = list(records)
    scores = [one for one in answers if isinstance(one, CaseScore)]
    full = [one for one in scores if one.asked.everything]
    tumours = [one for one in full if one.has_tumour]
    complete = [one for one in full if one.is_complete]
    return Summary(
        networks=len({one.asked.network for one in answers}),
        glioma=_regions([one for one in tumours if one.is_complete]),
        sources={name: _regions(cases) for name, cases in _by_source(tumours).items()},
        left_out=_left_out(tumours, answers, taught),
        subsets=_subsets([one for one in scores if one.is_complete and one.has_tumour]),
        refused={subset_name(one.asked.subset): one.reason for one in answers if isinstance(one, Refused)},
        no_tumour=tuple(_false_tumour(one) for one in full if not one.has_tumour),
        calibration=calibration([one.histograms for one in complete]),
    )


def fitted(records: Iterable[Record]) -> float:
    """Temperature that makes the experts' outlines likeliest, one for all regions, so that they stay nested."""
    full = [one for one in records if isinstance(one, CaseScore) and one.asked.everything]
    return calibration([one.histograms for one in full if one.is_complete]).temperature


def limit_ml(records: Iterable[Record]) -> float:
    """Size from which on nine in ten lesions were found, in ml; see `validated_ml`.

    Raises
    ------
    UnprovenError
        If there are too few lesions to say.
    """
    scores = [one for one in records if isinstance(one, CaseScore) and one.asked.everything]
    return validated_ml([lesion for one in scores for lesion in one.lesions], listed_from_ml=REPORTING_LIMIT_ML)


def _regions(cases: Sequence[CaseScore]) -> dict[Region, RegionSummary]:
    summaries = {}
    for region in REGIONS:
        scored = [(one.asked.patient, one.regions[region]) for one in cases if region in one.regions]
        if scored:
            present = [(patient, score) for patient, score in scored if score.truth_voxels > 0]
            summaries[region] = RegionSummary(_statistics(scored), _statistics(present))
    return summaries


def _statistics(scored: Sequence[tuple[str, RegionScore]]) -> Statistics:
    in_mm = [(patient, score.measured) for patient, score in scored if score.measured is not None]
    lesions = [measured.lesions for _, measured in in_mm]
    return Statistics(
        cases=len(scored),
        dice=_spread(scored, lambda score: score.dice),
        sensitivity=_spread(scored, lambda score: score.sensitivity),
        precision=_spread(scored, lambda score: score.precision),
        volume_error=_spread(scored, _volume_error, larger_is_better=False),
        volume_error_ml=_spread(in_mm, lambda one: abs(one.volume_error_ml), larger_is_better=False),
        hd95_mm=_spread(in_mm, lambda one: one.hd95_mm, larger_is_better=False),
        lesion_dice=_spread(in_mm, lambda one: one.lesions.dice),
        lesion_hd95_mm=_spread(in_mm, lambda one: one.lesions.hd95_mm, larger_is_better=False),
        lesions=sum(one.found + one.missed for one in lesions),
        lesions_found=sum(one.found for one in lesions),
        false_positives=sum(one.false_positives for one in lesions) / len(lesions) if lesions else None,
    )


def _spread(
    scored: Iterable[tuple[str, Score]], value: Callable[[Score], float | None], *, larger_is_better: bool = True
) -> Spread | None:
    """Spread of one score over the cases that have it."""
    found = [(patient, value(score)) for patient, score in scored]
    return spread([(who, one) for who, one in found if one is not None], larger_is_better=larger_is_better)


def _volume_error(score: RegionScore) -> float | None:
    return None if score.volume_error is None else abs(score.volume_error)


def _by_source(cases: Iterable[CaseScore]) -> dict[str, list[CaseScore]]:
    groups: dict[str, list[CaseScore]] = {}
    for one in cases:
        for name in _sources(one.asked):
            groups.setdefault(name, []).append(one)
    return {name: groups[name] for name in sorted(groups)}


def _sources(asked: Asked) -> set[str]:
    return {asked.source, f"{asked.source} {asked.site}".strip()}


def _left_out(cases: Iterable[CaseScore], answers: Iterable[Record], taught: Taught) -> tuple[str, ...]:
    sources = {one.asked.name: _sources(one.asked) for one in answers}
    learnt = {
        network: {source for name in names for source in sources[name]}
        for network, names in taught.items()
        if set(names) <= set(sources)
    }
    return tuple(
        name
        for name, group in _by_source(cases).items()
        if all(network in learnt and name not in learnt[network] for network in {one.asked.network for one in group})
    )


def _subsets(scores: Sequence[CaseScore]) -> dict[str, SubsetSummary]:
    """Only cases that have all four sequences, so that every row has the same cases."""
    four = {one.asked.name for one in scores if one.asked.subset == SUBSETS[0]}
    groups = {
        subset_name(subset): [one for one in scores if one.asked.subset == subset and one.asked.name in four]
        for subset in SUBSETS
    }
    return {name: SubsetSummary(len(cases), _dice(cases)) for name, cases in groups.items() if cases}


def _dice(cases: Sequence[CaseScore]) -> dict[Region, Spread]:
    spreads = {region: spread((one.asked.patient, one.regions[region].dice) for one in cases) for region in REGIONS}
    return {region: one for region, one in spreads.items() if one is not None}


def _false_tumour(score: CaseScore) -> FalseTumour:
    measured = score.regions[Region.WT].measured
    if measured is None:
        return FalseTumour(score.asked.name, None, None)
    return FalseTumour(score.asked.name, measured.predicted_ml, measured.largest_ml)
