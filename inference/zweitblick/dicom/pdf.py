"""A finished PDF to a DICOM Encapsulated PDF (PS3.3 A.45.1)."""

from highdicom.base import SOPClass
from pydicom.dataset import Dataset
from pydicom.uid import EncapsulatedPDFStorage, ExplicitVRLittleEndian

from zweitblick.dicom import codes
from zweitblick.dicom.context import MANUFACTURER, PDF, header, instance_uid, part10, series_uid, settled
from zweitblick.dicom.planes import reference_planes
from zweitblick.dicom.predecessor import succeeding
from zweitblick.reading import Reading
from zweitblick.study import Instance


def encapsulated_pdf(reading: Reading, pdf: bytes) -> bytes:
    """Wrap the report for the archive, in the patient and study of the source; it names those that it supersedes.

    Parameters
    ----------
    reading
        Whose report it is.
    pdf
        What `zweitblick.report.pdf.pdf` made of the same reading.

    Returns
    -------
    bytes
        Part 10 bytes.
    """
    planes = reference_planes(reading)
    source = header(planes[0].instance)
    dataset = SOPClass(
        study_instance_uid=source.StudyInstanceUID,
        series_instance_uid=series_uid(reading, PDF),
        series_number=PDF.number,
        sop_instance_uid=instance_uid(reading, PDF),
        sop_class_uid=EncapsulatedPDFStorage,
        instance_number=1,
        manufacturer=MANUFACTURER,
        modality="DOC",
        transfer_syntax_uid=ExplicitVRLittleEndian,
    )
    dataset.copy_patient_and_study_information(source)
    dataset.ConversionType = "WSD"
    dataset.BurnedInAnnotation = "YES"
    dataset.AcquisitionDateTime = ""
    dataset.DocumentTitle = "zweitblick: second read of a brain MRI, not verified"
    dataset.ConceptNameCodeSequence = [codes.item(codes.TITLE)]
    dataset.VerificationFlag = "UNVERIFIED"
    instances = {frame.instance.sop_instance_uid: frame.instance for frame in planes}
    dataset.SourceInstanceSequence = [_source(instance) for instance in instances.values()]
    dataset.MIMETypeOfEncapsulatedDocument = "application/pdf"
    dataset.EncapsulatedDocumentLength = len(pdf)
    dataset.EncapsulatedDocument = pdf + b"\0" * (len(pdf) % 2)
    return part10(settled(succeeding(dataset, reading), reading, output=PDF))


def _source(instance: Instance) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = instance.sop_class_uid
    item.ReferencedSOPInstanceUID = instance.sop_instance_uid
    return item
