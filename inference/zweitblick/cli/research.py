"""De-identified images as files, and the secret that makes their pseudonyms."""

import os
import secrets
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from zweitblick.dicom.deface import defaced
from zweitblick.dicom.deidentify import KEY_BYTES, Deidentified, Pseudonyms, deidentified
from zweitblick.dicom.header import read_header, tags_of, text
from zweitblick.dicom.read import read_study
from zweitblick.errors import (
    DamagedInstanceError,
    GeometryError,
    InstanceError,
    NoDicomError,
    NotAHeadError,
    NotDeidentifiableError,
    OutputError,
    SeriesError,
    SourceError,
    StudyError,
    VoxelError,
    ZweitblickError,
)
from zweitblick.model.brain_mask import brain_mask
from zweitblick.model.bundle import default_models, load_bundle
from zweitblick.study import Series
from zweitblick.volume import Bool, Volume


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


def brain_finder() -> Callable[[Volume], Bool]:
    """Return what finds the brain in a volume: the released mask network.

    Raises
    ------
    BundleMissingError, BundleDamagedError
        If it cannot be opened.
    """
    return partial(brain_mask, network=load_bundle(default_models() / "brain-mask").network)


def write_deidentified(paths: Sequence[Path], pseudonyms: Pseudonyms, folder: Path) -> dict[str, Any]:
    """Write what can be de-identified as ``patient/study/series/instance.dcm``, by their new names; faces stay.

    Returns
    -------
    What was changed, how often, and what was left out, why; for `json.dumps`, without anything of a patient.

    Raises
    ------
    NoDicomError
        If nothing could be written.
    """
    account = _Account(folder)
    for path in paths:
        account.write(partial(deidentified, path.read_bytes(), pseudonyms))
    return account.report(len(paths))


def write_defaced(
    paths: Sequence[Path], pseudonyms: Pseudonyms, folder: Path, brain_of: Callable[[Volume], Bool]
) -> dict[str, Any]:
    """Write what can be de-identified and defaced, likewise; a series that shows no whole brain is left out.

    Parameters
    ----------
    paths, pseudonyms, folder
        As of `write_deidentified`.
    brain_of
        Finds the brain in a volume.

    Raises
    ------
    NoDicomError
        If nothing could be written.
    """
    account = _Account(folder)
    for files in _by_study(paths, account):
        try:
            study = read_study(files)
        except (SourceError, InstanceError, StudyError) as error:
            account.leave_out(error, len(files))
            continue
        for series in study.series:
            _write_series(series, pseudonyms, account, brain_of)
        rest = len(files) - sum(len(series.instances) for series in study.series)
        account.leave_out(
            NotDeidentifiableError("it is no image that can be read, or a copy of one; leave it out"), rest
        )
    return account.report(len(paths))


def _write_series(
    series: Series, pseudonyms: Pseudonyms, account: "_Account", brain_of: Callable[[Volume], Bool]
) -> None:
    try:
        images = list(defaced(series, brain_of))
    except (SeriesError, InstanceError, NotAHeadError, GeometryError, VoxelError) as error:
        account.leave_out(error, len(series.instances))
        return
    for instance, values in images:
        source = instance.source
        content = source.read_bytes() if isinstance(source, Path) else source
        account.write(partial(deidentified, content, pseudonyms, values))
    rest = NotDeidentifiableError(f"{series.name}: it is part of no volume, so that no brain is found; leave it out")
    account.leave_out(rest, len(series.instances) - len(images))


def _by_study(paths: Sequence[Path], account: "_Account") -> Iterator[list[Path]]:
    """Part files by their study; what has none is left out."""
    studies: dict[str, list[Path]] = {}
    for path in paths:
        try:
            uid = text(read_header(path, tags_of(("StudyInstanceUID",))).data, "StudyInstanceUID")
        except (SourceError, InstanceError) as error:
            account.leave_out(error, 1)
            continue
        studies.setdefault(uid, []).append(path)
    yield from studies.values()


class _Account:
    """What was written and what was left out."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._changed: Counter[str] = Counter()
        self._left_out: Counter[str] = Counter()
        self._images = 0

    def write(self, make: Callable[[], Deidentified]) -> None:
        """Write an image, or leave it out if it cannot be made."""
        try:
            made = make()
        except (NotDeidentifiableError, DamagedInstanceError) as error:
            self.leave_out(error, 1)
            return
        place = self._folder / made.patient / made.study_uid / made.series_uid
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{made.sop_instance_uid}.dcm").write_bytes(made.file)
        self._changed.update({f"{keyword} {action}": count for (keyword, action), count in made.changed.items()})
        self._images += 1

    def leave_out(self, error: ZweitblickError, count: int) -> None:
        """Count files that are not written, by their reason."""
        if count:
            self._left_out[str(error)] += count

    def report(self, files: int) -> dict[str, Any]:
        """Return the account, or raise if nothing was written."""
        if not self._images:
            reasons = "; ".join(sorted(self._left_out)[:3])
            raise NoDicomError(
                f"none of {files} files is an MR image that can be de-identified ({reasons}); give others"
            )
        changed = dict(sorted(self._changed.items()))
        return {"images": self._images, "left_out": dict(self._left_out), "changed": changed}
