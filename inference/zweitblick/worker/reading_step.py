"""The step that reads a round and keeps its results, or why it cannot be read."""

import io
import logging
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime
from typing import BinaryIO

import pydicom

from zweitblick import pipeline
from zweitblick.dicom.read import read_study
from zweitblick.documents import Documents, documents
from zweitblick.errors import (
    BrokenOffError,
    EventError,
    MissingSequenceError,
    NetworkCancelledError,
    NetworkClosedError,
    UnknownRoundError,
)
from zweitblick.model.batcher import Share
from zweitblick.model.bundle import Bundles
from zweitblick.reading import Stamp
from zweitblick.store.life import Event, State
from zweitblick.store.results import FINDINGS, ResultName
from zweitblick.store.rounds import LifeEvent
from zweitblick.store.store import Store
from zweitblick.worker.faults import AWAY, Fault, failed
from zweitblick.worker.inputs import inputs
from zweitblick.worker.turn import Turn, happened

log = logging.getLogger(__name__)

DICOM, JSON, PDF = "application/dicom", "application/json", "application/pdf"

BREAKS = 5
"""So often a reading may be broken off by the end of the process before its study is given up."""


class ReadingStep:
    """Reads rounds; for several threads at once.

    Parameters
    ----------
    store
        Where studies are, and results go.
    bundles
        The networks.
    """

    def __init__(self, store: Store, bundles: Bundles) -> None:
        self._store = store
        self._bundles = bundles

    def read(self, turn: Turn, stamp: str, share: Share) -> State:
        """Read a round and keep its results, or why it cannot be read; return its state.

        Nothing is kept if the turn is over before its end; one that was read before is not read again.

        Parameters
        ----------
        turn
            Of the round.
        stamp
            Time of the reading, ISO 8601; all UIDs of the results come of it.
        share
            Of the networks; cancelled when the round is not wanted any more.

        Raises
        ------
        NetworkClosedError
            If the networks are closed meanwhile; the round may be read again.
        StoreUnavailableError, StoreFullError, KeyHolderError
            If store or key holder are away; likewise.
        UnknownRoundError
            If the study was shredded.
        """
        work = self._store.work
        happened(self._store, turn, Event.RELEASED)  # by whoever died over it
        try:
            work.advance(turn.round, Event.STARTED, turn=turn.number)
            history = work.history(turn.round)
            if any(entry.event is Event.READ for entry in history):
                return happened(self._store, turn, Event.READ)
            _check_breaks(history)
            results = self._results(turn, Stamp(datetime.fromisoformat(stamp)), share)
            return work.keep_reading(turn.round, results, turn=turn.number)
        except (*AWAY, UnknownRoundError, NetworkClosedError):
            raise
        except (EventError, NetworkCancelledError):  # nobody wants it any more, or another was faster
            return work.round(turn.round).state
        except Exception as error:  # noqa: BLE001 -- the job's edge: its text may quote a header, so only its type is told
            fault = Fault.of(error)
        log.warning("round %s of study %s cannot be read: %s", turn.round, turn.study, fault.code)
        return failed(self._store, turn, fault)

    def _results(self, turn: Turn, stamp: Stamp, share: Share) -> Sequence[tuple[ResultName, BinaryIO]]:
        made = self._made(turn, stamp, share)
        return [
            (ResultName(turn.round, name, media_type, _uid(content, media_type)), io.BytesIO(content))
            for name, media_type, content in (
                ("seg", DICOM, made.seg),
                ("sr", DICOM, made.sr),
                ("pdf", PDF, made.pdf),
                ("encapsulated-pdf", DICOM, made.encapsulated_pdf),
                (FINDINGS, JSON, made.json),
            )
        ]

    def _made(self, turn: Turn, stamp: Stamp, share: Share) -> Documents:
        def unless_cancelled(_stage: str) -> AbstractContextManager[None]:
            share.check()
            return nullcontext()

        headers = read_study(self._contents(turn, share))
        self._store.describe(turn.study, patient_id=headers.patient.id, accession_number=headers.accession_number)
        reading = pipeline.read(headers, share.bundles(self._bundles), stamp=stamp, observer=unless_cancelled)
        return documents(reading)

    def _contents(self, turn: Turn, share: Share) -> list[bytes]:
        contents: list[bytes] = []
        for instance in inputs(self._store, turn.study, self._store.work.round(turn.round).number):
            share.check()
            with self._store.open(instance.id) as file:
                contents.append(file.read())
        if not contents:
            raise MissingSequenceError("no MR image is among the study's instances; send its MR series")
        return contents


def _check_breaks(history: Sequence[LifeEvent]) -> None:
    """Give a study up that may be what stops the service, before it does so for ever."""
    breaks = 0
    for before, entry in zip([None, *history], history, strict=False):
        if entry.event is Event.REPLAYED:
            breaks = 0
        # after a failed attempt the round is given back by the next one, and nobody died
        elif entry.event is Event.RELEASED and (before is None or before.event is not Event.ATTEMPT_FAILED):
            breaks += 1
    if breaks >= BREAKS:
        raise BrokenOffError(f"the reading was broken off {breaks} times; look for what stops the service")


def _uid(content: bytes, media_type: str) -> str:
    """SOP Instance UID of a DICOM file, nothing of others."""
    if media_type != DICOM:
        return ""
    file = io.BytesIO(content)
    return str(pydicom.dcmread(file, specific_tags=["SOPInstanceUID"], stop_before_pixels=True).SOPInstanceUID)
