"""A destination that counts what it is sent, and kills whoever sends it."""

import subprocess
from collections import defaultdict
from concurrent.futures import Future
from typing import Any

from pydicom.uid import Comprehensive3DSRStorage, EncapsulatedPDFStorage, SegmentationStorage
from pynetdicom import evt
from pynetdicom.pdu import A_RELEASE_RQ

from kept_study import PATIENCE_S
from peers.fake_peers import StorePeer

SENT = (SegmentationStorage, Comprehensive3DSRStorage, EncapsulatedPDFStorage)
MOMENTS = 2 * len(SENT) + 1
"""Of a delivery: each instance comes, and is stored but not yet acknowledged; at last the sender, who has all
acknowledgements and has noted none, wants to release."""


class KillingPeer(StorePeer):
    """A C-STORE provider; ``versions`` has every content that came under a SOP Instance UID."""

    def __init__(self) -> None:
        self.versions: defaultdict[str, set[bytes]] = defaultdict(set)
        self._left = 0
        self._victim: Future[subprocess.Popen[str]] = Future()
        super().__init__(sop_classes=SENT)

    def kill(self, victim: Future[subprocess.Popen[str]], *, at: int) -> None:
        """Kill a process at a moment of the first delivery from now on, 1 to `MOMENTS`."""
        self._victim, self._left = victim, at

    def _handlers(self) -> list[tuple[Any, Any]]:
        return [*super()._handlers(), (evt.EVT_PDU_RECV, self._heard)]

    def _store(self, event: evt.Event) -> int:
        self._pass()
        status = super()._store(event)
        self.versions[event.request.AffectedSOPInstanceUID].add(event.request.DataSet.getvalue())
        self._pass()
        return status

    def _heard(self, event: evt.Event) -> None:
        if isinstance(event.pdu, A_RELEASE_RQ):
            self._pass()

    def _pass(self) -> None:
        """Let a moment pass; the answer waits until the victim is dead."""
        self._left -= 1
        if self._left == 0:
            process = self._victim.result(PATIENCE_S)
            process.kill()
            process.wait(PATIENCE_S)
