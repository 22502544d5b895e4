"""Emergency access: one study is seen without the right to, with a reason, for a while, and not in silence."""

import logging
from datetime import datetime
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from zweitblick.access.emergencies import Emergencies, Emergency
from zweitblick.audit import codes
from zweitblick.audit.events import emergency_override
from zweitblick.web.access import audited
from zweitblick.web.form import described_form, form_of
from zweitblick.web.gate import AccessObserver, principal_of, requestor_of
from zweitblick.web.private import PRIVATE
from zweitblick.web.problems import described
from zweitblick.web.service import Service

log = logging.getLogger(__name__)

_PROBLEMS = described(*(HTTPStatus(status) for status in (400, 404, 413, 503)))


class Asked(BaseModel):
    """What is asked for, and why.

    Attributes
    ----------
    study_uid
        Study Instance UID.
    reason
        For whoever looks into it later.
    """

    study_uid: str = Field(min_length=1, max_length=64, pattern=r"^[0-9.]+$")
    reason: str = Field(min_length=10, max_length=500)


class Shown(BaseModel):
    """An emergency access that is open.

    Attributes
    ----------
    user
        Of whom.
    study
        The store's own random id, as in logs; the audit trail names the study.
    reason, opened_at, until
        Why, and how long.
    """

    user: str
    study: str
    reason: str
    opened_at: datetime
    until: datetime


def router(service: Service, emergencies: Emergencies, observer: AccessObserver) -> APIRouter:
    """Make the routes."""
    routes = APIRouter(prefix="/api/v1/emergencies", tags=["access"], responses=_PROBLEMS)

    @routes.post("", status_code=201, openapi_extra=described_form(Asked), response_model=Shown)
    def break_glass(request: Request, asked: Annotated[Asked, Depends(form_of(Asked))]) -> Response:
        """See one study for an hour, by all its GET routes. It is on record, and an alarm is raised."""
        study, who = service.store.token(asked.study_uid), principal_of(request).user_id
        emergency = emergencies.proposed(who, study, asked.study_uid, reason=asked.reason)
        _record(codes.EMERGENCY_OVERRIDE_STARTED, service, request, emergency)
        emergencies.open(emergency)
        observer.emergency_opened()
        log.warning("EMERGENCY ACCESS to study %s until %s", study, emergency.until.isoformat(timespec="seconds"))
        return JSONResponse(_shown(emergency).model_dump(mode="json"), 201, PRIVATE)

    @routes.delete("/{study_uid}", status_code=204, response_class=Response)
    def end(request: Request, study_uid: str) -> Response:
        """End one's own emergency access before its time."""
        who = principal_of(request).user_id
        for one in emergencies.now_open():
            if (one.user_id, one.study_uid) == (who, study_uid):
                emergencies.close(one)
                _record(codes.EMERGENCY_OVERRIDE_STOPPED, service, request, one)
        return Response(status_code=204, headers=PRIVATE)

    @routes.get("", response_model=list[Shown])
    def now_open() -> Response:
        """List those that are open, the oldest first."""
        shown = [_shown(one).model_dump(mode="json") for one in emergencies.now_open()]
        return JSONResponse(shown, headers=PRIVATE)

    return routes


def _record(kind: codes.Code, service: Service, request: Request, emergency: Emergency) -> None:
    service.audit.record(
        emergency_override(
            kind,
            requestor_of(request),
            service.audit.process,
            audited(service, emergency.study),
            reason=f"until {emergency.until.isoformat(timespec='seconds')}: {emergency.reason}",
        )
    )


def _shown(emergency: Emergency) -> Shown:
    return Shown(
        user=emergency.user_id,
        study=emergency.study,
        reason=emergency.reason,
        opened_at=emergency.opened_at,
        until=emergency.until,
    )
