"""Change to FHIR: Observations of what is different since an earlier study, and the sentence of it in German."""

from collections.abc import Iterator
from typing import NamedTuple

from zweitblick.change import Category, Change, Fate, LesionChange, Matching, Proposal, Unmatched, VolumeChange
from zweitblick.prediction import Region
from zweitblick.report.fhir_parts import OURS, Concept, Resource, coded, german_number, quantity

_VOLUME_CHANGES = {
    Region.ET: Concept(OURS, "volume-change-et", "Change of enhancing tumour", "Änderung des anreichernden Tumors"),
    Region.TC: Concept(OURS, "volume-change-tc", "Change of tumour core", "Änderung des Tumorkerns"),
    Region.WT: Concept(OURS, "volume-change-wt", "Change of tumour and oedema", "Änderung von Tumor und Ödem"),
}
_BEFORE = Concept(OURS, "before", "Before", "Vorher")
_NOW = Concept(OURS, "now", "Now", "Jetzt")
_PERCENT = Concept(OURS, "percent", "Change in percent of before", "Änderung in Prozent des früheren Werts")
_LESION = Concept(OURS, "lesion-change", "What became of a lesion", "Verlauf einer Läsion")
_FATES = {
    Fate.MATCHED: Concept(OURS, "matched", Fate.MATCHED, "wiedergefunden"),
    Fate.NEW: Concept(OURS, "new", Fate.NEW, "neu"),
    Fate.VANISHED: Concept(OURS, "vanished", Fate.VANISHED, "nicht mehr da"),
    Fate.ABOVE_LIMIT: Concept(OURS, "above-limit", Fate.ABOVE_LIMIT, "jetzt über der Berichtsgrenze"),
    Fate.BELOW_LIMIT: Concept(OURS, "below-limit", Fate.BELOW_LIMIT, "jetzt unter der Berichtsgrenze"),
    Fate.NOT_SHOWN: Concept(OURS, "not-shown", Fate.NOT_SHOWN, "nicht abgebildet"),
}
_RANO = Concept(OURS, "rano-imaging", "RANO, imaging part, proposal", "RANO, bildgebender Teil, Vorschlag")
_CATEGORIES = {
    Category.COMPLETE: Concept(OURS, "complete-response", Category.COMPLETE, "komplette Remission"),
    Category.PARTIAL: Concept(OURS, "partial-response", Category.PARTIAL, "partielle Remission"),
    Category.STABLE: Concept(OURS, "stable-disease", Category.STABLE, "stabile Erkrankung"),
    Category.PROGRESSION: Concept(OURS, "progressive-disease", Category.PROGRESSION, "Progression"),
}
"""Codes of our own: what SNOMED CT has of response says more than one study's images can."""

_NOT_PERFORMED = {
    "coding": [
        {
            "system": "http://terminology.hl7.org/CodeSystem/data-absent-reason",
            "code": "not-performed",
            "display": "Not Performed",
        }
    ]
}


class Observed(NamedTuple):
    """One Observation without what all of them have in common.

    Parameters
    ----------
    name
        Tells it from the others of a reading.
    code
        CodeableConcept of what is observed.
    content
        Its value, components and notes.
    """

    name: str
    code: Resource
    content: Resource


def change_observations(change: Change) -> Iterator[Observed]:
    """Write the change of each volume, what became of each lesion, and RANO's imaging part.

    Reasons why something is not there are in English alone, as notices are.
    """
    for region in reversed(Region):
        yield Observed(f"fhir/change {region}", coded(_VOLUME_CHANGES[region]), _volume(change.volume[region]))
    matching = change.matching
    lesions = [_lesion(one) for one in matching.lesions] if isinstance(matching, Matching) else [_unmatched(matching)]
    for number, content in enumerate(lesions, start=1):
        yield Observed(f"fhir/lesion change {number}", coded(_LESION), content)
    yield Observed("fhir/rano", coded(_RANO), _rano(change))


def german_change(change: Change) -> str:
    """`Change.statement` and that of RANO in German, without reasons."""
    whole = change.volume[Region.WT]
    relative = "".join(f", {german_number(percent, '+.0f')} %" for percent in whole.percents)
    return (
        f"{_since(change)}: Tumor und Ödem {german_number(whole.before_ml, '.1f')} auf "
        f"{german_number(whole.now_ml, '.1f')} ml ({german_number(whole.difference_ml, '+.1f')} ml{relative}). "
        f"{_fates(change)} {_response(change)}"
    )


def _volume(volume: VolumeChange) -> Resource:
    parts = [(_BEFORE, volume.before_ml, "mL"), (_NOW, volume.now_ml, "mL")]
    parts += [(_PERCENT, percent, "%") for percent in volume.percents]
    components = [{"code": coded(concept), "valueQuantity": quantity(value, unit)} for concept, value, unit in parts]
    return {"valueQuantity": quantity(volume.difference_ml, "mL"), "component": components}


def _lesion(lesion: LesionChange) -> Resource:
    """Fate of a lesion, with its volumes where it was found again."""
    found = _volume(lesion.volume[Region.WT]) if lesion.fate is Fate.MATCHED else {}
    components = {"component": found["component"]} if found else {}
    return {"valueCodeableConcept": coded(_FATES[lesion.fate]), "note": [{"text": lesion.statement}], **components}


def _unmatched(unmatched: Unmatched) -> Resource:
    return {"dataAbsentReason": _NOT_PERFORMED, "note": [{"text": f"Lesions were not matched: {unmatched.reason}."}]}


def _rano(change: Change) -> Resource:
    note = {"note": [{"text": change.rano.statement}]}
    if isinstance(change.rano, Proposal):
        return {"valueCodeableConcept": coded(_CATEGORIES[change.rano.category]), **note}
    return {"dataAbsentReason": _NOT_PERFORMED, **note}


def _since(change: Change) -> str:
    if not change.days:
        return "Veränderung seit der früheren Untersuchung (Abstand nicht bekannt)"
    return f"Veränderung seit der Untersuchung vor {change.days[0]} {'Tag' if change.days[0] == 1 else 'Tagen'}"


def _fates(change: Change) -> str:
    if isinstance(change.matching, Unmatched):
        return "Läsionen wurden nicht zugeordnet."
    counts = {fate: len(change.matching.of(fate)) for fate in Fate}
    told = [f"{count} {_FATES[fate].german}" for fate, count in counts.items() if count]
    return f"Läsionen: {', '.join(told)}." if told else "Keine Läsion in beiden Untersuchungen."


def _response(change: Change) -> str:
    rano = change.rano
    if not isinstance(rano, Proposal):
        return "Keine RANO-Kategorie."
    products = (
        f"Produkte jetzt {rano.now_mm2:.0f}, Nadir {rano.nadir_mm2:.0f}, Ausgangswert {rano.baseline_mm2:.0f} mm²"
    )
    return f"RANO, nur der bildgebende Teil, Vorschlag zur Prüfung: {_CATEGORIES[rano.category].german}. {products}."
