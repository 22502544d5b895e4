"""The HTTP application: its parts put together."""

from collections.abc import Callable

from fastapi import Depends, FastAPI

import zweitblick
from zweitblick.audit.auditor import Auditor
from zweitblick.reading import RESEARCH_USE
from zweitblick.web import dicomweb, emergency, fhir, health, interface, login, metrics, reads, subscribers, workitems
from zweitblick.web.body import Bodies
from zweitblick.web.doors import Doors
from zweitblick.web.gate import AccessObserver, Gate
from zweitblick.web.private import SECURITY, TRANSPORT, SecurityHeaders
from zweitblick.web.problems import answer_with_problems
from zweitblick.web.requests import RequestLog
from zweitblick.web.service import Service, Watched


def create_app(
    service: Service, *, doors: Doors, exposition: Callable[[], bytes] = bytes, observer: AccessObserver | None = None
) -> FastAPI:
    """Make the application; it owns nothing of what it is given.

    Every route passes the gate: it is closed unless `zweitblick.web.permissions` says what it does.

    Parameters
    ----------
    service
        What stands behind it.
    doors
        The ways in.
    exposition
        Gives the metrics, as `zweitblick.metrics.Metrics.exposition` does; none if not given.
    observer
        Counts who is not let in.
    """
    observer = observer or _Unobserved()
    gate = Gate(doors, service.audit, observer)
    app = _watched_app(gate, Watched(service.store, service.is_working, exposition))
    bodies = Bodies()
    for router in (
        interface.router(app),
        login.router(service, doors, observer),
        emergency.router(service, doors.emergencies, observer),
        reads.router(service, bodies),
        dicomweb.router(service, bodies),
        fhir.router(service, bodies),
        workitems.router(service),
        subscribers.router(service, gate.check_again),
    ):
        app.include_router(router)
    app.openapi = interface.with_access(app.openapi, doors)  # type: ignore[method-assign]  # as FastAPI documents it
    return _dressed(app, doors)


def create_worker_app(worker: Watched, *, doors: Doors, audit: Auditor, observer: AccessObserver) -> FastAPI:
    """Make the application of a worker that receives nothing: health, readiness and metrics, and nothing of studies.

    Parameters
    ----------
    worker
        What is watched.
    doors
        The ways in, as `create_app` has them.
    audit
        Has it on record who is not let in.
    observer
        Counts who is not let in.
    """
    return _dressed(_watched_app(Gate(doors, audit, observer), worker), doors)


def _watched_app(gate: Gate, watched: Watched) -> FastAPI:
    """Make an application behind a gate that tells how it is."""
    app = FastAPI(
        title="zweitblick",
        version=zweitblick.__version__,
        description=f"A second read for brain MRI. {RESEARCH_USE}",
        openapi_url=None,  # described by `create_app`, to those who have an account
        docs_url=None,  # the pages that these would serve load scripts from elsewhere
        redoc_url=None,
        dependencies=[Depends(gate)],
    )
    app.include_router(health.router(watched.store, watched.is_working))
    app.include_router(metrics.router(watched.exposition))
    return app


def _dressed(app: FastAPI, doors: Doors) -> FastAPI:
    """Give an application what each of its answers has."""
    app.add_middleware(RequestLog)
    app.add_middleware(SecurityHeaders, headers=SECURITY | (TRANSPORT if doors.is_over_tls else {}))
    answer_with_problems(app)
    return app


class _Unobserved:
    """Counts nothing."""

    def refused(self, code: str) -> None:
        """Do nothing."""

    def emergency_opened(self) -> None:
        """Do nothing."""
