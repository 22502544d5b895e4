"""What a FHIR bundle of a reading says, as plain values: to show it, whoever wrote it."""

import json
from collections.abc import Iterator
from typing import Any

from zweitblick.dicom.report_content import ReportContent, ReportedGroup, ReportedMeasurement
from zweitblick.errors import DamagedInstanceError

_MALFORMED = (ValueError, TypeError, LookupError, AttributeError, RecursionError)
"""What walking through JSON of any other form raises."""


def fhir_content(content: bytes) -> ReportContent:
    """Read a bundle as `zweitblick.report.fhir` writes it: a DiagnosticReport, its Observations and whose they are.

    Raises
    ------
    DamagedInstanceError
        If it is another.
    """
    try:
        bundle = json.loads(content)
        by_type: dict[str, list[dict[str, Any]]] = {}
        for entry in bundle["entry"]:
            by_type.setdefault(entry["resource"]["resourceType"], []).append(entry["resource"])
        return _read(bundle["identifier"]["value"], by_type)
    except _MALFORMED as error:
        raise DamagedInstanceError("this is no FHIR bundle of a reading; give fhir.json as it was written") from error


def _read(name: str, by_type: dict[str, list[dict[str, Any]]]) -> ReportContent:
    (report,), (patient,), (study,) = (by_type[kind] for kind in ("DiagnosticReport", "Patient", "ImagingStudy"))
    names = patient.get("name", [{}])[0]
    observations = by_type.get("Observation", [])
    return ReportContent(
        sop_instance_uid=name,
        study_uid=study["identifier"][0]["value"].removeprefix("urn:oid:"),
        patient_name=" ".join([*names.get("given", []), names.get("family", "")]).strip(),
        patient_id=str(patient.get("identifier", [{"value": ""}])[0]["value"]),
        birth_date=patient.get("birthDate", "").replace("-", ""),
        study_date=report.get("effectiveDateTime", "").replace("-", ""),
        findings=(str(report["conclusion"]),),
        comments=tuple(str(one["valueString"]) for one in observations if "valueString" in one),
        groups=tuple(_groups(observations)),
    )


def _groups(observations: list[dict[str, Any]]) -> Iterator[ReportedGroup]:
    for one in observations:
        parts = one.get("component", [])
        numbers = [part for part in [one, *parts] if "valueQuantity" in part]
        sides = [part["valueCodeableConcept"]["text"] for part in parts if "valueCodeableConcept" in part]
        if numbers:
            yield ReportedGroup(str(one["code"]["text"]), "".join(sides[:1]), tuple(map(_measurement, numbers)))


def _measurement(part: dict[str, Any]) -> ReportedMeasurement:
    value = part["valueQuantity"]
    return ReportedMeasurement(str(part["code"]["text"]), str(value["value"]), str(value["unit"]))
