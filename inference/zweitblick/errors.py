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


class NotAHeadError(StudyError):
    """No brain is in the picture."""

    code = "study.not-a-head"


class GeometryError(ZweitblickError):
    """An affine is singular, not finite or of the wrong shape."""

    code = "volume.geometry"


class VoxelError(ZweitblickError):
    """Voxels are not finite or do not fit their grid."""

    code = "volume.voxels"


class RegistrationError(ZweitblickError):
    """Two volumes could not be aligned plausibly."""

    code = "register.failed"


class BundleError(ZweitblickError):
    """A model bundle is unusable."""

    code = "bundle"


class BundleMissingError(BundleError):
    """A bundle, or a file that it must hold, is absent."""

    code = "bundle.missing"


class BundleDamagedError(BundleError):
    """A bundle's digest or self-test does not match."""

    code = "bundle.damaged"


class ProviderError(BundleError):
    """The runtime does not run on the device that it was installed for."""

    code = "bundle.provider"


class VaultError(ZweitblickError):
    """Something cannot be sealed or opened; no message holds a key, a plaintext, or the name of a study or object."""

    code = "vault"


class SealVersionError(VaultError):
    """Data do not begin with the mark of a sealed object."""

    code = "vault.seal-version"


class SealBrokenError(VaultError):
    """A sealed object was changed or cut, belongs elsewhere, or was sealed with another key."""

    code = "vault.seal-broken"


class SinkError(VaultError):
    """Sealed bytes were not taken whole by what they were written to."""

    code = "vault.sink"


class DataKeyError(VaultError):
    """A data key is of the wrong size."""

    code = "vault.data-key"


class KeyUnwrapError(VaultError):
    """A wrapped data key was changed, or is another than it is said to be."""

    code = "vault.key-unwrap"


class UnknownKekError(VaultError):
    """A data key was wrapped with a key-encryption key that this holder does not have."""

    code = "vault.kek-unknown"


class KeyHolderError(VaultError):
    """A key holder cannot be used."""

    code = "vault.key-holder"


class StoreError(ZweitblickError):
    """Something cannot be kept or found; messages name studies and objects by the store's own random ids."""

    code = "store"


class StoreFullError(StoreError):
    """No room is left where objects or rows are written; nothing of what was refused is kept."""

    code = "store.full"


class StoreUnavailableError(StoreError):
    """The database or the folder of objects cannot be reached, or the store is closed; try again later."""

    code = "store.unavailable"


class StoreVersionError(StoreError):
    """The database was brought to a version that this release does not know."""

    code = "store.version"


class StoreDamagedError(StoreError):
    """A file that a row names is gone or too short."""

    code = "store.damaged"


class StoreKeyError(StoreError):
    """A wrapped key is not where the store keeps them: the study was shredded, or the place is another store's."""

    code = "store.key-missing"


class UnknownStudyError(StoreError):
    """No such study is kept."""

    code = "store.study-unknown"


class UnknownRoundError(StoreError):
    """No such round of a study is kept."""

    code = "store.round-unknown"


class UnknownObjectError(StoreError):
    """No such object is kept."""

    code = "store.object-unknown"


class ResultChangedError(StoreError):
    """A result of the same name and other content was kept before."""

    code = "store.result-changed"


class EventError(StoreError):
    """An event cannot happen in the state that a study is in."""

    code = "store.event"


class ActorError(StoreError):
    """An event can happen, but not by this actor."""

    code = "store.actor"


class SampleError(ZweitblickError):
    """The tissue maps of the synthetic study are not installed."""

    code = "sample.templates-missing"


class OutputError(ZweitblickError):
    """A result cannot be written where it was asked for."""

    code = "output.not-writable"
