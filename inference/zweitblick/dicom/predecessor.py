"""Predecessors: a document names those that it supersedes, so that an archive that has both shows which one counts."""

from pydicom.dataset import Dataset

from zweitblick.dicom.header import moment, quietly, read_header, tags_of, text
from zweitblick.errors import DamagedInstanceError
from zweitblick.reading import Predecessor, Reading

_UIDS = ("SeriesInstanceUID", "SOPClassUID", "SOPInstanceUID")
_WRITTEN = ("ContentDate", "ContentTime")


def predecessor(document: bytes) -> Predecessor:
    """Return how the next one names a document.

    Parameters
    ----------
    document
        Part 10 bytes.

    Raises
    ------
    DamagedInstanceError
        If it cannot be read, or lacks what names it.
    """
    with quietly():
        data = read_header(document, tags_of((*_UIDS, *_WRITTEN))).data
        series, sop_class, instance = (text(data, keyword) for keyword in _UIDS)
        written_at = moment(*(text(data, keyword) for keyword in _WRITTEN))
    if written_at is None or not all((series, sop_class, instance)):
        raise DamagedInstanceError("the document lacks a UID or its content date, so that none can name it")
    return Predecessor(series, sop_class, instance, written_at)


def succeeding(dataset: Dataset, reading: Reading) -> Dataset:
    """Name the documents of the same class that a document supersedes, if there are any (PS3.3 C.17.2 and C.24.2)."""
    superseded = [one for one in reading.predecessors if one.sop_class_uid == dataset.SOPClassUID]
    if superseded:
        study = Dataset()
        study.StudyInstanceUID = reading.study.uid
        study.ReferencedSeriesSequence = [_series(one) for one in superseded]
        dataset.PredecessorDocumentsSequence = [study]
    return dataset


def _series(one: Predecessor) -> Dataset:
    """Refer to a series and the one document in it (PS3.3 Table C.17-3a)."""
    instance, series = Dataset(), Dataset()
    instance.ReferencedSOPClassUID, instance.ReferencedSOPInstanceUID = one.sop_class_uid, one.sop_instance_uid
    series.SeriesInstanceUID, series.ReferencedSOPSequence = one.series_uid, [instance]
    return series
