import io
from pathlib import Path

import pydicom
import pytest
from pydicom.uid import EncapsulatedPDFStorage

from readings import Phantom, phantom_reading
from zweitblick.dicom.pdf import encapsulated_pdf


@pytest.mark.parametrize("document", [b"%PDF-1.7 even", b"%PDF-1.7 odd!"], ids=["even", "odd"])
def test_the_document_comes_out_as_it_went_in(tmp_path: Path, document: bytes) -> None:
    written = pydicom.dcmread(io.BytesIO(encapsulated_pdf(phantom_reading(tmp_path), document)))
    assert written.EncapsulatedDocument[: written.EncapsulatedDocumentLength] == document
    assert len(written.EncapsulatedDocument) % 2 == 0
    assert written.MIMETypeOfEncapsulatedDocument == "application/pdf"


def test_it_belongs_to_the_patient_and_names_its_sources(tmp_path: Path) -> None:
    reading = phantom_reading(tmp_path, Phantom("oblique", enhanced=True))
    written = pydicom.dcmread(io.BytesIO(encapsulated_pdf(reading, b"%PDF-1.7")))
    (source,) = written.SourceInstanceSequence
    assert written.SOPClassUID == EncapsulatedPDFStorage
    assert str(written.PatientName) == "Grün^Anna"
    assert written.StudyInstanceUID == reading.study.uid
    assert source.ReferencedSOPInstanceUID == reading.study.series[0].instances[0].sop_instance_uid
    assert written.BurnedInAnnotation == "YES"
    assert not [element for element in written.iterall() if element.tag.is_private]
