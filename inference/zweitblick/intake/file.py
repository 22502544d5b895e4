"""IncomingFile: one file of an upload as it comes, and how it becomes an instance that is kept."""

from zweitblick.dicom.file import PREAMBLE_BYTES, PREFIX, begins_as_file, data_set_of
from zweitblick.dicom.identity import identity
from zweitblick.errors import DamagedInstanceError, InstanceTooLargeError
from zweitblick.store.received import ReceivedInstance

LARGEST_INSTANCE_BYTES = 2**30
"""As over DIMSE (`zweitblick.dimse.config.ListenerConfig`)."""

_HEAD_BYTES = PREAMBLE_BYTES + len(PREFIX)
_LONGEST_META_BYTES = 2**20
"""The data set begins before this, or the file is refused."""


class IncomingFile:
    """Takes the bytes of a file; of what cannot become an instance no more than its head stays in memory.

    Parameters
    ----------
    most
        Bytes of the largest instance.
    """

    def __init__(self, *, most: int = LARGEST_INSTANCE_BYTES) -> None:
        self._most = most
        self._content = bytearray()
        self._size = 0

    def write(self, piece: bytes) -> None:
        """Take some bytes."""
        self._size += len(piece)
        if self._size > self._most:
            self._content.clear()
        elif len(self._content) < _HEAD_BYTES or begins_as_file(self._content):
            self._content += piece

    def instance(self) -> ReceivedInstance:
        """Return the instance that the file is, its data set as it came; once, after which nothing is held.

        Raises
        ------
        InstanceTooLargeError
            If it is larger than allowed.
        DamagedInstanceError
            If it is no DICOM file, or one that does not say which instance it is.
        """
        if self._size > self._most:
            raise InstanceTooLargeError(f"the file is longer than {self._most} bytes; split the instance")
        syntax, start = data_set_of(bytes(self._content[:_LONGEST_META_BYTES]))
        del self._content[:start]
        data, self._content = bytes(self._content), bytearray()
        return _received(data, syntax)


def _received(data: bytes, syntax: str) -> ReceivedInstance:
    if not data:
        raise DamagedInstanceError("the file ends with its file meta information; send it again")
    found = identity(data, syntax)
    return ReceivedInstance(
        sop_class_uid=found.sop_class_uid,
        sop_instance_uid=found.sop_instance_uid,
        transfer_syntax_uid=syntax,
        study_instance_uid=found.study_instance_uid,
        series_instance_uid=found.series_instance_uid,
        calling_ae_title="",
        data=data,
        patient_id=found.patient_id,
    )
