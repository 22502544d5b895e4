"""C-FIND and C-MOVE as a user (PS3.4 annex C, Study Root): studies of a patient, their series, and what sends them."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pydicom.dataset import Dataset
from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom.association import Association
from pynetdicom.presentation import build_context

from zweitblick.dicom.header import integer, quietly, text, texts
from zweitblick.dicom.query_retrieve import STUDY_ROOT_FIND, STUDY_ROOT_MOVE
from zweitblick.errors import (
    PeerAnswerError,
    PeerBrokenOffError,
    PeerBusyError,
    PeerContextError,
    PeerError,
    PeerRefusedError,
)
from zweitblick.peers.archive import RemoteSeries, RemoteStudy, check_count, checked_uid
from zweitblick.peers.association import PATIENCE, Patience, associated
from zweitblick.peers.destination import StoreDestination
from zweitblick.peers.status import SUCCESS

_PLAIN: list[str | UID] = [ExplicitVRLittleEndian, ImplicitVRLittleEndian]
_PENDING = frozenset({0xFF00, 0xFF01})
"""The second says that an optional key was not matched (PS3.4 table C.4-1)."""
_WATCH_S = 0.25
_DESTINATION_UNKNOWN = 0xA801
"""PS3.4 table C.4-2."""
_STUDY_KEYS = ("StudyTime", "PatientBirthDate", "PatientSex", "StudyInstanceUID")
_SERIES_KEYS = ("SeriesInstanceUID", "Modality", "BodyPartExamined", "NumberOfSeriesRelatedInstances")


class DimseArchive:
    """An archive that is asked by C-FIND, and sends to us when asked by C-MOVE.

    Parameters
    ----------
    destination
        Where; its calling AE title is the one that the archive sends to.
    patience
        How long it may take to answer, and between two answers.
    """

    def __init__(self, destination: StoreDestination, *, patience: Patience = PATIENCE) -> None:
        self._destination = destination
        self._patience = patience

    def studies(self, patient_id: str, *, until: str) -> list[RemoteStudy]:
        """Ask for the MR studies of a patient up to a day; see `zweitblick.peers.web_archive.WebArchive.studies`.

        Raises
        ------
        PeerError
            If there is no answer that can be used.
        """
        keys = {"PatientID": patient_id, "ModalitiesInStudy": "MR", "StudyDate": f"-{until}"}
        found = self._found("STUDY", keys | dict.fromkeys(_STUDY_KEYS, ""))
        with quietly():
            return [
                RemoteStudy(
                    uid=checked_uid(text(one, "StudyInstanceUID"), name=self._destination.name),
                    patient_id=text(one, "PatientID"),
                    birth_date=text(one, "PatientBirthDate"),
                    sex=text(one, "PatientSex"),
                    date=text(one, "StudyDate"),
                    time=text(one, "StudyTime"),
                    modalities=frozenset(texts(one, "ModalitiesInStudy")),
                )
                for one in found
            ]

    def series(self, study_uid: str) -> list[RemoteSeries]:
        """Ask for the series of a study.

        Raises
        ------
        PeerError
            If there is no answer that can be used.
        """
        keys = {"StudyInstanceUID": study_uid} | dict.fromkeys(_SERIES_KEYS, "")
        found = self._found("SERIES", keys)
        with quietly():
            return [
                RemoteSeries(
                    uid=checked_uid(text(one, "SeriesInstanceUID"), name=self._destination.name),
                    modality=text(one, "Modality"),
                    body_part=text(one, "BodyPartExamined"),
                    instances=integer(one, "NumberOfSeriesRelatedInstances") or 0,
                )
                for one in found
            ]

    def move(self, study_uid: str, series_uid: str, *, within_s: float, closing: threading.Event) -> None:
        """Have a series sent to us; return once the archive says that all of it was.

        Parameters
        ----------
        study_uid, series_uid
            Which.
        within_s
            So long it may take; then the association is aborted.
        closing
            Has it aborted early.

        Raises
        ------
        PeerError
            If it was not, or not all of it.
        """
        keys = {"StudyInstanceUID": study_uid, "SeriesInstanceUID": series_uid}
        to = self._destination.calling_ae_title
        with (
            associated(self._destination, [build_context(STUDY_ROOT_MOVE, _PLAIN)], self._patience) as association,
            _aborted_when(association, closing, within_s),
        ):
            answers = association.send_c_move(_identifier("SERIES", keys), to, STUDY_ROOT_MOVE)
            statuses = [self._status(status) for status, _ in answers]
        if statuses[-1:] != [SUCCESS]:
            raise self._refusal(statuses[-1] if statuses else 0)

    def check(self) -> None:
        """Associate as for asking, and for having studies sent; nothing is asked.

        Raises
        ------
        PeerContextError
            If one of the two is not provided.
        PeerError
            If there is no association.
        """
        contexts = [build_context(one, _PLAIN) for one in (STUDY_ROOT_FIND, STUDY_ROOT_MOVE)]
        with associated(self._destination, contexts, self._patience) as association:
            accepted = {context.abstract_syntax for context in association.accepted_contexts}
        for one in (STUDY_ROOT_FIND, STUDY_ROOT_MOVE):
            if one not in accepted:
                raise PeerContextError(f"{self._destination.name} takes no {one.name}; allow it there")

    def _found(self, level: str, keys: dict[str, str]) -> list[Dataset]:
        contexts = [build_context(STUDY_ROOT_FIND, _PLAIN)]
        with associated(self._destination, contexts, self._patience) as association:
            return list(self._matches(association, _identifier(level, keys)))

    def _matches(self, association: Association, identifier: Dataset) -> Iterator[Dataset]:
        for count, (status, match) in enumerate(association.send_c_find(identifier, STUDY_ROOT_FIND), start=1):
            code = self._status(status)
            if code == SUCCESS:
                return
            if code not in _PENDING:
                raise self._refusal(code)
            if match is None:
                raise PeerAnswerError(f"{self._destination.name} gave a match that cannot be read; see to it")
            check_count(count, name=self._destination.name)
            yield match

    def _status(self, status: Dataset) -> int:
        """Return a status; pynetdicom gives an empty one where there was no response."""
        code: Any = status.get("Status")
        if code is None:
            raise PeerBrokenOffError(f"{self._destination.name} did not answer to the end; it is tried again")
        return int(code)

    def _refusal(self, status: int) -> PeerError:
        name = self._destination.name
        if status == _DESTINATION_UNKNOWN:
            title = self._destination.calling_ae_title
            return PeerRefusedError(f"{name} does not know {title} as a destination of C-MOVE; make it known there")
        if status >> 8 == 0xA9 or status >> 12 == 0xC or status in (0x0122, 0x0124):
            return PeerRefusedError(f"{name} refused a query or C-MOVE with status 0x{status:04X}; see to its log")
        return PeerBusyError(f"{name} ended a query or C-MOVE with status 0x{status:04X}; see to its log")


def _identifier(level: str, keys: dict[str, str]) -> Dataset:
    identifier = Dataset()
    identifier.QueryRetrieveLevel = level
    if not all(value.isascii() for value in keys.values()):
        identifier.SpecificCharacterSet = "ISO_IR 192"
    with quietly():  # a value that its VR does not allow is in the study's own header
        for keyword, value in keys.items():
            setattr(identifier, keyword, value)
    return identifier


@contextmanager
def _aborted_when(association: Association, closing: threading.Event, within_s: float) -> Iterator[None]:
    """Abort an association if the block takes too long, or is not wanted any more."""
    done, end = threading.Event(), time.monotonic() + within_s

    def watch() -> None:
        while not done.wait(_WATCH_S):
            if closing.is_set() or time.monotonic() >= end:
                # what pynetdicom itself puts there when the peer aborts; whoever waits for a response then aborts
                association.dimse.msg_queue.put((None, None))
                return

    watcher = threading.Thread(target=watch, name="c-move")
    watcher.start()
    try:
        yield
    finally:
        done.set()
        watcher.join()
