"""Input of work items that lies in an archive: fetched from those of the settings, and from nowhere else.

A work item says where its input can be retrieved (PS3.3 table 10-3b). That is compared with the archives of the
settings and never followed: what is asked for is put together of their own addresses and of UIDs.
"""

import logging
import threading
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from pydicom import Dataset

from zweitblick.audit.auditor import Auditor, Unrecorded
from zweitblick.errors import ZweitblickError
from zweitblick.peers.association import PATIENCE, Patience
from zweitblick.peers.destination import Archive, StoreDestination
from zweitblick.retrieval.bounds import BOUNDS, Bounds
from zweitblick.retrieval.source import Source
from zweitblick.store.store import Store
from zweitblick.store.workitems import KeptWorkitem
from zweitblick.worklist.content import study_uid

log = logging.getLogger(__name__)

AT_ONCE = 2
"""So many studies are fetched at once."""

AGAIN_S = 60.0
"""After so long what could not be fetched is tried again, for as long as its work item waits."""

LONGEST_S = 4 * 3600.0
"""What was fetched and is not all that its work item names is fetched again after `AGAIN_S`, then after twice as long
each time, up to this: the archive may not have had all of it yet."""

_MR = "MR"


class _Wait(NamedTuple):
    """Until when an item is not fetched again, and how often it was fetched."""

    until_s: float = float("-inf")
    fetched: int = 0


class Inputs:
    """Fetches input, until it is closed; for one thread.

    Parameters
    ----------
    store
        Where it goes.
    places
        Archives that input is fetched from.
    audit
        Has on record what is asked and fetched.
    bounds
        How much, and how long.
    patience
        How long an archive may take to answer.
    now_s
        Tells the time, monotonic.
    """

    def __init__(
        self,
        store: Store,
        places: Sequence[Archive] = (),
        *,
        audit: Auditor | None = None,
        bounds: Bounds = BOUNDS,
        patience: Patience = PATIENCE,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        audit = audit or Unrecorded()
        self._places = [(one, Source(one, store, audit, bounds=bounds, patience=patience)) for one in places]
        self._closing = threading.Event()
        self._now_s = now_s
        self._waits: dict[str, _Wait] = {}
        self._pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="input")

    def fetch(self, item: KeptWorkitem, content: Dataset) -> None:
        """Begin to fetch the input of a work item, if an archive of the settings has it and it was not tried lately."""
        wait = self._waits.get(item.id, _Wait())
        if self._now_s() < wait.until_s:
            return
        for place, source in self._places:
            if has_input(place, content):
                self._waits[item.id] = wait._replace(until_s=float("inf"))  # until it has ended
                self._pool.submit(self._fetched, source, item.id, content, wait.fetched)
                return

    def keep_to(self, items: Collection[str]) -> None:
        """Forget all work items but those of some ids, which still wait."""
        for item_id in set(self._waits) - set(items):
            self._waits.pop(item_id, None)

    def close(self) -> None:
        """Fetch nothing any more; what is under way ends early."""
        self._closing.set()
        self._pool.shutdown(cancel_futures=True)

    def _fetched(self, source: Source, item_id: str, content: Dataset, before: int) -> None:
        """Fetch; the job's edge."""
        wait_s, fetched = AGAIN_S, before
        try:
            study = study_uid(content)
            wanted = _series_uids(content)
            series = [one for one in source.series(study) if (one.uid in wanted if wanted else one.modality == _MR)]
            source.fetch(study, series, closing=self._closing)
            wait_s, fetched = min(AGAIN_S * 2.0**before, LONGEST_S), before + 1
        except ZweitblickError as error:
            log.warning("the input of work item %s was not fetched, and is tried again: %s", item_id, error.code)
        except Exception as error:  # noqa: BLE001 -- the job's edge: its text may quote a header, so only its type is told
            log.error("fetching input failed by %s", type(error).__name__)  # noqa: TRY400 -- as said
        finally:
            self._waits[item_id] = _Wait(self._now_s() + wait_s, fetched)


def has_input(place: Archive, content: Dataset) -> bool:
    """Tell whether a work item says that its input can be retrieved from an archive.

    Over DIMSE by its AE title (DICOM Retrieval Sequence), over HTTP by a URL below its root that names the study
    (WADO-RS Retrieval Sequence).
    """
    said = list(content.get("InputInformationSequence") or ())
    if isinstance(place, StoreDestination):
        return place.called_ae_title in _values(said, "DICOMRetrievalSequence", "RetrieveAETitle")
    root = place.address(f"studies/{study_uid(content)}")
    return any(f"{one}/".startswith(f"{root}/") for one in _values(said, "WADORSRetrievalSequence", "RetrieveURL"))


def _values(said: Iterable[Dataset], sequence: str, keyword: str) -> set[str]:
    found = [one.get(keyword) or "" for item in said for one in item.get(sequence) or ()]
    return {str(value) for one in found for value in ([one] if isinstance(one, str) else one)} - {""}


def _series_uids(content: Dataset) -> set[str]:
    items = content.get("InputInformationSequence") or ()
    return {str(uid) for item in items if (uid := item.get("SeriesInstanceUID"))}
