"""One received instance, and who keeps it."""

from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True)
class Received:
    """An instance as it came over the network; nothing that names a patient or a sender is in its ``repr``.

    Parameters
    ----------
    sop_class_uid, sop_instance_uid
        Of request and data set, which agree.
    transfer_syntax_uid
        As negotiated; how ``data`` is encoded.
    study_instance_uid, series_instance_uid
        (0020,000D) and (0020,000E) of the data set.
    calling_ae_title
        As the sender gave it, without padding.
    data
        The data set exactly as it was on the wire: no preamble, no meta information, nothing re-encoded.
    patient_id
        (0010,0020) of the data set, for the record only.
    is_fetched
        Whether it came because we have asked an archive for it, by C-MOVE.
    """

    sop_class_uid: str
    sop_instance_uid: str = field(repr=False)
    transfer_syntax_uid: str
    study_instance_uid: str = field(repr=False)
    series_instance_uid: str = field(repr=False)
    calling_ae_title: str = field(repr=False)
    data: bytes = field(repr=False)
    patient_id: str = field(default="", repr=False)
    is_fetched: bool = False


class Keeper(Protocol):
    """Keeps what is received, from several threads at once."""

    def keep(self, instance: Received) -> object:
        """Return once the instance is durable; the sender is told so at that moment and may delete its own.

        What is returned is looked at only to count `zweitblick.store.ingest.Outcome.CONFLICT`.

        Raises
        ------
        StoreFullError
            If there is no room.
        StoreUnavailableError
            If it cannot be kept now for another reason.
        """
        ...
