"""Permissions: what each route does, as one table. A route that is not in it is closed to everybody."""

from zweitblick.access.policy import Action

WEBSOCKET = "WEBSOCKET"
"""Stands for the method of a WebSocket."""

OPEN = frozenset(
    {
        ("GET", "/health"),
        ("GET", "/ready"),
        ("GET", "/login"),
        ("GET", "/login/callback"),
        ("POST", "/login"),
    }
)
"""For anybody: whether the service lives, and how to log in."""

_INSTANCE = "/dicom-web/studies/{study}/series/{series}/instances/{instance}"

ACTIONS: dict[tuple[str, str], Action] = {
    ("GET", "/metrics"): Action.MEASURE,
    ("GET", "/api/v1/openapi.json"): Action.ACCOUNT,
    ("GET", "/api/v1/session"): Action.ACCOUNT,
    ("DELETE", "/api/v1/session"): Action.ACCOUNT,
    ("POST", "/api/v1/emergencies"): Action.BREAK_GLASS,
    ("DELETE", "/api/v1/emergencies/{study_uid}"): Action.BREAK_GLASS,
    ("GET", "/api/v1/emergencies"): Action.SUPERVISE,
    ("GET", "/api/v1/reads"): Action.VIEW,
    ("POST", "/api/v1/reads"): Action.SEND,
    ("GET", "/api/v1/reads/{study_uid}"): Action.VIEW,
    ("GET", "/api/v1/reads/{study_uid}/results/{name}"): Action.VIEW,
    ("POST", "/api/v1/reads/{study_uid}/complete"): Action.ORDER,
    ("POST", "/dicom-web/studies"): Action.SEND,
    ("POST", "/dicom-web/studies/{study}"): Action.SEND,
    ("GET", "/dicom-web/studies"): Action.VIEW,
    ("GET", "/dicom-web/series"): Action.VIEW,
    ("GET", "/dicom-web/instances"): Action.VIEW,
    ("GET", "/dicom-web/studies/{study}"): Action.VIEW,
    ("GET", "/dicom-web/studies/{study}/metadata"): Action.VIEW,
    ("GET", "/dicom-web/studies/{study}/series"): Action.VIEW,
    ("GET", "/dicom-web/studies/{study}/instances"): Action.VIEW,
    ("GET", "/dicom-web/studies/{study}/series/{series}"): Action.VIEW,
    ("GET", "/dicom-web/studies/{study}/series/{series}/metadata"): Action.VIEW,
    ("GET", "/dicom-web/studies/{study}/series/{series}/instances"): Action.VIEW,
    ("GET", _INSTANCE): Action.VIEW,
    ("GET", f"{_INSTANCE}/metadata"): Action.VIEW,
    ("GET", f"{_INSTANCE}/rendered"): Action.VIEW,
    ("GET", f"{_INSTANCE}/frames/{{frames}}"): Action.VIEW,
    ("GET", f"{_INSTANCE}/frames/{{frame}}/rendered"): Action.VIEW,
    ("GET", f"{_INSTANCE}/bulkdata/{{path:path}}"): Action.VIEW,
    ("GET", "/dicom-web/workitems"): Action.VIEW,
    ("POST", "/dicom-web/workitems"): Action.ORDER,
    ("GET", "/dicom-web/workitems/{uid}"): Action.VIEW,
    ("POST", "/dicom-web/workitems/{uid}"): Action.ORDER,
    ("PUT", "/dicom-web/workitems/{uid}/state"): Action.ORDER,
    ("POST", "/dicom-web/workitems/{uid}/cancelrequest"): Action.ORDER,
    ("POST", "/dicom-web/workitems/{uid}/subscribers/{ae_title}"): Action.ORDER,
    ("DELETE", "/dicom-web/workitems/{uid}/subscribers/{ae_title}"): Action.ORDER,
    ("POST", "/dicom-web/workitems/{uid}/subscribers/{ae_title}/suspend"): Action.ORDER,
    (WEBSOCKET, "/dicom-web/subscribers/{ae_title}"): Action.VIEW,
}
"""By method and path, with its placeholders."""

STUDY_PARAMETERS = ("study_uid", "study")
"""Placeholders that stand for a Study Instance UID: an emergency access opens routes that have one."""
