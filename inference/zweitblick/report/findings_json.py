"""Reading to ``findings.json``: every number a program may want, with its unit in its name."""

import json
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

from zweitblick.change import (
    NOT_KNOWN,
    Change,
    LesionChange,
    Matching,
    NoProposal,
    Proposal,
    Unmatched,
    VolumeChange,
    largest_diameters,
)
from zweitblick.findings import Diameters, EnhancingPart, Lesion
from zweitblick.prediction import Region
from zweitblick.reading import POPULATION, RESEARCH_USE, Alignment, Choice, Reading
from zweitblick.volume import Float64

SCHEMA_VERSION = "1.1"
"""Raised in its first part when a reader of the old form would go wrong."""


def findings_json(reading: Reading) -> bytes:
    """Write the findings as JSON that obeys `schema`.

    No patient name, id, date or free text of the header is in it: the Study Instance UID is the only link.
    Coordinates are LPS mm of the reference series' frame of reference; an earlier reading's are those of its own.

    Parameters
    ----------
    reading
        What is written.

    Returns
    -------
    bytes
        UTF-8, indented, keys in a fixed order, newline at the end.
    """
    document = {
        "schema_version": SCHEMA_VERSION,
        "research_use": RESEARCH_USE,
        "population": POPULATION,
        "software": {"name": "zweitblick", "version": reading.version},
        "models": [{"name": m.name, "version": m.version, "sha256": m.digest} for m in reading.models],
        "read_at": reading.stamp.time.isoformat(),
        "seed": reading.stamp.seed,
        "study": {"study_instance_uid": reading.study.uid, "unreadable_files": len(reading.study.unreadable)},
        "reference": str(reading.reference),
        "sequences": _sequences(reading),
        "missing": [str(sequence) for sequence in reading.missing],
        "rejected": [{"series": name, "reason": reason} for name, reason in sorted(reading.rejected.items())],
        "notices": [{"code": notice.code, "text": notice.text} for notice in reading.notices],
        "findings": _findings(reading),
        "change": None if reading.change is None else _change(reading.change),
    }
    return (json.dumps(document, indent=2, ensure_ascii=False) + "\n").encode()


def schema() -> Mapping[str, Any]:
    """Return the JSON Schema (draft 2020-12) of `findings_json`, as shipped in the package."""
    loaded: Mapping[str, Any] = json.loads((files("zweitblick.report") / "findings.schema.json").read_text("utf-8"))
    return loaded


def _sequences(reading: Reading) -> list[dict[str, Any]]:
    return [
        _sequence(str(sequence), choice, alignment=reading.alignments[sequence])
        for sequence, choice in reading.choices.items()
    ]


def _sequence(name: str, choice: Choice, *, alignment: Alignment) -> dict[str, Any]:
    return {
        "sequence": name,
        "series_instance_uid": choice.series_uid,
        "series_number": choice.series_number,
        "reasons": list(choice.reasons),
        "passed_over": [{"series": other, "reason": reason} for other, reason in sorted(choice.passed_over.items())],
        "alignment": {
            "method": alignment.method,
            "motion_mm": _rounded(alignment.motion_mm),
            "moving_from_reference_lps": _matrix(alignment.moving_from_reference_lps),
        },
    }


def _findings(reading: Reading) -> dict[str, Any]:
    findings = reading.findings
    return {
        "statement": findings.statement,
        "reporting_limit_ml": _rounded(findings.reporting_limit_ml),
        "validated_ml": None if findings.validated_ml is None else _rounded(findings.validated_ml),
        "volume_ml": _volumes(findings.volume_ml),
        "sum_of_products_mm2": _rounded(findings.sum_of_products_mm2),
        "brain_ml": _rounded(findings.brain_ml),
        "dropped_components": findings.dropped,
        "dropped_ml": _rounded(findings.dropped_ml),
        "lesions": [_lesion(lesion) for lesion in findings.lesions],
    }


def _lesion(lesion: Lesion) -> dict[str, Any]:
    return {
        "number": lesion.number,
        "volume_ml": _volumes(lesion.volume_ml),
        "center_lps_mm": _point(lesion.center_lps),
        "side": str(lesion.side),
        "midline_distance_mm": _rounded(lesion.midline_mm),
        "crosses_midline": lesion.crosses_midline,
        "max_3d_diameter_mm": _rounded(lesion.max_3d_mm),
        "diameters": _diameters(lesion.diameters),
        "enhancing_parts": [_part(part) for part in lesion.enhancing],
        "mean_probability": _rounded(lesion.mean_probability),
    }


def _change(change: Change) -> dict[str, Any]:
    return {
        "statement": change.statement,
        "earlier_study_instance_uid": change.study_uid,
        "days_between": next(iter(change.days), None),
        "volume": _volume_changes(change.volume),
        "matching": _matching(change.matching),
        "rano": _rano(change.rano),
    }


def _volume_changes(volume: Mapping[Region, VolumeChange]) -> dict[str, Any]:
    return {
        str(region): {
            "before_ml": _rounded(one.before_ml),
            "now_ml": _rounded(one.now_ml),
            "difference_ml": _rounded(one.difference_ml),
            "difference_percent": next((_rounded(percent, 1) for percent in one.percents), None),
        }
        for region, one in volume.items()
    }


def _matching(matching: Matching | Unmatched) -> dict[str, Any]:
    if isinstance(matching, Unmatched):
        return {"matched": False, "reason": matching.reason}
    return {
        "matched": True,
        "aligned_on": str(matching.sequence),
        "motion_mm": _rounded(matching.motion_mm),
        "earlier_from_present_lps": _matrix(matching.earlier_from_present_lps),
        "lesions": [_lesion_change(lesion) for lesion in matching.lesions],
    }


def _lesion_change(change: LesionChange) -> dict[str, Any]:
    return {
        "fate": str(change.fate),
        "before": _listed(change.before),
        "now": _listed(change.now),
        "volume": _volume_changes(change.volume),
    }


def _listed(lesions: tuple[Lesion, ...]) -> dict[str, Any]:
    return {
        "numbers": [lesion.number for lesion in lesions],
        "diameters": [_diameters(one) for one in largest_diameters(lesions)],
    }


def _rano(rano: Proposal | NoProposal) -> dict[str, Any]:
    if isinstance(rano, NoProposal):
        return {"proposed": False, "statement": rano.statement}
    return {
        "proposed": True,
        "statement": rano.statement,
        "category": str(rano.category),
        "rule": rano.rule,
        "not_known": list(NOT_KNOWN),
        "targets": rano.targets,
        "baseline_mm2": _rounded(rano.baseline_mm2),
        "nadir_mm2": _rounded(rano.nadir_mm2),
        "now_mm2": _rounded(rano.now_mm2),
    }


def _part(part: EnhancingPart) -> dict[str, Any]:
    return {
        "volume_ml": _rounded(part.volume_ml),
        "center_lps_mm": _point(part.center_lps),
        "diameters": _diameters(part.diameters),
    }


def _diameters(diameters: Diameters) -> dict[str, Any]:
    return {
        "basis": str(diameters.basis),
        "major_mm": _rounded(diameters.major_mm),
        "minor_mm": _rounded(diameters.minor_mm),
        "product_mm2": _rounded(diameters.product_mm2),
        "major_lps_mm": [_point(end) for end in diameters.major_lps],
        "minor_lps_mm": [_point(end) for end in diameters.minor_lps],
        "measurable": diameters.measurable,
    }


def _volumes(volume_ml: Mapping[Region, float]) -> dict[str, float]:
    return {str(region): _rounded(volume_ml[region]) for region in Region}


def _matrix(matrix: Float64) -> list[list[float]]:
    return [[_rounded(value, 6) for value in row] for row in matrix.tolist()]


def _point(lps: tuple[float, float, float]) -> list[float]:
    return [_rounded(value) for value in lps]


def _rounded(value: float, digits: int = 3) -> float:
    """Round to a thousandth, far below what the method resolves, and without a negative zero."""
    return round(float(value), digits) + 0.0
