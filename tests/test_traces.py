"""Spans of a round are one trace with the round's id, of every stage, and name nobody."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pydicom
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client.parser import text_string_to_metric_families
from structlog.contextvars import bound_contextvars

from interop.killing_peer import SENT
from kept_study import START
from peers.fake_peers import StorePeer
from quick_reading import quick
from reading_house import House, keep, reached
from span_collector import span_collector
from zweitblick.delivery.deliverer import Deliverer
from zweitblick.delivery.route import Route
from zweitblick.errors import NotAHeadError
from zweitblick.model.bundle import Bundles
from zweitblick.settings import load_settings
from zweitblick.store.life import State
from zweitblick.traces import TracedMetrics, exported_to

ROUND, STUDY = "0123456789abcdef0123456789abcdef", "f" * 32


@pytest.fixture
def exporter() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def metrics(exporter: InMemorySpanExporter) -> Iterator[TracedMetrics]:
    with TracedMetrics(dict, clock=lambda: START, spans=SimpleSpanProcessor(exporter)) as metrics:
        yield metrics


def attributes(span: ReadableSpan) -> dict[str, object]:
    return dict(span.attributes or {})


def test_a_round_is_one_trace_from_its_first_image_to_its_delivery(
    tmp_path: Path, bundles: Bundles, quick_files: list[Path], exporter: InMemorySpanExporter, metrics: TracedMetrics
) -> None:
    house = House(tmp_path, quick(bundles))
    with house.store() as store, StorePeer(sop_classes=SENT) as pacs:
        deliverer = Deliverer(store, [Route(pacs.destination)], observer=metrics)
        token = keep(store, quick_files)
        house.clock.move(30)
        with house.worker(store, deliverer=deliverer, metrics=metrics):
            one = reached(store, token, State.AWAITING_REVIEW)
    spans = exporter.get_finished_spans()
    names = Counter(span.name for span in spans)
    assert names == stages(metrics)
    assert {"receive", "stable", "open", "seal", "deliver"} <= names.keys()
    assert {f"{span.context.trace_id:032x}" for span in spans} == {one.id}
    tokens = {"zweitblick.study": token, "zweitblick.round": one.id}
    assert all(attributes(span) == tokens for span in spans)
    (receive,) = (span for span in spans if span.name == "receive")
    assert receive.end_time - receive.start_time == 30 * 10**9
    header = pydicom.dcmread(quick_files[0], stop_before_pixels=True)
    said = "".join(span.to_json() for span in spans)
    secrets = (header.PatientID, header.StudyInstanceUID, header.SeriesInstanceUID, *str(header.PatientName).split("^"))
    assert not [secret for secret in secrets if secret in said]


def stages(metrics: TracedMetrics) -> Counter[str]:
    """How often each stage was timed, by Prometheus' own parser."""
    families = text_string_to_metric_families(metrics.exposition().decode())
    (times,) = (family for family in families if family.name == "zweitblick_stage_seconds")
    return Counter(
        {one.labels["stage"]: int(one.value) for one in times.samples if one.name == "zweitblick_stage_seconds_count"}
    )


@pytest.mark.parametrize(
    ("error", "code"), [(NotAHeadError("Geheim"), "study.not-a-head"), (ValueError("Geheim"), "internal")]
)
def test_of_an_error_the_code_alone_is_told(
    exporter: InMemorySpanExporter, metrics: TracedMetrics, error: Exception, code: str
) -> None:
    with pytest.raises(type(error)), bound_contextvars(study=STUDY, round=ROUND), metrics.stage("open"):
        raise error
    (span,) = exporter.get_finished_spans()
    assert (span.status.is_ok, span.status.description) == (False, code)
    assert not span.events
    assert "Geheim" not in span.to_json()


def test_spans_are_sent_by_otlp_over_http() -> None:
    with span_collector() as (address, received):  # noqa: SIM117 -- the spans are sent by the end of the inner one
        with (
            TracedMetrics(dict, clock=lambda: START, spans=exported_to(f"{address}/")) as metrics,
            bound_contextvars(round=ROUND),
            metrics.stage("open"),
        ):
            pass
    ((path, body),) = received
    assert path == "/v1/traces"
    (resource,) = ExportTraceServiceRequest.FromString(body).resource_spans
    assert {one.key: one.value.string_value for one in resource.resource.attributes}["service.name"] == "zweitblick"
    (span,) = resource.scope_spans[0].spans
    assert (span.name, span.trace_id.hex()) == ("open", ROUND)


@pytest.mark.parametrize(
    ("variables", "endpoint"),
    [
        ({}, None),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": ""}, None),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://standard:4318"}, "http://standard:4318"),
        ({"ZWEITBLICK_OTLP_ENDPOINT": "http://ours:4318"}, "http://ours:4318"),
        (
            {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://standard:4318", "ZWEITBLICK_OTLP_ENDPOINT": "http://ours:4318"},
            "http://ours:4318",
        ),
    ],
)
def test_they_are_sent_only_where_somebody_says_so(variables: dict[str, str], endpoint: str | None) -> None:
    assert load_settings(None, {"HOME": "/", **variables}).otlp_endpoint == endpoint
