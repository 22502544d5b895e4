"""Cache: every case of a data set checked at once, then prepared on disk, each once."""

import logging
import multiprocessing
import shutil
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

from zweitblick.errors import ZweitblickError
from zweitblick_training.case import PART, Case, CaseError
from zweitblick_training.cases import Masks, case_key, preparation_digest, prepared_bytes, prepared_case, with_brain
from zweitblick_training.datasets import DataSetError, Fault, Layout, Listing

LOG = logging.getLogger(__name__)
GB = 10**9
Job = TypeVar("Job")
Result = TypeVar("Result")


class CacheError(ValueError):
    """The prepared cases do not fit; the message gives the figures."""


@dataclass(frozen=True)
class Checked:
    """A case that may be prepared.

    Parameters
    ----------
    listing
        The case.
    key
        Digest of its voxels, its mask and the code that prepares it.
    size
        Bytes on disk once prepared.
    source
        The data set.
    """

    listing: Listing
    key: str
    size: int
    source: str


def checked(layout: Layout, folder: Path, masks: Masks, *, workers: int = 1) -> tuple[Checked, ...]:
    """Read every case of a data set and look for faults.

    Parameters
    ----------
    layout, folder
        The data set.
    masks
        Brain masks of whole heads.
    workers
        Processes.

    Raises
    ------
    DataSetError
        With every fault of every case.
    """
    results = list(_mapped(partial(_examined, layout, masks), layout.listed(folder), workers))
    faults = [fault for one in results if isinstance(one, DataSetError) for fault in one.faults]
    if faults:
        raise DataSetError(faults)
    return tuple(one for one in results if isinstance(one, Checked))


def prepare_all(
    layout: Layout, folder: Path, *, cache: Path, masks: Masks, limit_gb: float, workers: int = 1
) -> tuple[str, ...]:
    """Check a data set, then prepare those of its cases that are not in the cache or were made otherwise.

    Killed at any moment, it loses the cases in hand; run again, it goes on.

    Parameters
    ----------
    layout, folder
        The data set.
    cache
        Receives a folder for each case; see `Case`.
    masks
        Brain masks of whole heads.
    limit_gb
        Largest size of the cache, in 10⁹ bytes.
    workers
        Processes.

    Returns
    -------
    Names of the cases that were made.

    Raises
    ------
    DataSetError
        With every fault of every case, before anything is prepared; and, once the others are prepared, with the cases
        whose sequences cannot be aligned or show no contrast in the brain.
    CacheError
        If limit or disk do not suffice; nothing was prepared.
    """
    found = checked(layout, folder, masks, workers=workers)
    check_names(cache, found)
    todo = [one for one in found if not is_current(cache / one.listing.name, one.key)]
    cache.mkdir(parents=True, exist_ok=True)
    check_room(cache, todo, limit_gb)
    faults: list[Fault] = []
    results = _mapped(partial(_prepared, layout, masks, cache), todo, workers)
    for number, (one, failed) in enumerate(zip(todo, results, strict=True), start=1):
        LOG.info("%s %s, %d of %d", "cannot prepare" if failed else "prepared", one.listing.name, number, len(todo))
        faults += failed
    if faults:
        raise DataSetError(faults)
    return tuple(one.listing.name for one in todo)


def cached_names(cache: Path) -> tuple[str, ...]:
    """Names of the prepared cases in a cache, sorted; what a killed run left half made is none."""
    found = (path.parent.name for path in cache.glob("*/case.json"))
    return tuple(sorted(name for name in found if not name.endswith(PART)))


def load_cases(cache: Path, names: Iterable[str]) -> list[Case]:
    """Open prepared cases.

    Raises
    ------
    CaseError
        Naming each that is missing or damaged, or that other code than this prepared: a network that learns from such a
        one is shown something else in serving.
    """
    cases, faults = [], []
    for name in names:
        try:
            case = Case.load(cache / name)
        except CaseError as error:
            faults.append(str(error))
            continue
        cases.append(case)
        if case.preparation != preparation_digest():
            faults.append(f"{cache / name} was prepared by another version's code; prepare it again")
    if faults:
        raise CaseError("\n".join(faults))
    return cases


def is_current(folder: Path, key: str) -> bool:
    """Whether a prepared case is there, sound and made from what ``key`` says by the code that there is."""
    try:
        case = Case.load(folder)
    except CaseError:
        return False
    return (case.key, case.preparation) == (key, preparation_digest())


def check_names(cache: Path, found: Iterable[Checked]) -> None:
    """Make sure that no case would take the place of another data set's in the cache.

    Raises
    ------
    DataSetError
        Naming each.
    """
    faults = []
    for one in found:
        source = _cached_source(cache / one.listing.name)
        if source not in ("", one.source):
            what = f"the cache holds a case of this name from {source}; give {one.source} a cache of its own"
            faults.append(Fault(one.listing.name, what))
    if faults:
        raise DataSetError(faults)


def check_room(cache: Path, todo: Iterable[Checked], limit_gb: float) -> None:
    """Make sure that the cases fit.

    Parameters
    ----------
    cache
        Folder of the prepared cases; an older version of a case to make is counted as leaving.
    todo
        Cases to make.
    limit_gb
        Largest size of the cache, in 10⁹ bytes.

    Raises
    ------
    CacheError
        If limit or disk do not suffice.
    """
    wanted = {one.listing.name: one.size for one in todo}
    need, free = sum(wanted.values()), shutil.disk_usage(cache).free
    kept = sum(path.stat().st_size for path in cache.glob("*/*") if path.parent.name.removesuffix(PART) not in wanted)
    if kept + need > limit_gb * GB:
        raise CacheError(
            f"{len(wanted)} cases need {need / GB:.2f} GB beside {kept / GB:.2f} GB in the cache, more than its limit "
            f"of {limit_gb:g} GB; raise --cache-gb or clear the cache"
        )
    if need > free:
        raise CacheError(
            f"{len(wanted)} cases need {need / GB:.2f} GB and the disk has {free / GB:.2f} GB left; make room"
        )


def _examined(layout: Layout, masks: Masks, listing: Listing) -> Checked | DataSetError:
    """Faults are an answer here: whoever asks wants those of all cases."""
    try:
        raw = layout.read(listing)
        case, brain = with_brain(raw, masks)
        return Checked(listing, case_key(raw, masks.digest(listing.name)), prepared_bytes(case, brain), case.source)
    except DataSetError as error:
        return error
    except ZweitblickError as error:
        return DataSetError([Fault(listing.name, str(error))])


def _prepared(layout: Layout, masks: Masks, cache: Path, wanted: Checked) -> tuple[Fault, ...]:
    """Prepare a case; say what serving would refuse it for."""
    case, brain = with_brain(layout.read(wanted.listing), masks)
    try:
        prepared_case(case, brain, key=wanted.key).save(cache / wanted.listing.name)
    except ZweitblickError as error:
        return (Fault(wanted.listing.name, str(error)),)
    return ()


def _cached_source(folder: Path) -> str:
    """Say which data set a prepared case is from; empty where there is none."""
    try:
        return Case.load(folder).source
    except CaseError:
        return ""


def _mapped(work: Callable[[Job], Result], jobs: Iterable[Job], workers: int) -> Iterator[Result]:
    if workers == 1:
        yield from map(work, jobs)
        return
    # Spawned: a network opened before a fork does not answer after it.
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        yield from pool.map(work, jobs)
