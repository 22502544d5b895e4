"""Partners: those who have a part in a worker's work besides reading."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Self

from zweitblick.audit.auditor import Auditor, Unrecorded
from zweitblick.audit.head import SignedHead
from zweitblick.delivery.deliverer import Deliverer
from zweitblick.metrics import Metrics
from zweitblick.retrieval.lookup import PriorLookup
from zweitblick.signing.keys import Signer
from zweitblick.store.store import Store


@dataclass(frozen=True)
class Notary:
    """Who signs receipts.

    Parameters
    ----------
    signer
        Signs them.
    head
        Gives the signed head of the audit trail at the time.
    """

    signer: Signer
    head: Callable[[], SignedHead]


@dataclass(frozen=True)
class Partners:
    """Who delivers, counts, looks up and has on record what a worker does.

    Parameters
    ----------
    deliverer
        Delivers what is sealed; closed with the worker.
    metrics
        Counts what happens.
    audit
        Has readings on record; what cannot be put there waits.
    lookup
        Looks earlier studies up before a study is read; closed with the worker.
    notary
        Signs a receipt of each reading; without one there are none.
    """

    deliverer: Deliverer
    metrics: Metrics
    audit: Auditor
    lookup: PriorLookup
    notary: Notary | None = None

    @classmethod
    def none(cls, store: Store, clock: Callable[[], datetime]) -> Self:
        """Return partners who deliver nowhere, show their counts to nobody, and neither record nor look up anything."""
        metrics = Metrics(store.standing, clock=clock)
        return cls(Deliverer(store, ()), metrics, Unrecorded(), PriorLookup(store, (), clock=clock))
