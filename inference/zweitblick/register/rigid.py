"""Rigid alignment of two series of one head, and the check of its result.

Both volumes are resampled onto grids along the patient axes first: an oblique or sheared stack then needs no
direction matrix, which ITK would have to be orthogonal. Mutual information is climbed at 6, 4 and 2 mm, first
from the header's positions, where the heads meet there, and from the most promising of many turns about the heads'
centres of gravity. A result that is not plausible is looked for once more, with SimpleITK.
"""

import itertools
import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from scipy.spatial.transform import Rotation

from zweitblick.errors import RegistrationError
from zweitblick.reading import Alignment
from zweitblick.register.information import information_of_foregrounds
from zweitblick.register.itk import refined_by_itk
from zweitblick.register.level import Level, Pyramid
from zweitblick.register.search import REMEDY, carried, refined
from zweitblick.volume import Float64, transformed

HEADER_TOLERANCE_MM = 2.0
"""The header's alignment is kept up to this motion: what a check at 4 mm resolves on slices of 5 mm."""

MIN_SHARED = 0.1
"""Share of the smaller foreground that lies in the other's by the headers; below, they are no start for a climb."""

MAX_TURN_DEG = 45.0
"""A head coil leaves no room for a larger turn between two series."""

MAX_SHIFT_MM = 60.0
"""Between the centres of gravity of both heads once aligned: more means that different anatomy was matched.
Two fields of view, one of them with the neck, differ by 30-40 mm."""

MIN_OVERLAP = 0.6
"""Share of the reference's foreground, where both fields of view are, that the other's foreground must cover."""

NUDGE_MM = 9.0
MAX_REMAINDER = 0.6
"""Share of the mutual information that may remain when the result is nudged by `NUDGE_MM`: inside the head, a true
alignment is a sharp peak (0.19-0.36 on real brains), a wrong one a plateau (0.74-1.1 on noise and flipped brains).
"""

CHECK_MM = 4.0
LEVELS_MM = (6.0, 4.0, 2.0)
TURNS_DEG = (-16.0, 0.0, 16.0)
LIFTS_MM = (-30.0, 0.0, 30.0)
"""Starts along z: a stack that ends low or high has its centre of gravity elsewhere than the head."""

CLIMBS = 3
FIRST_STEP_MM = 4.0

Climb = Callable[..., Float64]
"""A search from a start to the nearest maximum, called as `zweitblick.register.search.refined` is."""


def align(moving: Pyramid, reference: Pyramid, *, same_frame: bool, seed: int = 0) -> Alignment:
    """Find where each point of the reference lies in another series of the same head.

    Parameters
    ----------
    moving, reference
        Any two contrasts, whole heads or stripped brains, any orientation; partial coverage is allowed.
    same_frame
        Whether both have one Frame of Reference UID (0020,0052; PS3.3 C.7.4.1.1), so that their headers claim to be
        aligned. The claim is checked, since patients move between series, and kept up to `HEADER_TOLERANCE_MM`.
    seed
        Of the metric's sampling; the same inputs and seed give the same bytes.

    Returns
    -------
    Alignment
        Method ``header`` with the identity, or ``rigid`` with the map found; ``motion_mm`` is the largest
        displacement of a foreground point that was found, in both cases.

    Raises
    ------
    RegistrationError
        If a volume has no contrast, or the result is not plausible; the message names the limit and the value.
    """
    if same_frame:
        motion_mm = _header_motion_mm(moving, reference, seed)
        if motion_mm <= HEADER_TOLERANCE_MM:
            return Alignment(np.eye(4), "header", motion_mm)
    found = _searched(moving, reference, seed)
    return Alignment(found, "rigid", _motion_mm(found, reference[CHECK_MM]))


def _header_motion_mm(moving: Pyramid, reference: Pyramid, seed: int) -> float:
    """Motion since the header's positions; infinite where the two heads do not meet there."""
    fixed, floating = reference[CHECK_MM], moving[CHECK_MM]
    if not _meet_by_header(fixed, floating):
        return math.inf
    found = refined(fixed, floating, np.eye(4), step_mm=1.0, seed=seed)
    return _motion_mm(found, fixed)


def _meet_by_header(fixed: Level, moving: Level) -> bool:
    shared = (fixed.foreground & carried(moving.foreground, fixed, moving, np.eye(4))).sum()
    return bool(shared >= MIN_SHARED * min(fixed.foreground.sum(), moving.foreground.sum()))


def _searched(moving: Pyramid, reference: Pyramid, seed: int) -> Float64:
    with ThreadPoolExecutor(1) as other:
        floating = [other.submit(moving.__getitem__, size) for size in LEVELS_MM]
        fixed = [reference[size] for size in LEVELS_MM]
        levels = [(one, job.result()) for one, job in zip(fixed, floating, strict=True)]
    try:
        return _climbed(levels, refined, seed)
    except RegistrationError:
        return _climbed(levels, refined_by_itk, seed)


def _climbed(levels: list[tuple[Level, Level]], climb: Climb, seed: int) -> Float64:
    coarse, middle, fine = levels
    found = _coarse(*coarse, climb, seed)
    for fixed, floating in (middle, fine):
        found = climb(fixed, floating, found, step_mm=1.0, seed=seed)
    _check(*fine, found)
    return found


def _coarse(fixed: Level, moving: Level, climb: Climb, seed: int) -> Float64:
    """Best of several climbs: from the header's positions, if of any use, and from the most promising turns."""
    by_header = [np.eye(4)] if _meet_by_header(fixed, moving) else []
    information = information_of_foregrounds(fixed, moving)
    turned = sorted(_starts(fixed, moving), key=information, reverse=True)
    starts = by_header + turned[:CLIMBS]
    climbs = [climb(fixed, moving, start, step_mm=FIRST_STEP_MM, seed=seed) for start in starts]
    return max(climbs, key=information)


def _starts(fixed: Level, moving: Level) -> list[Float64]:
    """Centres of gravity laid over each other or lifted, with every combination of turns about the patient axes."""
    starts = []
    for *angles, lift_mm in itertools.product(TURNS_DEG, TURNS_DEG, TURNS_DEG, LIFTS_MM):
        start = np.eye(4)
        start[:3, :3] = Rotation.from_euler("xyz", angles, degrees=True).as_matrix()
        start[:3, 3] = moving.center_lps + np.array([0.0, 0.0, lift_mm]) - start[:3, :3] @ fixed.center_lps
        starts.append(start)
    return starts


def _check(fixed: Level, moving: Level, found: Float64) -> None:
    """Raise unless the map is one that a patient in a scanner can have made and that explains both images."""
    turn_deg = float(np.rad2deg(Rotation.from_matrix(found[:3, :3]).magnitude()))
    if turn_deg > MAX_TURN_DEG:
        raise RegistrationError(f"two series differ by a turn of {turn_deg:.0f}° (at most {MAX_TURN_DEG:g}°); {REMEDY}")
    shift_mm = float(np.linalg.norm(transformed(found, fixed.center_lps) - moving.center_lps))
    if shift_mm > MAX_SHIFT_MM:
        raise RegistrationError(
            f"two heads lie {shift_mm:.0f} mm apart after alignment (at most {MAX_SHIFT_MM:g} mm); {REMEDY}"
        )
    overlap = _overlap(fixed, moving, found)
    if overlap < MIN_OVERLAP:
        raise RegistrationError(f"two heads overlap by {overlap:.2f} only (at least {MIN_OVERLAP:g}); {REMEDY}")
    remainder = _remainder(fixed, moving, found)
    if remainder > MAX_REMAINDER:
        raise RegistrationError(
            f"{remainder:.2f} of the mutual information remains {NUDGE_MM:g} mm off the alignment found "
            f"(at most {MAX_REMAINDER:g}); {REMEDY}"
        )


def _overlap(fixed: Level, moving: Level, found: Float64) -> float:
    """Share of the fixed foreground within the moving field of view that is moving foreground as well."""
    seen = fixed.foreground & carried(moving.covered, fixed, moving, found)
    both = seen & carried(moving.foreground, fixed, moving, found)
    return float(both.sum()) / max(float(seen.sum()), 1.0)


def _motion_mm(found: Float64, fixed: Level) -> float:
    # A rigid motion moves no point further than one on the rim.
    points = fixed.rim_lps
    return float(np.linalg.norm(transformed(found, points) - points, axis=1).max())


def _remainder(fixed: Level, moving: Level, found: Float64) -> float:
    """Mutual information inside the head at six places around the result, as a share of that at the result."""
    information = information_of_foregrounds(fixed.inside(), moving)
    at_result = information(found) - 1
    around = [information(nudge @ found) - 1 for nudge in _nudges()]
    return float(np.mean(around)) / max(at_result, 1e-6)


def _nudges() -> list[Float64]:
    nudges = []
    for axis, sign in itertools.product(range(3), (-1, 1)):
        nudge = np.eye(4)
        nudge[axis, 3] = sign * NUDGE_MM
        nudges.append(nudge)
    return nudges
