"""MR: which storage classes may hold what is read."""

from pydicom.uid import (
    UID,
    EnhancedMRColorImageStorage,
    EnhancedMRImageStorage,
    LegacyConvertedEnhancedMRImageStorage,
    MRImageStorage,
)

MR = frozenset(
    {MRImageStorage, EnhancedMRImageStorage, EnhancedMRColorImageStorage, LegacyConvertedEnhancedMRImageStorage}
)


def may_be_mr(sop_class_uid: str) -> bool:
    """Whether a storage class is one of MR, or private, which older scanners use for MR as well."""
    # a name of pydicom's dictionary, of PS3.6 annex A; of a UID that is not there it is the UID itself
    return sop_class_uid in MR or UID(sop_class_uid).name == sop_class_uid
