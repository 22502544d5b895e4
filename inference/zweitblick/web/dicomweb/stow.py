"""STOW-RS (PS3.18 section 10.5): instances are kept as they come, one after the other."""

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import IntEnum
from http import HTTPStatus
from typing import Any

from zweitblick.errors import (
    AuditError,
    DamagedInstanceError,
    InstanceTooLargeError,
    KeyHolderError,
    MalformedBodyError,
    StoreFullError,
    StoreUnavailableError,
    UnsupportedMediaError,
    ZweitblickError,
)
from zweitblick.intake.file import IncomingFile
from zweitblick.intake.parts import MediaType, boundary_of, parts
from zweitblick.store.ingest import Outcome
from zweitblick.store.received import ReceivedInstance
from zweitblick.web.dicomweb.media import DICOM, RELATED
from zweitblick.web.reception import Keep

log = logging.getLogger(__name__)

_NO_URL = {"00081190": {"vr": "UR"}}
"""(0008,1190) Retrieve URL is of type 2 (PS3.18 table I.2-1): empty for what cannot be retrieved."""

_AWAY = (AuditError, StoreFullError, StoreUnavailableError, KeyHolderError)


class Reason(IntEnum):
    """Why an instance was not kept: (0008,1197) Failure Reason (PS3.18 table I.2-2)."""

    PROCESSING_FAILURE = 0x0110
    OUT_OF_RESOURCES = 0xA700
    OTHER_STUDY = 0xA900
    NOT_UNDERSTOOD = 0xC000
    TOO_LARGE = 0xC001


_KEPT_APART = {"00081196": {"vr": "US", "Value": [0xB111]}}
"""(0008,1196) Warning Reason: another instance of this UID and other content came first, and is what is read and shown.

No code of PS3.18 table I.2-1 says so; section I.2.1 lets there be others, which the conformance statement tells."""


@dataclass(frozen=True)
class Named:
    """What an answer says of an instance, whose data are let go."""

    sop_class_uid: str
    sop_instance_uid: str = field(repr=False)
    study_instance_uid: str = field(repr=False)
    series_instance_uid: str = field(repr=False)


@dataclass
class Account:
    """What became of the instances of a request.

    Parameters
    ----------
    kept
        Those that are durable, and shown.
    kept_apart
        Those that are durable and not shown, since another of their UID and other content came first.
    let_go
        Results of another zweitblick: acknowledged, so that an archive does not send them again, and not stored.
    failed
        The others, with their reasons; None stands for what does not say which instance it is.
    """

    kept: list[Named] = field(default_factory=list)
    kept_apart: list[Named] = field(default_factory=list)
    let_go: list[Named] = field(default_factory=list)
    failed: list[tuple[Named | None, Reason]] = field(default_factory=list)

    def of(self, outcome: Outcome) -> list[Named]:
        """Return those that this became of."""
        return {Outcome.FOREIGN: self.let_go, Outcome.CONFLICT: self.kept_apart}.get(outcome, self.kept)

    @property
    def status(self) -> HTTPStatus:
        """Of the answer (PS3.18 table 10.5.3-1)."""
        if not self.failed and not self.kept_apart:
            return HTTPStatus.OK
        if self.kept or self.kept_apart or self.let_go:
            return HTTPStatus.ACCEPTED
        full = all(reason is Reason.OUT_OF_RESOURCES for _, reason in self.failed)
        return HTTPStatus.SERVICE_UNAVAILABLE if full else HTTPStatus.CONFLICT

    def model(self, root: str) -> dict[str, Any]:
        """Return the answer's body in the DICOM JSON model (PS3.18 annex I).

        Parameters
        ----------
        root
            URL of the service.
        """
        model: dict[str, Any] = {}
        studies = {one.study_instance_uid for one in (*self.kept, *self.kept_apart)}
        if len(studies) == 1:
            model["00081190"] = _attribute("UR", f"{root}/studies/{studies.pop()}")
        failed = [_reference(one) | _reason(reason) for one, reason in self.failed if one is not None]
        others = [_reason(reason) for one, reason in self.failed if one is None]
        if failed:
            model["00081198"] = {"vr": "SQ", "Value": failed}
        stored = [_reference(one) | _url(one, root) for one in self.kept]
        stored += [_reference(one) | _NO_URL | _KEPT_APART for one in self.kept_apart]
        stored += [_reference(one) | _NO_URL for one in self.let_go]
        if stored:
            model["00081199"] = {"vr": "SQ", "Value": stored}
        if others:
            model["0008119A"] = {"vr": "SQ", "Value": others}
        return model


def keep_instances(keep: Keep, body: Iterable[bytes], kind: MediaType, *, study_uid: str = "") -> Account:
    """Keep the instances of a body, each durable before the next one is taken.

    Parameters
    ----------
    keep
        Keeps one.
    body
        In pieces.
    kind
        Its media type.
    study_uid
        Instances of other studies are not kept; empty for any.

    Raises
    ------
    UnsupportedMediaError
        If it holds no DICOM files.
    MalformedBodyError
        If it is not parted as it says, or holds nothing; instances before the fault are kept.
    BodyTooLargeError, BodyBrokenOffError
        As from ``body``; the same.
    """
    account = Account()
    for file in _files(body, kind):
        _take(keep, file, study_uid, account)
    if account == Account():
        raise MalformedBodyError("the body holds no instance; send at least one")
    return account


def _files(body: Iterable[bytes], kind: MediaType) -> Iterator[IncomingFile]:
    if kind.essence == DICOM:
        file = IncomingFile()
        for piece in body:
            file.write(piece)
        yield file
    elif kind.essence == RELATED and kind.parameters.get("type", DICOM).lower() == DICOM:
        for part in parts(body, boundary_of(kind)):
            # of another media type it is no DICOM file, and refused as such
            yield part.file
    else:
        raise UnsupportedMediaError(f'only {DICOM}, and {RELATED} with type="{DICOM}", are stored')


def _take(keep: Keep, file: IncomingFile, study_uid: str, account: Account) -> None:
    """Keep one instance, and note what became of it."""
    named: Named | None = None
    try:
        instance = file.instance()
        named = _named(instance)
        if study_uid not in ("", instance.study_instance_uid):
            account.failed.append((named, Reason.OTHER_STUDY))
            return
        outcome = keep(instance)
    except ZweitblickError as error:
        log.warning("an instance was refused: %s", error.code)
        account.failed.append((named, _reason_of(error)))
    else:
        account.of(outcome).append(named)


def _reason_of(error: ZweitblickError) -> Reason:
    if isinstance(error, DamagedInstanceError):
        return Reason.NOT_UNDERSTOOD
    if isinstance(error, InstanceTooLargeError):  # by a limit, not for want of room: it would be refused again
        return Reason.TOO_LARGE
    if isinstance(error, _AWAY):
        return Reason.OUT_OF_RESOURCES
    return Reason.PROCESSING_FAILURE


def _named(instance: ReceivedInstance) -> Named:
    return Named(
        instance.sop_class_uid,
        instance.sop_instance_uid,
        instance.study_instance_uid,
        instance.series_instance_uid,
    )


def _reference(one: Named) -> dict[str, Any]:
    return {"00081150": _attribute("UI", one.sop_class_uid), "00081155": _attribute("UI", one.sop_instance_uid)}


def _url(one: Named, root: str) -> dict[str, Any]:
    place = f"studies/{one.study_instance_uid}/series/{one.series_instance_uid}/instances/{one.sop_instance_uid}"
    return {"00081190": _attribute("UR", f"{root}/{place}")}


def _reason(reason: Reason) -> dict[str, Any]:
    return {"00081197": _attribute("US", int(reason))}


def _attribute(vr: str, value: str | int) -> dict[str, Any]:
    return {"vr": vr, "Value": [value]}
