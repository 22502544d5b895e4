"""The step that reads a round and keeps its results, or why it cannot be read."""

import io
import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import pydicom

from zweitblick import pipeline
from zweitblick.dicom.read import read_study
from zweitblick.documents import Documents, documents
from zweitblick.errors import (
    BrokenOffError,
    KeyHolderError,
    NetworkClosedError,
    ResultChangedError,
    StoreFullError,
    StoreUnavailableError,
    UnknownRoundError,
    ZweitblickError,
)
from zweitblick.model.batcher import Batcher
from zweitblick.model.bundle import Bundles
from zweitblick.reading import Stamp
from zweitblick.store.life import Event, State
from zweitblick.store.results import ERROR, FINDINGS, ResultName
from zweitblick.store.store import Store
from zweitblick.worker.events import happened, round_of

log = logging.getLogger(__name__)

DICOM, JSON, PDF = "application/dicom", "application/json", "application/pdf"

BREAKS = 5
"""So often a reading may be broken off by the end of the process before its study is given up."""

INTERNAL = "internal"
"""Code of a defect of ours."""

AWAY = (StoreUnavailableError, StoreFullError, KeyHolderError)
"""These say nothing of the study; it waits."""


@dataclass(frozen=True)
class _Fault:
    code: str
    message: str


class ReadingStep:
    """Reads rounds; for several threads at once.

    Parameters
    ----------
    store
        Where studies are, and results go.
    bundles
        The networks.
    batcher
        Through which studies share them.
    """

    def __init__(self, store: Store, bundles: Bundles, batcher: Batcher) -> None:
        self._store = store
        self._bundles = bundles
        self._batcher = batcher

    def read(self, study: str, round_id: str, stamp: str) -> State:
        """Read a round and keep its results, or why it cannot be read; return its state.

        Parameters
        ----------
        study, round_id
            Token and id.
        stamp
            Time of the reading, ISO 8601; all UIDs of the results come of it.

        Raises
        ------
        NetworkClosedError
            If the batcher is closed meanwhile; the round may be read again.
        StoreUnavailableError, StoreFullError, KeyHolderError
            If store or key holder are away; likewise.
        UnknownRoundError
            If the study was shredded.
        """
        store = self._store
        happened(store, study, round_id, Event.RELEASED)  # by whoever died over it
        if happened(store, study, round_id, Event.STARTED) != State.READING:
            return round_of(store, study, round_id).state
        fault = self._fault_of(lambda: self._keep_all(study, round_id, Stamp(datetime.fromisoformat(stamp))))
        if fault is None:
            return happened(store, study, round_id, Event.READ)
        log.warning("round %s of study %s cannot be read: %s", round_id, study, fault.code)
        self._keep_fault(round_id, fault)
        return happened(store, study, round_id, Event.GAVE_UP)

    def _fault_of(self, read: Callable[[], None]) -> _Fault | None:
        try:
            read()
        except (*AWAY, UnknownRoundError, NetworkClosedError):
            raise
        except ZweitblickError as error:
            return _Fault(error.code, str(error))
        except Exception as error:  # noqa: BLE001 -- the job's edge: its text may quote a header, so only its type is told
            return _Fault(INTERNAL, f"{type(error).__name__}; a defect in zweitblick")
        return None

    def _keep_all(self, study: str, round_id: str, stamp: Stamp) -> None:
        self._check_breaks(study, round_id)
        made = self._made(study, round_of(self._store, study, round_id).number, stamp)
        for name, media_type, content in (
            ("seg", DICOM, made.seg),
            ("sr", DICOM, made.sr),
            ("pdf", PDF, made.pdf),
            ("encapsulated-pdf", DICOM, made.encapsulated_pdf),
            (FINDINGS, JSON, made.json),
        ):
            uid = _sop_instance_uid(content) if media_type == DICOM else ""
            self._store.keep_result(ResultName(round_id, name, media_type, uid), io.BytesIO(content))

    def _check_breaks(self, study: str, round_id: str) -> None:
        """Give a study up that may be what stops the service, before it does so for ever."""
        history = self._store.history(study)
        breaks = sum(entry.round == round_id and entry.event is Event.RELEASED for entry in history)
        if breaks >= BREAKS:
            raise BrokenOffError(f"the reading was broken off {breaks} times; look for what stops the service")

    def _made(self, study: str, number: int, stamp: Stamp) -> Documents:
        kept = [one for one in self._store.instances(study) if one.round <= number and one.conflicts_with is None]
        contents: list[bytes] = []
        # by UID, so that a repeated step reads them in the same order
        for instance in sorted(kept, key=lambda one: one.sop_instance_uid):
            with self._store.open(instance.id) as file:
                contents.append(file.read())
        headers = read_study(contents)
        self._store.describe(study, patient_id=headers.patient.id, accession_number=headers.accession_number)
        reading = pipeline.read(headers, self._batcher.share().bundles(self._bundles), stamp=stamp)
        return documents(reading)

    def _keep_fault(self, round_id: str, fault: _Fault) -> None:
        content = json.dumps({"code": fault.code, "message": fault.message}).encode()
        try:
            self._store.keep_result(ResultName(round_id, ERROR, JSON), io.BytesIO(content))
        except ResultChangedError:  # the first one stays
            log.warning("round %s cannot be read for another reason than before: %s", round_id, fault.code)


def _sop_instance_uid(file: bytes) -> str:
    return str(
        pydicom.dcmread(io.BytesIO(file), specific_tags=["SOPInstanceUID"], stop_before_pixels=True).SOPInstanceUID
    )
