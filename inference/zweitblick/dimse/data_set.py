"""The data set of a request that is not an instance: what is reported, or told of a procedure step."""

from io import BytesIO

from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset
from pydicom.uid import UID
from pynetdicom.presentation import PresentationContext

from zweitblick.dicom.header import DAMAGE, quietly
from zweitblick.dimse.messages import Request
from zweitblick.errors import DamagedInstanceError, InstanceTooLargeError

LONGEST_BYTES = 2**22
"""Longest data set that is read: of a list of instances, some 40,000."""


def data_set_of(request: Request, context: PresentationContext) -> Dataset:
    """Read the data set of a request; whoever reads its values does so `zweitblick.dicom.header.quietly`.

    Raises
    ------
    InstanceTooLargeError
        If it is longer than `LONGEST_BYTES`.
    ReceptionFullError
        If there was no room for it.
    DamagedInstanceError
        If there is none, or it cannot be read.
    """
    if request.data is None:
        raise DamagedInstanceError("a request came without a data set; repair its sender")
    data, syntax = request.data.content(), UID(str(context.transfer_syntax[0]))
    if len(data) > LONGEST_BYTES:
        raise InstanceTooLargeError(f"the data set of a request is longer than {LONGEST_BYTES} bytes; split it")
    with quietly():
        try:
            return read_dataset(BytesIO(data), syntax.is_implicit_VR, syntax.is_little_endian)
        except (*DAMAGE, OSError) as error:  # pydicom raises OSError where a sequence is cut short
            raise DamagedInstanceError("the data set of a request cannot be read; repair its sender") from error
