"""Health and readiness, for whoever starts and watches the service; they tell nothing of studies."""

from collections.abc import Callable
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Literal

from fastapi import APIRouter
from pydantic import BaseModel

from zweitblick.errors import StoreUnavailableError
from zweitblick.store.store import Store
from zweitblick.web.problems import described


class Status(BaseModel):
    """That all is well; everything else is a problem document."""

    status: Literal["ok"] = "ok"


def router(store: Store, is_working: Callable[[], bool]) -> APIRouter:
    """Make the routes.

    Parameters
    ----------
    store
        Where studies are.
    is_working
        See `zweitblick.web.service.Service`.
    """
    routes = APIRouter(tags=["operations"])

    @routes.get("/health")
    def health() -> Status:
        """Tell that the process answers."""
        return Status()

    @routes.get("/ready", responses=described(HTTPStatus.SERVICE_UNAVAILABLE))
    def ready() -> Status:
        """Tell that studies can be kept and are read, new ones too."""
        store.stable_after(datetime.now(UTC))
        store.check_keys()
        if not store.is_receiving:
            raise StoreUnavailableError("studies are not kept: see the log for the fault, and start the service again")
        if not is_working():
            raise StoreUnavailableError("studies are not read: the service stops, or must be started again")
        return Status()

    return routes
