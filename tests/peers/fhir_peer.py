"""A FHIR server on this machine, of the standard library: it keeps what is put there in transactions."""

import json
import ssl
from typing import Any

from peers.fake_peers import StowPeer
from zweitblick.peers.destination import FhirDestination, JweDestination

Json = dict[str, Any]

OUTCOME = {
    "resourceType": "OperationOutcome",
    "issue": [{"severity": "error", "code": "invalid", "diagnostics": "Patient Anna Grün, ZB-0815, is no patient"}],
}
"""It quotes what it was sent, as servers do."""


class FhirPeer(StowPeer):
    """Takes transactions of updates, and anything that is sealed; see `StowPeer`.

    ``statuses`` are said of the entries, one after the other.
    """

    def __init__(self, *, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(tls=tls)
        root = self.destination.url.removesuffix("/dicom-web")
        self.destination = FhirDestination("EHR", f"{root}/fhir")
        self.inbox = JweDestination("CLINIC", f"{root}/inbox")
        self.kept: dict[str, Json] = {}
        self.bodies: list[bytes] = []

    def take(self, content_type: str, body: bytes) -> tuple[int, bytes]:
        """Put each resource in its place, and answer as FHIR R4 section 3.1.0.11.3 has it."""
        self.bodies.append(body)
        if content_type == "application/jose":
            return self.status or 200, b""
        entries = [{"response": self._put(entry)} for entry in json.loads(body)["entry"]]
        answer = json.dumps({"resourceType": "Bundle", "type": "transaction-response", "entry": entries}).encode()
        return self.status or 200, self.answer if self.answer is not None else answer

    def _put(self, entry: Json) -> Json:
        request, resource = entry["request"], entry["resource"]
        place = f"{resource['resourceType']}/{resource['id']}"
        is_named = request == {"method": "PUT", "url": place}
        status = self.statuses.pop(0) if self.statuses else 201 if is_named else 400
        if status >= 300:
            return {"status": f"{status} Refused", "outcome": OUTCOME}
        self.kept[place] = resource
        return {"status": f"{status} Created", "location": f"{place}/_history/1"}
