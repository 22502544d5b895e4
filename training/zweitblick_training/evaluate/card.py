"""The model card: every figure comes from the records, the bundle's training and the trials kept by hand."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from zweitblick.prediction import REGIONS, Region
from zweitblick_training.evaluate.baseline import BASELINE
from zweitblick_training.evaluate.markdown import figure
from zweitblick_training.evaluate.record import CaseScore, Record, rounded
from zweitblick_training.evaluate.run import EvaluationError
from zweitblick_training.evaluate.summary import Summary, Taught, limit_ml, summary
from zweitblick_training.evaluate.tables import (
    baseline_table,
    calibration_table,
    candidate_notes,
    candidate_table,
    idea_table,
    lesion_table,
    overall_table,
    patient_table,
    source_table,
    subset_table,
)
from zweitblick_training.evaluate.trials import Trials
from zweitblick_training.facts import FACTS_FILE, Facts
from zweitblick_training.scores import UnprovenError

EVALUATION, CARD_FILE, TRAINING = "evaluation.json", "docs/README.md", "training.json"

FIVE_FOLDS = 5
"""As is usual; fewer are explained."""

FALSE_TUMOUR_ML = 1.0
"""More than this found in a head without a tumour is too much."""


@dataclass(frozen=True)
class Card:
    """What a bundle says of how good it is, drawn up as a whole before anything of it is written.

    Parameters
    ----------
    figures
        Its figures.
    limit_ml
        Size from which on nine in ten lesions were found; None if there are too few to say.
    evaluation
        The text of ``evaluation.json``.
    text
        That of ``docs/README.md``.
    """

    figures: Summary
    limit_ml: float | None
    evaluation: str
    text: str

    @classmethod
    def drawn_up(
        cls,
        records: Iterable[Record],
        bundle: Path,
        *,
        taught: Taught,
        folds: Sequence[Path],
        trials: Path | None,
    ) -> Self:
        """Draw up the card of a bundle; nothing is written.

        Parameters
        ----------
        records
            Joined by `merged`; each of a network that had not learnt from the patient.
        bundle
            Folder of the bundle that is released; ``training.json`` and ``release.yaml`` are there.
        taught
            Names of the cases that each network has learnt from, see `summary`.
        folds
            Folders of the bundles that were judged, for the steps and the time that they took; none if it is
            ``bundle``.
        trials
            Folder with ``candidates.json``, ``ideas.json`` and ``remarks.md``; what is not there is left out.

        Raises
        ------
        EvaluationError
            If there is no record of a glioma, or a file of the bundle or of the trials is missing or not as it must be.
        """
        answers = list(records)
        figures = summary(answers, taught=taught)
        if not figures.glioma:
            raise EvaluationError("no case has a glioma with all three regions drawn; a card needs some")
        training, facts = _training(bundle), _facts(bundle)
        tried = Trials.read(trials) if trials else Trials()
        limit, found_from = _limit(answers)
        head = _head(training, facts, [_training(fold) for fold in folds])
        parts = [*head, *_results(figures, answers, found_from), *_tail(figures, facts, tried)]
        evaluation = json.dumps(_document(figures, answers, tried), indent=1) + "\n"
        return cls(figures, limit, evaluation, "\n\n".join(parts) + "\n")

    def write(self, bundle: Path) -> None:
        """Write it into a bundle, whose digests have to be sealed again after that."""
        (bundle / EVALUATION).write_text(self.evaluation, encoding="utf-8")
        path = bundle / CARD_FILE
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(self.text, encoding="utf-8")


def _document(figures: Summary, answers: Sequence[Record], tried: Trials) -> dict[str, Any]:
    """Figures by themselves and case by case; neither lesions one by one nor histograms."""
    cases = [
        {
            "name": one.asked.name,
            "source": one.asked.source,
            "shown": sorted(map(str, one.asked.subset)),
            "regions": {str(region): rounded(asdict(score)) for region, score in one.regions.items()},
        }
        for one in answers
        if isinstance(one, CaseScore)
    ]
    return {"summary": figures.to_json(), "trials": rounded(asdict(tried)), "cases": cases}


def _head(training: Mapping[str, Any], facts: Facts, folds: Sequence[Mapping[str, Any]]) -> list[str]:
    network = ARCHITECTURES[training["architecture"]].format(**training)
    return [
        INTRODUCTION.format(population=facts.population.strip()),
        DATA.format(cases=training["cases"], data=facts.data.strip()),
        NETWORK.format(network=network, **training),
        _effort(training, folds),
    ]


def _effort(training: Mapping[str, Any], folds: Sequence[Mapping[str, Any]]) -> str:
    text = TRAINING_TEXT.format(**training)
    if not folds:
        return text
    steps = ", ".join(str(fold["steps"]) for fold in folds)
    hours = sum(fold["hours"] for fold in folds)
    energy = sum(fold["energy"] for fold in folds)
    return text + FOLDS_TEXT.format(count=len(folds), steps=steps, hours=hours, energy=energy)


def _results(figures: Summary, answers: Sequence[Record], found_from: str) -> list[str]:
    scores = [one for one in answers if isinstance(one, CaseScore)]
    sections = [
        f"## Results\n\n{_judged(figures)}",
        overall_table(figures.glioma),
        OVERALL_NOTE,
        "### Lesion by lesion\n\nAs the BraTS 2023 glioma code has it; distances between surface voxels.",
        lesion_table(figures.glioma),
        found_from,
        "### By source",
        source_table(figures),
        SOURCE_NOTE if figures.left_out else "",
        "### By what is shown",
        subset_table(figures),
        _refusals(figures),
        _no_tumour(figures),
        *_baseline(scores),
        *_calibration(figures),
        "### Every patient",
        patient_table(scores),
    ]
    return [section for section in sections if section]


def _judged(figures: Summary) -> str:
    count = figures.glioma[Region.WT].every.cases
    if figures.networks == 1:
        return JUDGED_ONCE.format(count=count)
    why = "" if figures.networks >= FIVE_FOLDS else FEWER_FOLDS
    return JUDGED_FOLDS.format(count=count, networks=figures.networks) + why


def _limit(answers: Iterable[Record]) -> tuple[float | None, str]:
    """Return the size from which on lesions are found reliably, if it is known, and what the card says of it."""
    try:
        limit = limit_ml(answers)
    except UnprovenError as error:
        return None, f"**Found reliably from:** not known; {error}."
    return limit, f"**Found reliably from:** {limit:g} ml; of lesions this large or larger nine in ten were found."


def _refusals(figures: Summary) -> str:
    reasons = sorted(set(figures.refused.values()))
    return f"Refused, as neither T1c nor FLAIR is there: {len(figures.refused)} subsets." if reasons else ""


def _no_tumour(figures: Summary) -> str:
    if not figures.no_tumour:
        return ""
    found = "; ".join(
        f"{one.name} {figure(one.whole_ml, 2)} ml (largest part {figure(one.largest_ml, 2)} ml)"
        for one in figures.no_tumour
    )
    met = all(one.largest_ml is not None and one.largest_ml <= FALSE_TUMOUR_ML for one in figures.no_tumour)
    verdict = "no part is above" if met else "not every part stays within"
    return f"### Heads without a tumour\n\nWhole tumour found: {found}; {verdict} {FALSE_TUMOUR_ML:g} ml."


def _baseline(scores: Sequence[CaseScore]) -> list[str]:
    if not {one.asked.name for one in scores} & set(BASELINE):
        return []
    return [f"### Against the baseline\n\n{BASELINE_NOTE}", baseline_table(scores)]


def _calibration(figures: Summary) -> list[str]:
    curves = figures.calibration.curves
    if not curves:
        return []
    errors = ", ".join(
        f"{region} {curves[region].error:.4f} before and {curves[region].error_after:.4f} after"
        for region in REGIONS
        if region in curves
    )
    note = CALIBRATION_NOTE.format(temperature=figures.calibration.temperature, errors=errors)
    return [f"### Calibration\n\n{note}", calibration_table(figures.calibration)]


def _tail(figures: Summary, facts: Facts, tried: Trials) -> list[str]:
    parts = [f"## How the networks came about\n\n{tried.remarks}"] if tried.remarks else []
    if tried.candidates:
        notes = candidate_notes(tried.candidates)
        parts += ["## Candidates compared", candidate_table(tried.candidates), *([notes] if notes else [])]
    if tried.ideas:
        parts += ["## Ideas tried", idea_table(tried.ideas)]
    folds = "" if figures.networks == 1 else LIMITS_FOLDS
    limits = LIMITS.format(limits=facts.limits.strip(), folds=folds)
    return [*parts, limits, f"Licence: {facts.spdx}, see `LICENSE`."]


def _facts(bundle: Path) -> Facts:
    if not (bundle / FACTS_FILE).is_file():
        raise EvaluationError(f"bundle {bundle.name} has no {FACTS_FILE}; export the run again")
    return Facts.read(bundle / FACTS_FILE)


def _training(bundle: Path) -> dict[str, Any]:
    path = bundle / TRAINING
    if not path.is_file():
        raise EvaluationError(f"bundle {bundle.name} has no {TRAINING}; export the run again")
    said: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    missing = [key for key in TOLD if key not in said]
    if missing:
        raise EvaluationError(f"{TRAINING} of bundle {bundle.name} lacks {', '.join(missing)}; export the run again")
    return said


TOLD = ("architecture", "cases", "features", "parameters", "steps", "batch", "patch", "hours", "watts", "energy")

INTRODUCTION = """# Tumour network

Outlines glioma on MRI of the brain: enhancing tumour (ET), tumour core (TC) and whole tumour (WT), as BraTS defines
them. Any of T1, T1c, T2 and FLAIR may be missing, as long as T1c or FLAIR is there. For research.

**Population:** {population}"""

DATA = """**Data:** {cases} training cases, which `splits.json` names: {data}"""

ARCHITECTURES = {
    "residual-unet": "residual U-Net with BatchNorm, features {features}",
    "segresnet": "MONAI's SegResNet as its brats bundle configures it",
}

NETWORK = """**Network:** {network}, {parameters:.1f} M parameters; Dice + cross-entropy, AdamW, moving average of the
weights, sequence dropout. `recipe.yaml` holds every number."""

TRAINING_TEXT = """**Training:** {steps} steps of {batch} patches of {patch}³ voxels, {hours:.1f} h; at an
assumed {watts:g} W about {energy:.2f} kWh."""

FOLDS_TEXT = (
    """ The {count} networks of the folds beside it: {steps} steps, {hours:.1f} h and {energy:.2f} kWh in all."""
)

JUDGED_ONCE = """{count} patients with glioma were held back and outlined by the code that serves (brain mask, alignment
check, 1 mm grid, network), scored on their own grid."""

JUDGED_FOLDS = """{count} patients with glioma, and those of the other sources below, in {networks} folds by patient:
each was outlined by a network that had learnt from none of that fold's patients, nor from a case that may show one of
them under another name, through the code that serves (brain mask, alignment check, 1 mm grid, network), and scored on
its own grid. The released network learnt from all of them."""

FEWER_FOLDS = """ Fewer folds than the usual five, because the compute at hand allowed no more training runs."""

OVERALL_NOTE = """Means over patients; intervals by bootstrap over patients; "worst" is the worst patient. Where experts
drew no enhancing tumour, Dice is 1 if fewer than 50 voxels are predicted, else 0, and HD95 is 0 or 374 mm; the row
"where drawn" leaves these cases out. Volume error is the distance of the two volumes as a share of the drawn one, and
in ml."""

SOURCE_NOTE = """\\* left out as a whole: the networks that judged its patients had learnt from no case of that
source. Cases of `lgg` have no recorded spacing: Dice and relative volume only."""

BASELINE_NOTE = """A cascade of nine small 2.5D networks, second in BraTS 2017 (285 training patients), run again on
these patients at about 100 s each. It may have learnt from them; ours had not."""

CALIBRATION_NOTE = """One temperature for all regions, {temperature:g}, fitted by likelihood on the cases shown here
(logits divided by it, which moves no voxel over .5). The bundle that it is for must be scored again with it, as what
counts as sure of enhancing tumour moves. Expected calibration error over the voxels of the brain: {errors}.
The curve, before the temperature:"""

LIMITS = """## Limits

{limits}{folds} Not validated for any clinical purpose."""

LIMITS_FOLDS = """ The figures are those of the folds' networks; the released one is judged by no held-back patient."""
