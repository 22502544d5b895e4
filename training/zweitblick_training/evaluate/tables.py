"""The tables of a card."""

from collections.abc import Iterable, Sequence

from zweitblick.prediction import REGIONS, Region
from zweitblick_training.evaluate.baseline import BASELINE
from zweitblick_training.evaluate.calibrated import Calibration
from zweitblick_training.evaluate.markdown import figure, interval, mean, table, worst
from zweitblick_training.evaluate.record import CaseScore
from zweitblick_training.evaluate.subsets import SUBSETS, subset_name
from zweitblick_training.evaluate.summary import Regions, Statistics, SubsetSummary, Summary
from zweitblick_training.evaluate.trials import Candidate, Idea

ALL_FOUR = subset_name(SUBSETS[0])


def overall_table(regions: Regions) -> str:
    """Every score by region: over all cases, and over those that have the region."""
    rows = []
    for region, of in regions.items():
        rows.append([f"**{region}**, all", *_overall(of.every)])
        rows.append([f"{region}, where drawn", *_overall(of.present)])
    head = ["region", "cases", "Dice (95 %)", "worst", "HD95, mm", "sensitivity", "precision", "volume error", "ml"]
    return table(head, rows)


def lesion_table(regions: Regions) -> str:
    """Lesion-wise scores by region."""
    rows = [
        [
            str(region),
            interval(of.every.lesion_dice),
            worst(of.every.lesion_dice),
            mean(of.every.lesion_hd95_mm, 1),
            f"{of.every.lesions_found} of {of.every.lesions}",
            figure(of.every.false_positives, 2),
        ]
        for region, of in regions.items()
    ]
    return table(["region", "Dice (95 %)", "worst", "HD95, mm", "lesions found", "false positives a case"], rows)


def source_table(summary: Summary) -> str:
    """Dice by source and, where nothing finer can be told, the volume."""
    rows = [
        [
            f"{name}{' *' if name in summary.left_out else ''}",
            str(regions[Region.WT].every.cases),
            *(_dice_of(regions, region) for region in REGIONS),
            worst(regions[Region.WT].every.dice),
            mean(regions[Region.WT].every.volume_error),
        ]
        for name, regions in summary.sources.items()
    ]
    return table(["source", "cases", "ET", "TC", "WT", "worst WT", "WT volume error"], rows)


def subset_table(summary: Summary) -> str:
    """Dice from each subset of the sequences, and what it loses of the whole tumour."""
    full = summary.subsets.get(ALL_FOUR)
    rows = [[name, *_subset(one, full)] for name, one in summary.subsets.items()]
    rows += [[name, "refused", "", "", "", ""] for name in summary.refused]
    return table(["shown", "ET", "TC", "WT (95 %)", "worst WT", "WT against all four"], rows)


def patient_table(scores: Iterable[CaseScore]) -> str:
    """Every case that was read from everything it has."""
    rows = [
        [one.asked.name, *(_case_dice(one, region) for region in REGIONS), *_millilitres(one)]
        for one in scores
        if one.asked.everything
    ]
    return table(["case", "ET", "TC", "WT", "WT drawn, ml", "WT found, ml", "WT HD95, mm"], rows)


def baseline_table(scores: Iterable[CaseScore]) -> str:
    """Our Dice beside the baseline's, on its four patients."""
    ours = {one.asked.name: one for one in scores if one.asked.everything}
    rows = [
        [name, *(f"{_case_dice(ours[name], region)} / {figure(theirs[region])}" for region in REGIONS)]
        for name, theirs in BASELINE.items()
        if name in ours
    ]
    return table(["case", "ET ours / theirs", "TC ours / theirs", "WT ours / theirs"], rows)


def calibration_table(calibration: Calibration) -> str:
    """Reliability: share of true voxels by predicted probability."""
    rows = [
        [str(region), str(point.voxels), figure(point.predicted), figure(point.true)]
        for region, curve in calibration.curves.items()
        for point in curve.points
    ]
    return table(["region", "voxels", "predicted", "true"], rows)


def candidate_table(candidates: Sequence[Candidate]) -> str:
    """Networks that were compared."""
    rows = [
        [
            one.name,
            figure(one.parameters, 1),
            *(figure(one.dice.get(region)) for region in REGIONS),
            figure(one.latency_s, 2),
            figure(one.size_mb, 1),
            str(one.steps),
        ]
        for one in candidates
    ]
    return table(["network", "parameters, M", "ET", "TC", "WT", "s a brain", "MB", "steps"], rows)


def candidate_notes(candidates: Sequence[Candidate]) -> str:
    """How they were compared; said once of those to which the same applies."""
    names: dict[str, list[str]] = {}
    for one in candidates:
        if one.how:
            names.setdefault(one.how, []).append(one.name)
    return "\n\n".join(f"{'; '.join(alike)}: {how}" for how, alike in names.items())


def idea_table(ideas: Sequence[Idea]) -> str:
    """Ideas that were tried."""
    return table(["idea", "what it changed", "how measured"], [[one.idea, one.change, one.how] for one in ideas])


def _overall(of: Statistics) -> list[str]:
    return [
        str(of.cases),
        interval(of.dice),
        worst(of.dice),
        f"{mean(of.hd95_mm, 1)} (worst {worst(of.hd95_mm, 0)})",
        mean(of.sensitivity),
        mean(of.precision),
        mean(of.volume_error),
        mean(of.volume_error_ml, 1),
    ]


def _dice_of(regions: Regions, region: Region) -> str:
    return interval(regions[region].every.dice if region in regions else None)


def _subset(one: SubsetSummary, full: SubsetSummary | None) -> list[str]:
    whole = one.dice.get(Region.WT)
    best = full and full.dice.get(Region.WT)
    change = f"{whole.mean - best.mean:+.3f}" if whole and best else ""
    cells = [mean(one.dice.get(region)) for region in (Region.ET, Region.TC)]
    return [*cells, interval(whole), worst(whole), change]


def _case_dice(score: CaseScore, region: Region) -> str:
    return figure(score.regions[region].dice if region in score.regions else None)


def _millilitres(score: CaseScore) -> list[str]:
    measured = score.regions[Region.WT].measured
    if measured is None:
        return [figure(None)] * 3
    return [figure(measured.truth_ml, 1), figure(measured.predicted_ml, 1), figure(measured.hd95_mm, 1)]
