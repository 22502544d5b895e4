"""What FHIR resources are made of: codes in both languages, and quantities."""

from dataclasses import dataclass
from typing import Any

Resource = dict[str, Any]

MEDIA_TYPE = "application/fhir+json"
"""Of resources (FHIR R4 section 3.1.0.1)."""
CONTENT_TYPE = MEDIA_TYPE.removeprefix("application/")
"""The same as a JWE says it of what is in it (RFC 7515 section 4.1.10)."""

SNOMED_CT = "http://snomed.info/sct"
LOINC = "http://loinc.org"
UCUM = "http://unitsofmeasure.org"
DICOM = "http://dicom.nema.org/resources/ontology/DCM"
OURS = "urn:zweitblick:measurement"
"""Code systems (FHIR R4 section 4.3.0.1); the last is for what no public one has."""

DICOM_UID = "urn:dicom:uid"
"""System of identifiers that are DICOM UIDs, written as ``urn:oid:`` and the UID (FHIR R4, ImagingStudy)."""

_TRANSLATION = "http://hl7.org/fhir/StructureDefinition/translation"


@dataclass(frozen=True)
class Concept:
    """A code and its name in both languages.

    Parameters
    ----------
    system, code
        See `SNOMED_CT` and others.
    english, german
        Names.
    """

    system: str
    code: str
    english: str
    german: str


def coded(concept: Concept) -> Resource:
    """CodeableConcept."""
    return {"coding": [coding(concept)], "text": concept.english, "_text": translated(concept.german)}


def coding(concept: Concept) -> Resource:
    """Coding."""
    return {"system": concept.system, "code": concept.code, "display": concept.english}


def translated(german: str) -> Resource:
    """German translation of a text, as an extension to it."""
    parts = [{"url": "lang", "valueCode": "de"}, {"url": "content", "valueString": german}]
    return {"extension": [{"url": _TRANSLATION, "extension": parts}]}


def quantity(value: float, unit: str) -> Resource:
    """Quantity in a unit of UCUM, rounded to a thousandth: far below what the method resolves."""
    return {"value": round(float(value), 3) + 0.0, "unit": unit, "system": UCUM, "code": unit}


def dicom_uid(uid: str) -> Resource:
    """Make an identifier of a DICOM UID."""
    return {"system": DICOM_UID, "value": f"urn:oid:{uid}"}


def german_number(value: float, form: str) -> str:
    """Format a number, with a comma."""
    return format(value, form).replace(".", ",")
