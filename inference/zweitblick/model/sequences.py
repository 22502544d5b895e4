"""Choose the series of T1, T1 with contrast agent, T2 and FLAIR from an arbitrary study, and say why."""

import math
from collections import Counter
from collections.abc import Callable, Mapping
from collections.abc import Sequence as Seq
from dataclasses import dataclass, replace

from zweitblick.errors import MissingSequenceError
from zweitblick.model.runtime import Network
from zweitblick.model.sequence_contrast import ORDER_ALONE, Evidence, contrast_evidence, subtractions
from zweitblick.model.sequence_network import Opinion, opinion_of
from zweitblick.model.sequence_objections import objections, slab
from zweitblick.model.sequence_physics import Vote, Weighting, physics_votes, timing
from zweitblick.model.sequence_picture import picture_votes, with_picture
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


def choose(parts: Seq[Series], volume_of: Callable[[Series], Volume], network: Network) -> Chosen:
    """Pick the best series for each of the four sequences.

    Parameters
    ----------
    parts
        One `Series` per volume, in any order.
    volume_of
        Decodes a part; called only where headers cannot tell the weighting, T1 before from T1 after contrast agent,
        or a T1 from a subtraction of two.
    network
        The series-type network, see `opinion_of`; asked only for a weighting that headers leave open, and for
        contrast agent where they say nothing but the order of acquisition or nothing at all.

    Raises
    ------
    MissingSequenceError
        If neither T1 with contrast agent nor FLAIR is there.
    SeriesError, InstanceError
        If ``volume_of`` cannot decode a part that it is asked for.
    """
    looks = _Looks(volume_of, network)
    candidates, rejected = _candidates(parts)
    candidates = _looked_at(candidates, looks)
    for candidate in [one for one in candidates if one.weighting not in READABLE]:
        rejected[candidate.name] = candidate.reasons[0]
    groups = _grouped(candidates, looks, rejected)
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


class _Looks:
    """Volumes and the network's opinions of parts, each got once.

    Parameters
    ----------
    volume_of, network
        See `choose`.
    """

    def __init__(self, volume_of: Callable[[Series], Volume], network: Network) -> None:
        self._decode = volume_of
        self._network = network
        self._volumes: dict[int, Volume] = {}
        self._opinions: dict[int, Opinion] = {}

    def volume(self, part: Series) -> Volume:
        """Return decoded voxels."""
        if id(part) not in self._volumes:
            self._volumes[id(part)] = self._decode(part)
        return self._volumes[id(part)]

    def opinion(self, part: Series) -> Opinion:
        """Return what the network takes them for."""
        if id(part) not in self._opinions:
            self._opinions[id(part)] = opinion_of(self.volume(part), self._network)
        return self._opinions[id(part)]


def _candidates(parts: Seq[Series]) -> tuple[list[Candidate], dict[str, str]]:
    """Parts that nothing speaks against, weighed by their headers, and the others' names with the reasons."""
    repeats = Counter(_contrast_key(part) for part in parts)
    candidates: list[Candidate] = []
    rejected: dict[str, str] = {}
    for name, part in _named(parts).items():
        against = objections(part, repeats[_contrast_key(part)])
        if against:
            rejected[name] = "; ".join(against)
        else:
            candidates.append(_weighed(name, part, _header_votes(part)))
    return candidates, rejected


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


def _header_votes(part: Series) -> tuple[Vote, ...]:
    return (*physics_votes(part.physics), *word_votes(part), *_uniform_image(part))


def _weighed(name: str, part: Series, votes: tuple[Vote, ...]) -> Candidate:
    """Count the votes; a tie or no vote at all leaves the weighting unknown."""
    totals: Counter[Weighting] = Counter()
    for vote in votes:
        totals[vote.weighting] += round(vote.weight)
    (best, score), (_, second) = [*totals.most_common(2), (Weighting.UNKNOWN, 0), (Weighting.UNKNOWN, 0)][:2]
    if score == second:
        against = " against ".join(vote.reason for vote in votes) or timing(part.physics)
        return Candidate(name, part, slab(part), Weighting.UNKNOWN, 0, (f"weighting unknown: {against}",))
    agreeing = sorted((vote for vote in votes if vote.weighting is best), key=lambda vote: -vote.weight)
    return Candidate(name, part, slab(part), best, score, tuple(vote.reason for vote in agreeing))


def _looked_at(candidates: Seq[Candidate], looks: _Looks) -> list[Candidate]:
    """Candidates of unknown weighting weighed anew with the picture's vote for one that no header gives.

    So no picture takes the place of a series that is known by its header.
    """
    known = {one.weighting for one in candidates} & READABLE.keys()
    if known == READABLE.keys():
        return list(candidates)
    return [_with_look(one, looks, known) if one.weighting is Weighting.UNKNOWN else one for one in candidates]


def _with_look(candidate: Candidate, looks: _Looks, known: set[Weighting]) -> Candidate:
    seen = [vote for vote in picture_votes(looks.opinion(candidate.series)) if vote.weighting not in known]
    if not seen:
        return candidate
    return _weighed(candidate.name, candidate.series, (*_header_votes(candidate.series), *seen))


def _uniform_image(part: Series) -> tuple[Vote, ...]:
    """MP2RAGE's combined image is the T1 image (Marques 2010), whatever its timing."""
    types = {*part.physics.image_type, *part.frames[0].image_type}
    return (Vote(Weighting.T1, 6, "uniform image of an MP2RAGE"),) if "UNI" in types else ()


Groups = dict[Sequence, list[Candidate]]


def _grouped(candidates: Seq[Candidate], looks: _Looks, rejected: dict[str, str]) -> Groups:
    """Candidates of each sequence; T1 parted by contrast agent, its subtractions moved to ``rejected``."""
    groups: Groups = {}
    t1 = [one for one in candidates if one.weighting is Weighting.T1]
    dark = subtractions([one.series for one in t1], looks.volume)
    rejected.update(
        {one.name: "dark brain: a subtraction image" for one, is_dark in zip(t1, dark, strict=True) if is_dark}
    )
    t1 = [one for one, is_dark in zip(t1, dark, strict=True) if not is_dark]
    for one, found in zip(t1, contrast_evidence([one.series for one in t1], looks.volume), strict=True):
        evidence = with_picture(found, looks.opinion(one.series)) if _agent_is_open(one, found) else found
        groups.setdefault(Sequence.T1C if evidence.score > 0 else Sequence.T1, []).append(_with(one, evidence))
    for one in candidates:
        if one.weighting in READABLE and one.weighting is not Weighting.T1:
            groups.setdefault(READABLE[one.weighting], []).append(one)
    return {sequence: groups[sequence] for sequence in Sequence if sequence in groups}


def _agent_is_open(candidate: Candidate, evidence: Evidence) -> bool:
    """Whether the order of acquisition alone speaks, or nothing of a series that the picture made a T1."""
    silent = evidence.score == 0 and not _weighed("", candidate.series, _header_votes(candidate.series)).score
    return silent or ORDER_ALONE in evidence.reasons


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
