"""What stands behind the application."""

from collections.abc import Callable
from dataclasses import dataclass, field

from zweitblick.audit.auditor import Auditor, Unrecorded
from zweitblick.store.rounds import Round
from zweitblick.store.store import Store
from zweitblick.worklist import Worklist


@dataclass(frozen=True)
class Watched:
    """What tells how a process is.

    Parameters
    ----------
    store
        Where studies are.
    is_working
        See `Service`.
    exposition
        Gives the metrics, as `zweitblick.metrics.Metrics.exposition` does.
    """

    store: Store
    is_working: Callable[[], bool]
    exposition: Callable[[], bytes]


@dataclass(frozen=True)
class Service:
    """What the application asks and tells.

    Parameters
    ----------
    store
        Where studies are.
    submit
        Has a round read that is complete.
    is_working
        Whether rounds are being looked for and read, and will be; not while the service stops.
    worklist
        Of work items.
    audit
        Has it on record who is shown what; what cannot be put there is not shown.
    largest_upload_bytes
        A longer body is refused.
    conflicted
        Counts an instance that was kept apart: one of its UID and other content was there.
    """

    store: Store
    submit: Callable[[Round], None]
    is_working: Callable[[], bool]
    worklist: Worklist
    audit: Auditor = field(default_factory=Unrecorded)
    largest_upload_bytes: int = 2 * 2**30
    conflicted: Callable[[], None] = lambda: None
