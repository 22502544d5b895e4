"""Ingest: received instances become durable, several at once.

Each caller seals its own instance, which releases Python's lock; a thread then writes and fsyncs the packs of all that
wait, and after that ends one transaction with their rows. A crash in between leaves bytes that no row names. Whoever
was told that an instance is kept was told after both. docs/adr/0007-store.md has what it costs, and `python -m
benchmarks.ingest` measures it.
"""

import hashlib
import logging
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from functools import partial
from typing import BinaryIO, cast

from sqlalchemy import Connection as Transaction
from sqlalchemy import bindparam, insert, select
from sqlalchemy.exc import IntegrityError

from zweitblick.dicom.mr import may_be_mr
from zweitblick.errors import StoreUnavailableError, UnknownStudyError
from zweitblick.reading import is_ours
from zweitblick.store import rounds
from zweitblick.store.folder import Place
from zweitblick.store.group import GroupCommit
from zweitblick.store.index import Indexed
from zweitblick.store.lookups import IS_COMING, WAS_FETCHED, release
from zweitblick.store.objects import Kind
from zweitblick.store.received import Received, part10_head
from zweitblick.store.rooms import Rooms
from zweitblick.store.rows import fresh_id, microseconds, sealed_details
from zweitblick.store.schema import objects, receptions, studies
from zweitblick.vault.envelope import SEGMENT_BYTES, SealingWriter

log = logging.getLogger(__name__)

_TRIES = 5
"""Another process that adds the same rows, or deletes the study, is waited out so many times."""


_OF_IDENTITY = (objects.c.study == studies.c.token) & objects.c.identity_index.in_(
    bindparam("identities", expanding=True)
)
_KEPT = (
    select(
        studies.c.token,
        (WAS_FETCHED & ~IS_COMING).label("was_fetched"),
        *objects.c["identity_index", "id", "kind", "content_index", "conflicts_with"],
    )
    .select_from(studies.outerjoin(objects, _OF_IDENTITY))
    .where(studies.c.token.in_(bindparam("studies", expanding=True)), ~studies.c.shredding)
)
"""What is kept under some identities in some studies, and of a study that has none of them just what it is."""
_KEEP, _NOTE = insert(objects), insert(receptions)


class Outcome(StrEnum):
    """What became of an instance that was acknowledged."""

    NEW = "new"
    DUPLICATE = "duplicate"
    """It is there already, with the same content; nothing was stored."""
    CONFLICT = "conflict"
    """One of the same SOP Instance UID and other content is there already; this one is kept apart and not read."""
    RETURNED = "returned"
    """It is a result of ours, which came back; nothing was stored."""
    FOREIGN = "foreign"
    """It bears our UID root and is not kept here: another zweitblick's result, or one that is known elsewhere by
    another UID. Nothing was stored, and this is not noted."""


class _Pieces(list[bytes]):
    """A sink that copies nothing."""

    def write(self, data: bytes) -> int:
        self.append(data)
        return len(data)


@dataclass(frozen=True)
class _Sealed:
    """An instance as it will be kept."""

    study: str
    id: str
    may_be_mr: bool
    identity_index: bytes
    series_index: bytes
    content_index: bytes
    body: Sequence[bytes] = field(repr=False)
    details: bytes = field(repr=False)
    reception: str
    reception_details: bytes = field(repr=False)
    at_us: int
    quiet_us: int
    is_fetched: bool


@dataclass(frozen=True)
class _Known:
    """An object that is kept, or is about to be."""

    id: str
    kind: str
    content_index: bytes
    conflicts: bool


@dataclass(frozen=True)
class _Decision:
    """What becomes of an instance; ``object`` is what it is or is the same as.

    ``releases``: its study was here because it was fetched for another one, and now somebody has sent it.
    """

    outcome: Outcome
    object: str
    conflicts_with: str | None = None
    releases: bool = False

    @property
    def stored(self) -> bool:
        return self.outcome in (Outcome.NEW, Outcome.CONFLICT)


class Ingest:
    """Keeps received instances; for several threads at once, and several processes with the same rooms.

    Parameters
    ----------
    rooms
        Of the store.
    clock
        Tells the time, aware.
    quiet_time
        How long after an instance of this calling AE title more may be on the way.
    """

    def __init__(self, rooms: Rooms, *, clock: Callable[[], datetime], quiet_time: Callable[[str], timedelta]) -> None:
        self._rooms = rooms
        self._clock = clock
        self._quiet_time = quiet_time
        self._group: GroupCommit[_Sealed, Outcome | None] = GroupCommit(self._commit)

    def keep(self, instance: Received) -> Outcome:
        """Return once an instance is durable; see `zweitblick.store.store.Store.keep`."""
        if is_ours(instance.sop_instance_uid) and not self._is_kept(instance):
            return Outcome.FOREIGN
        for _ in range(_TRIES):
            study = self._rooms.studies.enlist(instance.study_instance_uid)
            if (outcome := self._group.submit(self._sealed(instance, study))) is not None:
                return outcome
            self._rooms.studies.forget(study)
        raise StoreUnavailableError("the instance's study was deleted again and again; send it again later")

    @property
    def is_running(self) -> bool:
        """Whether instances are taken."""
        return self._group.is_running

    def close(self) -> None:
        """Commit what is waiting, and take no more."""
        self._group.close()

    def _is_kept(self, instance: Received) -> bool:
        """Whether this store has what bears an instance's UIDs."""
        try:
            study = self._rooms.studies.token(instance.study_instance_uid)
        except UnknownStudyError:
            return False
        same = objects.c.identity_index == self._rooms.index.of(Indexed.INSTANCE, instance.sop_instance_uid)
        with self._rooms.database.reading() as transaction:
            found = transaction.execute(select(objects.c.id).where(objects.c.study == study, same).limit(1))
            return found.first() is not None

    def _sealed(self, instance: Received, study: str) -> _Sealed:
        key, index, now = self._rooms.keyring.key(study), self._rooms.index, self._clock()
        digest = hashlib.sha256(instance.data).hexdigest()
        object_id, reception = fresh_id(), fresh_id()
        body, data = _Pieces(), memoryview(instance.data)
        with SealingWriter(cast("BinaryIO", body), key, study=study, name=object_id) as writer:
            # of a small instance, in one piece: the writer then copies nothing
            size = writer.write(b"".join([part10_head(instance), data[:SEGMENT_BYTES]]))
            size += writer.write(data[SEGMENT_BYTES:])
        details: dict[str, str | int] = {
            "sop_class_uid": instance.sop_class_uid,
            "sop_instance_uid": instance.sop_instance_uid,
            "series_instance_uid": instance.series_instance_uid,
            "transfer_syntax_uid": instance.transfer_syntax_uid,
            "data_sha256": digest,
            "plain_bytes": size,
        }
        return _Sealed(
            study=study,
            id=object_id,
            may_be_mr=may_be_mr(instance.sop_class_uid),
            identity_index=index.of(Indexed.INSTANCE, instance.sop_instance_uid),
            series_index=index.of(Indexed.SERIES, instance.series_instance_uid),
            content_index=index.of(Indexed.CONTENT, instance.sop_class_uid, instance.transfer_syntax_uid, digest),
            body=body,
            details=sealed_details(details, key, study=study, row=object_id),
            reception=reception,
            reception_details=sealed_details(
                {"calling_ae_title": instance.calling_ae_title}, key, study=study, row=reception
            ),
            at_us=microseconds(now),
            quiet_us=microseconds(now + self._quiet_time(instance.calling_ae_title)),
            is_fetched=instance.is_fetched,
        )

    def _commit(self, group: Sequence[_Sealed]) -> list[Outcome | None]:
        for _ in range(_TRIES):
            try:
                return self._attempt(group)
            except IntegrityError:
                # another process has kept the same instance or deleted a study since the rows were read
                continue
        raise StoreUnavailableError("other processes change the same rows again and again; send it again later")

    def _attempt(self, group: Sequence[_Sealed]) -> list[Outcome | None]:
        """Keep a group; None is the outcome of an instance whose study is gone."""
        with self._rooms.database.reading() as transaction:
            decisions = _decisions(transaction, group)
        stored = [item for item in group if item.id in decisions and decisions[item.id].stored]
        places = self._rooms.folder.append([(item.study, item.body) for item in stored])
        placed = {item.id: place for item, place in zip(stored, places, strict=True)}
        decided = [item for item in group if item.id in decisions]
        if decided:
            with self._rooms.database.writing(undone=partial(self._rooms.folder.take_back, places)) as transaction:
                _keep_rows(transaction, decided, decisions, placed)
        self._rooms.folder.settle({place.file for place in places})
        _tell_of_conflicts(decided, decisions)
        return [decisions[item.id].outcome if item.id in decisions else None for item in group]


def _tell_of_conflicts(group: Sequence[_Sealed], decisions: dict[str, _Decision]) -> None:
    conflicts = Counter(item.study for item in group if decisions[item.id].outcome is Outcome.CONFLICT)
    for study, count in conflicts.items():
        log.warning("study %s: instances with a known UID and other content, kept apart and not read: %d", study, count)


def _decisions(transaction: Transaction, group: Sequence[_Sealed]) -> dict[str, _Decision]:
    """Tell new instances from duplicates and conflicts, also among themselves."""
    tokens, identities = {item.study for item in group}, {item.identity_index for item in group}
    there: dict[str, bool] = {}
    known: defaultdict[tuple[str, bytes], list[_Known]] = defaultdict(list)
    for study, was_fetched, *row in transaction.execute(
        _KEPT, {"studies": list(tokens), "identities": list(identities)}
    ):
        there[study] = was_fetched
        identity_index, object_id, kind, content_index, conflicts_with = row
        if object_id is not None:
            found = _Known(object_id, kind, content_index, conflicts_with is not None)
            known[study, identity_index].append(found)
    decisions = {}
    for item in group:
        if item.study in there:
            same_identity = known[item.study, item.identity_index]
            decision = decisions[item.id] = _decision(item, same_identity)
            if there[item.study] and item.may_be_mr and not item.is_fetched:
                decisions[item.id] = replace(decision, releases=True)
            if decision.stored:
                conflicts = decision.outcome is Outcome.CONFLICT
                same_identity.append(_Known(item.id, Kind.INSTANCE, item.content_index, conflicts))
    return decisions


def _decision(item: _Sealed, same_identity: Sequence[_Known]) -> _Decision:
    for known in same_identity:
        if known.kind == Kind.RESULT:
            return _Decision(Outcome.RETURNED, known.id)
        if known.content_index == item.content_index:
            return _Decision(Outcome.DUPLICATE, known.id)
    for known in same_identity:
        if not known.conflicts:
            return _Decision(Outcome.CONFLICT, item.id, conflicts_with=known.id)
    return _Decision(Outcome.NEW, item.id)


def _keep_rows(
    transaction: Transaction, group: Sequence[_Sealed], decisions: dict[str, _Decision], placed: dict[str, Place]
) -> None:
    by_study: defaultdict[str, list[_Sealed]] = defaultdict(list)
    for item in group:
        by_study[item.study].append(item)
    if released := {item.study for item in group if decisions[item.id].releases}:
        release(transaction, released)
    round_of = rounds.arrived(transaction, [_arrival(items, decisions) for items in by_study.values()])
    kept = [
        {
            "id": item.id,
            "study": item.study,
            "round": round_of[item.study],
            "kind": Kind.INSTANCE,
            **vars(placed[item.id]),
            "identity_index": item.identity_index,
            "series_index": item.series_index,
            "content_index": item.content_index,
            "conflicts_with": decisions[item.id].conflicts_with,
            "details": item.details,
        }
        for item in group
        if item.id in placed
    ]
    if kept:
        transaction.execute(_KEEP, kept)
    transaction.execute(_NOTE, [_reception(item, decisions[item.id]) for item in group])


def _arrival(items: Sequence[_Sealed], decisions: dict[str, _Decision]) -> rounds.Arrival:
    return rounds.Arrival(
        study=items[0].study,
        at_us=max(item.at_us for item in items),
        quiet_us=max(item.quiet_us for item in items),
        new_image=any(
            item.may_be_mr and (decisions[item.id].outcome is Outcome.NEW or decisions[item.id].releases)
            for item in items
        ),
    )


def _reception(item: _Sealed, decision: _Decision) -> dict[str, object]:
    return {
        "id": item.reception,
        "study": item.study,
        "object": decision.object,
        "outcome": decision.outcome,
        "at_us": item.at_us,
        "details": item.reception_details,
    }
