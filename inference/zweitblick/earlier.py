"""Earlier readings from what was kept of them: findings.json, the SEG and, for registration, the images."""

from collections.abc import Mapping
from dataclasses import replace

from zweitblick.dicom.outline import Outline, read_outline
from zweitblick.dicom.stack import parts
from zweitblick.errors import PriorMismatchError, SeriesError
from zweitblick.prior import Prior, PriorImage, Role, Timepoint, check_same_patient
from zweitblick.report.findings_reader import FindingsDocument, read_findings
from zweitblick.study import Sequence, Study


def prior_from(segmentation: bytes, findings: bytes, study: Study | None = None) -> Prior:
    """Return an earlier reading to compare the present study with.

    Parameters
    ----------
    segmentation, findings
        SEG and ``findings.json`` of the reading, as they were written.
    study
        The images that were read, or those of its series that are at hand; without it lesions cannot be matched.

    Raises
    ------
    PriorDamagedError, PriorVersionError
        If findings or segmentation cannot be read.
    PriorMismatchError
        If the three are not of one study.
    PriorPatientError
        If they name different patients.
    """
    document, outline = read_findings(findings), read_outline(segmentation)
    timepoint = _timepoint(document, outline)
    if study is None:
        return Prior(timepoint, outline.labels, {})
    if study.uid != document.study_uid:
        raise PriorMismatchError("the earlier images are of another study than the earlier findings; give both of one")
    check_same_patient(study.patient, outline.patient)
    return Prior(timepoint, outline.labels, _images(document, study))


def timepoint_from(segmentation: bytes, findings: bytes, role: Role) -> Timepoint:
    """Return a reading's findings, as one time in the course of a treatment; raises what `prior_from` does.

    Parameters
    ----------
    segmentation, findings
        SEG and ``findings.json`` of the reading; the SEG says whose they are and of which day.
    role
        What the reading is in that course.
    """
    return replace(_timepoint(read_findings(findings), read_outline(segmentation)), role=role)


def _timepoint(document: FindingsDocument, outline: Outline) -> Timepoint:
    if outline.study_uid != document.study_uid:
        raise PriorMismatchError("segmentation and findings.json are of different studies; give both of one reading")
    return Timepoint(
        study_uid=document.study_uid,
        started_at=outline.started_at,
        patient=outline.patient,
        findings=document.findings,
        with_contrast=Sequence.T1C in document.series,
        models=document.models,
    )


def _images(document: FindingsDocument, study: Study) -> Mapping[Sequence, PriorImage]:
    """Series that hold one volume; of several, ``findings.json`` does not say which one was read."""
    series = {one.uid: one for one in study.series}
    images = {}
    for sequence, read in document.series.items():
        try:
            found = parts(series[read.uid]) if read.uid in series else ()
        except SeriesError:
            continue
        if len(found) == 1:
            images[sequence] = PriorImage(found[0], read.own_from_reference_lps)
    return images
