"""CapabilityStatement: what is served (FHIR R4 section 5.1)."""

import zweitblick
from zweitblick.reading import RESEARCH_USE
from zweitblick.report.fhir_parts import MEDIA_TYPE
from zweitblick.web.fhir.kept import Kind, Resource
from zweitblick.web.fhir.search import CHAINED, PARAMETERS

FHIR_VERSION = "4.0.1"

_DATE = "2026-11-27"
"""When what is served last changed."""


def capability_statement(base: str) -> Resource:
    """Describe this server.

    Parameters
    ----------
    base
        Its URL, to ``/fhir``.
    """
    return {
        "resourceType": "CapabilityStatement",
        "status": "active",
        "date": _DATE,
        "publisher": "zweitblick",
        "kind": "instance",
        "software": {"name": "zweitblick", "version": zweitblick.__version__},
        "implementation": {"description": f"A second read for brain MRI. {RESEARCH_USE}", "url": base},
        "fhirVersion": FHIR_VERSION,
        "format": [MEDIA_TYPE],
        "rest": [
            {
                "mode": "server",
                "documentation": "Reports of studies that were read, the last reading of each. Nothing can be written.",
                "security": {"description": "A token is asked for (RFC 6750), for this resource too."},
                "resource": [_resource(kind) for kind in Kind],
            }
        ],
    }


def _resource(kind: Kind) -> Resource:
    searched = PARAMETERS.get(kind, {})
    interactions = ["read", "search-type"] if searched else ["read"]
    parameters = [{"name": name, "type": of, **_chained(name)} for name, of in searched.items()]
    return {
        "type": kind,
        "interaction": [{"code": one} for one in interactions],
        "versioning": "no-version",
        **({"searchParam": parameters} if parameters else {}),
    }


def _chained(name: str) -> Resource:
    return {"documentation": f"also as {CHAINED[name]}, one exact value"} if name in CHAINED else {}
