"""Evaluate: score a bundle on held-back cases through the code that serves."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from zweitblick.errors import ZweitblickError
from zweitblick.model.bundle import Bundles
from zweitblick.pipeline import REPORTING_LIMIT_ML, segment
from zweitblick.prediction import REGIONS, Region
from zweitblick_training.cases import PackedCase
from zweitblick_training.scores import LesionScore, dice, lesion_scores, region_mask, validated_ml


@dataclass(frozen=True)
class CaseScore:
    """Scores of one patient.

    Parameters
    ----------
    name, source
        The case.
    dice
        By region; 1 or 0 where the truth has none of it (see `scores.dice`).
    truth_ml, predicted_ml
        By region.
    lesions
        Every expert-drawn lesion.
    """

    name: str
    source: str
    dice: dict[str, float]
    truth_ml: dict[str, float]
    predicted_ml: dict[str, float]
    lesions: tuple[LesionScore, ...]


def evaluate_case(case: PackedCase, bundles: Bundles) -> CaseScore:
    """Outline one case as `zweitblick segment` would and score it on the grid of its own images."""
    grid = case.labels.grid
    truth = case.labels.voxels.astype(np.uint8)
    prediction = segment(case.volumes, bundles).resampled(grid)
    pairs = {region: (prediction.mask(region), region_mask(truth, region)) for region in REGIONS}
    return CaseScore(
        name=case.name,
        source=case.source,
        dice={region: round(dice(*pair), 4) for region, pair in pairs.items()},
        truth_ml={region: round(float(pair[1].sum()) * grid.voxel_ml, 2) for region, pair in pairs.items()},
        predicted_ml={region: round(float(pair[0].sum()) * grid.voxel_ml, 2) for region, pair in pairs.items()},
        lesions=tuple(lesion_scores(*pairs[Region.WT], grid.voxel_ml)),
    )


def evaluate(cases: Iterable[PackedCase], bundles: Bundles) -> list[CaseScore]:
    """Score many cases.

    Raises
    ------
    ZweitblickError
        If a case cannot be read: its name is in a note on the error.
    """
    scores = []
    for case in cases:
        try:
            scores.append(evaluate_case(case, bundles))
        except ZweitblickError as error:
            error.add_note(f"while scoring case {case.name}")
            raise
    return scores


def write_evaluation(scores: Sequence[CaseScore], bundle: Path) -> None:
    """Write a bundle's ``evaluation.json``, its reporting limit and its card from the scores of held-back cases.

    Parameters
    ----------
    scores
        Of patients that were in no training.
    bundle
        The bundle's folder; ``splits.json`` and ``training.json`` are there already.
    """
    document = {"dice": summary(scores), "cases": [asdict(score) for score in scores]}
    _write_json(bundle / "evaluation.json", document)
    limit = validated_ml([lesion for score in scores for lesion in score.lesions], listed_from_ml=REPORTING_LIMIT_ML)
    metadata = json.loads((bundle / "configs" / "metadata.json").read_text(encoding="utf-8"))
    _write_json(bundle / "configs" / "metadata.json", {**metadata, "validated_ml": limit})
    training = json.loads((bundle / "training.json").read_text(encoding="utf-8"))
    text = card(scores, training, limit)
    (bundle / "docs").mkdir(exist_ok=True)
    (bundle / "docs" / "README.md").write_text(text, encoding="utf-8")


def summary(scores: Sequence[CaseScore]) -> dict[str, dict[str, float]]:
    """Mean, median and worst Dice of each region over the cases with glioma."""
    tumours = [score for score in scores if score.truth_ml[Region.WT] > 0]
    values = {region: [score.dice[region] for score in tumours] for region in REGIONS}
    return {
        region: {
            "mean": round(float(np.mean(dices)), 4),
            "median": round(float(np.median(dices)), 4),
            "worst": round(min(dices), 4),
        }
        for region, dices in values.items()
    }


def card(scores: Sequence[CaseScore], training: Mapping[str, Any], limit_ml: float) -> str:
    """Compose the model card as Markdown; every figure comes from the arguments."""
    return CARD.format(
        **training,
        limit=limit_ml,
        held_back=sum(score.truth_ml[Region.WT] > 0 for score in scores),
        table="\n".join(_card_rows(scores)),
    )


def _card_rows(scores: Sequence[CaseScore]) -> list[str]:
    rows = [
        f"| {score.name} | " + " | ".join(f"{score.dice[region]:.3f}" for region in REGIONS) + f" | "
        f"{score.truth_ml[Region.WT]:.1f} | {score.predicted_ml[Region.WT]:.1f} |"
        for score in scores
    ]
    for kind in ("mean", "median", "worst"):
        values = " | ".join(f"{summary(scores)[region][kind]:.3f}" for region in REGIONS)
        rows.append(f"| **{kind}, cases with glioma** | {values} | | |")
    return rows


def _write_json(path: Path, document: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


CARD = """# Tumour network

Outlines glioma on MRI of the brain: enhancing tumour (ET), tumour core (TC) and whole tumour (WT), as BraTS defines
them. Any of T1, T1c, T2 and FLAIR may be missing, as long as T1c or FLAIR is there. For research.

**Population:** adult glioma before treatment. Children, operated heads, metastases, meningioma, stroke, inflammation
and healthy heads were hardly or never seen; what the network does there is unknown.

**Data:** {cases} training cases: BraTS 2018-2021 training cases (Menze 2015; Bakas 2017, 2018; Baid 2021; research use
with citation), TCGA-LGG heads with the whole tumour only (segmentations Buda 2019, CC BY-NC-SA 4.0; spacing not
recorded, so estimated) and one patient with multiple sclerosis and no tumour (Lesjak 2018, CC BY). `splits.json` names
them all. The patient TCGA-FG-6692 is in no training: it is the end-to-end check. Heads were cut to the brain by a
stripper (BraTS) or by HD-BET (TCGA-LGG).

**Network:** MONAI `DynUNet` with BatchNorm and residual blocks at half resolution (pixel unshuffle and shuffle),
features {features}, {parameters:.1f} M parameters; Dice + cross-entropy, AdamW, moving average of the weights,
sequence dropout.

**Training:** {steps} steps of {batch} patches of {patch}³ voxels, {hours:.1f} h on one core of a two-core CPU (no GPU);
at an assumed 10 W a core about {energy:.2f} kWh. That is a short run: the loss was still falling.

## Results

{held_back} patients with glioma were held back, drawn by site with a fixed seed, and outlined by the code that serves
(`zweitblick.pipeline.segment`: brain mask, alignment check, 1 mm grid, network), scored on their own grid. A region
that the expert found empty scores 1 if fewer than 50 voxels are predicted, else 0. Cases named MS have no tumour.

| case | ET | TC | WT | WT drawn, ml | WT found, ml |
|---|---|---|---|---|---|
{table}

**Found reliably from:** {limit:g} ml; at or above that size nine in ten of the held-back lesions were found. There were
hardly any smaller ones to try, so how well smaller lesions are found is not known.

**Limits:** most held-back patients taught the brain mask, through which they were scored here; the tumour network alone
has not seen them. Few patients, most from one hospital; held-back patients come from the same sites as the training
ones, so a new scanner may do worse. Intensities are quantised to 7 bits in the data at hand. No calibration yet. Not
validated for any clinical purpose.

Licence: CC BY-NC-SA 4.0, as the data asks.
"""
