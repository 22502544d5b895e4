"""What Prometheus' own parser finds in the metrics after known events, and that they name nobody."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families

from delivery.test_resumed import begun
from dimse.wire import EXPLICIT, MR, RawPeer, encoded, instance
from kept_study import Clock, new_store, wait_until
from peers.fake_peers import CommittingPeer, StorePeer
from reading_house import House, keep, last, reached
from zweitblick.delivery.deliverer import Deliverer
from zweitblick.delivery.route import Route
from zweitblick.dimse import DicomServer, ListenerConfig
from zweitblick.errors import StoreUnavailableError
from zweitblick.metrics import Metrics
from zweitblick.model.batcher import Batcher
from zweitblick.model.bundle import Bundles
from zweitblick.sample import SampleTruth
from zweitblick.store.life import Actor, Event, State
from zweitblick.store.rounds import Standing
from zweitblick.store.store import Store
from zweitblick.worker.faults import delay

Samples = dict[tuple[str, str], float]


def samples(metrics: Metrics) -> Samples:
    """Values by name and by the values of all labels."""
    families = text_string_to_metric_families(metrics.exposition().decode())
    return {
        (sample.name, ",".join(sample.labels.values())): sample.value
        for family in families
        for sample in family.samples
    }


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(tmp_path: Path, clock: Clock) -> Iterator[Store]:
    with new_store(tmp_path, clock) as opened:
        yield opened


@pytest.fixture
def metrics(store: Store, clock: Clock) -> Metrics:
    return Metrics(store.standing, clock=clock)


def send(server: DicomServer, *studies: str) -> None:
    with RawPeer(server.port) as peer:
        peer.associate((MR, [EXPLICIT]))
        for study in studies:
            data = instance(study=study)
            peer.store(encoded(data), data.SOPInstanceUID)
        peer.store(b"", "1.2.3")
        peer.release()


def test_rounds_are_counted_by_state_and_the_oldest_has_an_age(metrics: Metrics, store: Store, clock: Clock) -> None:
    with DicomServer(ListenerConfig(port=0), store, observer=metrics) as server:
        send(server, "1.2.3")
        clock.move(60)
        send(server, "1.2.4")
    (older,) = store.rounds(store.token("1.2.3"))
    clock.move(5)
    found = samples(metrics)
    assert found["zweitblick_store_available", ""] == 1
    assert found["zweitblick_rounds", "receiving"] == 2
    assert found["zweitblick_oldest_round_age_seconds", "receiving"] == 65
    assert found["zweitblick_rounds", "stable"] == found["zweitblick_oldest_round_age_seconds", "stable"] == 0
    store.advance(older.id, Event.COMPLETED, by=Actor.WORKER)
    found = samples(metrics)
    assert (found["zweitblick_rounds", "receiving"], found["zweitblick_rounds", "stable"]) == (1, 1)
    assert found["zweitblick_oldest_round_age_seconds", "receiving"] == 5
    assert found["zweitblick_oldest_round_age_seconds", "stable"] == 65


def test_every_state_is_there_from_the_start(metrics: Metrics) -> None:
    found = samples(metrics)
    assert {labels for name, labels in found if name == "zweitblick_rounds"} == set(State)


def test_instances_that_come_again_with_other_content_are_counted(metrics: Metrics, store: Store) -> None:
    with DicomServer(ListenerConfig(port=0), store, observer=metrics) as server, RawPeer(server.port) as peer:
        peer.associate((MR, [EXPLICIT]))
        data = instance()
        for number in (1, 2, 2, 3):
            data.InstanceNumber = number
            assert peer.store(encoded(data), data.SOPInstanceUID) == 0x0000
    assert samples(metrics)["zweitblick_conflicting_instances_total", ""] == 2


def test_instances_are_counted_by_status_with_their_bytes(metrics: Metrics, store: Store) -> None:
    with DicomServer(ListenerConfig(port=0), store, observer=metrics) as server:
        send(server, "1.2.3", "1.2.4")
        found = samples(metrics)
        assert found["zweitblick_dicom_instances_total", "0x0000"] == 2
        assert found["zweitblick_dicom_instances_total", "0xC000"] == 1
        size = len(encoded(instance(study="1.2.3")))
        assert found["zweitblick_dicom_received_bytes_total", ""] == 2 * size
        with RawPeer(server.port) as peer:
            peer.associate((MR, [EXPLICIT]))
            peer.store(b"", "1.2.3")  # once it is answered, its association was counted
            assert samples(metrics)["zweitblick_dicom_associations_open", ""] >= 1
    found = samples(metrics)
    assert found["zweitblick_conflicting_instances_total", ""] == 0
    assert found["zweitblick_dicom_associations_total", "accepted"] == 2
    assert found["zweitblick_dicom_associations_open", ""] == 0


def test_a_rejected_association_is_counted(metrics: Metrics, store: Store) -> None:
    config = ListenerConfig(port=0, ae_title="ELSE")
    with (
        DicomServer(config, store, observer=metrics) as server,
        RawPeer(server.port) as peer,
        pytest.raises(AssertionError),
    ):
        peer.associate()
    assert samples(metrics)["zweitblick_dicom_associations_total", "rejected"] == 1


def test_without_the_store_the_rest_is_still_told(clock: Clock) -> None:
    def away() -> dict[State, Standing]:
        raise StoreUnavailableError("away")

    metrics = Metrics(away, clock=clock)
    metrics.read()
    found = samples(metrics)
    assert found["zweitblick_store_available", ""] == 0
    assert found["zweitblick_readings_total", ""] == 1
    assert not [name for name, _ in found if name == "zweitblick_rounds"]


def test_stages_batches_and_failures_of_a_worker_are_counted(
    tmp_path: Path, bundles: Bundles, sample: SampleTruth
) -> None:
    house = House(tmp_path, bundles)
    t1 = next(truth for sequence, truth in sample.series.items() if sequence.value == "T1")
    with house.store() as store:
        metrics = Metrics(store.standing, clock=house.clock)
        token = keep(store, sorted(t1.folder.iterdir()))
        with house.worker(store, metrics=metrics) as worker:
            worker.submit(last(store, token))
            reached(store, token, State.FAILED)
        found = samples(metrics)
    assert found["zweitblick_reading_failures_total", "study.missing-sequence"] == 1
    assert not [name for name, _ in found if "deliver" in name]
    assert found["zweitblick_stage_seconds_count", "open"] == found["zweitblick_stage_seconds_count", "choose"] == 1
    assert found["zweitblick_rounds", "failed"] == 1
    assert not [name for name, labels in found if "network" in labels]


def test_each_attempt_to_read_counts_also_those_that_are_made_again(
    tmp_path: Path, quick_files: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    house = House(tmp_path, None)
    monkeypatch.setattr("zweitblick.worker.reading_step.read_study", no_memory)
    with house.store() as store:
        metrics = Metrics(store.standing, clock=house.clock)
        token = keep(store, quick_files[:1])
        with house.worker(store, metrics=metrics) as worker:
            worker.submit(last(store, token))
            for failed in (1, 2):
                wait_until(lambda: attempts_failed(store, token) == failed)  # noqa: B023 -- called before the next one
                assert samples(metrics)["zweitblick_reading_failures_total", "internal"] == failed
                house.clock.move(delay(failed).total_seconds())
            assert last(store, token).state is not State.FAILED


def no_memory(_contents: list[bytes]) -> None:
    raise MemoryError


def attempts_failed(store: Store, token: str) -> int:
    return [entry.event for entry in store.history(token)].count(Event.ATTEMPT_FAILED)


def test_attempts_to_deliver_that_fail_are_counted_and_deliveries_that_are_given_up(tmp_path: Path) -> None:
    house = House(tmp_path, None)
    with house.store() as store, StorePeer() as pacs:
        metrics = Metrics(store.standing, clock=house.clock)
        pacs.statuses = [0xA700, 0xA700, 0xA900]
        one = begun(store)
        route = Route(pacs.destination, ("sr",))
        deliverer = Deliverer(store, [route], delay_s=lambda _: 0.01, observer=metrics)
        with house.worker(store, deliverer=deliverer, metrics=metrics):
            reached(store, one.study, State.FAILED)
    found = samples(metrics)
    assert counts_of(found, "zweitblick_delivery_failures_total") == {"peer.busy,PACS": 2, "peer.refused,PACS": 1}
    assert counts_of(found, "zweitblick_deliveries_given_up_total") == {"peer.refused,PACS": 1}


def test_a_commitment_that_is_not_given_is_a_failed_attempt(tmp_path: Path) -> None:
    house = House(tmp_path, None)
    with house.store() as store, CommittingPeer() as pacs:
        metrics = Metrics(store.standing, clock=house.clock)
        pacs.kinds = [2]
        one = begun(store)
        route = Route(pacs.destination, ("sr",))
        deliverer = Deliverer(store, [route], delay_s=lambda _: 0.01, observer=metrics)
        with house.worker(store, deliverer=deliverer, metrics=metrics):
            reached(store, one.study, State.AWAITING_REVIEW)
    found = samples(metrics)
    assert counts_of(found, "zweitblick_delivery_failures_total") == {"peer.not-committed,PACS": 1}
    assert counts_of(found, "zweitblick_deliveries_given_up_total") == {}


def counts_of(found: Samples, name: str) -> dict[str, float]:
    """Values of a metric by its labels."""
    return {labels: value for (each, labels), value in found.items() if each == name}


def test_requests_that_share_a_call_are_counted_together(metrics: Metrics) -> None:
    x = np.zeros((1, 1, 2, 2, 2), np.float32)
    with Batcher(max_batch=2, max_wait_s=60, observer=metrics.batch) as batcher:
        futures = [batcher.submit(batcher.share(), _same, x, bytes_per_voxel=1) for _ in range(2)]
        for future in futures:
            future.result(20)
    found = samples(metrics)
    assert (
        found["zweitblick_network_batch_requests_sum", ""],
        found["zweitblick_network_batch_requests_count", ""],
    ) == (2, 1)


def _same(x: object) -> object:
    return x


def test_two_services_in_one_process_share_no_counts(store: Store, clock: Clock) -> None:
    one, other = (Metrics(store.standing, clock=clock) for _ in range(2))
    one.failed("internal")
    assert ("zweitblick_reading_failures_total", "internal") not in samples(other)


def test_no_label_names_patient_study_or_sender(metrics: Metrics, store: Store) -> None:
    with DicomServer(ListenerConfig(port=0), store, observer=metrics) as server:
        send(server, "1.2.777666555")
    said = metrics.exposition().decode()
    secrets = ("1.2.777666555", store.token("1.2.777666555"), "RAW", "Geheim", "127.0.0.1")
    assert not [secret for secret in secrets if secret in said]
