"""Where a study in the store is from, read from one instance of each of its series."""

from io import BytesIO

from pydicom.filereader import read_partial

from zweitblick.delivery.route import Origin
from zweitblick.dicom.header import DAMAGE, quietly, texts
from zweitblick.store.ingest import Outcome
from zweitblick.store.store import Store

HEAD_BYTES = 4 * 2**20
"""So much of an instance is read; what is looked for comes early (PS3.5 section 7.1)."""

_KEYWORDS = ("Modality", "BodyPartExamined")
_LAST = 0x00180015
"""Body Part Examined."""


def origin(store: Store, study: str) -> Origin:
    """Read where a study is from.

    An instance whose header cannot be read tells nothing.

    Parameters
    ----------
    store
        Where it is.
    study
        Its token.

    Raises
    ------
    StoreError, VaultError
        If it cannot be opened.
    """
    receptions = store.receptions(study)
    senders = {one.calling_ae_title for one in receptions if one.outcome is not Outcome.RETURNED}
    kept = [one for one in store.instances(study) if one.conflicts_with is None]
    one_of_series = {one.series_instance_uid: one.id for one in kept}
    found = [_said(store, object_id) for object_id in one_of_series.values()]
    return Origin(
        frozenset(senders - {""}),
        *(frozenset(word for said in found for word in said[keyword]) for keyword in _KEYWORDS),
    )


def _said(store: Store, object_id: str) -> dict[str, list[str]]:
    with store.open(object_id) as file:
        head = file.read(HEAD_BYTES)
    with quietly():
        try:
            header = read_partial(BytesIO(head), stop_when=lambda tag, _vr, _length: tag > _LAST)
            return {keyword: [word.strip().upper() for word in texts(header, keyword)] for keyword in _KEYWORDS}
        except (*DAMAGE, OSError):  # pydicom raises OSError where a sequence is cut short
            return {keyword: [] for keyword in _KEYWORDS}
