"""Every error that zweitblick raises on purpose, as one tree with stable codes.

::

    ZweitblickError
    ├── SourceError                     what was handed in cannot be opened
    │   ├── SourceMissingError          source.missing
    │   ├── NoDicomError                source.no-dicom
    │   ├── TooManyFilesError           source.too-many-files
    │   ├── UnsafeArchiveError          source.unsafe-archive
    │   ├── ArchiveTooLargeError        source.archive-too-large
    │   ├── DamagedArchiveError         source.archive-damaged
    │   └── NiftiError                  source.nifti
    ├── InstanceError                   one instance is unusable
    │   ├── DamagedInstanceError        instance.damaged
    │   ├── PixelDecodeError            instance.pixel-decode
    │   └── TransferSyntaxError         instance.transfer-syntax
    ├── SeriesError                     a series is no volume we may read
    │   ├── NotMRError                  series.not-mr
    │   ├── SecondaryCaptureError       series.secondary-capture
    │   ├── LocalizerError              series.localizer
    │   ├── NoPixelDataError            series.no-pixel-data
    │   ├── MissingGeometryError        series.missing-geometry
    │   ├── DuplicatePositionError      series.duplicate-position
    │   ├── MissingSliceError           series.missing-slice
    │   ├── UnevenSpacingError          series.uneven-spacing
    │   ├── MixedOrientationError       series.mixed-orientation
    │   ├── MixedMatrixError            series.mixed-matrix
    │   └── NotAVolumeError             series.not-a-volume
    ├── StudyError                      the study as a whole cannot be read
    │   ├── MixedPatientsError          study.mixed-patients
    │   ├── MixedStudiesError           study.mixed-studies
    │   ├── MissingSequenceError        study.missing-sequence
    │   └── NotAHeadError               study.not-a-head
    ├── GeometryError                   volume.geometry
    ├── VoxelError                      volume.voxels
    ├── RegistrationError               register.failed
    ├── BundleError                     a model bundle is unusable
    │   ├── BundleMissingError          bundle.missing
    │   ├── BundleDamagedError          bundle.damaged
    │   └── ProviderError               bundle.provider
    ├── VaultError                      something cannot be sealed or opened
    │   ├── SealVersionError            vault.seal-version
    │   ├── SealBrokenError             vault.seal-broken
    │   ├── SinkError                   vault.sink
    │   ├── DataKeyError                vault.data-key
    │   ├── KeyUnwrapError              vault.key-unwrap
    │   ├── UnknownKekError             vault.kek-unknown
    │   └── KeyHolderError              vault.key-holder
    ├── StoreError                      something cannot be kept or found
    │   ├── StoreFullError              store.full
    │   ├── StoreUnavailableError       store.unavailable
    │   ├── StoreVersionError           store.version
    │   ├── StoreDamagedError           store.damaged
    │   ├── StoreKeyError               store.key-missing
    │   ├── UnknownStudyError           store.study-unknown
    │   ├── UnknownRoundError           store.round-unknown
    │   ├── UnknownObjectError          store.object-unknown
    │   ├── ResultChangedError          store.result-changed
    │   ├── EventError                  store.event
    │   └── ActorError                  store.actor
    ├── SampleError                     sample.templates-missing
    └── OutputError                     output.not-writable

The message names the offending value and what to do, and never an attribute that PS3.15 Table E.1-1 lists:
a series is named by its Series Number (0020,0011), an instance by its Instance Number (0020,0013).
"""

from typing import ClassVar


class ZweitblickError(Exception):
    """Root of the tree; ``code`` is stable and shared by command line, HTTP, audit and UI."""

    code: ClassVar[str] = "zweitblick"

    def __init_subclass__(cls, *, code: str) -> None:
        """Give a class its code, without which there is none."""
        super().__init_subclass__()
        cls.code = code


class SourceError(ZweitblickError, code="source"):
    """What was handed in cannot be opened."""


class SourceMissingError(SourceError, code="source.missing"):
    """No file or folder is at the given path."""


class NoDicomError(SourceError, code="source.no-dicom"):
    """Not one DICOM instance was found."""


class TooManyFilesError(SourceError, code="source.too-many-files"):
    """More files than a study may have."""


class UnsafeArchiveError(SourceError, code="source.unsafe-archive"):
    """An archive has an entry that would be written outside its folder, or is no plain file."""


class ArchiveTooLargeError(SourceError, code="source.archive-too-large"):
    """An archive unpacks to more bytes or files than a study may have."""


class DamagedArchiveError(SourceError, code="source.archive-damaged"):
    """An archive cannot be unpacked: cut short, a wrong checksum, encrypted or of an unknown method."""


class NiftiError(SourceError, code="source.nifti"):
    """A NIfTI file cannot be read as one three-dimensional volume."""


class InstanceError(ZweitblickError, code="instance"):
    """One instance is unusable."""


class DamagedInstanceError(InstanceError, code="instance.damaged"):
    """An instance is cut short or lacks what its SOP class requires."""


class PixelDecodeError(InstanceError, code="instance.pixel-decode"):
    """Pixel data does not decode to the size that its header announces."""


class TransferSyntaxError(InstanceError, code="instance.transfer-syntax"):
    """No decoder for this transfer syntax is installed."""


class SeriesError(ZweitblickError, code="series"):
    """A series is not a volume that may be read.

    Parameters
    ----------
    message
        Names the series by number, the offending value, and what to do.
    series_uid
        Series Instance UID for programs; it is never part of the message.
    """

    def __init__(self, message: str, *, series_uid: str = "") -> None:
        super().__init__(message)
        self.series_uid = series_uid


class NotMRError(SeriesError, code="series.not-mr"):
    """The modality is not MR."""


class SecondaryCaptureError(SeriesError, code="series.secondary-capture"):
    """The series is a secondary capture, a screenshot or other derived picture."""


class LocalizerError(SeriesError, code="series.localizer"):
    """The series is a localizer."""


class NoPixelDataError(SeriesError, code="series.no-pixel-data"):
    """The series holds no pixel data."""


class MissingGeometryError(SeriesError, code="series.missing-geometry"):
    """Position, orientation or pixel spacing is absent or not finite."""


class DuplicatePositionError(SeriesError, code="series.duplicate-position"):
    """Two slices lie at one place and nothing tells which to take."""


class MissingSliceError(SeriesError, code="series.missing-slice"):
    """A gap is a whole multiple of the slice distance."""


class UnevenSpacingError(SeriesError, code="series.uneven-spacing"):
    """Slice distances differ by more than the tolerance."""


class MixedOrientationError(SeriesError, code="series.mixed-orientation"):
    """Slices are not parallel."""


class MixedMatrixError(SeriesError, code="series.mixed-matrix"):
    """Slices differ in rows, columns or pixel spacing."""


class NotAVolumeError(SeriesError, code="series.not-a-volume"):
    """Too few slices, or no stack of planes at all."""


class StudyError(ZweitblickError, code="study"):
    """The study as a whole cannot be read."""


class MixedPatientsError(StudyError, code="study.mixed-patients"):
    """Instances of more than one patient."""


class MixedStudiesError(StudyError, code="study.mixed-studies"):
    """Instances of more than one study."""


class MissingSequenceError(StudyError, code="study.missing-sequence"):
    """Neither T1 with contrast nor FLAIR is there."""


class NotAHeadError(StudyError, code="study.not-a-head"):
    """No brain is in the picture."""


class GeometryError(ZweitblickError, code="volume.geometry"):
    """An affine is singular, not finite or of the wrong shape."""


class VoxelError(ZweitblickError, code="volume.voxels"):
    """Voxels are not finite or do not fit their grid."""


class RegistrationError(ZweitblickError, code="register.failed"):
    """Two volumes could not be aligned plausibly."""


class BundleError(ZweitblickError, code="bundle"):
    """A model bundle is unusable."""


class BundleMissingError(BundleError, code="bundle.missing"):
    """A bundle, or a file that it must hold, is absent."""


class BundleDamagedError(BundleError, code="bundle.damaged"):
    """A bundle's digest or self-test does not match."""


class ProviderError(BundleError, code="bundle.provider"):
    """The runtime does not run on the device that it was installed for."""


class VaultError(ZweitblickError, code="vault"):
    """Something cannot be sealed or opened; no message holds a key, a plaintext, or the name of a study or object."""


class SealVersionError(VaultError, code="vault.seal-version"):
    """Data do not begin with the mark of a sealed object."""


class SealBrokenError(VaultError, code="vault.seal-broken"):
    """A sealed object was changed or cut, belongs elsewhere, or was sealed with another key."""


class SinkError(VaultError, code="vault.sink"):
    """Sealed bytes were not taken whole by what they were written to."""


class DataKeyError(VaultError, code="vault.data-key"):
    """A data key is of the wrong size."""


class KeyUnwrapError(VaultError, code="vault.key-unwrap"):
    """A wrapped data key was changed, or is another than it is said to be."""


class UnknownKekError(VaultError, code="vault.kek-unknown"):
    """A data key was wrapped with a key-encryption key that this holder does not have."""


class KeyHolderError(VaultError, code="vault.key-holder"):
    """A key holder cannot be used."""


class StoreError(ZweitblickError, code="store"):
    """Something cannot be kept or found; messages name studies and objects by the store's own random ids."""


class StoreFullError(StoreError, code="store.full"):
    """No room is left where objects or rows are written; nothing of what was refused is kept."""


class StoreUnavailableError(StoreError, code="store.unavailable"):
    """The database or the folder of objects cannot be reached, or the store is closed; try again later."""


class StoreVersionError(StoreError, code="store.version"):
    """The database was brought to a version that this release does not know."""


class StoreDamagedError(StoreError, code="store.damaged"):
    """A file that a row names is gone or too short."""


class StoreKeyError(StoreError, code="store.key-missing"):
    """A wrapped key is not where the store keeps them: the study was shredded, or the place is another store's."""


class UnknownStudyError(StoreError, code="store.study-unknown"):
    """No such study is kept."""


class UnknownRoundError(StoreError, code="store.round-unknown"):
    """No such round of a study is kept."""


class UnknownObjectError(StoreError, code="store.object-unknown"):
    """No such object is kept."""


class ResultChangedError(StoreError, code="store.result-changed"):
    """A result of the same name and other content was kept before."""


class EventError(StoreError, code="store.event"):
    """An event cannot happen in the state that a study is in."""


class ActorError(StoreError, code="store.actor"):
    """An event can happen, but not by this actor."""


class SampleError(ZweitblickError, code="sample.templates-missing"):
    """The tissue maps of the synthetic study are not installed."""


class OutputError(ZweitblickError, code="output.not-writable"):
    """A result cannot be written where it was asked for."""
