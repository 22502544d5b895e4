"""Predecessors: what was made of a study's earlier rounds, which a later round's documents supersede."""

import logging
from collections.abc import Iterator
from dataclasses import replace

from zweitblick.dicom.predecessor import predecessor
from zweitblick.errors import DamagedInstanceError
from zweitblick.reading import Notice, Predecessor, Reading
from zweitblick.store.lost import LOST
from zweitblick.store.rounds import Round
from zweitblick.store.store import Store

log = logging.getLogger(__name__)

DOCUMENTS = ("sr", "encapsulated-pdf")
"""Names of the results that can say what they supersede."""


def predecessors(store: Store, this: Round) -> tuple[Predecessor, ...]:
    """Find the documents of a study's earlier rounds, the newest first.

    All of them, since an archive need not have the last: a round that is superseded before its delivery is not
    delivered. What earlier rounds have does not change once there is a later one, so a step that is repeated finds the
    same. A document that cannot be opened any more is not named.

    Parameters
    ----------
    store
        Where they are kept.
    this
        The round that is about to be read.

    Raises
    ------
    StoreUnavailableError, KeyHolderError
        If the store cannot be used now.
    """
    earlier = [one for one in store.rounds(this.study) if one.number < this.number and store.work.was_read(one)]
    return tuple(found for one in reversed(earlier) for found in _documents(store, one))


def _documents(store: Store, one: Round) -> Iterator[Predecessor]:
    try:
        results = {result.name: result.id for result in store.results(one.id)}
        for name in DOCUMENTS:
            if name in results:
                with store.open(results[name]) as file:
                    yield predecessor(file.read())
    except (*LOST, DamagedInstanceError) as error:
        log.warning("round %s is superseded, but not named, since it cannot be opened: %s", one.id, error.code)


def superseding(reading: Reading, superseded: tuple[Predecessor, ...]) -> Reading:
    """Return a reading whose documents name those that they supersede, and say so to people.

    Parameters
    ----------
    reading
        Of the same study.
    superseded
        As from `predecessors`.
    """
    if not superseded:
        return reading
    written = f"{superseded[0].written_at:%Y-%m-%d %H:%M} {reading.stamp.time:%Z}".strip()
    notice = Notice("supersedes", f"This report replaces that of {written}.")
    return replace(reading, predecessors=superseded, notices=(notice, *reading.notices))
