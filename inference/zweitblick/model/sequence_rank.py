"""Which of two series with the same contrast is the better one, and for which reason."""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from zweitblick.model.sequence_objections import Slab
from zweitblick.model.sequence_physics import Weighting
from zweitblick.study import Sequence, Series

FULL_COVERAGE_MM = 110.0
"""Along the slice normal; more than a whole brain is no advantage."""

COVERAGE_STEP_MM = 15.0
"""Differences below it are chance."""

SIMILAR = 1.25
"""Ratio of slice distances or pixel sizes that counts as equal."""

PLANES = ("sagittal", "coronal", "axial")


@dataclass(frozen=True)
class Candidate:
    """A part that may become one of the four.

    Parameters
    ----------
    name
        How messages call it.
    series, lies
        The part and its geometry.
    weighting, score, reasons
        What the votes gave, their sum, and the winning ones' reasons, strongest first.
    """

    name: str
    series: Series
    lies: Slab
    weighting: Weighting
    score: int
    reasons: tuple[str, ...]

    @property
    def plane(self) -> int:
        """Patient axis closest to the slice normal, an index of `PLANES`."""
        return self.lies.plane


@dataclass(frozen=True)
class Criterion:
    """One reason to prefer a candidate: the larger value wins; ``shown`` is what is compared, in words."""

    worse: str
    value: Callable[[Candidate, int], float]
    shown: Callable[[Candidate], str]


CRITERIA = (
    Criterion(
        "derived, not as acquired",
        lambda one, _: float("DERIVED" not in one.series.physics.image_type),
        lambda one: "/".join(one.series.physics.image_type[:1]) or "no image type",
    ),
    Criterion(
        "less of the head covered",
        lambda one, _: math.floor(min(one.lies.coverage_mm, FULL_COVERAGE_MM) / COVERAGE_STEP_MM),
        lambda one: f"{one.lies.coverage_mm:.0f} mm",
    ),
    Criterion(
        "not in the plane of the other sequences",
        lambda one, plane: float(one.plane == plane),
        lambda one: PLANES[one.plane],
    ),
    Criterion(
        "less certain to be this sequence", lambda one, _: float(one.score >= 4), lambda one: f"{one.score} points"
    ),
    Criterion(
        "thicker slices",
        lambda one, _: -_steps(one.lies.slice_mm),
        lambda one: f"{one.lies.slice_mm:.1f} mm",
    ),
    Criterion(
        "coarser pixels",
        lambda one, _: -_steps(one.lies.pixel_mm),
        lambda one: f"{one.lies.pixel_mm:.2f} mm",
    ),
    Criterion("repeated later", lambda one, _: _seconds(one.series), lambda one: _order_shown(one.series)),
    Criterion("lower series number", lambda one, _: float(one.series.number or 0), lambda one: str(one.series.number)),
)
"""In order of weight. A repeat is made because something was wrong with the first, usually motion."""


def rank(candidate: Candidate, plane: int) -> tuple[float | str, ...]:
    """Sort key, larger is better; ``plane`` is the one that most sequences have. UID and name break a perfect tie."""
    return (*(criterion.value(candidate, plane) for criterion in CRITERIA), candidate.series.uid, candidate.name)


def why_worse(loser: Candidate, winner: Candidate, plane: int) -> str:
    """First criterion that parts the two, with both values."""
    for criterion in CRITERIA:
        if criterion.value(loser, plane) < criterion.value(winner, plane):
            return f"{criterion.worse} ({criterion.shown(loser)} against {criterion.shown(winner)})"
    return "equal in every criterion"


def common_plane(groups: Mapping[Sequence, Iterable[Candidate]]) -> int:
    """Plane in which most sequences are there; axial before coronal before sagittal where equal."""
    planes = Counter(plane for group in groups.values() for plane in {one.plane for one in group})
    return max(range(3), key=lambda plane: (planes[plane], plane))


def _steps(length_mm: float) -> int:
    """Logarithm of a length in steps of `SIMILAR`, rounded."""
    return round(math.log(max(length_mm, 0.1)) / math.log(SIMILAR))


def _seconds(series: Series) -> float:
    if series.acquired_at is None:
        return -math.inf
    return (series.acquired_at - type(series.acquired_at).min.replace(tzinfo=series.acquired_at.tzinfo)).total_seconds()


def _order_shown(series: Series) -> str:
    # Times are listed in PS3.15 Table E.1-1; only the order is told.
    return f"{series.name}"
