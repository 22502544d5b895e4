"""A DICOM file (PS3.10 section 7.1) taken apart: how its data set is encoded, and where it begins."""

import io

from pydicom.filereader import read_dataset

from zweitblick.dicom.header import DAMAGE, quietly, text
from zweitblick.errors import DamagedInstanceError

PREAMBLE_BYTES = 128
PREFIX = b"DICM"


def begins_as_file(head: bytes | bytearray) -> bool:
    """Tell whether preamble and prefix are there; ``head`` has 132 bytes or more."""
    return head[PREAMBLE_BYTES : PREAMBLE_BYTES + len(PREFIX)] == PREFIX


def data_set_of(file: bytes) -> tuple[str, int]:
    """Find the data set of a DICOM file, and look at nothing within it.

    Returns
    -------
    tuple
        Transfer Syntax UID (0002,0010), and the place of the data set's first byte.

    Raises
    ------
    DamagedInstanceError
        If this is no DICOM file, or its file meta information does not say how the data set is encoded.
    """
    if not begins_as_file(file):
        raise DamagedInstanceError("this is no DICOM file; send files with preamble and prefix (PS3.10)")
    stream = io.BytesIO(file)
    stream.seek(PREAMBLE_BYTES + len(PREFIX))
    try:
        with quietly():
            meta = read_dataset(
                stream, is_implicit_VR=False, is_little_endian=True, stop_when=lambda tag, _vr, _n: tag >> 16 != 2
            )
            syntax = text(meta, "TransferSyntaxUID")
    except DAMAGE as error:
        raise DamagedInstanceError(
            f"the file meta information is damaged ({type(error).__name__}); send the file again"
        ) from error
    if not syntax:
        raise DamagedInstanceError("the file meta information has no (0002,0010) Transfer Syntax UID; repair the file")
    return syntax, stream.tell()
