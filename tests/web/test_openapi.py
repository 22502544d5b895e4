"""Whatever the OpenAPI document allows, and much that it does not, is answered as it says and never by a failure."""

import io
from collections.abc import Iterator

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import (
    content_type_conformance,
    not_a_server_error,
    response_schema_conformance,
    status_code_conformance,
)

from kept_study import Clock, new_store
from zweitblick.store.life import Actor, Event
from zweitblick.store.received import ReceivedInstance
from zweitblick.store.results import ResultName
from zweitblick.store.store import Store
from zweitblick.web import Service, create_app, one_token
from zweitblick.worklist import Notices, Worklist

TOKEN = "a token that is never printed"  # noqa: S105 -- of this test alone
UID = "1.2.276.0.4711"
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]


@schemathesis.serializer("application/dicom", "multipart/related")
def as_bytes(_context: schemathesis.SerializationContext, value: object) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode()


def receive(store: Store) -> None:
    store.keep(ReceivedInstance("1.2.3", "1.2.4", "1.2.840.10008.1.2.1", UID, "1.2.6", "SCANNER", b"image"))
    (last,) = store.rounds(store.token(UID))
    for name, content in (("json", b"{}"), ("seg", b"outline")):
        store.keep_result(ResultName(last.id, name, "application/json"), io.BytesIO(content))
    for event in (Event.COMPLETED, Event.STARTED, Event.READ):
        store.advance(last.id, event, by=Actor.WORKER)


def operations() -> list[tuple[str, str, GenerationMode]]:
    """Method and path of all that the document describes; what takes no parameter can be asked for in no wrong way."""
    described = create_app(Service(None, None, None, None), doors=one_token(TOKEN)).openapi()["paths"]
    return [
        (method, path, mode)
        for path, methods in described.items()
        for method, operation in methods.items()
        for mode in GenerationMode
        if mode is GenerationMode.POSITIVE or operation.keys() & {"parameters", "requestBody"}
    ]


@pytest.fixture(scope="module")
def described(tmp_path_factory: pytest.TempPathFactory) -> Iterator[schemathesis.BaseSchema]:
    """The interface as it describes itself, before a store with one study."""
    with new_store(tmp_path_factory.mktemp("store"), Clock()) as store:
        receive(store)
        app = create_app(
            Service(store, lambda _: None, lambda: True, Worklist(store.workitems, Notices(), Clock())),
            doors=one_token(TOKEN),
        )
        yield schemathesis.openapi.from_asgi("/api/v1/openapi.json", app, headers={"Authorization": f"Bearer {TOKEN}"})


QUICK = settings(
    settings.get_profile("fuzz"),
    suppress_health_check=list(HealthCheck),
    max_examples=max(1, settings.get_profile("fuzz").max_examples // 4),
)


@pytest.mark.parametrize(("method", "path", "mode"), operations())
@QUICK
@given(data=st.data())
def test_any_request_is_answered_as_described(
    described: schemathesis.BaseSchema, method: str, path: str, mode: GenerationMode, data: st.DataObject
) -> None:
    case = data.draw(described[path][method].as_strategy(generation_mode=mode))
    if "study_uid" in (case.path_parameters or {}) and data.draw(st.booleans()):
        case.path_parameters["study_uid"] = UID
    headers = {"Authorization": f"Bearer {TOKEN}"} if data.draw(st.booleans()) else {}
    case.call_and_validate(headers=headers, checks=CHECKS)
