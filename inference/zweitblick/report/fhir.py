"""Reading to FHIR: one Bundle that is valid in R4 (4.0.1) and R4B (4.3.0), in English with German translations.

It is written as plain JSON: the library that knows the resources takes longer to import than the network to run, so it
judges in the tests instead.
"""

import json
import uuid
from collections.abc import Iterator

from zweitblick.findings import Findings, Lesion, Side
from zweitblick.prediction import Region
from zweitblick.reading import POPULATION, RESEARCH_USE, Reading
from zweitblick.report.fhir_change import change_observations, german_change
from zweitblick.report.fhir_parts import (
    DICOM,
    LOINC,
    OURS,
    SNOMED_CT,
    Concept,
    Resource,
    coded,
    coding,
    dicom_uid,
    german_number,
    quantity,
    translated,
)
from zweitblick.study import Patient

_GENDERS = {"M": "male", "F": "female", "O": "other"}

_REPORT = Concept(LOINC, "24590-2", "MR Brain", "MRT des Gehirns")
_RADIOLOGY = Concept("http://terminology.hl7.org/CodeSystem/v2-0074", "RAD", "Radiology", "Radiologie")
_IMAGING = Concept("http://terminology.hl7.org/CodeSystem/observation-category", "imaging", "Imaging", "Bildgebung")
_MR = Concept(DICOM, "MR", "Magnetic Resonance", "Magnetresonanztomographie")
_BRAIN = Concept(SNOMED_CT, "12738006", "Brain structure", "Gehirn")
_LESION = Concept(SNOMED_CT, "52988006", "Lesion", "Läsion")
_LATERALITY = Concept(SNOMED_CT, "272741003", "Laterality", "Seite")
_VOLUME = Concept(SNOMED_CT, "118565006", "Volume", "Volumen")
_LONG_AXIS = Concept(SNOMED_CT, "103339001", "Long axis", "Längster Durchmesser")
_SHORT_AXIS = Concept(SNOMED_CT, "103340004", "Short axis", "Durchmesser senkrecht dazu")
_PRODUCT = Concept(OURS, "axes-product", "Product of the diameters", "Produkt der Durchmesser")
_PRODUCT_SUM = Concept(OURS, "axes-product-sum", "Sum of the products of diameters", "Summe der Durchmesserprodukte")
_MIDLINE = Concept(OURS, "midline-distance", "Distance to the midline", "Abstand zur Mittellinie")
_SIDES = {
    Side.LEFT: Concept(SNOMED_CT, "7771000", "Left", "Links"),
    Side.RIGHT: Concept(SNOMED_CT, "24028007", "Right", "Rechts"),
    Side.MIDLINE: Concept(SNOMED_CT, "261129000", "Midline", "Mittellinie"),
}
_VOLUMES = {
    Region.ET: Concept(OURS, "volume-et", "Volume of enhancing tumour", "Volumen des anreichernden Tumors"),
    Region.TC: Concept(OURS, "volume-tc", "Volume of tumour core", "Volumen des Tumorkerns"),
    Region.WT: Concept(OURS, "volume-wt", "Volume of tumour and oedema", "Volumen von Tumor und Ödem"),
}
"""Of BraTS's three nested regions; no public scheme has codes for them."""
_NOTICE = Concept(OURS, "notice", "Notice", "Hinweis")
_RESEARCH_USE_GERMAN = "Nur für die Forschung, kein Medizinprodukt, nicht zur Diagnose."
_POPULATION_GERMAN = "Gliome Erwachsener vor der Behandlung"


def fhir_bundle(reading: Reading) -> bytes:
    """Write the findings as a FHIR collection: DiagnosticReport, Observations, ImagingStudy, Device and Patient.

    It names the patient as the study does. The report is preliminary: nobody has verified it. Each English text has its
    German translation as an extension, but for notices and reasons, which are English alone. A change since an earlier
    study is in Observations of its own, which name that study by its UID.

    Parameters
    ----------
    reading
        What is written.

    Returns
    -------
    bytes
        UTF-8 JSON (``application/fhir+json``), newline at the end; of the same reading always the same.
    """
    observations = list(_observations(reading))
    entries = {
        "fhir/report": _report(reading, [name for name, _ in observations]),
        **dict(observations),
        "fhir/study": _study(reading),
        "fhir/device": _device(reading),
        "fhir/patient": _patient(reading.study.patient),
    }
    bundle = {
        "resourceType": "Bundle",
        "identifier": {"system": "urn:ietf:rfc:3986", "value": _url(reading, "fhir/bundle")},
        "type": "collection",
        "timestamp": reading.stamp.time.isoformat(),
        "entry": [{"fullUrl": _url(reading, name), "resource": resource} for name, resource in entries.items()],
    }
    return (json.dumps(bundle, indent=2, ensure_ascii=False) + "\n").encode()


def _report(reading: Reading, observations: list[str]) -> Resource:
    english, german = _statements(reading)
    return {
        "resourceType": "DiagnosticReport",
        "language": "en",
        "status": "preliminary",
        "category": [coded(_RADIOLOGY)],
        "code": coded(_REPORT),
        "subject": _reference(reading, "fhir/patient"),
        **_effective(reading),
        "issued": reading.stamp.time.isoformat(),
        "result": [_reference(reading, name) for name in observations],
        "imagingStudy": [_reference(reading, "fhir/study")],
        "conclusion": f"{english} Population that the model knows: {POPULATION}. {RESEARCH_USE}",
        "_conclusion": translated(f"{german} Das Modell kennt: {_POPULATION_GERMAN}. {_RESEARCH_USE_GERMAN}"),
    }


def _statements(reading: Reading) -> tuple[str, str]:
    """Tell what was found, and what has changed, in both languages."""
    english, german = reading.findings.statement, _german(reading.findings)
    if reading.change is None:
        return english, german
    changed = f"{reading.change.statement} {reading.change.rano.statement}"
    return f"{english} {changed}", f"{german} {german_change(reading.change)}"


def _german(findings: Findings) -> str:
    """`Findings.statement` in German."""
    if not findings.lesions:
        if findings.validated_ml is None:
            return "Keine gliomartige Läsion gefunden; ab welcher Größe Läsionen gefunden werden, ist nicht bekannt."
        limit = max(findings.reporting_limit_ml, findings.validated_ml)
        return f"Keine gliomartige Läsion über {german_number(limit, 'g')} ml."
    count = len(findings.lesions)
    noun = "gliomartige Läsion" if count == 1 else "gliomartige Läsionen"
    limit_ml = german_number(findings.reporting_limit_ml, "g")
    return f"{count} {noun} über {limit_ml} ml, zusammen {german_number(findings.volume_ml[Region.WT], '.1f')} ml."


def _observations(reading: Reading) -> Iterator[tuple[str, Resource]]:
    """Write the sums over all lesions, each lesion, the change since an earlier study, then every notice."""
    findings = reading.findings
    for region in reversed(Region):
        volume = {"valueQuantity": quantity(findings.volume_ml[region], "mL")}
        yield f"fhir/volume {region}", _observation(reading, _volume(region)) | volume
    products = {"valueQuantity": quantity(findings.sum_of_products_mm2, "mm2")}
    yield "fhir/products", _observation(reading, coded(_PRODUCT_SUM)) | products
    for lesion in findings.lesions:
        yield f"fhir/lesion {lesion.number}", _lesion(reading, lesion)
    if reading.change is not None:
        earlier = {"type": "ImagingStudy", "identifier": dicom_uid(reading.change.study_uid)}
        for name, code, content in change_observations(reading.change):
            observation = _observation(reading, code)
            yield name, observation | content | {"derivedFrom": [*observation["derivedFrom"], earlier]}
    for number, notice in enumerate(reading.notices, start=1):
        yield f"fhir/notice {number}", _observation(reading, coded(_NOTICE)) | {"valueString": notice.text}


def _observation(reading: Reading, code: Resource) -> Resource:
    """Whatever is observed, without its value."""
    return {
        "resourceType": "Observation",
        "status": "preliminary",
        "category": [coded(_IMAGING)],
        "code": code,
        "subject": _reference(reading, "fhir/patient"),
        **_effective(reading),
        "bodySite": coded(_BRAIN),
        "device": _reference(reading, "fhir/device"),
        "derivedFrom": [_reference(reading, "fhir/study")],
    }


def _lesion(reading: Reading, lesion: Lesion) -> Resource:
    diameters = lesion.diameters
    measured = [
        (_LONG_AXIS, diameters.major_mm, "mm"),
        (_SHORT_AXIS, diameters.minor_mm, "mm"),
        (_PRODUCT, diameters.product_mm2, "mm2"),
        (_MIDLINE, lesion.midline_mm, "mm"),
    ]
    volumes = [
        {"code": _volume(region), "valueQuantity": quantity(lesion.volume_ml[region], "mL")}
        for region in reversed(Region)
    ]
    components = [{"code": coded(code), "valueQuantity": quantity(value, unit)} for code, value, unit in measured]
    side = {"code": coded(_LATERALITY), "valueCodeableConcept": coded(_SIDES[lesion.side])}
    number = {"text": f"Lesion {lesion.number}", "_text": translated(f"Läsion {lesion.number}")}
    return _observation(reading, coded(_LESION) | number) | {"component": [side, *volumes, *components]}


def _study(reading: Reading) -> Resource:
    study = reading.study
    series = [
        {
            "uid": one.uid,
            **({} if one.number is None else {"number": one.number}),
            "modality": coding(_MR),
            "numberOfInstances": len(one.instances),
        }
        for one in (study.series_by_uid(uid) for uid in sorted({c.series_uid for c in reading.choices.values()}))
    ]
    return {
        "resourceType": "ImagingStudy",
        "identifier": [dicom_uid(study.uid)],
        "status": "available",
        "modality": [coding(_MR)],
        "subject": _reference(reading, "fhir/patient"),
        **({} if study.started_at is None else {"started": study.started_at.date().isoformat()}),
        "numberOfSeries": len(study.series),
        "series": series,
    }


def _device(reading: Reading) -> Resource:
    models = [
        {"type": {"text": f"model {model.name}"}, "value": f"{model.version} sha256={model.digest}"}
        for model in reading.models
    ]
    return {
        "resourceType": "Device",
        "manufacturer": "zweitblick",
        "deviceName": [{"name": "zweitblick", "type": "model-name"}],
        "version": [{"type": {"text": "software"}, "value": reading.version}, *models],
    }


def _patient(patient: Patient) -> Resource:
    family, *given = [part for part in patient.name.split("=", 1)[0].split("^")[:3] if part] or [""]
    name = {"family": family} | ({"given": given} if given else {})
    return {
        "resourceType": "Patient",
        **({"identifier": [{"value": patient.id}]} if patient.id else {}),
        **({"name": [name]} if family else {}),
        **({"gender": _GENDERS[patient.sex]} if patient.sex in _GENDERS else {}),
        **({"birthDate": patient.birth_date.isoformat()} if patient.birth_date else {}),
    }


def _effective(reading: Reading) -> Resource:
    """When the images were made: the day, since a DICOM time says no zone, and a FHIR time must."""
    started = reading.study.started_at
    return {} if started is None else {"effectiveDateTime": started.date().isoformat()}


def _volume(region: Region) -> Resource:
    """CodeableConcept of a region's volume: our own code beside the general one."""
    concept = _VOLUMES[region]
    return coded(concept) | {"coding": [coding(_VOLUME), coding(concept)]}


def _reference(reading: Reading, name: str) -> Resource:
    return {"reference": _url(reading, name)}


def _url(reading: Reading, name: str) -> str:
    """UUID made from the object's UID (RFC 9562 version 5)."""
    return f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_OID, reading.uid(name))}"
