"""The HTTP application: its parts put together."""

from fastapi import Depends, FastAPI

import zweitblick
from zweitblick.reading import RESEARCH_USE
from zweitblick.web import dicomweb, health, reads
from zweitblick.web.body import Bodies
from zweitblick.web.problems import answer_with_problems
from zweitblick.web.service import Service
from zweitblick.web.token import token_check


def create_app(service: Service, *, token: str) -> FastAPI:
    """Make the application; it owns nothing of what it is given.

    Parameters
    ----------
    service
        What stands behind it.
    token
        That requests must bear (RFC 6750), but for health and readiness.
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
    bodies = Bodies()
    for routes in (reads.router(service, bodies), dicomweb.router(service, bodies)):
        app.include_router(routes, dependencies=[Depends(token_check(token))])
    answer_with_problems(app)
    return app
