"""What is wrong with what was handed in: source, instance, series or study."""

from zweitblick.errors.root import ZweitblickError


class SourceError(ZweitblickError):
    """What was handed in cannot be opened."""

    code = "source"


class SourceMissingError(SourceError):
    """No file or folder is at the given path."""

    code = "source.missing"


class NoDicomError(SourceError):
    """Not one DICOM instance was found."""

    code = "source.no-dicom"


class TooManyFilesError(SourceError):
    """More files than a study may have."""

    code = "source.too-many-files"


class UnsafeArchiveError(SourceError):
    """An archive has an entry that would be written outside its folder, or is no plain file."""

    code = "source.unsafe-archive"


class ArchiveTooLargeError(SourceError):
    """An archive unpacks to more bytes or files than a study may have."""

    code = "source.archive-too-large"


class DamagedArchiveError(SourceError):
    """An archive cannot be unpacked: cut short, a wrong checksum, encrypted or of an unknown method."""

    code = "source.archive-damaged"


class NiftiError(SourceError):
    """A NIfTI file cannot be read as one three-dimensional volume."""

    code = "source.nifti"


class InstanceError(ZweitblickError):
    """One instance is unusable."""

    code = "instance"


class DamagedInstanceError(InstanceError):
    """An instance is cut short or lacks what its SOP class requires."""

    code = "instance.damaged"


class PixelDecodeError(InstanceError):
    """Pixel data does not decode to the size that its header announces."""

    code = "instance.pixel-decode"


class TransferSyntaxError(InstanceError):
    """No decoder for this transfer syntax is installed."""

    code = "instance.transfer-syntax"


class NotDeidentifiableError(InstanceError):
    """An instance may show or tell names where nobody looks for them."""

    code = "instance.not-deidentifiable"


class SeriesError(ZweitblickError):
    """A series is not a volume that may be read.

    Parameters
    ----------
    message
        Names the series by number, the offending value, and what to do.
    series_uid
        Series Instance UID for programs; it is never part of the message.
    """

    code = "series"

    def __init__(self, message: str, *, series_uid: str = "") -> None:
        super().__init__(message)
        self.series_uid = series_uid


class NotMRError(SeriesError):
    """The modality is not MR."""

    code = "series.not-mr"


class SecondaryCaptureError(SeriesError):
    """The series is a secondary capture, a screenshot or other derived picture."""

    code = "series.secondary-capture"


class LocalizerError(SeriesError):
    """The series is a localizer."""

    code = "series.localizer"


class NoPixelDataError(SeriesError):
    """The series holds no pixel data."""

    code = "series.no-pixel-data"


class MissingGeometryError(SeriesError):
    """Position, orientation or pixel spacing is absent or not finite."""

    code = "series.missing-geometry"


class DuplicatePositionError(SeriesError):
    """Two slices lie at one place and nothing tells which to take."""

    code = "series.duplicate-position"


class MissingSliceError(SeriesError):
    """A gap is a whole multiple of the slice distance."""

    code = "series.missing-slice"


class UnevenSpacingError(SeriesError):
    """Slice distances differ by more than the tolerance."""

    code = "series.uneven-spacing"


class MixedOrientationError(SeriesError):
    """Slices are not parallel."""

    code = "series.mixed-orientation"


class MixedMatrixError(SeriesError):
    """Slices differ in rows, columns or pixel spacing."""

    code = "series.mixed-matrix"


class NotAVolumeError(SeriesError):
    """Too few slices, or no stack of planes at all."""

    code = "series.not-a-volume"


class StudyError(ZweitblickError):
    """The study as a whole cannot be read."""

    code = "study"


class MixedPatientsError(StudyError):
    """Instances of more than one patient."""

    code = "study.mixed-patients"


class MixedStudiesError(StudyError):
    """Instances of more than one study."""

    code = "study.mixed-studies"


class MissingSequenceError(StudyError):
    """Neither T1 with contrast nor FLAIR is there."""

    code = "study.missing-sequence"


class StudyTooLargeError(StudyError):
    """A study is larger than one that is read may be."""

    code = "study.too-large"


class NotAHeadError(StudyError):
    """No brain is in the picture."""

    code = "study.not-a-head"


class MismatchedInstanceError(InstanceError):
    """Data set, request and presentation context do not name the same SOP class and instance."""

    code = "instance.mismatched"


class ForeignResultError(InstanceError):
    """An instance is a result of another zweitblick, and not an image to read."""

    code = "instance.foreign-result"


class InstanceTooLargeError(InstanceError):
    """A data set is longer than one may be."""

    code = "instance.too-large"
