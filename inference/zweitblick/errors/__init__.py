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
    │   ├── TransferSyntaxError         instance.transfer-syntax
    │   ├── MismatchedInstanceError     instance.mismatched
    │   ├── InstanceTooLargeError       instance.too-large
    │   ├── ForeignResultError          instance.foreign-result
    │   └── NotDeidentifiableError      instance.not-deidentifiable
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
    │   ├── StudyTooLargeError          study.too-large
    │   └── NotAHeadError               study.not-a-head
    ├── GeometryError                   volume.geometry
    ├── VoxelError                      volume.voxels
    ├── RegistrationError               register.failed
    ├── PriorError                      an earlier reading cannot be used
    │   ├── PriorDamagedError           prior.damaged
    │   ├── PriorVersionError           prior.version
    │   ├── PriorMismatchError          prior.mismatched
    │   ├── PriorPartialError           prior.partial
    │   ├── PriorPatientError           prior.other-patient
    │   └── PriorOrderError             prior.order
    ├── BundleError                     a model bundle is unusable
    │   ├── BundleMissingError          bundle.missing
    │   ├── BundleUnsignedError         bundle.unsigned
    │   ├── BundleDamagedError          bundle.damaged
    │   └── ProviderError               bundle.provider
    ├── VaultError                      something cannot be sealed or opened
    │   ├── SealVersionError            vault.seal-version
    │   ├── SealBrokenError             vault.seal-broken
    │   ├── SinkError                   vault.sink
    │   ├── DataKeyError                vault.data-key
    │   ├── KeyUnwrapError              vault.key-unwrap
    │   ├── UnknownKekError             vault.kek-unknown
    │   ├── KeyHolderError              vault.key-holder
    │   ├── KekInUseError               vault.kek-in-use
    │   └── ShareError                  vault.share
    ├── AuditError                      something cannot be put on record, or a record is not as it was
    │   ├── AuditWriteError             audit.write
    │   ├── AuditReadError              audit.read
    │   ├── TrailBrokenError            audit.broken
    │   ├── HeadError                   audit.head
    │   └── SyslogSettingError          audit.syslog
    ├── SigningError                    something cannot be signed, or is not what was signed
    │   ├── SigningKeyError             signing.key
    │   └── SignatureError              signing.signature
    ├── ReceiptError                    a receipt tells of something else
    │   ├── ReceiptFormatError          receipt.format
    │   └── ReceiptMismatchError        receipt.mismatch
    ├── CmsError                        something cannot be signed, enveloped or opened for others
    │   ├── CmsFormatError              cms.format
    │   ├── CmsKeyError                 cms.key
    │   ├── NotForUsError               cms.not-for-us
    │   ├── AlteredError                cms.altered
    │   ├── WrongSignerError            cms.wrong-signer
    │   ├── WeakCryptographyError       cms.weak
    │   ├── CertificateExpiredError     cms.expired
    │   ├── CertificateNotYetValidError cms.not-yet-valid
    │   └── KeyUsageError               cms.key-usage
    ├── NotConfirmedError               keys.not-confirmed
    ├── RotationRunningError            keys.rotation-running
    ├── NetworkError                    a request to a network was not answered
    │   ├── NetworkMemoryError          network.memory
    │   ├── NetworkDeadlineError        network.deadline
    │   ├── NetworkCancelledError       network.cancelled
    │   └── NetworkClosedError          network.closed
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
    ├── WorkitemError                   a request about a work item is refused
    │   ├── WorkitemContentError        workitem.content
    │   ├── WorkitemQueryError          workitem.query
    │   ├── UnknownWorkitemError        workitem.unknown
    │   ├── WorkitemExistsError         workitem.exists
    │   ├── WorkitemStateError          workitem.state
    │   └── TransactionError            workitem.transaction
    ├── ProcedureStepError              what a modality tells of its work is refused
    │   ├── StepUidError                step.uid
    │   ├── StepAttributeError          step.attribute
    │   ├── StepValueError              step.value
    │   ├── StepExistsError             step.exists
    │   ├── UnknownStepError            step.unknown
    │   └── StepEndedError              step.ended
    ├── PeerError                       a destination has not acknowledged what was sent
    │   ├── PeerUnreachableError        peer.unreachable
    │   ├── PeerTimeoutError            peer.timeout
    │   ├── PeerBrokenOffError          peer.broken-off
    │   ├── PeerRejectedError           peer.rejected
    │   ├── PeerBusyError               peer.busy
    │   ├── PeerAnswerError             peer.answer
    │   ├── PeerRefusedError            peer.refused
    │   ├── PeerContextError            peer.context
    │   ├── PeerCredentialsError        peer.credentials
    │   ├── NotCommittedError           peer.not-committed
    │   └── UnknownDestinationError     peer.unknown-destination
    ├── CommitmentError                 a storage commitment report is refused
    │   ├── CommitmentInstanceError     commitment.instance
    │   └── CommitmentEventError        commitment.event
    ├── DimseSettingError               dimse.setting
    ├── ReceptionFullError              dimse.full
    ├── CertificateError                dimse.certificate
    ├── ReceiverError                   dimse.receiver
    ├── SettingsError                   settings.invalid
    ├── CheckError                      check.faults
    ├── TokenError                      http.token
    ├── RequestError                    what was asked for cannot be served as it is
    ├── AccessError                     somebody is not let in, or may not do what was asked
    │   ├── LoginError                  access.login
    │   ├── ForbiddenError              access.forbidden
    │   ├── CsrfError                   access.csrf
    │   ├── TooManyRequestsError        access.too-many
    │   ├── IdentityProviderError       access.provider
    │   └── UsersError                  access.users
    ├── RequestError                    what was asked over HTTP cannot be served as it is
    │   ├── QueryError                  request.query
    │   ├── TooManyMatchesError         request.too-many-matches
    │   ├── NoUidError                  request.no-uid
    │   ├── MalformedBodyError          request.malformed-body
    │   ├── BodyTooLargeError           request.body-too-large
    │   ├── BodyBrokenOffError          request.body-broken-off
    │   ├── UnsupportedMediaError       request.unsupported-media
    │   └── NotAcceptableError          request.not-acceptable
    ├── WorkerError                     studies are not read
    │   ├── WorkerRunningError          worker.running
    │   ├── LostTurnError               worker.lost
    │   └── BrokenOffError              worker.broken-off
    ├── SampleError                     sample.templates-missing
    └── OutputError                     output.not-writable

The message names the offending value and what to do, and never an attribute that PS3.15 Table E.1-1 lists:
a series is named by its Series Number (0020,0011), an instance by its Instance Number (0020,0013).
"""

from zweitblick.errors.access import (
    AccessError,
    CsrfError,
    ForbiddenError,
    IdentityProviderError,
    LoginError,
    TooManyRequestsError,
    UsersError,
)
from zweitblick.errors.audit import (
    AuditError,
    AuditReadError,
    AuditWriteError,
    HeadError,
    SyslogSettingError,
    TrailBrokenError,
)
from zweitblick.errors.cms import (
    AlteredError,
    CertificateExpiredError,
    CertificateNotYetValidError,
    CmsError,
    CmsFormatError,
    CmsKeyError,
    KeyUsageError,
    NotForUsError,
    WeakCryptographyError,
    WrongSignerError,
)
from zweitblick.errors.commitment import (
    CommitmentError,
    CommitmentEventError,
    CommitmentInstanceError,
)
from zweitblick.errors.dimse import (
    CertificateError,
    DimseSettingError,
    ReceiverError,
    ReceptionFullError,
)
from zweitblick.errors.keys import (
    NotConfirmedError,
    RotationRunningError,
)
from zweitblick.errors.peers import (
    NotCommittedError,
    PeerAnswerError,
    PeerBrokenOffError,
    PeerBusyError,
    PeerContextError,
    PeerCredentialsError,
    PeerError,
    PeerRefusedError,
    PeerRejectedError,
    PeerTimeoutError,
    PeerUnreachableError,
    UnknownDestinationError,
)
from zweitblick.errors.prior import (
    PriorDamagedError,
    PriorError,
    PriorMismatchError,
    PriorOrderError,
    PriorPartialError,
    PriorPatientError,
    PriorVersionError,
)
from zweitblick.errors.procedure_steps import (
    ProcedureStepError,
    StepAttributeError,
    StepEndedError,
    StepExistsError,
    StepUidError,
    StepValueError,
    UnknownStepError,
)
from zweitblick.errors.reading import (
    BundleDamagedError,
    BundleError,
    BundleMissingError,
    BundleUnsignedError,
    GeometryError,
    NetworkCancelledError,
    NetworkClosedError,
    NetworkDeadlineError,
    NetworkError,
    NetworkMemoryError,
    OutputError,
    ProviderError,
    RegistrationError,
    SampleError,
    VoxelError,
)
from zweitblick.errors.request import (
    BodyBrokenOffError,
    BodyTooLargeError,
    MalformedBodyError,
    NotAcceptableError,
    NoUidError,
    QueryError,
    RequestError,
    TooManyMatchesError,
    UnsupportedMediaError,
)
from zweitblick.errors.root import (
    ZweitblickError,
)
from zweitblick.errors.service import (
    BrokenOffError,
    CheckError,
    LostTurnError,
    SettingsError,
    TokenError,
    WorkerError,
    WorkerRunningError,
)
from zweitblick.errors.signing import (
    ReceiptError,
    ReceiptFormatError,
    ReceiptMismatchError,
    SignatureError,
    SigningError,
    SigningKeyError,
)
from zweitblick.errors.store import (
    ActorError,
    EventError,
    ResultChangedError,
    StoreDamagedError,
    StoreError,
    StoreFullError,
    StoreKeyError,
    StoreUnavailableError,
    StoreVersionError,
    UnknownObjectError,
    UnknownRoundError,
    UnknownStudyError,
)
from zweitblick.errors.study import (
    ArchiveTooLargeError,
    DamagedArchiveError,
    DamagedInstanceError,
    DuplicatePositionError,
    ForeignResultError,
    InstanceError,
    InstanceTooLargeError,
    LocalizerError,
    MismatchedInstanceError,
    MissingGeometryError,
    MissingSequenceError,
    MissingSliceError,
    MixedMatrixError,
    MixedOrientationError,
    MixedPatientsError,
    MixedStudiesError,
    NiftiError,
    NoDicomError,
    NoPixelDataError,
    NotAHeadError,
    NotAVolumeError,
    NotDeidentifiableError,
    NotMRError,
    PixelDecodeError,
    SecondaryCaptureError,
    SeriesError,
    SourceError,
    SourceMissingError,
    StudyError,
    StudyTooLargeError,
    TooManyFilesError,
    TransferSyntaxError,
    UnevenSpacingError,
    UnsafeArchiveError,
)
from zweitblick.errors.vault import (
    DataKeyError,
    KekInUseError,
    KeyHolderError,
    KeyUnwrapError,
    SealBrokenError,
    SealVersionError,
    ShareError,
    SinkError,
    UnknownKekError,
    VaultError,
)
from zweitblick.errors.worklist import (
    TransactionError,
    UnknownWorkitemError,
    WorkitemContentError,
    WorkitemError,
    WorkitemExistsError,
    WorkitemQueryError,
    WorkitemStateError,
)

# fmt: off
__all__ = [
    "AccessError", "ActorError", "AlteredError", "ArchiveTooLargeError", "AuditError", "AuditReadError",
    "AuditWriteError", "BodyBrokenOffError", "BodyTooLargeError", "BrokenOffError", "BundleDamagedError",
    "BundleError", "BundleMissingError", "BundleUnsignedError", "CertificateError", "CertificateExpiredError",
    "CertificateNotYetValidError", "CheckError", "CmsError", "CmsFormatError", "CmsKeyError", "CommitmentError",
    "CommitmentEventError", "CommitmentInstanceError", "CsrfError", "DamagedArchiveError", "DamagedInstanceError",
    "DataKeyError", "DimseSettingError", "DuplicatePositionError", "EventError", "ForbiddenError",
    "ForeignResultError", "GeometryError", "HeadError", "IdentityProviderError", "InstanceError",
    "InstanceTooLargeError", "KekInUseError", "KeyHolderError", "KeyUnwrapError", "KeyUsageError", "LocalizerError",
    "LoginError", "LostTurnError", "MalformedBodyError", "MismatchedInstanceError", "MissingGeometryError",
    "MissingSequenceError", "MissingSliceError", "MixedMatrixError", "MixedOrientationError", "MixedPatientsError",
    "MixedStudiesError", "NetworkCancelledError", "NetworkClosedError", "NetworkDeadlineError", "NetworkError",
    "NetworkMemoryError", "NiftiError", "NoDicomError", "NoPixelDataError", "NoUidError", "NotAHeadError",
    "NotAVolumeError", "NotAcceptableError", "NotCommittedError", "NotConfirmedError", "NotDeidentifiableError",
    "NotForUsError", "NotMRError", "OutputError", "PeerAnswerError", "PeerBrokenOffError", "PeerBusyError",
    "PeerContextError", "PeerCredentialsError", "PeerError", "PeerRefusedError", "PeerRejectedError",
    "PeerTimeoutError", "PeerUnreachableError", "PixelDecodeError", "PriorDamagedError", "PriorError",
    "PriorMismatchError", "PriorOrderError", "PriorPartialError", "PriorPatientError", "PriorVersionError",
    "ProcedureStepError", "ProviderError", "QueryError", "ReceiptError", "ReceiptFormatError",
    "ReceiptMismatchError", "ReceiverError", "ReceptionFullError", "RegistrationError", "RequestError",
    "ResultChangedError", "RotationRunningError", "SampleError", "SealBrokenError", "SealVersionError",
    "SecondaryCaptureError", "SeriesError", "SettingsError", "ShareError", "SignatureError", "SigningError",
    "SigningKeyError", "SinkError", "SourceError", "SourceMissingError", "StepAttributeError", "StepEndedError",
    "StepExistsError", "StepUidError", "StepValueError", "StoreDamagedError", "StoreError", "StoreFullError",
    "StoreKeyError", "StoreUnavailableError", "StoreVersionError", "StudyError", "StudyTooLargeError",
    "SyslogSettingError", "TokenError", "TooManyFilesError", "TooManyMatchesError", "TooManyRequestsError",
    "TrailBrokenError", "TransactionError", "TransferSyntaxError", "UnevenSpacingError", "UnknownDestinationError",
    "UnknownKekError", "UnknownObjectError", "UnknownRoundError", "UnknownStepError", "UnknownStudyError",
    "UnknownWorkitemError", "UnsafeArchiveError", "UnsupportedMediaError", "UsersError", "VaultError", "VoxelError",
    "WeakCryptographyError", "WorkerError", "WorkerRunningError", "WorkitemContentError", "WorkitemError",
    "WorkitemExistsError", "WorkitemQueryError", "WorkitemStateError", "WrongSignerError", "ZweitblickError",
]
# fmt: on
