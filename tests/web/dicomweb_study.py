"""Small studies as files, and what pydicom reads of them."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from pydicom.datadict import tag_for_keyword
from pydicom.uid import (
    JPEG2000Lossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from dicom_writer import StudyHeader
from zweitblick.volume import Volume, axis_aligned_grid

GRID = axis_aligned_grid((0.0, 0.0, 0.0), (3, 32, 40), 2.0)
STUDY = StudyHeader().uid
OTHER = StudyHeader(seed="other", patient_id="PAT-0002", date="20250101", attributes={"AccessionNumber": "A2"})
COMPRESSED = (JPEGLosslessSV1, JPEGLSLossless, JPEG2000Lossless, RLELossless)
MEDIA_TYPES = dict(zip(COMPRESSED, ("image/jpeg", "image/jls", "image/jp2", "image/dicom-rle"), strict=True))


def head(seed: int = 0) -> Volume:
    return Volume(np.random.default_rng(seed).integers(0, 4000, GRID.shape).astype(np.float32), GRID)


def by_uid(files: list[Path]) -> dict[str, pydicom.Dataset]:
    found = [pydicom.dcmread(path) for path in files]
    return {str(one.SOPInstanceUID): one for one in found}


def place(path: Path) -> tuple[str, str, str]:
    header = pydicom.dcmread(path, stop_before_pixels=True)
    return header.StudyInstanceUID, header.SeriesInstanceUID, header.SOPInstanceUID


def url(path: Path) -> str:
    study, series, instance = place(path)
    return f"/dicom-web/studies/{study}/series/{series}/instances/{instance}"


def uids(found: list[dict[str, Any]], keyword: str) -> list[str]:
    tag = f"{tag_for_keyword(keyword):08X}"
    return [str(one[tag]["Value"][0]) for one in found]


def corrected(path: Path) -> bytes:
    """Return a file with the same UIDs and other content."""
    data = pydicom.dcmread(path)
    data.PatientComments = "corrected"
    buffer = io.BytesIO()
    data.save_as(buffer)
    return buffer.getvalue()
