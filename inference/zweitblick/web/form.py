"""Form: a small JSON body, read no further than it may be long."""

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from fastapi import Request
from pydantic import BaseModel, ValidationError

from zweitblick.errors import BodyTooLargeError, MalformedBodyError

LARGEST_BYTES = 2**14

Form = TypeVar("Form", bound=BaseModel)


def form_of(model: type[Form]) -> Callable[[Request], Awaitable[Form]]:
    """Make a dependency that reads a body: strangers may send one, and FastAPI itself would read all of it."""

    async def read(request: Request) -> Form:
        content = bytearray()
        async for piece in request.stream():
            content += piece
            if len(content) > LARGEST_BYTES:
                raise BodyTooLargeError(f"the body has more than {LARGEST_BYTES} bytes; none here needs so many")
        try:
            return model.model_validate_json(bytes(content))
        except ValidationError:
            # what was sent is not quoted: it may be a password
            raise MalformedBodyError(f"the body is no JSON object with {', '.join(model.model_fields)}") from None

    return read


def described_form(model: type[BaseModel]) -> dict[str, Any]:
    """Return what the OpenAPI document says of the body; for FastAPI's ``openapi_extra``."""
    schema = model.model_json_schema()
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}
