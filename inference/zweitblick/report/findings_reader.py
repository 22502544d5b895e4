"""``findings.json`` read back: what an earlier reading found, and on which series."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from zweitblick.errors import PriorDamagedError, PriorVersionError
from zweitblick.findings import DiameterBasis, Diameters, EnhancingPart, Findings, Lesion, Point, Side
from zweitblick.prediction import Region
from zweitblick.reading import ModelIdentity
from zweitblick.study import Sequence
from zweitblick.volume import Float64

KNOWN_VERSIONS = ("1",)
"""First parts of the schema versions that are read; a change of the first part is one that readers go wrong with."""


@dataclass(frozen=True, eq=False)
class ReadSeries:
    """A series that the reading used.

    Parameters
    ----------
    uid
        Series Instance UID.
    own_from_reference_lps
        ``(4, 4)`` rigid map from the reference's LPS mm to its own.
    """

    uid: str = field(repr=False)
    own_from_reference_lps: Float64


@dataclass(frozen=True, eq=False)
class FindingsDocument:
    """What is needed of an earlier ``findings.json``.

    Parameters
    ----------
    study_uid
        Study Instance UID.
    findings
        As measured; numbers are those of the file, which are rounded to a thousandth.
    series
        Used, by sequence; the reference is among them.
    models
        The bundles used, in the file's order.
    """

    study_uid: str = field(repr=False)
    findings: Findings
    series: Mapping[Sequence, ReadSeries]
    models: tuple[ModelIdentity, ...]


def read_findings(document: bytes) -> FindingsDocument:
    """Read what `zweitblick.report.findings_json.findings_json` has written, in this release or an earlier one.

    Parameters
    ----------
    document
        UTF-8 JSON.

    Raises
    ------
    PriorVersionError
        If its form is newer than this release.
    PriorDamagedError
        If it is none of ours, or damaged.
    """
    try:
        loaded: dict[str, Any] = json.loads(document)
        version = str(loaded["schema_version"])
        if version.partition(".")[0] not in KNOWN_VERSIONS:
            raise PriorVersionError(f"findings.json has version {version[:20]!r}; read it with a newer zweitblick")
        return FindingsDocument(
            study_uid=_text(loaded["study"]["study_instance_uid"]),
            findings=_findings(loaded["findings"]),
            series={Sequence(one["sequence"]): _series(one) for one in loaded["sequences"]},
            models=tuple(_model(one) for one in loaded["models"]),
        )
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError) as error:
        raise PriorDamagedError(
            f"the earlier findings.json is damaged or none of ours ({type(error).__name__}); read that study again"
        ) from error


def _model(told: Mapping[str, Any]) -> ModelIdentity:
    return ModelIdentity(_text(told["name"]), _text(told["version"]), _text(told["sha256"]))


def _series(told: Mapping[str, Any]) -> ReadSeries:
    matrix = np.array(told["alignment"]["moving_from_reference_lps"], np.float64)
    if matrix.shape != (4, 4) or not np.isfinite(matrix).all() or abs(np.linalg.det(matrix[:3, :3]) - 1) > 1e-3:
        raise ValueError("no rigid map")
    return ReadSeries(_text(told["series_instance_uid"]), matrix)


def _findings(told: Mapping[str, Any]) -> Findings:
    return Findings(
        lesions=tuple(_lesion(one) for one in told["lesions"]),
        volume_ml=_volumes(told["volume_ml"]),
        sum_of_products_mm2=_number(told["sum_of_products_mm2"]),
        reporting_limit_ml=_number(told["reporting_limit_ml"]),
        validated_ml=None if told["validated_ml"] is None else _number(told["validated_ml"]),
        dropped=_count(told["dropped_components"]),
        dropped_ml=_number(told["dropped_ml"]),
        brain_ml=_number(told["brain_ml"]),
    )


def _lesion(told: Mapping[str, Any]) -> Lesion:
    return Lesion(
        number=_count(told["number"]),
        volume_ml=_volumes(told["volume_ml"]),
        center_lps=_point(told["center_lps_mm"]),
        side=Side(told["side"]),
        midline_mm=_number(told["midline_distance_mm"]),
        crosses_midline=_truth(told["crosses_midline"]),
        max_3d_mm=_number(told["max_3d_diameter_mm"]),
        diameters=_diameters(told["diameters"]),
        enhancing=tuple(
            EnhancingPart(_number(one["volume_ml"]), _point(one["center_lps_mm"]), _diameters(one["diameters"]))
            for one in told["enhancing_parts"]
        ),
        mean_probability=_number(told["mean_probability"]),
    )


def _diameters(told: Mapping[str, Any]) -> Diameters:
    return Diameters(
        basis=DiameterBasis(told["basis"]),
        major_mm=_number(told["major_mm"]),
        minor_mm=_number(told["minor_mm"]),
        major_lps=_line(told["major_lps_mm"]),
        minor_lps=_line(told["minor_lps_mm"]),
        measurable=_truth(told["measurable"]),
    )


def _volumes(told: Mapping[str, Any]) -> dict[Region, float]:
    return {region: _number(told[region]) for region in Region}


def _line(told: Any) -> tuple[Point, Point]:
    start, end = told
    return _point(start), _point(end)


def _point(told: Any) -> Point:
    x, y, z = told
    return _number(x), _number(y), _number(z)


def _number(told: Any) -> float:
    """Finite number; JSON as Python reads it knows NaN, and texts are no numbers."""
    if isinstance(told, bool) or not isinstance(told, int | float) or not np.isfinite(told):
        raise ValueError("no finite number")
    return float(told)


def _truth(told: Any) -> bool:
    if not isinstance(told, bool):
        raise TypeError("neither true nor false")
    return told


def _count(told: Any) -> int:
    if isinstance(told, bool) or not isinstance(told, int):
        raise TypeError("no whole number")
    return told


def _text(told: Any) -> str:
    if not isinstance(told, str):
        raise TypeError("no text")
    return told
