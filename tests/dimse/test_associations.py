"""Who may associate, how many at once, what broken and silent peers cost, and how the server stops."""

import logging
import socket
import struct
import threading
import time
import tracemalloc
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from pynetdicom import AE
from pynetdicom.sop_class import Verification

from dimse.wire import (
    ABORT,
    ASSOCIATE_AC,
    ASSOCIATE_RJ,
    ECHO_RQ,
    EXPLICIT,
    MR,
    P_DATA,
    PATIENT,
    TIMEOUT_S,
    VERIFICATION,
    Counts,
    Held,
    Kept,
    RawPeer,
    associate_rq,
    command_set,
    encoded,
    fragment,
    instance,
    message,
    pdu,
    store_rq,
)
from zweitblick.dimse import DicomServer, ListenerConfig
from zweitblick.errors import DimseSettingError, StoreFullError

DATA = encoded(instance())
FIND_RQ = command_set({0x0002: MR, 0x0100: 0x0020, 0x0110: 1, 0x0800: 1})
EVENT_REPORT_RQ = command_set({0x0002: MR, 0x0100: 0x0100, 0x0110: 1, 0x0800: 0x0101, 0x1000: "1.2", 0x1002: 1})


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) == before


@pytest.mark.parametrize(
    ("called", "calling", "reason"),
    [("OURS", "SCANNER", None), ("OURS", "STRANGER", 3), ("THEIRS", "SCANNER", 7), ("ours", "SCANNER", 7)],
)
def test_titles_are_checked(called: str, calling: str, reason: int | None) -> None:
    counts = Counts()
    config = ListenerConfig(port=0, ae_title="OURS", calling_ae_titles=frozenset({"SCANNER", "PACS"}))
    with DicomServer(config, Kept(), observer=counts) as server, RawPeer(server.port) as peer:
        peer.send(associate_rq([(MR, [EXPLICIT])], called, calling))
        kind, content = peer.receive()
    if reason is None:
        assert kind == ASSOCIATE_AC
    else:
        # PS3.8 table 9-21: permanent, by the service user, calling (3) or called (7) AE title not recognized
        assert (kind, tuple(content)) == (ASSOCIATE_RJ, (0, 1, 1, reason))
    assert counts.refused == (reason is not None)


def test_one_association_too_many_is_rejected_and_may_come_again() -> None:
    counts = Counts()
    with DicomServer(ListenerConfig(port=0, maximum_associations=2), Kept(), observer=counts) as server:
        with (
            RawPeer(server.port),  # a connection is no association
            RawPeer(server.port) as first,
            RawPeer(server.port) as second,
            RawPeer(server.port) as third,
        ):
            first.associate()
            second.associate()
            third.send(associate_rq([(MR, [EXPLICIT])]))
            # PS3.8 table 9-21: transient, by the service provider (presentation), local limit exceeded
            assert third.receive() == (ASSOCIATE_RJ, bytes([0, 2, 3, 2]))
        counts.wait_for_end(2)
        with RawPeer(server.port) as fourth:
            fourth.associate()


def test_connections_without_a_word_do_not_take_the_places_of_others() -> None:
    with DicomServer(ListenerConfig(port=0, maximum_associations=1, acse_timeout_s=60), Kept()) as server:
        for _ in range(20):
            with RawPeer(server.port):
                pass
        assert any(associates(server.port) for _ in range(100))


def accepts(port: int) -> bool:
    try:
        with RawPeer(port):
            return True
    except ConnectionError:
        return False


def associates(port: int) -> bool:
    with RawPeer(port) as peer:
        peer.send(associate_rq([(MR, [EXPLICIT])]))
        return peer.receive()[0] == ASSOCIATE_AC


STORE = message(1, store_rq("1.2.3.4.1"), DATA)


@pytest.mark.parametrize("cut", [3, 6, 40, len(STORE) - len(DATA) - 8, len(STORE) - 100, len(STORE) - 1])
def test_a_sender_that_breaks_off_leaves_nothing_behind(cut: int) -> None:
    keeper, counts = Kept(), Counts()
    with DicomServer(ListenerConfig(port=0), keeper, observer=counts) as server:
        with RawPeer(server.port) as peer:
            peer.associate()
            peer.send(STORE[:cut])
        counts.wait_for_end()
        assert not keeper.instances
        with RawPeer(server.port) as peer:
            peer.associate()
            assert peer.store(DATA, "1.2.3.4.1") == 0x0000
    assert len(keeper.instances) == 1


@pytest.mark.parametrize(
    "breach",
    {
        "a PDU of 4 GiB": struct.pack(">BBL", P_DATA, 0, 2**32 - 1),
        "a PDU longer than agreed": struct.pack(">BBL", P_DATA, 0, 2**17 + 65),
        "an unknown PDU": pdu(9, b""),
        "an item longer than its PDU": pdu(P_DATA, struct.pack(">LBB", 100, 1, 3)),
        "an empty item": pdu(P_DATA, struct.pack(">LB", 1, 1)),
        "a second request to associate": associate_rq([(MR, [EXPLICIT])]),
        "a data set without a command set": fragment(1, 2, DATA),
        "a command set within a data set": fragment(1, 3, store_rq("1.2")) + fragment(1, 1, store_rq("1.2")),
        "a data set of another context": fragment(1, 3, store_rq("1.2")) + fragment(3, 2, DATA),
        "a huge command set": fragment(3, 3, ECHO_RQ + struct.pack("<HHL", 0, 0x5000, 2**16) + bytes(2**16)),
        "an empty command set": fragment(1, 3, b""),
        "a command set cut short": fragment(1, 3, store_rq("1.2")[:-1]),
        "a context that was not accepted": message(5, store_rq("1.2.3.4.1"), DATA),
        "C-STORE for verification": message(3, store_rq("1.2.3.4.1", sop_class=VERIFICATION), DATA),
        "C-ECHO for storage": fragment(1, 3, ECHO_RQ),
        "C-FIND": message(1, FIND_RQ, DATA),
        "N-EVENT-REPORT": fragment(1, 3, EVENT_REPORT_RQ) * 100,
    }.items(),
    ids=lambda breach: breach[0],
)
def test_a_breach_of_protocol_is_aborted(breach: tuple[str, bytes]) -> None:
    keeper, counts = Kept(), Counts()
    with DicomServer(ListenerConfig(port=0), keeper, observer=counts) as server:
        with RawPeer(server.port) as peer:
            peer.associate((MR, [EXPLICIT]), (VERIFICATION, [EXPLICIT]))
            peer.send(breach[1])
            assert peer.receive()[0] == ABORT
            counts.wait_for_end()
        assert not keeper.instances
        assert associates(server.port)


def test_a_huge_data_set_takes_no_more_memory_than_allowed() -> None:
    limit, piece = 2**20, bytes(16000)
    config = ListenerConfig(port=0, maximum_instance_bytes=limit)
    with DicomServer(config, Kept()) as server, RawPeer(server.port) as peer:
        peer.associate()
        tracemalloc.start()
        peer.send(fragment(1, 3, store_rq("1.2.3.4.1")))
        for _ in range(64 * limit // len(piece)):
            peer.send(fragment(1, 0, piece))
        peer.send(fragment(1, 2, piece))
        assert peer.status() == 0xC001
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert peak < 4 * limit


def test_requests_do_not_pile_up_while_one_is_served() -> None:
    """Whoever sends without waiting for answers is held back by TCP and not remembered."""
    keeper = Held()
    one = message(1, store_rq("1.2.3.4.1"), DATA + bytes(2**18))
    with DicomServer(ListenerConfig(port=0), keeper) as server, RawPeer(server.port) as peer:
        peer.associate()
        peer.socket.settimeout(0.2)
        with pytest.raises(TimeoutError):
            peer.send(one * 200)
        keeper.gate.set()


@pytest.mark.parametrize("said", [b"", STORE[:100], STORE + STORE[:100]], ids=["nothing", "half a PDU", "and a half"])
def test_a_peer_that_falls_silent_is_let_go(said: bytes) -> None:
    counts = Counts()
    config = ListenerConfig(port=0, network_timeout_s=0.1)
    with DicomServer(config, Kept(), observer=counts) as server, RawPeer(server.port) as peer:
        peer.associate()
        peer.send(said)
        counts.wait_for_end()


@pytest.mark.parametrize("said", [b"", associate_rq([(MR, [EXPLICIT])])[:50]], ids=["nothing", "half a request"])
def test_a_peer_that_never_associates_is_let_go(said: bytes) -> None:
    config = ListenerConfig(port=0, acse_timeout_s=0.1, network_timeout_s=0.1)
    with DicomServer(config, Kept()) as server, RawPeer(server.port) as peer:
        peer.send(said)
        assert peer.receive()[0] in (0, ABORT)


def test_a_slow_keeper_is_not_taken_for_a_silent_peer() -> None:
    keeper = Held()
    config = ListenerConfig(port=0, network_timeout_s=0.6)
    with DicomServer(config, keeper) as server, RawPeer(server.port) as peer, ThreadPoolExecutor() as pool:
        peer.associate()
        answer = pool.submit(peer.store, DATA, "1.2.3.4.1")
        assert keeper.reached.wait(TIMEOUT_S)
        assert not keeper.gate.wait(1.5 * config.network_timeout_s)
        keeper.gate.set()
        assert answer.result(TIMEOUT_S) == 0x0000
        assert peer.store(DATA, "1.2.3.4.1") == 0x0000


def test_closing_answers_what_is_served_and_aborts_the_rest() -> None:
    keeper, counts = Held(), Counts()
    server = DicomServer(ListenerConfig(port=0), keeper, observer=counts)
    with RawPeer(server.port) as busy, RawPeer(server.port) as idle, RawPeer(server.port), ThreadPoolExecutor() as pool:
        busy.associate()
        idle.associate()
        busy.send(STORE)
        assert keeper.reached.wait(TIMEOUT_S)
        closing = pool.submit(server.close)
        while accepts(server.port):
            pass
        assert not closing.done()
        keeper.gate.set()
        closing.result(TIMEOUT_S)
        assert busy.status() == 0x0000
        assert busy.receive()[0] == ABORT
        assert idle.receive()[0] == ABORT
    assert len(keeper.instances) == 1
    assert counts.over == 2
    server.close()  # once more does no harm


def test_closing_waits_no_longer_than_asked_for_a_keeper_that_hangs(caplog: pytest.LogCaptureFixture) -> None:
    keeper = Held()
    server = DicomServer(ListenerConfig(port=0), keeper)
    with RawPeer(server.port) as peer:
        peer.associate()
        peer.send(STORE)
        assert keeper.reached.wait(TIMEOUT_S)
        server.close(patience_s=0.1)
        assert peer.receive()[0] in (0, ABORT)
        assert "1 associations are still held" in caplog.text
    held = [thread for thread in threading.enumerate() if thread.name.startswith("AcceptorThread")]
    keeper.gate.set()
    for thread in held:
        thread.join(TIMEOUT_S)


def test_a_port_in_use_is_named() -> None:
    with (
        DicomServer(ListenerConfig(port=0), Kept()) as server,
        pytest.raises(DimseSettingError, match=str(server.port)),
    ):
        DicomServer(ListenerConfig(port=server.port), Kept())


@pytest.mark.skipif(not socket.has_ipv6, reason="no IPv6 here")
def test_it_listens_on_ipv6() -> None:
    with DicomServer(ListenerConfig(host="::1", port=0), Kept()) as server:
        sender = AE()
        sender.add_requested_context(Verification)
        association = sender.associate("::1", server.port)
        assert association.send_c_echo().Status == 0x0000
        association.release()


def test_several_servers_share_a_port_when_asked() -> None:
    with DicomServer(ListenerConfig(port=0, reuse_port=True), Kept()) as first:
        with DicomServer(ListenerConfig(port=first.port, reuse_port=True), Kept()):
            assert associates(first.port)
        assert associates(first.port)


def test_nothing_of_patient_or_sender_is_logged(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    """Not even where somebody turned on every log line of every library."""
    title = "GEHEIMER_TITEL"
    uid = "1.2.777666555"
    own = instance(study=uid)
    with (
        caplog.at_level(logging.DEBUG),
        caplog.at_level(logging.DEBUG, logger="pynetdicom"),
        DicomServer(ListenerConfig(port=0), Kept()) as server,
        DicomServer(ListenerConfig(port=0, ae_title="A"), Kept(StoreFullError("full"))) as failing,
    ):
        with RawPeer(server.port) as peer:
            peer.associate(calling=title)
            assert peer.store(encoded(own), f"{uid}.4.1") == 0x0000
            assert peer.store(encoded(own), "1.2.3.4.9") == 0xA900
            assert peer.store(encoded(own)[:40], f"{uid}.4.1") == 0xC000
            peer.send(message(1, store_rq(f"{uid}.x.{PATIENT}"), encoded(own)))
            assert peer.status() == 0xA900
            peer.send(fragment(1, 3, store_rq(uid) + PATIENT.encode()))
            assert peer.receive()[0] == ABORT
        with RawPeer(failing.port) as peer:
            peer.send(associate_rq([(MR, [EXPLICIT])], calling=title))
            assert peer.receive()[0] == ASSOCIATE_RJ
        for strange in (f"{title}\\", f"{title}\n"):
            with RawPeer(server.port) as peer:
                peer.send(associate_rq([(MR, [EXPLICIT])], calling=strange))
                peer.receive()
    said = caplog.text + "".join(capfd.readouterr())
    assert "instance.damaged" in said  # it does log
    assert not [secret for secret in (title, uid, PATIENT, "geheime-nummer") if secret in said]


def test_the_repr_of_what_is_received_tells_nothing() -> None:
    keeper = Kept()
    with DicomServer(ListenerConfig(port=0), keeper) as server, RawPeer(server.port) as peer:
        peer.associate(calling="SENDER")
        peer.store(DATA, "1.2.3.4.1")
    said = repr(keeper.instances[0])
    assert not [secret for secret in ("1.2.3", "SENDER", "127.0.0.1", PATIENT) if secret in said]
    assert MR in said


def test_an_association_whose_thread_answers_already_is_listed() -> None:
    answered = threading.Event()

    class Starting(threading.Thread):
        def start(self) -> None:
            super().start()
            answered.set()
            time.sleep(0.2)

        def run(self) -> None:
            listed.wait(TIMEOUT_S)

    listed = threading.Event()
    with DicomServer(ListenerConfig(port=0), Kept()) as server:
        one = Starting()
        starter = threading.Thread(target=server._listener.start, args=(one,))
        starter.start()
        assert answered.wait(TIMEOUT_S)
        assert server._listener.associations() == [one]
        listed.set()
        starter.join()
        one.join()


def test_delays_of_the_network_stack_are_off() -> None:
    sender = AE()
    sender.add_requested_context(Verification)
    with DicomServer(ListenerConfig(port=0), Kept()) as server:
        association = sender.associate("127.0.0.1", server.port)
        (ours,) = server._listener.associations()
        assert ours.dul.socket.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        association.release()
