"""De-identified images as files, and the secret that makes their pseudonyms."""

import os
import secrets
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from zweitblick.dicom.deidentify import KEY_BYTES, Pseudonyms, deidentified
from zweitblick.errors import DamagedInstanceError, NoDicomError, NotDeidentifiableError, OutputError


def pseudonyms_of(path: Path) -> Pseudonyms:
    """Read the secret of a file, which is made if it is not there, for its owner alone.

    Raises
    ------
    OutputError
        If it can be neither read nor made, or is something else.
    """
    try:
        if not path.exists():
            with open(path, "xb", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
                file.write(secrets.token_bytes(KEY_BYTES))
        key = path.read_bytes()
    except OSError as error:
        raise OutputError(f"{path} can be neither read nor made ({error.strerror}); give another --key") from error
    if len(key) != KEY_BYTES:
        raise OutputError(f"{path} has {len(key)} bytes and is no secret of pseudonyms; give another --key")
    return Pseudonyms(key)


def write_deidentified(paths: Sequence[Path], pseudonyms: Pseudonyms, folder: Path) -> dict[str, Any]:
    """Write what can be de-identified as ``patient/study/series/instance.dcm``, by their new names.

    Returns
    -------
    What was changed, how often, and what was left out, why; for `json.dumps`, without anything of a patient.

    Raises
    ------
    NoDicomError
        If nothing could be written.
    """
    changed: Counter[str] = Counter()
    left_out: Counter[str] = Counter()
    images = 0
    for path in paths:
        try:
            made = deidentified(path.read_bytes(), pseudonyms)
        except (NotDeidentifiableError, DamagedInstanceError) as error:
            left_out[str(error)] += 1
            continue
        place = folder / made.patient / made.study_uid / made.series_uid
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{made.sop_instance_uid}.dcm").write_bytes(made.file)
        changed.update({f"{keyword} {action}": count for (keyword, action), count in made.changed.items()})
        images += 1
    if not images:
        raise NoDicomError(f"none of {len(paths)} files is an MR image that can be de-identified; give others")
    return {"images": images, "left_out": dict(left_out), "changed": dict(sorted(changed.items()))}
