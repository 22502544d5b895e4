"""Scores of made-up cases: balls drawn and balls found, as an evaluation would keep them."""

import numpy as np

from zweitblick.prediction import REGIONS, Region
from zweitblick_training.evaluate import ALL, Asked, CaseScore, Refused, Subset
from zweitblick_training.scores import Histogram, lesion_scores, score_region

SPACING_MM = (3.0, 3.0, 3.0)
SHARES = {Region.ET: 0.5, Region.TC: 0.7, Region.WT: 1.0}


def ball(radius_mm: float) -> np.ndarray:
    distance = np.linalg.norm(np.indices((24, 24, 24)).T * 3.0 - 34.5, axis=-1)
    return distance <= radius_mm


def asked(name: str, *, site: str = "here", subset: Subset = ALL, network: str = "a") -> Asked:
    return Asked(name, name, "phantom", site, subset, subset == ALL, network)


def scored(question: Asked, *, drawn_mm: float = 18.0, found_mm: float = 16.0) -> CaseScore:
    """Scores of a tumour of which so much was found, its core and what enhances in proportion; 0 is no tumour."""
    truth, found = ({region: ball(r * SHARES[region]) & (r > 0) for region in REGIONS} for r in (drawn_mm, found_mm))
    whole = lesion_scores(found[Region.WT], truth[Region.WT], float(np.prod(SPACING_MM)) / 1000)
    return CaseScore(
        question,
        {region: score_region(found[region], truth[region], SPACING_MM) for region in REGIONS},
        tuple(whole),
        {region: Histogram.of(found[region] * 0.8 + 0.1, truth[region]) for region in REGIONS},
    )


def refused(question: Asked) -> Refused:
    return Refused(question, "neither T1c nor FLAIR is there")
