"""What an archive that is asked says of its studies and series, over DIMSE as over HTTP."""

from dataclasses import dataclass, field

from zweitblick.dicom.identity import is_uid
from zweitblick.errors import PeerAnswerError

MOST_FOUND = 200
"""Studies or series that an answer may name; a patient has fewer of MR."""


@dataclass(frozen=True)
class RemoteStudy:
    """A study in an archive; nothing that identifies it is in its ``repr``.

    Parameters
    ----------
    uid
        Study Instance UID.
    patient_id, birth_date, sex
        (0010,0020), (0010,0030) and (0010,0040); empty where the archive does not say.
    date, time
        (0008,0020) and (0008,0030); likewise.
    modalities
        (0008,0061); likewise.
    """

    uid: str = field(repr=False)
    patient_id: str = field(repr=False)
    birth_date: str = field(repr=False)
    sex: str = field(repr=False)
    date: str = field(repr=False)
    time: str = field(repr=False)
    modalities: frozenset[str]


@dataclass(frozen=True)
class RemoteSeries:
    """A series in an archive.

    Parameters
    ----------
    uid
        Series Instance UID.
    modality, body_part
        (0008,0060) and (0018,0015); empty where the archive does not say.
    instances
        (0020,1209); 0 where it does not say.
    """

    uid: str = field(repr=False)
    modality: str
    body_part: str
    instances: int


def checked_uid(uid: str, *, name: str) -> str:
    """Return a UID of an answer, which becomes part of requests.

    Raises
    ------
    PeerAnswerError
        If it is none.
    """
    if not is_uid(uid):
        raise PeerAnswerError(f"{name} named something that is no UID; see to it")
    return uid


def check_count(count: int, *, name: str) -> None:
    """Refuse an answer that names too much.

    Raises
    ------
    PeerAnswerError
        If it names more than `MOST_FOUND`.
    """
    if count > MOST_FOUND:
        raise PeerAnswerError(f"{name} named more than {MOST_FOUND} studies or series of one patient; see to it")
