"""Store: what the service keeps of studies, for those who receive, read, deliver and review."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import replace
from datetime import datetime, timedelta
from types import TracebackType
from typing import BinaryIO, Self

from zweitblick.audit.auditor import Auditor, Unrecorded, recorded
from zweitblick.audit.events import AuditedStudy, study_deleted
from zweitblick.errors import UnknownStudyError
from zweitblick.store import rounds, shredding
from zweitblick.store.database import Database
from zweitblick.store.deliveries import Deliveries
from zweitblick.store.folder import ObjectFolder
from zweitblick.store.headers import Headers
from zweitblick.store.index import Indexed, KeyedIndex, index_key
from zweitblick.store.ingest import Ingest, Outcome
from zweitblick.store.keyring import Keyring
from zweitblick.store.life import Actor, Event, State
from zweitblick.store.listing import Listing
from zweitblick.store.lookups import Lookups
from zweitblick.store.lost import LOST
from zweitblick.store.objects import KeptInstance, KeptResult, Kind, Objects
from zweitblick.store.places import StorePlaces
from zweitblick.store.procedure_steps import ProcedureSteps
from zweitblick.store.received import Received
from zweitblick.store.receptions import Reception, receptions_of
from zweitblick.store.results import ResultName, keep_result
from zweitblick.store.rooms import Rooms
from zweitblick.store.rounds import Cause, LifeEvent, Round, Standing
from zweitblick.store.shredding import PatientStudies
from zweitblick.store.studies import KeptStudy, Studies
from zweitblick.store.work import Work
from zweitblick.store.workitems import Workitems
from zweitblick.vault.data_key import KeyIds
from zweitblick.vault.keyholders import KeyHolder
from zweitblick.vault.pool import KeyPool, PoolLimits

QUIET_TIME = timedelta(seconds=30)
"""After an instance, where nothing else says that a study is complete."""

NO_POOL = PoolLimits(count=0, age=timedelta(0))


class Store:
    """What the service keeps; for several threads at once, and several processes at the same places.

    Opening it brings the tables to the newest version, finishes what a crash has interrupted and, if no other process
    is at work there, removes what was being written. Used with ``with``, or closed.

    Parameters
    ----------
    places
        Where it lies.
    holder
        Wraps the data keys. While it is away only studies whose keys are in use are kept and opened, and new ones while
        the pool lasts.
    clock
        Tells the time, aware.
    quiet_time
        How long after an instance of a calling AE title more may be on the way; `QUIET_TIME` for everybody if not
        given.
    pool
        How many keys for new studies are wrapped ahead; none if not given.
    audit
        Has it on record that a study is shredded.

    Attributes
    ----------
    clock
        As given.
    work
        What workers ask of the store.
    listing
        Lists of studies and series.
    workitems
        The procedure steps that are to be performed.
    procedure_steps
        Those that modalities perform.

    Raises
    ------
    StoreVersionError
        If a newer release was here before.
    StoreKeyError
        If keys and data are not of the same store.
    StoreUnavailableError, StoreFullError
        If databases or folder cannot be used.
    VaultError
        If the holder cannot be used, or another's keys are here.
    """

    def __init__(
        self,
        places: StorePlaces,
        holder: KeyHolder,
        *,
        clock: Callable[[], datetime],
        quiet_time: Callable[[str], timedelta] = lambda _: QUIET_TIME,
        pool: PoolLimits = NO_POOL,
        audit: Auditor | None = None,
    ) -> None:
        self.clock = clock
        self._audit = audit or Unrecorded()
        with ExitStack() as opening:
            keys = Database(places.keys, tables="keys")
            opening.callback(keys.close)
            self._data = Database(places.data, tables="data")
            opening.callback(self._data.close)
            spare_keys = KeyPool(holder, pool)
            opening.callback(spare_keys.close)
            keyring = Keyring(keys, holder, spare_keys)
            index = KeyedIndex(index_key(self._data, keyring))
            folder = ObjectFolder(places.objects)
            opening.callback(folder.close)
            self._rooms = Rooms(self._data, folder, keyring, index, Studies(self._data, keyring, index))
            shredding.finish(self._rooms)
            folder.sweep(lambda files: shredding.named(self._rooms, files))
            self._objects = Objects(self._rooms)
            self._headers = Headers(self._rooms, self._objects)
            self.listing = Listing(self._data, index)
            self._deliveries = Deliveries(self._data, clock=clock)
            self.work = Work(self._rooms, clock)
            self._ingest = Ingest(self._rooms, clock=clock, quiet_time=quiet_time)
            opening.callback(self._ingest.close)
            self.workitems = Workitems(self._rooms, clock)
            self.lookups = Lookups(self._rooms)
            self.procedure_steps = ProcedureSteps(self._rooms)
            spare_keys.start()
            self._closing = opening.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Commit what is waiting, and leave; the second time nothing happens."""
        self._closing.close()

    def keep(self, instance: Received) -> Outcome:
        """Return once an instance is durable; as a DICOM file, sealed. See `Outcome` for what became of it.

        An instance that is there already is not stored again. One with the SOP Instance UID of another in the study,
        and other content, is kept apart and does not count as one to read. One with the UID of a result of ours is that
        result, coming back, and is not stored. All of this is in `receptions`. One that bears our UID root, made by
        another store, is not stored either, and begins no study. A new instance that comes when the study is being
        read, or was read, begins its next round if it may be MR.

        Raises
        ------
        StoreFullError
            If no room is left.
        StoreUnavailableError
            If database or folder cannot be reached. The instance may be durable; sent again, it is a duplicate.
        VaultError, StoreKeyError
            If the study's key cannot be made or unwrapped.
        """
        return self._ingest.keep(instance)

    def keep_result(self, result: ResultName, source: BinaryIO) -> str:
        """Seal a result as it streams, and return its id once it is durable; the second time, that of the first.

        Raises
        ------
        UnknownRoundError
            If there is no such round.
        ResultChangedError
            If the round has a result of this name or UID with other content.
        StoreFullError, StoreUnavailableError, VaultError, StoreKeyError
            As from `keep`.
        """
        return keep_result(self._rooms, result, source)

    def keep_outgoing(self, result: ResultName, source: BinaryIO) -> str:
        """Keep a result in the form in which one destination gets it, and return its id; as `keep_result`.

        It is no result: it is in `outgoing`, and goes when the results of its round are replaced.

        Raises
        ------
        UnknownRoundError, ResultChangedError, StoreFullError, StoreUnavailableError, VaultError, StoreKeyError
            As from `keep_result`.
        """
        return keep_result(self._rooms, result, source, kind=Kind.OUTGOING)

    def open(self, object_id: str) -> BinaryIO:
        """Open an object for reading at any place; no byte is given out before it is verified.

        Of an instance it is a DICOM file: preamble, file meta information, and the data set as it came. Buffers up to
        some MiB, however large the object is. Not for several threads at once.

        Raises
        ------
        UnknownObjectError
            If there is no such object.
        StoreDamagedError
            If its file is gone or cut short.
        VaultError, StoreKeyError
            If it cannot be unsealed, here or from reading.
        """
        return self._objects.open(object_id)

    def token(self, study_instance_uid: str) -> str:
        """Return the token of a study, which may stand in queues, logs and URLs.

        Raises
        ------
        UnknownStudyError
            If no study of this UID is kept.
        """
        return self._rooms.studies.token(study_instance_uid)

    def studies_of_patient(self, patient_id: str) -> list[str]:
        """Return the tokens of the studies that were described with exactly this Patient ID."""
        return self._rooms.studies.of_patient(patient_id)

    def all_studies_of_patient(self, patient_id: str) -> PatientStudies:
        """Look for a patient's studies: by descriptions, work items, and images that none describes yet.

        A study that was described with one patient and then got another's image is found by the first only.
        """
        return shredding.of_patient(self._rooms, self._objects, self.workitems, patient_id)

    def studies_of_accession(self, accession_number: str) -> list[str]:
        """Return the tokens of the studies that were described with exactly this Accession Number."""
        return self._rooms.studies.of_accession(accession_number)

    def study(self, token: str) -> KeptStudy:
        """Return what identifies a study.

        Raises
        ------
        UnknownStudyError
            If there is none of this token.
        """
        return self._rooms.studies.study(token)

    def describe(self, token: str, *, patient_id: str, accession_number: str) -> None:
        """Note what a header says of a study, so that it is found by it. Empty values are not looked up.

        Raises
        ------
        UnknownStudyError
            If there is none of this token.
        """
        self._rooms.studies.describe(token, patient_id=patient_id, accession_number=accession_number)

    def instances(self, token: str, *, series_instance_uid: str = "", sop_instance_uid: str = "") -> list[KeptInstance]:
        """Return the instances of a study in no particular order, those in conflict too.

        Parameters
        ----------
        token
            Of the study.
        series_instance_uid, sop_instance_uid
            Only those with exactly this UID; all if empty.
        """
        return self._objects.instances(
            token, series_instance_uid=series_instance_uid, sop_instance_uid=sop_instance_uid
        )

    def conflicts(self, token: str) -> int:
        """Return how many instances of a study are kept apart, as another of their UID and other content came first."""
        return self._objects.conflicts(token)

    def headers(self, token: str, ids: Sequence[str], make: Callable[[BinaryIO], bytes]) -> Iterator[bytes]:
        """Yield the headers of some objects of a study, in their order; kept, sealed, once they have been made.

        Parameters
        ----------
        token
            Of the study.
        ids
            Of instances or results.
        make
            Makes a header of an object that `open` has opened; its layout must not change unless
            `zweitblick.store.headers.VERSION` does.

        Raises
        ------
        UnknownObjectError, StoreDamagedError, VaultError, StoreKeyError
            As from `open`, and what ``make`` raises.
        StoreFullError, StoreUnavailableError
            As from `keep`.
        """
        return self._headers.of(token, ids, make)

    def results(self, round_id: str) -> list[KeptResult]:
        """Return the results of a round in no particular order."""
        return self._objects.results(round_id)

    def outgoing(self, round_id: str) -> list[KeptResult]:
        """Return what `keep_outgoing` has kept of a round, in no particular order."""
        return self._objects.results(round_id, kind=Kind.OUTGOING)

    def secret_for(self, destination: str) -> bytes:
        """Return 32 bytes that nobody knows without the store's keys, the same each time and others for each name."""
        return self._rooms.index.of(Indexed.DESTINATION, destination)

    def receptions(self, token: str) -> list[Reception]:
        """Return what was acknowledged of a study, in the order of time: new instances, duplicates, conflicts."""
        return receptions_of(self._rooms, token)

    def rounds(self, token: str) -> list[Round]:
        """Return the rounds of a study, the first first; each supersedes the one before it."""
        with self._data.reading() as transaction:
            return rounds.of_study(transaction, token)

    def advance(self, round_id: str, event: Event, *, by: Actor) -> State:
        """Let something happen to a round, and return its state after it.

        Raises
        ------
        UnknownRoundError
            If there is no such round.
        EventError, ActorError
            If it cannot happen in the round's state, or not by this actor.
        """
        with self._data.writing() as transaction:
            return rounds.advance(transaction, round_id, Cause(event, by), at=self.clock())

    def stable_after(self, now: datetime) -> list[Round]:
        """Return the rounds that are being received and are complete; changes nothing.

        They have been quiet for long enough at a time, or every instance is there that the study's performed procedure
        steps list, and none of these is in progress. No study is complete while it is being fetched.
        """
        with self._data.reading() as transaction:
            return rounds.complete_at(transaction, now)

    def standing(self) -> dict[State, Standing]:
        """Return how many rounds are in each state; a state that no round is in is left out."""
        with self._data.reading() as transaction:
            return rounds.standing(transaction)

    def history(self, token: str) -> list[LifeEvent]:
        """Return what happened to a study's rounds, in order."""
        with self._data.reading() as transaction:
            return rounds.history(transaction, token)

    @property
    def is_receiving(self) -> bool:
        """Whether instances are taken: not once it is closed, or has stopped at a fault of ours."""
        return self._ingest.is_running

    @property
    def deliveries(self) -> Deliveries:
        """Of rounds to destinations."""
        return self._deliveries

    def check_keys(self) -> None:
        """See whether the key holder can be used.

        Raises
        ------
        VaultError, StoreError
            If it cannot; the message says how many new studies can be taken all the same.
        """
        self._rooms.keyring.check()

    def key_ids(self, token: str) -> KeyIds:
        """Name the key that seals a study, and the one that wraps it now.

        Raises
        ------
        StoreKeyError, StoreUnavailableError
            If there is none, or it cannot be looked for.
        """
        return self._rooms.keyring.ids(token)

    def shred(self, token: str) -> None:
        """Destroy a study's key, then delete its rows and files; the second time nothing happens.

        An instance of the study that comes meanwhile is refused, or begins the study anew.

        Raises
        ------
        StoreUnavailableError
            If it could not be finished; the next start does, or the next call.
        AuditError
            If it could not be put on record; nothing is shredded then.
        """
        with self._deletion_recorded(token):
            shredding.shred(self._rooms, token)

    def _deletion_recorded(self, token: str) -> AbstractContextManager[None]:
        """Put the end of a study on record, if there is one still; by its token if it cannot be opened any more."""
        try:
            named = self.study(token).audited
        except UnknownStudyError:
            return nullcontext()
        except LOST:
            named = AuditedStudy(token)
        return recorded(self._audit, study_deleted(named, replace(self._audit.process, is_requestor=True)))
