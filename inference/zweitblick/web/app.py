"""The HTTP application: its parts put together."""

from collections.abc import Callable

from fastapi import Depends, FastAPI

import zweitblick
from zweitblick.reading import RESEARCH_USE
from zweitblick.web import dicomweb, fhir, health, metrics, reads, subscribers, workitems
from zweitblick.web.body import Bodies
from zweitblick.web.problems import answer_with_problems
from zweitblick.web.requests import RequestLog
from zweitblick.web.service import Service
from zweitblick.web.token import token_check


def create_app(service: Service, *, token: str, exposition: Callable[[], bytes] = bytes) -> FastAPI:
    """Make the application; it owns nothing of what it is given.

    Parameters
    ----------
    service
        What stands behind it.
    token
        That requests must bear (RFC 6750), but for health, readiness and metrics.
    exposition
        Gives the metrics, as `zweitblick.metrics.Metrics.exposition` does; none if not given.
    """
    app = FastAPI(
        title="zweitblick",
        version=zweitblick.__version__,
        description=f"A second read for brain MRI. {RESEARCH_USE}",
        openapi_url="/api/v1/openapi.json",
        docs_url=None,  # the pages that these would serve load scripts from elsewhere
        redoc_url=None,
    )
    app.include_router(health.router(service))
    protected = [Depends(token_check(token))]
    app.include_router(metrics.router(exposition))
    bodies = Bodies()
    app.include_router(reads.router(service, bodies), dependencies=protected)
    app.include_router(dicomweb.router(service, bodies), dependencies=protected)
    app.include_router(fhir.router(service, bodies), dependencies=protected)
    app.include_router(workitems.router(service), dependencies=protected)
    app.include_router(subscribers.router(service, token=token))
    app.add_middleware(RequestLog)
    answer_with_problems(app)
    return app
