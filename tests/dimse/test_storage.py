"""What is sent is kept as it was sent, success is said only afterwards, and everything else has its status."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pydicom
import pytest
from pynetdicom import AE, ALL_TRANSFER_SYNTAXES, AllStoragePresentationContexts
from pynetdicom.sop_class import (
    ModalityPerformedProcedureStep,
    ModalityWorklistInformationFind,
    StorageCommitmentPushModel,
    StudyRootQueryRetrieveInformationModelFind,
)

from dimse.wire import (
    EXPLICIT,
    IMPLICIT,
    MR,
    Counts,
    Held,
    Kept,
    RawPeer,
    command_set,
    encoded,
    fragment,
    instance,
    message,
    store_rq,
)
from zweitblick.dimse import DicomServer, ListenerConfig, Received
from zweitblick.errors import (
    InstanceError,
    KeyHolderError,
    StoreError,
    StoreFullError,
    StoreUnavailableError,
    ZweitblickError,
)

LIVE_VIDEO = [syntax for syntax in ALL_TRANSFER_SYNTAXES if syntax.startswith("1.2.840.10008.1.2.7.")]
SYNTAXES = [syntax for syntax in ALL_TRANSFER_SYNTAXES if syntax not in LIVE_VIDEO]
RETIRED_JPEG = "1.2.840.10008.1.2.4.55"
PRIVATE_SYNTAX = "1.2.840.113619.5.2"
PRIVATE_CLASS = "1.3.46.670589.11.0.0.12.1"
RETIRED_CLASS = "1.2.840.10008.5.1.4.1.1.6"
NEWER_CLASS = "1.2.840.10008.5.1.4.1.1.9999.1"
OTHER_CLASSES = [
    StudyRootQueryRetrieveInformationModelFind,
    ModalityWorklistInformationFind,
    ModalityPerformedProcedureStep,
    StorageCommitmentPushModel,
    "1.2.840.10008.5.1.1.26",  # print queue management, retired
    "1.2.840.10008.3.1.1.1",  # an application context
]


@pytest.mark.parametrize("syntax", [*SYNTAXES, RETIRED_JPEG])
def test_the_bytes_kept_are_the_bytes_sent(syntax: str) -> None:
    keeper = Kept()
    data = encoded(instance(), syntax)
    with DicomServer(ListenerConfig(port=0), keeper) as server, RawPeer(server.port) as peer:
        assert peer.associate((MR, [syntax])) == {1: (0, syntax)}
        assert peer.store(data, "1.2.3.4.1") == 0x0000
        peer.release()
    (kept,) = keeper.instances
    assert kept == Received(
        sop_class_uid=MR,
        sop_instance_uid="1.2.3.4.1",
        transfer_syntax_uid=syntax,
        study_instance_uid="1.2.3",
        series_instance_uid="1.2.3.4",
        calling_ae_title="RAW",
        data=data,
        patient_id=str(instance().get("PatientID", "")),
    )


@pytest.mark.parametrize("syntax", [*LIVE_VIDEO, PRIVATE_SYNTAX, "1.2.840.10008.1.2.6.1", MR])
def test_a_transfer_syntax_without_a_data_set_to_walk_is_rejected(syntax: str) -> None:
    with DicomServer(ListenerConfig(port=0), Kept()) as server, RawPeer(server.port) as peer:
        results = peer.associate((MR, [syntax]), (MR, [syntax, IMPLICIT]))
        assert results[1][0] == 4  # PS3.8 table 9-18: transfer syntaxes not supported
        assert results[3] == (0, IMPLICIT)


def test_the_senders_own_order_of_transfer_syntaxes_is_followed() -> None:
    with DicomServer(ListenerConfig(port=0), Kept()) as server, RawPeer(server.port) as peer:
        assert peer.associate((MR, [EXPLICIT, IMPLICIT]))[1] == (0, EXPLICIT)
    with DicomServer(ListenerConfig(port=0), Kept()) as server, RawPeer(server.port) as peer:
        assert peer.associate((MR, [IMPLICIT, EXPLICIT]))[1] == (0, IMPLICIT)


def test_every_storage_class_is_accepted_and_nothing_else() -> None:
    known = [context.abstract_syntax for context in AllStoragePresentationContexts]
    storage = [*known, PRIVATE_CLASS, RETIRED_CLASS, NEWER_CLASS]
    accepted = set()
    with DicomServer(ListenerConfig(port=0), Kept()) as server:
        for part in (storage[:100], storage[100:] + OTHER_CLASSES):
            sender = AE()
            for sop_class in part:
                sender.add_requested_context(sop_class)
            association = sender.associate("127.0.0.1", server.port)
            accepted |= {context.abstract_syntax for context in association.accepted_contexts}
            association.release()
    assert accepted == set(storage)


@pytest.mark.parametrize("sop_class", [PRIVATE_CLASS, RETIRED_CLASS, NEWER_CLASS])
def test_instances_of_classes_that_nobody_knows_are_kept(sop_class: str) -> None:
    keeper = Kept()
    with DicomServer(ListenerConfig(port=0), keeper) as server, RawPeer(server.port) as peer:
        peer.associate((sop_class, [IMPLICIT]))
        data = encoded(instance(sop_class=sop_class), IMPLICIT)
        assert peer.store(data, "1.2.3.4.1", sop_class=sop_class) == 0x0000
    assert [kept.data for kept in keeper.instances] == [data]


def test_pynetdicom_sends_and_is_answered() -> None:
    keeper, counts = Kept(), Counts()
    data = instance()
    data.file_meta = pydicom.dataset.FileMetaDataset()
    data.file_meta.TransferSyntaxUID = EXPLICIT
    sender = AE("PYNETDICOM")
    sender.add_requested_context("1.2.840.10008.1.1")
    sender.add_requested_context(MR, EXPLICIT)
    with DicomServer(ListenerConfig(port=0), keeper, observer=counts) as server:
        association = sender.associate("127.0.0.1", server.port)
        assert association.send_c_echo().Status == 0x0000
        assert association.send_c_store(data).Status == 0x0000
        association.release()
        counts.wait_for_end()
    assert association.is_released
    assert keeper.instances[0].data == encoded(instance())
    assert (counts.accepted, counts.refused, counts.over, counts.statuses) == (1, 0, 1, [0x0000])
    assert counts.sizes == [len(encoded(instance()))]


def test_success_is_said_after_keeping() -> None:
    keeper = Held()
    with (
        DicomServer(ListenerConfig(port=0), keeper) as server,
        RawPeer(server.port) as peer,
        ThreadPoolExecutor() as pool,
    ):
        peer.associate()
        answer = pool.submit(peer.store, encoded(instance()), "1.2.3.4.1")
        assert keeper.reached.wait(20)
        assert not answer.done()
        assert not keeper.instances
        keeper.gate.set()
        assert answer.result(20) == 0x0000


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (StoreFullError("full"), 0xA700),
        (KeyHolderError("away"), 0xA700),
        (StoreUnavailableError("away"), 0x0110),
        (StoreError("other"), 0x0110),
        (InstanceError("other"), 0x0110),
        (ZweitblickError("other"), 0x0110),
        (ValueError("a bug"), 0x0110),
        (OSError(28, "No space left on device"), 0x0110),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_what_the_keeper_raises_becomes_a_status(error: Exception, status: int) -> None:
    counts = Counts()
    with DicomServer(ListenerConfig(port=0), Kept(error), observer=counts) as server, RawPeer(server.port) as peer:
        peer.associate()
        assert peer.store(encoded(instance()), "1.2.3.4.1") == status
        peer.release()
    assert counts.statuses == [status]


def without(keyword: str) -> bytes:
    data = instance()
    del data[keyword]
    return encoded(data)


def with_value(keyword: str, value: str) -> bytes:
    data = instance()
    data[keyword]._value = value  # pydicom would warn of it
    return encoded(data)


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (without("StudyInstanceUID"), 0xC000),
        (without("SeriesInstanceUID"), 0xC000),
        (without("SOPInstanceUID"), 0xC000),
        (with_value("StudyInstanceUID", "../../etc/passwd"), 0xC000),
        (with_value("StudyInstanceUID", "1." * 32 + "1"), 0xC000),
        (b"", 0xC000),
        (b"no data set at all, only text", 0xC000),
        (encoded(instance(), IMPLICIT), 0xC000),
        (encoded(instance(2)), 0xA900),
        (encoded(instance(sop_class="1.2.840.10008.5.1.4.1.1.2")), 0xA900),
    ],
)
def test_what_cannot_be_placed_is_refused_and_not_kept(data: bytes, status: int) -> None:
    keeper = Kept()
    with DicomServer(ListenerConfig(port=0), keeper) as server, RawPeer(server.port) as peer:
        peer.associate()
        assert peer.store(data, "1.2.3.4.1") == status
        assert peer.store(encoded(instance()), "1.2.3.4.1") == 0x0000
    assert len(keeper.instances) == 1


def test_a_request_without_a_data_set_is_refused() -> None:
    command = command_set({0x0002: MR, 0x0100: 1, 0x0110: 1, 0x0700: 0, 0x0800: 0x0101, 0x1000: "1.2.3.4.1"})
    with DicomServer(ListenerConfig(port=0), Kept()) as server, RawPeer(server.port) as peer:
        peer.associate()
        peer.send(fragment(1, 3, command))
        assert peer.status() == 0xC000


def test_another_class_than_that_of_the_context_is_refused() -> None:
    keeper = Kept()
    ct = "1.2.840.10008.5.1.4.1.1.2"
    with DicomServer(ListenerConfig(port=0), keeper) as server, RawPeer(server.port) as peer:
        peer.associate()
        assert peer.store(encoded(instance()), "1.2.3.4.1", sop_class=ct) == 0xA900
        assert peer.store(encoded(instance(sop_class=ct)), "1.2.3.4.1", sop_class=ct) == 0xA900
    assert not keeper.instances


def test_an_instance_over_the_limit_is_refused_and_the_next_one_kept() -> None:
    keeper = Kept()
    data = encoded(instance())
    with (
        DicomServer(ListenerConfig(port=0, maximum_instance_bytes=1024), keeper) as server,
        RawPeer(server.port) as peer,
    ):
        peer.associate()
        assert peer.store(data + bytes(1025 - len(data)), "1.2.3.4.1") == 0xC001
        assert peer.store(data + bytes(1024 - len(data)), "1.2.3.4.1") == 0x0000
    assert len(keeper.instances) == 1


def test_duplicates_are_the_keepers_business() -> None:
    keeper = Kept()
    with DicomServer(ListenerConfig(port=0), keeper) as server, RawPeer(server.port) as peer:
        peer.associate()
        assert [peer.store(encoded(instance()), "1.2.3.4.1") for _ in range(3)] == [0x0000] * 3
    assert len(keeper.instances) == 3


def test_requests_that_do_not_wait_for_an_answer_are_served_in_order() -> None:
    keeper = Kept()
    requests = [message(1, store_rq(f"1.2.3.4.{n}", message_id=n), encoded(instance(n))) for n in range(50)]
    with DicomServer(ListenerConfig(port=0), keeper) as server, RawPeer(server.port) as peer:
        peer.associate()
        peer.send(b"".join(requests))
        assert [peer.status() for _ in requests] == [0x0000] * 50
    assert [kept.sop_instance_uid for kept in keeper.instances] == [f"1.2.3.4.{n}" for n in range(50)]


def test_two_senders_at_once_are_kept_apart() -> None:
    keeper = Kept()
    together = threading.Barrier(2)

    def send(port: int, study: str) -> None:
        with RawPeer(port) as peer:
            peer.associate(calling=f"FROM {study}")
            for number in range(20):
                together.wait(20)
                assert peer.store(encoded(instance(number, study=study)), f"{study}.4.{number}") == 0x0000

    with DicomServer(ListenerConfig(port=0), keeper) as server, ThreadPoolExecutor() as pool:
        for done in [pool.submit(send, server.port, study) for study in ("1.2.5", "1.2.6")]:
            done.result(60)
    for study in ("1.2.5", "1.2.6"):
        sent = [kept for kept in keeper.instances if kept.calling_ae_title == f"FROM {study}"]
        assert [kept.data for kept in sent] == [encoded(instance(number, study=study)) for number in range(20)]


def test_a_message_in_the_smallest_fragments_is_put_together() -> None:
    keeper = Kept()
    data = encoded(instance())
    with DicomServer(ListenerConfig(port=0), keeper) as server, RawPeer(server.port) as peer:
        peer.associate()
        peer.send(message(1, store_rq("1.2.3.4.1"), data, size=1))
        assert peer.status() == 0x0000
    assert keeper.instances[0].data == data
