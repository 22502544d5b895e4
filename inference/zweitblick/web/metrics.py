"""Metrics for Prometheus; they tell how much is read, and nothing of studies."""

from collections.abc import Callable

from fastapi import APIRouter, Response

from zweitblick.metrics import MEDIA_TYPE


def router(exposition: Callable[[], bytes]) -> APIRouter:
    """Make the route.

    Parameters
    ----------
    exposition
        Gives everything in Prometheus' text format.
    """
    routes = APIRouter(tags=["operations"])

    @routes.get("/metrics", response_class=Response, responses={200: {"content": {MEDIA_TYPE: {}}}})
    def metrics() -> Response:
        """Tell what was counted."""
        return Response(exposition(), media_type=MEDIA_TYPE)

    return routes
