"""Permissions: what each route needs, as one table. A route that is not in it is closed to everybody."""

from zweitblick.access.policy import Permission

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

PERMISSIONS: dict[tuple[str, str], Permission] = {
    ("GET", "/metrics"): Permission.MEASURE,
    ("GET", "/api/v1/openapi.json"): Permission.ACCOUNT,
    ("GET", "/api/v1/session"): Permission.ACCOUNT,
    ("DELETE", "/api/v1/session"): Permission.ACCOUNT,
    ("POST", "/api/v1/emergencies"): Permission.BREAK_GLASS,
    ("DELETE", "/api/v1/emergencies/{study_uid}"): Permission.BREAK_GLASS,
    ("GET", "/api/v1/emergencies"): Permission.SUPERVISE,
    ("GET", "/api/v1/reads"): Permission.VIEW,
    ("POST", "/api/v1/reads"): Permission.SEND,
    ("GET", "/api/v1/reads/{study_uid}"): Permission.VIEW,
    ("GET", "/api/v1/reads/{study_uid}/results/{name}"): Permission.VIEW,
    ("POST", "/api/v1/reads/{study_uid}/complete"): Permission.ORDER,
    ("POST", "/api/v1/reads/{study_uid}/priors"): Permission.ORDER,
    ("POST", "/dicom-web/studies"): Permission.SEND,
    ("POST", "/dicom-web/studies/{study}"): Permission.SEND,
    ("GET", "/dicom-web/studies"): Permission.VIEW,
    ("GET", "/dicom-web/series"): Permission.VIEW,
    ("GET", "/dicom-web/instances"): Permission.VIEW,
    ("GET", "/dicom-web/studies/{study}"): Permission.VIEW,
    ("GET", "/dicom-web/studies/{study}/metadata"): Permission.VIEW,
    ("GET", "/dicom-web/studies/{study}/series"): Permission.VIEW,
    ("GET", "/dicom-web/studies/{study}/instances"): Permission.VIEW,
    ("GET", "/dicom-web/studies/{study}/series/{series}"): Permission.VIEW,
    ("GET", "/dicom-web/studies/{study}/series/{series}/metadata"): Permission.VIEW,
    ("GET", "/dicom-web/studies/{study}/series/{series}/instances"): Permission.VIEW,
    ("GET", _INSTANCE): Permission.VIEW,
    ("GET", f"{_INSTANCE}/metadata"): Permission.VIEW,
    ("GET", f"{_INSTANCE}/rendered"): Permission.VIEW,
    ("GET", f"{_INSTANCE}/frames/{{frames}}"): Permission.VIEW,
    ("GET", f"{_INSTANCE}/frames/{{frame}}/rendered"): Permission.VIEW,
    ("GET", f"{_INSTANCE}/bulkdata/{{path:path}}"): Permission.VIEW,
    ("GET", "/dicom-web/workitems"): Permission.VIEW,
    ("POST", "/dicom-web/workitems"): Permission.ORDER,
    ("GET", "/dicom-web/workitems/{uid}"): Permission.VIEW,
    ("POST", "/dicom-web/workitems/{uid}"): Permission.ORDER,
    ("PUT", "/dicom-web/workitems/{uid}/state"): Permission.ORDER,
    ("POST", "/dicom-web/workitems/{uid}/cancelrequest"): Permission.ORDER,
    ("POST", "/dicom-web/workitems/{uid}/subscribers/{ae_title}"): Permission.ORDER,
    ("DELETE", "/dicom-web/workitems/{uid}/subscribers/{ae_title}"): Permission.ORDER,
    ("POST", "/dicom-web/workitems/{uid}/subscribers/{ae_title}/suspend"): Permission.ORDER,
    ("GET", "/fhir/metadata"): Permission.ACCOUNT,
    ("GET", "/fhir/{kind}"): Permission.VIEW,
    ("POST", "/fhir/{kind}/_search"): Permission.VIEW,
    ("GET", "/fhir/{kind}/{resource_id}"): Permission.VIEW,
    (WEBSOCKET, "/dicom-web/subscribers/{ae_title}"): Permission.VIEW,
}
"""By method and path, with its placeholders."""

STUDY_PARAMETERS = ("study_uid", "study")
"""Placeholders that stand for a Study Instance UID: an emergency access opens routes that have one."""
