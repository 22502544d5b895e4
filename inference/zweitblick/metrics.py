"""Metrics: what the service counts, for Prometheus. No label names a patient, a study or a sender.

A sender chooses its AE title itself, so that a label with it would have any number of values.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, ProcessCollector
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.metrics_core import Metric

import zweitblick
from zweitblick.errors import StoreError
from zweitblick.store.life import State
from zweitblick.store.rounds import Standing

MEDIA_TYPE = CONTENT_TYPE_PLAIN_0_0_4
STAGE_BUCKETS_S = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0)
BATCH_BUCKETS = (1, 2, 4, 8, 16)


class Metrics:
    """Counts for one service in a registry of its own; observes worker, deliverer and DICOM server, from any thread.

    Parameters
    ----------
    standing
        How many rounds are in each state; asked at every scrape.
    clock
        Tells the time, aware.

    Attributes
    ----------
    access
        Counts who is not let in over HTTP.
    """

    def __init__(self, standing: Callable[[], Mapping[State, Standing]], *, clock: Callable[[], datetime]) -> None:
        self._registry = registry = CollectorRegistry()
        Info("zweitblick", "Version of the service.", registry=registry).info({"version": zweitblick.__version__})
        ProcessCollector(registry=registry)
        registry.register(_Rounds(standing, clock))
        self._stages = Histogram(
            "zweitblick_stage_seconds",
            "Duration of a stage from the first image to the delivery.",
            ["stage"],
            buckets=STAGE_BUCKETS_S,
            registry=registry,
        )
        self._batches = Histogram(
            "zweitblick_network_batch_requests",
            "Requests that a network was called with at once.",
            buckets=BATCH_BUCKETS,
            registry=registry,
        )
        self._readings = Counter("zweitblick_readings", "Rounds that were read.", registry=registry)
        self._failures = Counter(
            "zweitblick_reading_failures",
            "Attempts to read a round that failed, by code; those too that are made again.",
            ["code"],
            registry=registry,
        )
        self._deliveries = _DeliveryFailures(registry)
        self._open = Gauge("zweitblick_dicom_associations_open", "DICOM associations that are open.", registry=registry)
        self._associations = Counter(
            "zweitblick_dicom_associations", "DICOM associations that were asked for.", ["outcome"], registry=registry
        )
        self._instances = Counter(
            "zweitblick_dicom_instances", "C-STORE requests by status.", ["status"], registry=registry
        )
        self._conflicts = Counter(
            "zweitblick_conflicting_instances",
            "Received instances that were kept apart, since another of their UID and other content was there.",
            registry=registry,
        )
        self._bytes = Counter("zweitblick_dicom_received_bytes", "Data sets of C-STORE requests.", registry=registry)
        self.access = AccessMetrics(registry)

    def exposition(self) -> bytes:
        """Return everything in Prometheus' text format, whose media type is `MEDIA_TYPE`."""
        return generate_latest(self._registry)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time a stage of a reading, or a delivery, however it ends; a `zweitblick.pipeline.Observer`."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self._stages.labels(name).observe(time.perf_counter() - began)

    def waited(self, name: str, since: datetime, until: datetime) -> None:
        """Time what a round waited for before it was read, once that is over."""
        self._stages.labels(name).observe((until - since).total_seconds())

    def batch(self, requests: int) -> None:
        """Count a network's call."""
        self._batches.observe(requests)

    def read(self) -> None:
        """Count a round that was read."""
        self._readings.inc()

    def failed(self, code: str) -> None:
        """Count an attempt to read a round that failed, whether it is made again or not."""
        self._failures.labels(code).inc()

    def undelivered(self, destination: str, code: str, *, is_last: bool) -> None:
        """Count an attempt to deliver a round that failed; the last if the delivery is given up with it.

        Parameters
        ----------
        destination
            Its name in the settings, which is not that of a patient or sender.
        code
            Of the error.
        is_last
            Whether it is not tried again until a person says so.
        """
        self._deliveries.count(destination, code, is_last=is_last)

    def associated(self) -> None:
        """Count an accepted association."""
        self._associations.labels("accepted").inc()
        self._open.inc()

    def rejected(self) -> None:
        """Count a rejected association."""
        self._associations.labels("rejected").inc()

    def ended(self) -> None:
        """Count the end of an accepted association."""
        self._open.dec()

    def answered(self, status: int, size_bytes: int) -> None:
        """Count a C-STORE."""
        self._instances.labels(f"0x{status:04X}").inc()
        self._bytes.inc(size_bytes)

    def conflicted(self) -> None:
        """Count an instance that was kept apart."""
        self._conflicts.inc()


class _DeliveryFailures:
    """What could not be delivered; a destination has few names, and the settings choose them."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._attempts = Counter(
            "zweitblick_delivery_failures",
            "Attempts to deliver a round that failed, by destination and code; those too that are made again.",
            ["destination", "code"],
            registry=registry,
        )
        self._given_up = Counter(
            "zweitblick_deliveries_given_up",
            "Deliveries that are not tried again until a person says so, by destination and code.",
            ["destination", "code"],
            registry=registry,
        )

    def count(self, destination: str, code: str, *, is_last: bool) -> None:
        self._attempts.labels(destination, code).inc()
        if is_last:
            self._given_up.labels(destination, code).inc()


class AccessMetrics:
    """Counts what happens at the gate of HTTP, from any thread.

    Parameters
    ----------
    registry
        Where the counts are.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._refusals = Counter(
            "zweitblick_access_refusals", "HTTP requests that were not let in, by code.", ["code"], registry=registry
        )
        self._emergencies = Counter(
            "zweitblick_emergency_accesses", "Emergency accesses that were opened.", registry=registry
        )

    def refused(self, code: str) -> None:
        """Count a request that was not let in."""
        self._refusals.labels(code).inc()

    def emergency_opened(self) -> None:
        """Count an emergency access."""
        self._emergencies.inc()


class _Rounds:
    """Reads at every scrape what the store has; the other counts are there even if it is away."""

    def __init__(self, standing: Callable[[], Mapping[State, Standing]], clock: Callable[[], datetime]) -> None:
        self._standing = standing
        self._clock = clock

    def describe(self) -> list[Metric]:
        """Return nothing, so that the store is not asked when this is registered."""
        return []

    def collect(self) -> Iterator[Metric]:
        try:
            found = self._standing()
        except StoreError:
            yield GaugeMetricFamily("zweitblick_store_available", "Whether the store can be read.", 0)
            return
        yield GaugeMetricFamily("zweitblick_store_available", "Whether the store can be read.", 1)
        count = GaugeMetricFamily("zweitblick_rounds", "Rounds of studies in a state.", labels=["state"])
        age = GaugeMetricFamily(
            "zweitblick_oldest_round_age_seconds",
            "Time since the last instance of the oldest round in a state.",
            labels=["state"],
        )
        now = self._clock()
        for state in State:
            here = found.get(state)
            count.add_metric([state], here.count if here else 0)
            age.add_metric([state], max(0.0, (now - here.oldest_at).total_seconds()) if here else 0)
        yield count
        yield age
