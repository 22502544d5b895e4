"""Scope: what the header itself says against using the model on this study."""

import re

from zweitblick.reading import POPULATION, Notice
from zweitblick.study import Sequence, Study

ADULT_YEARS = 18.0

AFTER_SURGERY = re.compile(
    r"post[\s_-]*op|(?:st|status|zustand|z)[\s.]*n(?:ach)?[\s.]*(?:op|resektion)|craniotom|kraniotom|resect|resektion|"
    r"after surgery|surveillance|shunt",
    re.IGNORECASE,
)
"""Words in Study, Series or Protocol descriptions that tell of an operated head, in English and German."""

MISSING_CONSEQUENCES = {
    Sequence.T1: "the outline may be less exact",
    Sequence.T1C: "enhancing tumour and tumour core cannot be told reliably",
    Sequence.T2: "the outline may be less exact",
    Sequence.FLAIR: "oedema and infiltration may be underestimated",
}


def scope_notices(study: Study) -> tuple[Notice, ...]:
    """Say where the study lies outside the population that the model knows."""
    notices = []
    age = study.patient.age_years
    if age is not None and age < ADULT_YEARS:
        notices.append(
            Notice("outside-scope", f"Outside scope: the patient is under 18; the model knows {POPULATION}.")
        )
    if any(AFTER_SURGERY.search(text) for text in _texts(study)):
        notices.append(
            Notice("outside-scope", f"Outside scope: the header tells of an operation; the model knows {POPULATION}.")
        )
    return tuple(notices)


def missing_notices(missing: tuple[Sequence, ...]) -> tuple[Notice, ...]:
    """Say what each missing sequence costs."""
    return tuple(
        Notice("missing-sequence", f"{sequence} is missing: {MISSING_CONSEQUENCES[sequence]}.") for sequence in missing
    )


def _texts(study: Study) -> list[str]:
    return [study.description, *(text for series in study.series for text in (series.description, series.protocol))]
