"""Scope: what a reader must know before trusting this reading."""

import math
import re
from collections.abc import Mapping
from collections.abc import Sequence as Seq

from zweitblick.findings import Findings
from zweitblick.model.bundle import Bundles
from zweitblick.model.prepare import Prepared
from zweitblick.model.sequence_contrast import ORDER_ALONE
from zweitblick.prediction import Region
from zweitblick.reading import POPULATION, Choice, Notice
from zweitblick.study import Sequence, Study

ADULT_YEARS = 18.0

WHOLE_BRAIN = 0.95
"""A field of view that shows less of the brain than this is worth a word; crown and base are often cut a little."""

AFTER_SURGERY = re.compile(
    r"post[\s_-]*(?:op|surg)|(?:\bz|\bst|status|zustand)?[\s.]*\bn(?:ach)?\b[\s.]*(?:\w+[\s-])?(?:op\b|resektion)|"
    r"craniotom|kraniotom|resect|resektion|surgery|surveillance|shunt",
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


def signature_notices(bundles: Bundles) -> tuple[Notice, ...]:
    """Say which networks nobody answers for."""
    return tuple(
        Notice(
            "unsigned-model",
            f"The model {bundle.name} {bundle.version} is not signed by a key that is trusted; it was used because "
            "unsigned models are allowed here.",
        )
        for bundle in (bundles.tumour, bundles.brain_mask, bundles.sequence)
        if bundle.signed_by is None
    )


def missing_notices(missing: tuple[Sequence, ...]) -> tuple[Notice, ...]:
    """Say what each missing sequence costs."""
    return tuple(
        Notice("missing-sequence", f"{sequence} is missing: {MISSING_CONSEQUENCES[sequence]}.") for sequence in missing
    )


def damage_notices(study: Study, damaged: Seq[str]) -> tuple[Notice, ...]:
    """Say what came but could not be used.

    Parameters
    ----------
    study
        Its unreadable files are counted.
    damaged
        Why each faulty MR volume was left out.
    """
    notices = [Notice("series-damaged", f"Left out: {reason}") for reason in damaged]
    count = len(study.unreadable)
    if count:
        notices.append(Notice("unreadable-files", f"{count} files were no usable DICOM instance and were left out."))
    return tuple(notices)


def doubt_notices(choices: Mapping[Sequence, Choice], prepared: Prepared, findings: Findings) -> tuple[Notice, ...]:
    """Say what in this reading rests on less than usual."""
    notices = [
        Notice("partial-coverage", f"{sequence} shows only {share:.0%} of the brain; nothing is said of the rest.")
        for sequence, share in prepared.seen.items()
        if share < WHOLE_BRAIN
    ]
    if any(ORDER_ALONE in choice.reasons for choice in choices.values()):
        notices.append(
            Notice("contrast-assumed", "That T1c shows contrast agent is known from the order of series only.")
        )
    limit_ml = math.inf if findings.validated_ml is None else findings.validated_ml
    if any(lesion.volume_ml[Region.WT] < limit_ml for lesion in findings.lesions):
        which = "lesions" if findings.validated_ml is None else f"lesions below {limit_ml:g} ml"
        notices.append(Notice("small-lesion", f"How reliably {which} are found is not known."))
    return tuple(notices)


def _texts(study: Study) -> list[str]:
    return [study.description, *(text for series in study.series for text in (series.description, series.protocol))]
