"""The DICOMweb service's base URI, and what it warns of under that name."""

from fastapi import Request

PREFIX = "/dicom-web"


def root(request: Request) -> str:
    """Return the base URI, as whoever asks names this host."""
    return str(request.base_url).rstrip("/") + PREFIX


def warning(request: Request, text: str) -> dict[str, str]:
    """Return a Warning header as PS3.18 sections 8.3.4.4.1 and 11.7.3 have it."""
    return {"Warning": f'299 {root(request)}: "{text}"'}
