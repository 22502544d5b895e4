"""Source: an archive whose studies are asked for, and come into the store like any that are sent; all on record."""

import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from urllib.parse import urlsplit

from zweitblick.audit.auditor import Auditor
from zweitblick.audit.events import AuditedStudy, Transfer, failed, queried, transfer_begun, transferred
from zweitblick.audit.message import Participant
from zweitblick.errors import (
    DamagedInstanceError,
    InstanceTooLargeError,
    MalformedBodyError,
    PeerAnswerError,
    PeerError,
    UnknownStudyError,
    UnsupportedMediaError,
)
from zweitblick.errors.root import code_of
from zweitblick.intake.parts import boundary_of, media_type, parts
from zweitblick.peers.archive import RemoteSeries, RemoteStudy
from zweitblick.peers.association import PATIENCE, Patience
from zweitblick.peers.destination import Archive, StoreDestination
from zweitblick.peers.dimse_archive import DimseArchive
from zweitblick.peers.web_archive import WebArchive
from zweitblick.retrieval.bounds import BOUNDS, Allowance, Bounds
from zweitblick.store.store import Store

_UNUSABLE = (MalformedBodyError, UnsupportedMediaError, DamagedInstanceError, InstanceTooLargeError)


class Source:
    """An archive that studies are fetched from; for several threads at once.

    Parameters
    ----------
    destination
        Where it is, and how it is spoken to.
    store
        Where instances go.
    audit
        Has queries and transfers on record; what cannot be put there does not happen.
    bounds
        How much, and how long.
    patience
        How long it may take to answer.
    """

    def __init__(
        self,
        destination: Archive,
        store: Store,
        audit: Auditor,
        *,
        bounds: Bounds = BOUNDS,
        patience: Patience = PATIENCE,
    ) -> None:
        self.name = destination.name
        self._destination = destination
        self._store = store
        self._audit = audit
        self._bounds = bounds
        self._archive = (
            DimseArchive(destination, patience=patience)
            if isinstance(destination, StoreDestination)
            else WebArchive(destination, patience=patience)
        )

    def studies(self, patient_id: str, *, until: str) -> list[RemoteStudy]:
        """Ask for the MR studies of a patient up to a day, YYYYMMDD.

        Raises
        ------
        PeerError
            If there is no answer that can be used.
        AuditError
            If it cannot be put on record; nothing is asked then.
        """
        self._record_query(f"studies?PatientID={patient_id}&ModalitiesInStudy=MR&StudyDate=-{until}")
        return self._archive.studies(patient_id, until=until)

    def series(self, study_uid: str) -> list[RemoteSeries]:
        """Ask for the series of a study; raises what `studies` does."""
        self._record_query(f"studies/{study_uid}/series")
        return self._archive.series(study_uid)

    def fetch(self, study_uid: str, series: Sequence[RemoteSeries], *, closing: threading.Event) -> None:
        """Have series of a study come into the store; return once all are durable.

        Parameters
        ----------
        study_uid, series
            Which.
        closing
            Ends it early.

        Raises
        ------
        PeerError
            If they did not all come, or are more than is taken.
        StoreError, VaultError, AuditError
            If they cannot be kept now.
        HandedBack
            If it was ended early.
        """
        if sum(one.instances for one in series) > self._bounds.instances:
            raise PeerAnswerError(f"{self.name} has a study of more than {self._bounds.instances} instances")
        allowance = Allowance(self._bounds, closing, self.name)
        for one in series:
            if isinstance(self._archive, DimseArchive):
                self._move(self._archive, study_uid, one.uid, allowance)
            else:
                self._download(self._archive, study_uid, one.uid, allowance)
        self._check_came(study_uid, series)

    def _move(self, archive: DimseArchive, study_uid: str, series_uid: str, allowance: Allowance) -> None:
        try:
            archive.move(study_uid, series_uid, within_s=allowance.left_s(), closing=allowance.closing)
        except PeerError:
            allowance.left_s()  # says so if it was we who ended it
            raise

    def _download(self, archive: WebArchive, study_uid: str, series_uid: str, allowance: Allowance) -> None:
        kept: Counter[str] = Counter()
        with (
            self._transfer_recorded(study_uid, kept),
            archive.retrieved(f"studies/{study_uid}/series/{series_uid}") as (kind, pieces),
        ):
            try:
                for part in parts(allowance.counted(pieces), boundary_of(media_type(kind))):
                    instance = part.file.instance()
                    if instance.study_instance_uid != study_uid or kept.total() >= self._bounds.instances:
                        raise PeerAnswerError(f"{self.name} sends another study than it was asked for, or too much")
                    self._store.keep(replace(instance, is_fetched=True))
                    kept[instance.sop_class_uid] += 1
            except _UNUSABLE as error:
                raise PeerAnswerError(f"{self.name} sends what is no DICOM ({error.code}); see to it") from error

    def _check_came(self, study_uid: str, series: Sequence[RemoteSeries]) -> None:
        """Refuse to believe an archive that has sent it to somebody else, or less than it said."""
        try:
            kept = Counter(one.series_instance_uid for one in self._store.instances(self._store.token(study_uid)))
        except UnknownStudyError:
            kept = Counter()
        if any(kept[one.uid] < max(1, one.instances) for one in series):
            raise PeerAnswerError(f"{self.name} did not send all of a study here; see to it, and to our address there")

    @contextmanager
    def _transfer_recorded(self, study_uid: str, kept: Counter[str]) -> Iterator[None]:
        """Have a transfer over HTTP on record; one over DIMSE is by our receiver."""
        receiver = replace(self._audit.process, is_requestor=True)
        transfer = Transfer(self._participant(), receiver, AuditedStudy(study_uid))
        self._audit.record(transfer_begun(transfer))

        def done() -> Transfer:
            return replace(transfer, study=AuditedStudy(study_uid, sop_classes=dict(kept)))

        try:
            yield
        except BaseException as error:  # HandedBack too: what began has an end on record
            code = code_of(error)
            self._audit.record(failed(transferred(done()), code))
            raise
        self._audit.record(transferred(done()))

    def _record_query(self, query: str) -> None:
        """Put on record what is asked, in the form of QIDO-RS whatever the protocol is."""
        self._audit.record(queried(self._audit.process, self._participant(), query=query.encode()))

    def _participant(self) -> Participant:
        there = self._destination
        if isinstance(there, StoreDestination):
            return Participant(there.name, ae_titles=(there.called_ae_title,), address=there.host)
        return Participant(there.name, address=urlsplit(there.url).hostname or "")
