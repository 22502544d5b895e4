"""Sealer: signs and encrypts what leaves the hospital, once for each destination.

What was sealed is kept until its round's results are replaced, so that a delivery that is repeated brings the same
bytes under the same UID. UIDs and pseudonyms are keyed hashes under a secret of the store for each destination: two of
them that compare what they have find nothing in common.
"""

import hashlib
import hmac
import io
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial

from cryptography.hazmat.primitives.serialization import Encoding

from zweitblick.delivery.route import Route
from zweitblick.delivery.seal import Form, Parties, Seal
from zweitblick.dicom.encrypted import Filing, encrypted_instance
from zweitblick.errors import ResultChangedError
from zweitblick.peers.instance import DICOM, JOSE, P7M, Outgoing, document, outgoing
from zweitblick.report.fhir_parts import CONTENT_TYPE
from zweitblick.store.deliveries import Delivery
from zweitblick.store.objects import KeptResult
from zweitblick.store.results import ResultName
from zweitblick.store.store import Store
from zweitblick.store.studies import KeptStudy
from zweitblick.vault.cms.certificates import Recipients
from zweitblick.vault.cms.enveloped import enveloped
from zweitblick.vault.cms.secure_file import sealed_file
from zweitblick.vault.cms.signed import signed
from zweitblick.vault.jose import sealed_jwe

PSEUDONYM_DIGITS = 32
"""Hexadecimal; 128 bits, and short enough for a Patient ID (LO, 64 characters)."""

_MEDIA_TYPES = {Form.ENCRYPTED_ATTRIBUTES: DICOM, Form.SEALED_FILE: P7M, Form.JWE: JOSE}


class Sealer:
    """Seals results for destinations; for several threads and processes at once.

    Parameters
    ----------
    store
        Where results are, and what was made of them is kept; by its clock certificates must be valid.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    def instances(self, delivery: Delivery, route: Route, seal: Seal) -> list[Outgoing]:
        """Return the results of a round as a destination gets them; the second time, the same bytes.

        If form or recipients have changed since, they are sealed anew, under the same UIDs.

        Parameters
        ----------
        delivery
            Of the round to the route's destination.
        route
            Says which results.
        seal
            Of the route.

        Raises
        ------
        CmsError
            If a certificate must not be used now, or a result cannot take this form.
        StoreError, VaultError
            As from `zweitblick.store.store.Store.open` and `~zweitblick.store.store.Store.keep_outgoing`.
        """
        now = self._store.clock()
        work = _Work(
            delivery, seal.form, seal.parties(now), filing(self._store, delivery.study, route.destination.name), now
        )
        there = {one.name: one for one in self._store.outgoing(delivery.round)}
        results = route.chosen(self._store.results(delivery.round))
        return [self._outgoing(work, one, there.get(work.name(one.name))) for one in results]

    def _outgoing(self, work: "_Work", result: KeptResult, there: KeptResult | None) -> Outgoing:
        kept = there or self._kept(work, result)
        opened = partial(self._store.open, kept.id)
        if work.form is Form.ENCRYPTED_ATTRIBUTES:
            return outgoing(opened, size=kept.plain_bytes)
        if work.form is Form.JWE:
            return document(opened, size=kept.plain_bytes, media_type=JOSE)
        original = outgoing(partial(self._store.open, result.id), size=result.plain_bytes)
        return Outgoing(
            sop_class_uid=original.sop_class_uid,
            sop_instance_uid=work.filing.uid(original.sop_instance_uid),
            transfer_syntax_uid=original.transfer_syntax_uid,
            data_at=0,
            size=kept.plain_bytes,
            open=opened,
            media_type=P7M,
        )

    def _kept(self, work: "_Work", result: KeptResult) -> KeptResult:
        """Seal a result and keep that; if another process was faster, what that has sealed counts."""
        with self._store.open(result.id) as file:
            content = work.sealed(file.read())
        name = ResultName(result.round, work.name(result.name), _MEDIA_TYPES[work.form])
        with suppress(ResultChangedError):
            self._store.keep_outgoing(name, io.BytesIO(content))
        return next(one for one in self._store.outgoing(result.round) if one.name == name.name)


def filing(store: Store, study: str, destination: str) -> Filing:
    """Return under what a study is filed at a destination that may not know whose it is.

    A patient has one pseudonym at a destination, by Patient ID; a study without a Patient ID has one of its own.

    Parameters
    ----------
    store
        Where the study is; the secrets are its own.
    study
        Token.
    destination
        Name of the destination.

    Raises
    ------
    StoreError, VaultError
        If the study cannot be read.
    """
    secret = store.secret_for(destination)
    whose = _whose(store.study(study)).encode("utf-8", "surrogatepass")
    pseudonym = hmac.digest(secret, b"zweitblick pseudonym\0" + whose, "sha256").hex()[:PSEUDONYM_DIGITS]
    return Filing(pseudonym, secret)


def _whose(study: KeptStudy) -> str:
    """Name whose study it is, by patient if that is known; the word before keeps the two kinds apart."""
    return f"patient {study.patient_id}" if study.patient_id else f"study {study.study_instance_uid}"


@dataclass(frozen=True)
class _Work:
    """All that it takes to seal the results of a round for a destination."""

    delivery: Delivery
    form: Form
    parties: Parties
    filing: Filing = field(repr=False)
    now: datetime

    def name(self, result: str) -> str:
        """Name what is kept: in which form and for whom it was sealed are part of it."""
        return f"{self.delivery.destination}/{result}/{self.form}/{_fingerprint(self.parties.recipients)}"

    def sealed(self, content: bytes) -> bytes:
        parties, now = self.parties, self.now
        if self.form is Form.SEALED_FILE:
            return sealed_file(content, parties.recipients, parties.signer, at=now)
        if self.form is Form.JWE:
            return sealed_jwe(content, parties.recipients.only, parties.signer, at=now, content_type=CONTENT_TYPE)
        return encrypted_instance(
            content,
            self.filing,
            signed=partial(signed, signer=parties.signer, at=now),
            enveloped=partial(enveloped, recipients=parties.recipients, at=now),
        )


def _fingerprint(recipients: Recipients) -> str:
    """Name a set of recipients, in whatever order they are."""
    ders = sorted(one.public_bytes(Encoding.DER) for one in recipients.certificates)
    return hashlib.sha256(b"".join(hashlib.sha256(der).digest() for der in ders)).hexdigest()
