"""FHIR R4 (4.0.1): reports of studies that were read, below ``/fhir``, to read and to search."""

from zweitblick.web.fhir.outcomes import described
from zweitblick.web.fhir.routes import PREFIX, router

__all__ = ["PREFIX", "described", "router"]
