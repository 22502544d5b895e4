"""Priority: how urgent a study is, by its headers and its senders."""

import logging
from collections.abc import Mapping

from zweitblick.dicom.header import header_of, quietly, tags_of, text
from zweitblick.errors import DamagedInstanceError, StoreError, VaultError
from zweitblick.errors.root import code_of
from zweitblick.store.absence import AWAY
from zweitblick.store.objects import KeptInstance
from zweitblick.store.rounds import Round
from zweitblick.store.store import Store
from zweitblick.study import Priority
from zweitblick.worker.inputs import inputs

log = logging.getLogger(__name__)

_ORDER = list(Priority)
_TAGS = tags_of(["RequestedProcedurePriority"])


def priority(store: Store, one: Round, of_senders: Mapping[str, Priority]) -> Priority:
    """Return how urgent a round is: the most urgent that one image of each series and their senders say.

    Parameters
    ----------
    store
        Where its instances are.
    one
        The round.
    of_senders
        By calling AE title; a sender that is not there says nothing.

    Raises
    ------
    StoreUnavailableError, KeyHolderError
        If store or key holder are away. Of other faults the reading will tell.
    """
    try:
        said = _all_said(store, one, of_senders)
    except AWAY:
        raise
    except (StoreError, VaultError, OSError) as error:
        log.warning("nothing is known of the priority of round %s: %s", one.id, code_of(error))
        return Priority.ROUTINE
    return min(said, key=_ORDER.index, default=Priority.ROUTINE)


def rank(urgency: Priority) -> int:
    """Return a priority as DBOS orders by it: from 1, the most urgent first."""
    return 1 + _ORDER.index(urgency)


def _all_said(store: Store, one: Round, of_senders: Mapping[str, Priority]) -> set[Priority]:
    of_series = {each.series_instance_uid: each for each in inputs(store, one.study, one.number)}
    return {priority for each in of_series.values() for priority in _said(store, each, of_senders)}


def _said(store: Store, instance: KeptInstance, of_senders: Mapping[str, Priority]) -> list[Priority]:
    try:
        with store.open(instance.id) as file, quietly():
            header = header_of(file, _TAGS).data
            written = text(header, "RequestedProcedurePriority").lower()
            sender = text(header.file_meta, "SourceApplicationEntityTitle")
    except DamagedInstanceError:
        return []
    said = [Priority(written)] if written in _ORDER else []
    return [*said, of_senders[sender]] if sender in of_senders else said
