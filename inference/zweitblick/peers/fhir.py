"""FHIR as a client: a report's resources to a server, in one transaction, and sealed bundles to who opens them."""

import json
from collections.abc import Sequence

from zweitblick.errors import PeerAnswerError, PeerError
from zweitblick.peers.http import PASSING, HttpSender, refused
from zweitblick.peers.instance import FHIR, Outgoing, Receipt
from zweitblick.report.fhir_ids import transaction

_HEADERS = {"Accept": FHIR, "Content-Type": FHIR, "Prefer": "return=minimal"}
"""Without ``fhirVersion``, since what is sent is valid in R4 and in R4B; resources need not come back (R4 section
3.1.0.1)."""

_PASSING = PASSING | {409}
"""With Conflict, by which servers refuse updates of one resource at once (R4 section 3.1.0.4): such as our own
repetition, while they still work on a transaction whose answer did not come in time."""

_MALFORMED = (ValueError, TypeError, LookupError, RecursionError)
"""What walking through JSON of any other form raises."""


class FhirSender(HttpSender):
    """Sends the resources of bundles to a FHIR server; see `zweitblick.peers.http.HttpSender`."""

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
            status, content = self._post(self._destination.url, json.dumps(sent).encode(), _HEADERS)
            if status != 200:
                raise self._refused(status)
            self._check(content, len(sent["entry"]))
        return Receipt()

    def check(self) -> None:
        """Ask for the capability statement, which each server has (R4 section 3.1.0.10); nothing is sent.

        Raises
        ------
        PeerError
            If there is no answer, the credentials are not taken, or there is no FHIR server at the URL.
        """
        status = self._status_of(self._destination.address("metadata"), accept=FHIR)
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
                raise self._refused(status)
        if len(statuses) != count:
            raise PeerAnswerError(f"{self._destination.name} did not answer for each resource; it is sent again")

    def _refused(self, status: int) -> PeerError:
        return refused(status, name=self._destination.name, passing=_PASSING)


class JweSender(HttpSender):
    """Sends sealed bundles, each in a request of its own; see `zweitblick.peers.http.HttpSender`."""

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
            status, _ = self._post(self._destination.url, content, {"Content-Type": one.media_type})
            if status // 100 != 2:
                raise refused(status, name=self._destination.name)
        return Receipt()

    def check(self) -> None:
        """Ask for the URL, so that address, trust and credentials are tried; nothing is sent.

        Raises
        ------
        PeerError
            If there is no answer, or the credentials are not taken. That nothing can be read there is no fault.
        """
        self._status_of(self._destination.url, accept="*/*")
