"""Information models of Query/Retrieve (PS3.4 table C.6.2.3-1)."""

from pydicom.uid import UID

STUDY_ROOT_FIND = UID("1.2.840.10008.5.1.4.1.2.2.1")
STUDY_ROOT_MOVE = UID("1.2.840.10008.5.1.4.1.2.2.2")
