"""Studies: from the UID to the token under which a study is kept, and back."""

import threading
from dataclasses import dataclass, field

from sqlalchemy import ColumnElement, and_, exists, insert, select, update
from sqlalchemy.exc import IntegrityError

from zweitblick.audit.events import AuditedStudy
from zweitblick.errors import StoreUnavailableError, UnknownStudyError
from zweitblick.store.database import Database
from zweitblick.store.index import Indexed, KeyedIndex
from zweitblick.store.keyring import Keyring
from zweitblick.store.recent import Recent
from zweitblick.store.rows import fresh_id, opened_details, sealed_details
from zweitblick.store.schema import objects, studies


@dataclass(frozen=True)
class KeptStudy:
    """What identifies a study.

    Parameters
    ----------
    token
        Its name within the store, random; may stand in queues, logs and URLs.
    study_instance_uid, patient_id, accession_number
        (0020,000D), (0010,0020) and (0008,0050); the last two are empty until somebody has read a header.
    """

    token: str
    study_instance_uid: str = field(repr=False)
    patient_id: str = field(default="", repr=False)
    accession_number: str = field(default="", repr=False)

    @property
    def audited(self) -> AuditedStudy:
        """The study as audit messages name it."""
        return AuditedStudy(self.study_instance_uid, self.patient_id, accession_number=self.accession_number)


class Studies:
    """The studies that are kept; for several threads at once."""

    def __init__(self, database: Database, keyring: Keyring, index: KeyedIndex) -> None:
        self._database = database
        self._keyring = keyring
        self._index = index
        self._recent: Recent[str] = Recent()
        self._lock = threading.Lock()

    def enlist(self, uid: str) -> str:
        """Return the token of a study, and make study and key if it is new.

        Raises
        ------
        KeyHolderError
            If it is new and the holder cannot be used.
        StoreFullError, StoreUnavailableError
            If it cannot be kept, or is being shredded.
        """
        # without its key it may have been shredded by another process since, and is asked for
        if (token := self._recent.get(uid)) is not None and self._keyring.is_in_use(token):
            return token
        with self._lock:
            found = self._where(studies.c.uid_index == self._index.of(Indexed.STUDY, uid))
            token = found[0] if found else self._make(uid)
        self._recent.put(uid, token)
        return token

    def forget(self, token: str) -> None:
        """Drop from memory what may have been deleted."""
        self._recent.forget(lambda _, value: value == token)
        self._keyring.forget(token)

    def token(self, uid: str) -> str:
        """Return the token of a study that is kept.

        Raises
        ------
        UnknownStudyError
            If none of this UID is.
        """
        found = self._where(studies.c.uid_index == self._index.of(Indexed.STUDY, uid))
        if not found:
            raise UnknownStudyError("no study of this UID is kept; ask for one that was received")
        return found[0]

    def of_patient(self, patient_id: str) -> list[str]:
        """Return the tokens of a patient's studies, by the exact Patient ID."""
        return self._where(studies.c.patient_index == self._index.of(Indexed.PATIENT, patient_id))

    def undescribed(self) -> list[str]:
        """Return the tokens of the studies that have objects, and no Patient ID yet."""
        has_objects = exists().where(objects.c.study == studies.c.token)  # others: by an MPPS or a work item alone
        return self._where(and_(studies.c.patient_index.is_(None), has_objects))

    def of_accession(self, accession_number: str) -> list[str]:
        """Return the tokens of studies by the exact Accession Number."""
        return self._where(studies.c.accession_index == self._index.of(Indexed.ACCESSION, accession_number))

    def study(self, token: str) -> KeptStudy:
        """Return what identifies a study.

        Raises
        ------
        UnknownStudyError
            If there is none of this token.
        StoreKeyError, VaultError
            If it cannot be opened.
        """
        query = select(studies.c.details).where(studies.c.token == token)
        with self._database.reading() as transaction:
            sealed = transaction.execute(query).scalar_one_or_none()
        if sealed is None:
            raise UnknownStudyError(f"no study of token {token} is kept; ask for one that was received")
        details = opened_details(sealed, self._keyring.key(token), study=token, row="study")
        return KeptStudy(token, **{name: str(value) for name, value in details.items()})

    def describe(self, token: str, *, patient_id: str, accession_number: str) -> None:
        """Note what a header says of a study, so that it is found by it; an empty value is not looked up.

        Raises
        ------
        UnknownStudyError
            If there is none of this token.
        """
        described = KeptStudy(token, self.study(token).study_instance_uid, patient_id, accession_number)
        values = {
            "patient_index": self._index.of(Indexed.PATIENT, patient_id) if patient_id else None,
            "accession_index": self._index.of(Indexed.ACCESSION, accession_number) if accession_number else None,
            "details": self._sealed(described),
        }
        with self._database.writing() as transaction:
            transaction.execute(update(studies).where(studies.c.token == token).values(values))

    def _where(self, condition: ColumnElement[bool]) -> list[str]:
        query = select(studies.c.token).where(condition, ~studies.c.shredding).order_by(studies.c.token)
        with self._database.reading() as transaction:
            return list(transaction.execute(query).scalars())

    def _make(self, uid: str) -> str:
        study = KeptStudy(fresh_id(), uid)
        self._keyring.make(study.token)
        row = {
            "token": study.token,
            "uid_index": self._index.of(Indexed.STUDY, uid),
            "shredding": False,
            "details": self._sealed(study),
        }
        try:
            with self._database.writing() as transaction:
                transaction.execute(insert(studies).values(row))
        except IntegrityError:
            # another process was faster, or is about to delete it
            self._keyring.discard(study.token)
            found = self._where(studies.c.uid_index == row["uid_index"])
            if not found:
                raise StoreUnavailableError("a study is being shredded; send it again later") from None
            return found[0]
        return study.token

    def _sealed(self, study: KeptStudy) -> bytes:
        details: dict[str, str | int] = {
            "study_instance_uid": study.study_instance_uid,
            "patient_id": study.patient_id,
            "accession_number": study.accession_number,
        }
        return sealed_details(details, self._keyring.key(study.token), study=study.token, row="study")
