"""Choose the series of T1, T1 with contrast agent, T2 and FLAIR from an arbitrary study, and say why."""

import math
from collections import Counter
from collections.abc import Callable, Mapping
from collections.abc import Sequence as Seq
from dataclasses import dataclass, replace

from zweitblick.errors import MissingSequenceError
from zweitblick.model.sequence_contrast import Evidence, contrast_evidence, subtractions
from zweitblick.model.sequence_objections import objections, slab
from zweitblick.model.sequence_physics import Vote, Weighting, physics_votes, timing
from zweitblick.model.sequence_rank import Candidate, common_plane, rank, why_worse
from zweitblick.model.sequence_words import word_votes
from zweitblick.reading import Choice
from zweitblick.study import Sequence, Series
from zweitblick.volume import Volume

READABLE = {Weighting.T1: Sequence.T1, Weighting.T2: Sequence.T2, Weighting.FLAIR: Sequence.FLAIR}


@dataclass(frozen=True)
class Chosen:
    """The series chosen from a study.

    Parameters
    ----------
    series
        For each sequence found, the part that holds its volume.
    choices
        Why, for the same sequences.
    rejected
        Parts that could not be a candidate for any sequence, by name (Series Number; " (2)" is appended for a second
        series of the same number, " part 2" for a second part of one series), with the reason.
    """

    series: Mapping[Sequence, Series]
    choices: Mapping[Sequence, Choice]
    rejected: Mapping[str, str]


def choose(parts: Seq[Series], volume_of: Callable[[Series], Volume]) -> Chosen:
    """Pick the best series for each of the four sequences.

    Parameters
    ----------
    parts
        One `Series` per volume, in any order.
    volume_of
        Decodes a part; called only where headers cannot tell T1 before from T1 after contrast agent, or a T1 from
        a subtraction of two.

    Raises
    ------
    MissingSequenceError
        If neither T1 with contrast agent nor FLAIR is there.
    SeriesError, InstanceError
        If ``volume_of`` cannot decode a part that it is asked for.
    """
    repeats = Counter(_contrast_key(part) for part in parts)
    candidates: list[Candidate] = []
    rejected: dict[str, str] = {}
    for name, part in _named(parts).items():
        against = objections(part, repeats[_contrast_key(part)])
        if against:
            rejected[name] = "; ".join(against)
        else:
            candidates.append(_weighed(name, part))
    for candidate in [one for one in candidates if one.weighting not in READABLE]:
        rejected[candidate.name] = candidate.reasons[0]
    groups = _grouped(candidates, _remembered(volume_of), rejected)
    if not {Sequence.T1C, Sequence.FLAIR} & groups.keys():
        raise _missing(candidates, rejected)
    plane = common_plane(groups)
    ranked = {
        sequence: sorted(group, key=lambda one: rank(one, plane), reverse=True) for sequence, group in groups.items()
    }
    return Chosen(
        {sequence: group[0].series for sequence, group in ranked.items()},
        {sequence: _choice(group, plane) for sequence, group in ranked.items()},
        dict(sorted(rejected.items())),
    )


def _named(parts: Seq[Series]) -> dict[str, Series]:
    """Parts in an order of their own, whatever order they came in, by a name that tells them apart."""
    ordered = sorted(parts, key=_order)
    names = _series_names(ordered)
    shared = Counter(part.uid for part in ordered)
    seen: Counter[str] = Counter()
    named = {}
    for part in ordered:
        seen[part.uid] += 1
        name = names[part.uid]
        named[name if shared[part.uid] == 1 else f"{name} part {seen[part.uid]}"] = part
    return named


def _series_names(ordered: Seq[Series]) -> dict[str, str]:
    """Name of each series by its UID; the second of one number, or of none, gets " (2)"."""
    seen: Counter[str] = Counter()
    names: dict[str, str] = {}
    for part in ordered:
        if part.uid not in names:
            seen[part.name] += 1
            names[part.uid] = part.name if seen[part.name] == 1 else f"{part.name} ({seen[part.name]})"
    return names


def _order(part: Series) -> tuple[object, ...]:
    number = math.inf if part.number is None else part.number
    timing_ms = (part.physics.echo_time_ms or 0.0, part.physics.b_value or 0.0)
    first = min(((frame.volume_key, frame.position_lps) for frame in part.frames), default=())
    return number, part.uid, *timing_ms, first


def _contrast_key(part: Series) -> tuple[object, ...]:
    return part.uid, part.physics.echo_time_ms, part.physics.inversion_time_ms, part.physics.image_type


def _weighed(name: str, part: Series) -> Candidate:
    """Count the votes; a tie or no vote at all leaves the weighting unknown."""
    votes = (*physics_votes(part.physics), *word_votes(part), *_uniform_image(part))
    totals: Counter[Weighting] = Counter()
    for vote in votes:
        totals[vote.weighting] += round(vote.weight)
    (best, score), (_, second) = [*totals.most_common(2), (Weighting.UNKNOWN, 0), (Weighting.UNKNOWN, 0)][:2]
    if score == second:
        reasons = (f"weighting unknown: {timing(part.physics)}",)
        return Candidate(name, part, slab(part), Weighting.UNKNOWN, 0, reasons)
    agreeing = sorted((vote for vote in votes if vote.weighting is best), key=lambda vote: -vote.weight)
    return Candidate(name, part, slab(part), best, score, tuple(vote.reason for vote in agreeing))


def _uniform_image(part: Series) -> tuple[Vote, ...]:
    """MP2RAGE's combined image is the T1 image (Marques 2010), whatever its timing."""
    types = {*part.physics.image_type, *part.frames[0].image_type}
    return (Vote(Weighting.T1, 6, "uniform image of an MP2RAGE"),) if "UNI" in types else ()


def _remembered(volume_of: Callable[[Series], Volume]) -> Callable[[Series], Volume]:
    """Decode each part once."""
    seen: dict[int, Volume] = {}

    def volume(part: Series) -> Volume:
        if id(part) not in seen:
            seen[id(part)] = volume_of(part)
        return seen[id(part)]

    return volume


Groups = dict[Sequence, list[Candidate]]


def _grouped(candidates: Seq[Candidate], volume_of: Callable[[Series], Volume], rejected: dict[str, str]) -> Groups:
    """Candidates of each sequence; T1 parted by contrast agent, its subtractions moved to ``rejected``."""
    groups: Groups = {}
    t1 = [one for one in candidates if one.weighting is Weighting.T1]
    dark = subtractions([one.series for one in t1], volume_of)
    rejected.update(
        {one.name: "dark brain: a subtraction image" for one, is_dark in zip(t1, dark, strict=True) if is_dark}
    )
    t1 = [one for one, is_dark in zip(t1, dark, strict=True) if not is_dark]
    for one, evidence in zip(t1, contrast_evidence([one.series for one in t1], volume_of), strict=True):
        groups.setdefault(Sequence.T1C if evidence.score > 0 else Sequence.T1, []).append(_with(one, evidence))
    for one in candidates:
        if one.weighting in READABLE and one.weighting is not Weighting.T1:
            groups.setdefault(READABLE[one.weighting], []).append(one)
    return {sequence: groups[sequence] for sequence in Sequence if sequence in groups}


def _with(candidate: Candidate, evidence: Evidence) -> Candidate:
    reasons = evidence.reasons or ("nothing speaks for contrast agent",)
    return replace(candidate, reasons=(*candidate.reasons, *reasons))


def _missing(candidates: Seq[Candidate], rejected: Mapping[str, str]) -> MissingSequenceError:
    kept = [
        f"{one.name} ({one.weighting}; {timing(one.series.physics)})" for one in candidates if one.name not in rejected
    ]
    left = [f"{name} ({reason})" for name, reason in rejected.items()]
    found = ", ".join([*kept, *left]) or "no series"
    return MissingSequenceError(
        f"neither T1 with contrast agent nor FLAIR was found, one of them is needed; found: {found}"
    )


def _choice(ranked: Seq[Candidate], plane: int) -> Choice:
    best, *others = ranked
    passed_over = {one.name: why_worse(one, best, plane) for one in others}
    keys = frozenset(frame.volume_key for frame in best.series.frames)
    return Choice(best.series.uid, best.series.number, best.reasons, passed_over, keys)
