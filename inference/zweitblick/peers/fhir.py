"""FHIR as a client: a report's resources to a server, in one transaction, and sealed bundles to who opens them."""

import json
from collections.abc import Sequence

from zweitblick.errors import PeerAnswerError
from zweitblick.peers.association import PATIENCE, Patience
from zweitblick.peers.destination import FhirDestination, JweDestination
from zweitblick.peers.http import post, refused, status_of
from zweitblick.peers.instance import FHIR, Outgoing, Receipt
from zweitblick.report.fhir_ids import transaction

_HEADERS = {"Accept": FHIR, "Content-Type": FHIR, "Prefer": "return=minimal"}
"""Without ``fhirVersion``, since what is sent is valid in R4 and in R4B; resources need not come back (R4 section
3.1.0.1)."""

_MALFORMED = (ValueError, TypeError, LookupError, RecursionError)
"""What walking through JSON of any other form raises."""


class FhirSender:
    """Sends the resources of bundles to a FHIR server.

    Parameters
    ----------
    destination
        Where.
    patience
        How long it may take.
    """

    def __init__(self, destination: FhirDestination, *, patience: Patience = PATIENCE) -> None:
        self._destination = destination
        self._patience = patience

    def send(self, instances: Sequence[Outgoing]) -> Receipt:
        """Send bundles, and return once every resource was acknowledged; see `zweitblick.peers.instance.Sender`.

        What a server says of a refusal (OperationOutcome) may quote a resource, and is told nowhere.

        Raises
        ------
        PeerRefusedError
            If a resource was refused, and would be refused again.
        PeerError
            If one was not acknowledged for another reason; some may have been.
        """
        for one in instances:
            with one.open() as file:
                sent = transaction(json.load(file), self._destination.url)
            status, content = post(
                self._destination,
                self._destination.url,
                content=json.dumps(sent).encode(),
                headers=_HEADERS,
                patience=self._patience,
            )
            if status != 200:
                raise refused(status, name=self._destination.name)
            self._check(content, len(sent["entry"]))
        return Receipt()

    def check(self) -> None:
        """Ask for the capability statement, which each server has (R4 section 3.1.0.10); nothing is sent.

        Raises
        ------
        PeerError
            As from `zweitblick.peers.http.status_of`, and if there is no FHIR server at the URL.
        """
        url = self._destination.address("metadata")
        status = status_of(self._destination, url, accept=FHIR, patience=self._patience)
        if status != 200:
            raise PeerAnswerError(
                f"{self._destination.where} has no capability statement (HTTP status {status}); check the URL"
            )

    def _check(self, content: bytes, count: int) -> None:
        """Look up what a transaction-response says of each of so many entries (R4 section 3.1.0.11.3)."""
        try:
            answer = json.loads(content)
            entries = answer["entry"] if answer["type"] == "transaction-response" else []
            statuses = [int(entry["response"]["status"][:3]) for entry in entries]
        except _MALFORMED:
            statuses = []
        for status in statuses:
            if status // 100 != 2:
                raise refused(status, name=self._destination.name)
        if len(statuses) != count:
            raise PeerAnswerError(f"{self._destination.name} did not answer for each resource; it is sent again")


class JweSender:
    """Sends sealed bundles, each in a request of its own.

    Parameters
    ----------
    destination
        Where.
    patience
        How long it may take.
    """

    def __init__(self, destination: JweDestination, *, patience: Patience = PATIENCE) -> None:
        self._destination = destination
        self._patience = patience

    def send(self, instances: Sequence[Outgoing]) -> Receipt:
        """Send sealed bundles, and return once each was taken; see `zweitblick.peers.instance.Sender`.

        Raises
        ------
        PeerRefusedError
            If one was refused, and would be refused again.
        PeerError
            If one was not taken for another reason; some may have been.
        """
        for one in instances:
            with one.open() as file:
                content = file.read()
            headers = {"Content-Type": one.media_type}
            status, _ = post(
                self._destination, self._destination.url, content=content, headers=headers, patience=self._patience
            )
            if status // 100 != 2:
                raise refused(status, name=self._destination.name)
        return Receipt()

    def check(self) -> None:
        """Ask for the URL, so that address, trust and credentials are tried; nothing is sent.

        Raises
        ------
        PeerError
            As from `zweitblick.peers.http.status_of`. That nothing can be read there is no fault.
        """
        status_of(self._destination, self._destination.url, accept="*/*", patience=self._patience)
