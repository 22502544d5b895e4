"""What we call ourselves in associations and files (PS3.7 annex D.3.3.2, PS3.10 section 7.1)."""

from pydicom.uid import UID

from zweitblick import __version__

IMPLEMENTATION_CLASS_UID = UID("2.25.298649289080942495299109555870077124952")
"""Names this implementation; drawn once by UUID (PS3.5 B.2)."""

IMPLEMENTATION_VERSION = f"ZWEITBLICK_{__version__}"[:16]
