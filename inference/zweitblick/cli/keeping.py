"""From the DICOM server to the store: neither knows the other."""

from zweitblick.dimse import Received
from zweitblick.store.received import ReceivedInstance
from zweitblick.store.store import Store


class Keeping:
    """Keeps in a store what the DICOM server receives.

    Parameters
    ----------
    store
        Where it is kept.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    def keep(self, instance: Received) -> None:
        """Return once the instance is durable; see `zweitblick.store.store.Store.keep`."""
        self._store.keep(
            ReceivedInstance(
                sop_class_uid=instance.sop_class_uid,
                sop_instance_uid=instance.sop_instance_uid,
                transfer_syntax_uid=instance.transfer_syntax_uid,
                study_instance_uid=instance.study_instance_uid,
                series_instance_uid=instance.series_instance_uid,
                calling_ae_title=instance.calling_ae_title,
                data=instance.data,
            )
        )
