"""How an image is weighted, judged by the timing of its pulse sequence."""

import math
from dataclasses import dataclass
from enum import StrEnum

from zweitblick.study import Physics


class Weighting(StrEnum):
    """What an MR image shows; only the first three can become one of the model's sequences."""

    T1 = "T1"
    T2 = "T2"
    FLAIR = "FLAIR"
    PROTON_DENSITY = "proton density"
    STIR = "short-inversion recovery"
    T2_STAR = "T2*"
    SUSCEPTIBILITY = "susceptibility"
    STEADY_STATE = "balanced steady state"
    ANGIOGRAPHY = "angiography"
    INVERSION_IMAGE = "single inversion image"
    DIFFUSION = "diffusion"
    FUNCTIONAL = "functional or perfusion imaging"
    UNKNOWN = "unknown"


class Family(StrEnum):
    """Kind of echo, from Scanning Sequence (0018,0020)."""

    SPIN = "spin echo"
    GRADIENT = "gradient echo"
    ECHO_PLANAR = "echo planar"
    UNKNOWN = "echo of unknown kind"


@dataclass(frozen=True)
class Vote:
    """A weighting that something speaks for, how strongly, and why (never with text from the header)."""

    weighting: Weighting
    weight: float
    reason: str


Range = tuple[float, float]
ANY: Range = (-math.inf, math.inf)
NO_INVERSION: Range = (0.0, 0.0)


@dataclass(frozen=True)
class Rule:
    """Images of this family whose times all lie in these ranges (ms, degrees; ends included) have this weighting.

    A missing inversion time counts as 0 without, as any value with inversion recovery; a missing flip angle fits.
    """

    weighting: Weighting
    weight: float
    family: Family
    tr_ms: Range
    te_ms: Range
    ti_ms: Range = NO_INVERSION
    flip_deg: Range = ANY


SPIN, GRADIENT = Family.SPIN, Family.GRADIENT

RULES = (
    # Spin echoes: ACR accreditation brain protocol (short TR and TE for T1, long for T2), Bernstein 2004 chapter 14.
    Rule(Weighting.T1, 5, SPIN, (200, 1199), (0, 45)),
    Rule(Weighting.PROTON_DENSITY, 5, SPIN, (1200, 20000), (0, 55)),
    Rule(Weighting.T2, 5, SPIN, (1800, 7499), (65, 200)),
    Rule(Weighting.T2, 4, SPIN, (1200, 7499), (201, 800)),
    # Beyond 7.5 s a FLAIR whose inversion time was lost is about as likely; the description may decide.
    Rule(Weighting.T2, 2, SPIN, (7500, 20000), (65, 800)),
    Rule(Weighting.FLAIR, 1, SPIN, (7500, 20000), (65, 800)),
    # Inversion: TI near 0.69 T1 of the nulled tissue; CSF for FLAIR (Hajnal 1992), fat for STIR (Bydder 1985), between
    # them the contrast of T1 FLAIR (Melhem 1997).
    Rule(Weighting.FLAIR, 5, SPIN, (3500, 20000), (60, 800), (1300, 3500)),
    Rule(Weighting.STIR, 5, SPIN, (1200, 20000), (0, 150), (60, 350)),
    Rule(Weighting.T1, 5, SPIN, (1000, 3499), (0, 50), (400, 1299)),
    # Gradient echoes: MPRAGE (Mugler 1990) and its relatives, spoiled 3-D and 2-D, ADNI and consensus protocols
    # (Jack 2008, Ellingson 2015).
    Rule(Weighting.T1, 5, GRADIENT, (1000, 3499), (0.5, 10), (300, 1600), (3, 30)),
    Rule(Weighting.T1, 4, GRADIENT, (3, 19.9), (0.5, 9), ANY, (4, 35)),
    Rule(Weighting.T1, 4, GRADIENT, (80, 600), (0.5, 11), NO_INVERSION, (41, 90)),
    Rule(Weighting.T1, 2, GRADIENT, (20, 60), (0.5, 11), NO_INVERSION, (10, 60)),
    # Time of flight has the timing of a spoiled T1: only words or image type can tell.
    Rule(Weighting.ANGIOGRAPHY, 2, GRADIENT, (20, 60), (0.5, 11), NO_INVERSION, (10, 30)),
    # MP2RAGE (Marques 2010): each inversion is no T1 image, only the uniform one is.
    Rule(Weighting.INVERSION_IMAGE, 4, GRADIENT, (3500, 10000), (0.5, 10), (300, 4000), (2, 20)),
    # Balanced steady state: short TR, large angle; T2*: long TE (Chavhan 2009); susceptibility: Haacke 2009.
    Rule(Weighting.STEADY_STATE, 4, GRADIENT, (3, 15), (0.5, 8), NO_INVERSION, (36, 90)),
    Rule(Weighting.T2_STAR, 5, GRADIENT, (150, 3000), (12, 80), NO_INVERSION, (5, 40)),
    Rule(Weighting.SUSCEPTIBILITY, 5, GRADIENT, (15, 100), (12, 60), NO_INVERSION, (5, 30)),
)
"""Typical ranges at 1.5 and 3 T; more than 4 points win against a description (3)."""


def family(physics: Physics) -> Family:
    """Kind of echo; inversion recovery alone is a spin echo, research mode and an empty tag are unknown."""
    codes = set(physics.scanning_sequence)
    if "EP" in codes:
        return Family.ECHO_PLANAR
    if "GR" in codes:
        return Family.GRADIENT
    return Family.SPIN if codes & {"SE", "IR"} else Family.UNKNOWN


def physics_votes(physics: Physics) -> tuple[Vote, ...]:
    """Votes of all rules that fit; none where the header gives no repetition or echo time."""
    echo = family(physics)
    if echo is Family.ECHO_PLANAR:
        return (Vote(Weighting.FUNCTIONAL, 6, "echo-planar readout"),)
    fitting = [rule for rule in RULES if echo in (rule.family, Family.UNKNOWN) and _fits(rule, physics)]
    text = timing(physics)
    best: dict[Weighting, Rule] = {}
    for rule in fitting:
        best.setdefault(rule.weighting, rule)
    return tuple(Vote(rule.weighting, rule.weight, f"{echo} with {text} is {rule.weighting}") for rule in best.values())


def timing(physics: Physics) -> str:
    """Put times and angle in words; these tags are not listed in PS3.15 Table E.1-1."""
    shown = (
        ("TR {:g} ms", physics.repetition_time_ms),
        ("TE {:g} ms", physics.echo_time_ms),
        ("TI {:g} ms", physics.inversion_time_ms or None),
        ("flip angle {:g} deg", physics.flip_angle_deg),
        ("b {:g} s/mm2", physics.b_value or None),
    )
    return ", ".join(form.format(value) for form, value in shown if value is not None) or "no timing in the header"


def _fits(rule: Rule, physics: Physics) -> bool:
    times = ((physics.repetition_time_ms, rule.tr_ms), (physics.echo_time_ms, rule.te_ms))
    if not all(value is not None and _within(value, limits) for value, limits in times):
        return False
    angle = physics.flip_angle_deg
    return _fits_inversion(rule, physics) and (angle is None or _within(angle, rule.flip_deg))


def _fits_inversion(rule: Rule, physics: Physics) -> bool:
    if physics.inversion_time_ms:
        return _within(physics.inversion_time_ms, rule.ti_ms)
    if "IR" in physics.scanning_sequence:
        return rule.ti_ms != NO_INVERSION
    return _within(0.0, rule.ti_ms)


def _within(value: float, limits: Range) -> bool:
    return limits[0] <= value <= limits[1]
