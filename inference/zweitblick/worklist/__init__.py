"""Work items: Unified Procedure Steps (PS3.4 annex CC) that ask for a reading, and whoever performs them."""

from zweitblick.worklist.inputs import Inputs
from zweitblick.worklist.notices import Notices
from zweitblick.worklist.performer import Performer
from zweitblick.worklist.worklist import Worklist

__all__ = ["Inputs", "Notices", "Performer", "Worklist"]
