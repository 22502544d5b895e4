"""Traces: what happens to a round as spans for OpenTelemetry, named by the store's random ids and nothing else.

A round's id is the id of its trace, so that spans of several processes come together without any of them knowing of the
others. Needs the extra ``telemetry``.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from types import TracebackType
from typing import Self

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.trace import Status, StatusCode
from structlog.contextvars import get_contextvars

import zweitblick
from zweitblick.errors import PeerUnreachableError
from zweitblick.errors.root import code_of
from zweitblick.metrics import Metrics
from zweitblick.store.life import State
from zweitblick.store.rounds import Standing

ANSWER_S = 5.0
"""So long a receiver that is tried may take, its attempts together."""

_TOKENS = ("study", "round")
"""Of `structlog.contextvars`, as in each line of the log; whoever works at a round binds them."""


def exported_to(endpoint: str) -> SpanProcessor:
    """Return what sends spans on by OTLP over HTTP, in batches.

    Parameters
    ----------
    endpoint
        URL of the receiver; as ``OTEL_EXPORTER_OTLP_ENDPOINT`` is, without the path of the signal.
    """
    return BatchSpanProcessor(OTLPSpanExporter(_address(endpoint)))


def try_endpoint(endpoint: str) -> None:
    """Try whether a receiver takes spans, by sending it none.

    Parameters
    ----------
    endpoint
        See `exported_to`.

    Raises
    ------
    PeerUnreachableError
        If not.
    """
    exporter: SpanExporter = OTLPSpanExporter(_address(endpoint), timeout=ANSWER_S)
    is_taken = exporter.export(()) is SpanExportResult.SUCCESS
    exporter.shutdown()
    if not is_taken:
        raise PeerUnreachableError(f"{_address(endpoint)} does not take spans; see whether the receiver runs")


def _address(endpoint: str) -> str:
    return f"{endpoint.rstrip('/')}/v1/traces"


class TracedMetrics(Metrics):
    """Metrics that tell of each stage as a span too; used with ``with``, after which all spans are sent.

    Parameters
    ----------
    standing, clock
        See `Metrics`.
    spans
        Where they go, as from `exported_to`.
    """

    def __init__(
        self,
        standing: Callable[[], Mapping[State, Standing]],
        *,
        clock: Callable[[], datetime],
        spans: SpanProcessor,
    ) -> None:
        super().__init__(standing, clock=clock)
        resource = Resource.create({SERVICE_NAME: "zweitblick", SERVICE_VERSION: zweitblick.__version__})
        self._provider = TracerProvider(resource=resource, id_generator=_RoundIds(), shutdown_on_exit=False)
        self._provider.add_span_processor(spans)
        self._tracer = self._provider.get_tracer("zweitblick")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._provider.shutdown()

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time a stage, and tell of it as a span; of an error only the code, since its text may quote a header."""
        with (
            super().stage(name),
            self._tracer.start_as_current_span(
                name, attributes=_tokens(), record_exception=False, set_status_on_exception=False
            ) as span,
        ):
            try:
                yield
            except Exception as error:
                code = code_of(error)
                span.set_status(Status(StatusCode.ERROR, code))
                raise

    def waited(self, name: str, since: datetime, until: datetime) -> None:
        """Time what is over, and tell of it as a span."""
        super().waited(name, since, until)
        span = self._tracer.start_span(name, attributes=_tokens(), start_time=_nanoseconds(since))
        span.end(_nanoseconds(until))


class _RoundIds(RandomIdGenerator):
    """The trace of a round has its id, which is as long and as random as a trace's."""

    def generate_trace_id(self) -> int:
        one = get_contextvars().get("round")
        return int(one, 16) if one else super().generate_trace_id()


def _tokens() -> dict[str, str]:
    bound = get_contextvars()
    return {f"zweitblick.{name}": bound[name] for name in _TOKENS if name in bound}


def _nanoseconds(time: datetime) -> int:
    """Since 1970, as OpenTelemetry has it."""
    return (time - datetime.fromtimestamp(0, tz=time.tzinfo)) // timedelta(microseconds=1) * 1000
