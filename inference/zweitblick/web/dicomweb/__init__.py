"""DICOMweb (PS3.18): instances are stored, searched for and retrieved below ``/dicom-web``."""

from zweitblick.web.dicomweb.routes import router

__all__ = ["router"]
