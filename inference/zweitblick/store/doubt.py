"""Doubt: files of which nobody knows whether rows name them, since the database was lost as it took these."""

import threading
from collections import defaultdict
from collections.abc import Collection


class Doubt:
    """Files that rows of a round may name; for several threads at once. `zweitblick.store.results` resolves it.

    It ends with the process; what is left then is swept at the next start.
    """

    def __init__(self) -> None:
        self._files: defaultdict[str, set[str]] = defaultdict(set)
        self._lock = threading.Lock()

    def note(self, round_id: str, files: Collection[str]) -> None:
        """Take note that rows of a round may name these files."""
        with self._lock:
            self._files[round_id].update(files)

    def of(self, round_id: str) -> set[str]:
        """Return the files that rows of a round may name."""
        with self._lock:
            return set(self._files.get(round_id, ()))

    def end(self, round_id: str, files: Collection[str]) -> None:
        """Take note that it is known of these files by now."""
        with self._lock:
            self._files[round_id].difference_update(files)
            if not self._files[round_id]:
                del self._files[round_id]
