"""Samples that several tests read and none changes: each is written once in a run, whichever process asks first."""

import fcntl
import hashlib
import pickle
from collections.abc import Callable
from pathlib import Path

from zweitblick.sample import SampleSpec, SampleTruth, write_sample

Written = Callable[[SampleSpec], SampleTruth]
"""Gives the sample of a spec, written before or now."""


def written_in(room: Path) -> Written:
    """Return what writes samples below a folder that all processes of a run share."""

    def written(spec: SampleSpec) -> SampleTruth:
        folder = room / hashlib.sha256(repr(spec).encode()).hexdigest()[:16]
        folder.mkdir(parents=True, exist_ok=True)
        known = folder / "truth.pickle"
        with (folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not known.exists():
                known.write_bytes(pickle.dumps(write_sample(folder / "study", spec=spec)))
        return pickle.loads(known.read_bytes())  # noqa: S301 -- ours, of this run

    return written
