"""Readings of known enhancing lesions, as points in the course of a treatment."""

import itertools
from collections.abc import Iterable
from datetime import date, datetime, time, timedelta

import numpy as np

from zweitblick.change import Fate, LesionChange, Matching
from zweitblick.findings import DiameterBasis, Diameters, EnhancingPart, Findings, Lesion, Side
from zweitblick.prediction import Region
from zweitblick.prior import Role, Timepoint
from zweitblick.reading import ModelIdentity
from zweitblick.study import Patient, Sequence

START = datetime.combine(date(2026, 1, 5), time(9, 30))
MODEL = ModelIdentity("tumour", "0.3.0", "ab12" * 16)
Axes = tuple[float, float]


def lesion(number: int, *axes_mm: Axes, et_ml: float | None = None) -> Lesion:
    """One lesion with an enhancing part of each pair of diameters, the largest first; measurable from 10 mm on.

    Its enhancing volume goes with the products as that of balls does, unless told otherwise. Without parts all of it is
    oedema.
    """
    parts = tuple(EnhancingPart(1.0, (0, 0, 0), _diameters(*one)) for one in axes_mm)
    first = parts[0].diameters if parts else _diameters(30, 20, DiameterBasis.WHOLE_TUMOUR)
    enhancing_ml = sum(part.diameters.product_mm2**1.5 for part in parts) / 2000 if et_ml is None else et_ml
    volumes = {Region.ET: enhancing_ml, Region.TC: enhancing_ml + bool(parts), Region.WT: enhancing_ml + 20}
    return Lesion(number, volumes, (0, 0, 0), Side.LEFT, 20.0, False, 30.0, first, parts, 0.9)


def _diameters(major: float, minor: float, basis: DiameterBasis = DiameterBasis.ENHANCING) -> Diameters:
    line = ((0, 0, 0), (1, 0, 0))
    return Diameters(basis, major, minor, line, line, measurable=min(major, minor) >= 10)


def findings(*lesions: Lesion, dropped: int = 0) -> Findings:
    volumes = {region: sum(one.volume_ml[region] for one in lesions) for region in Region}
    return Findings(lesions, volumes, 0.0, 0.5, 0.5, dropped, 0.1 * dropped, 1400.0)


def timepoint(
    day: int,
    axes_mm: Iterable[Axes] = (),
    *,
    role: Role = Role.FOLLOW_UP,
    found: Findings | None = None,
    with_contrast: bool = True,
    model: ModelIdentity = MODEL,
    dated: bool = True,
) -> Timepoint:
    """Reading of a day with one lesion that holds all the enhancing parts."""
    axes = tuple(axes_mm)
    return Timepoint(
        f"1.2.{day}",
        START + timedelta(day) if dated else None,
        Patient(),
        found or findings(lesion(1, *axes)),
        with_contrast,
        (model,),
        role,
    )


def baseline(*axes_mm: Axes, day: int = 0, **kind: object) -> Timepoint:
    return timepoint(day, axes_mm, role=Role.BASELINE, **kind)


def matching(*new: Lesion, others: tuple[LesionChange, ...] = ()) -> Matching:
    """One lesion that was there before, and new ones."""
    changes = itertools.chain(
        [LesionChange(Fate.MATCHED, (lesion(1),), (lesion(1),))],
        (LesionChange(Fate.NEW, (), (one,)) for one in new),
        others,
    )
    return Matching(Sequence.T1C, np.eye(4), 1.0, tuple(changes))
