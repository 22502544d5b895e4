"""Documents: everything that is made of one reading, each as bytes."""

from collections.abc import Callable
from dataclasses import dataclass

from zweitblick.dicom.pdf import encapsulated_pdf
from zweitblick.dicom.seg import segmentation
from zweitblick.dicom.sr import structured_report
from zweitblick.pipeline import Observer, silent
from zweitblick.reading import Reading
from zweitblick.report.fhir import fhir_bundle
from zweitblick.report.findings_json import findings_json
from zweitblick.report.pdf import pdf


@dataclass(frozen=True)
class Documents:
    """What is made of one reading; of the same reading always the same bytes.

    Parameters
    ----------
    json, fhir, pdf
        As programs and people read them.
    seg, sr, encapsulated_pdf
        DICOM files, in the study of the source.
    """

    json: bytes
    fhir: bytes
    seg: bytes
    sr: bytes
    pdf: bytes
    encapsulated_pdf: bytes


def documents(reading: Reading, *, observer: Observer = silent) -> Documents:
    """Make all documents of a reading.

    Raises
    ------
    DamagedInstanceError
        If a source instance cannot be read any more.
    """

    def observed(stage: str, make: Callable[[], bytes]) -> bytes:
        with observer(stage):
            return make()

    page = observed("PDF", lambda: pdf(reading))
    outline = observed("SEG", lambda: segmentation(reading))
    return Documents(
        json=observed("JSON", lambda: findings_json(reading)),
        fhir=observed("FHIR", lambda: fhir_bundle(reading)),
        seg=outline,
        sr=observed("SR", lambda: structured_report(reading, outline)),
        pdf=page,
        encapsulated_pdf=observed("encapsulated PDF", lambda: encapsulated_pdf(reading, page)),
    )
