"""The picture's vote: asked only where headers leave a series' weighting or its contrast agent open."""

from collections.abc import Mapping
from dataclasses import replace

from zweitblick.model.sequence_contrast import ORDER_ALONE, Evidence
from zweitblick.model.sequence_network import SURE, Kind, Opinion
from zweitblick.model.sequence_physics import Vote, Weighting

PICTURE_WEIGHT = 3.0
"""As much as words, since a sure opinion is about as often right: where timing and words disagree it decides for one
of them, and against both nothing is believed."""

AGENT_WEIGHT = 2
"""As much as words; one picture shows less than two compared (6) or the header's agent (3)."""

PICTURE_ALONE = "contrast agent judged from the picture alone"
"""Reason given where nothing but the picture speaks for contrast agent, so that a report can warn of it."""

ORDER_AND_PICTURE = "acquired after a like T1, and the picture shows contrast agent"

WEIGHTING: Mapping[Kind, Weighting] = {
    Kind.T1: Weighting.T1,
    Kind.T1C: Weighting.T1,
    Kind.T2: Weighting.T2,
    Kind.FLAIR: Weighting.FLAIR,
}
"""Other images have no vote: a series that headers name is not refused for its looks."""


def picture_votes(opinion: Opinion) -> tuple[Vote, ...]:
    """Return the weighting that the picture surely shows, T1 with or without contrast agent taken together."""
    totals = dict.fromkeys(WEIGHTING.values(), 0.0)
    for kind, weighting in WEIGHTING.items():
        totals[weighting] += opinion.probability[kind]
    best = max(totals, key=totals.__getitem__)
    return (Vote(best, PICTURE_WEIGHT, f"the picture looks like {best}"),) if totals[best] >= SURE else ()


def with_picture(evidence: Evidence, opinion: Opinion) -> Evidence:
    """Add what a sure picture of a T1-weighted series says of contrast agent.

    Parameters
    ----------
    evidence
        Of a series of which header and words say nothing, or the order of acquisition alone.
    opinion
        Of the same series.
    """
    if not opinion.is_sure or opinion.kind not in (Kind.T1, Kind.T1C):
        return evidence
    if opinion.kind is Kind.T1:
        return evidence.plus(-AGENT_WEIGHT, "the picture shows no contrast agent")
    if ORDER_ALONE in evidence.reasons:
        kept = tuple(ORDER_AND_PICTURE if reason == ORDER_ALONE else reason for reason in evidence.reasons)
        return replace(evidence, score=evidence.score + AGENT_WEIGHT, reasons=kept)
    return evidence.plus(AGENT_WEIGHT, PICTURE_ALONE)
