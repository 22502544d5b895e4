"""What we call ourselves in associations and files (PS3.7 annex D.3.3.2, PS3.10 section 7.1)."""

from pydicom.uid import UID

from zweitblick import __version__
from zweitblick.reading import UID_ROOT

IMPLEMENTATION_CLASS_UID = UID(UID_ROOT)
"""Names this implementation."""

IMPLEMENTATION_VERSION = f"ZWEITBLICK_{__version__}"[:16]
