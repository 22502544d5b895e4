"""All data sets that are held at once are bounded, who would go beyond is told, and nobody waits for anybody."""

import threading
import tracemalloc
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from dimse.wire import TIMEOUT_S, Counts, Held, Kept, RawPeer, encoded, fragment, instance, store_rq
from kept_study import wait_until
from zweitblick.dimse import DicomServer, ListenerConfig
from zweitblick.dimse.buffer import BoundedBuffer, HeldBytes

MIB = 2**20
CONFIG = ListenerConfig(port=0, maximum_instance_bytes=4 * MIB, maximum_held_bytes=4 * MIB)
NAMES = [f"1.2.3.4.{number}" for number in range(8)]


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) == before


def long_instance(number: int, size: int) -> bytes:
    """Encode an instance; of its length is what follows the last attribute that is looked at."""
    data = encoded(instance(number))
    return data + bytes(size - len(data))


def begun(peer: RawPeer, number: int, data: bytes, upto: int) -> None:
    """Send a C-STORE request and the beginning of its data set."""
    peer.send(fragment(1, 3, store_rq(NAMES[number])))
    for start in range(0, upto, 2**14):
        peer.send(fragment(1, 0, data[start : min(upto, start + 2**14)]))


def left(server: DicomServer) -> int:
    """Bytes that data sets may still grow by."""
    return server._listener.buffer.args[1]._left


def test_many_senders_of_long_data_sets_hold_no_more_than_is_allowed() -> None:
    """Two of the eight fit; the keeper lets them go only after all others were answered."""
    keeper, counts = Held(), Counts()
    sent = [long_instance(number, 3 * MIB // 2) for number in range(len(NAMES))]
    refused = threading.Semaphore(0)

    def send(peer: RawPeer, number: int) -> int:
        status = peer.store(sent[number], NAMES[number])
        refused.release()
        return status

    with DicomServer(CONFIG, keeper, observer=counts) as server, ExitStack() as peers:
        senders = [peers.enter_context(RawPeer(server.port)) for _ in NAMES]
        for peer in senders:
            peer.associate()
        pool = peers.enter_context(ThreadPoolExecutor(len(NAMES)))
        peers.callback(keeper.gate.set)
        answers = [pool.submit(send, peer, number) for number, peer in enumerate(senders)]
        for _ in NAMES[2:]:
            assert refused.acquire(timeout=TIMEOUT_S)
        assert left(server) == 0
        keeper.gate.set()
        statuses = [answer.result(TIMEOUT_S) for answer in answers]
        assert sorted(statuses) == [0x0000] * 2 + [0xA700] * 6
        assert left(server) == CONFIG.maximum_held_bytes
        assert [peer.store(sent[number], NAMES[number]) for number, peer in enumerate(senders)] == [0x0000] * 8
    assert len(keeper.instances) == 10
    assert all(one.data == sent[NAMES.index(one.sop_instance_uid)] for one in keeper.instances)


def test_memory_stays_within_what_may_be_held() -> None:
    """Each of sixteen senders sends 3 MiB and no end; 4 MiB are held, and 1 MiB of each at most that nobody counts."""
    piece, counts = bytes(2**14), Counts()
    with DicomServer(CONFIG, Kept(), observer=counts) as server, ExitStack() as peers:
        senders = [peers.enter_context(RawPeer(server.port)) for _ in range(16)]
        for peer in senders:
            peer.associate()
        tracemalloc.start()
        peers.callback(tracemalloc.stop)
        begun(senders[0], 0, piece * 192, 3 * MIB)
        wait_until(lambda: left(server) == MIB)
        for peer in senders[1:]:
            begun(peer, 0, piece * 192, 3 * MIB)
        for peer in senders[1:]:
            peer.send(fragment(1, 2, piece))
            assert peer.status() == 0xA700
        _, peak = tracemalloc.get_traced_memory()
    assert peak < 12 * MIB


def test_of_two_that_would_wait_for_each_other_one_is_refused_and_comes_again() -> None:
    first, second = (long_instance(number, 3 * MIB) for number in (0, 1))
    with DicomServer(CONFIG, Kept()) as server, RawPeer(server.port) as one, RawPeer(server.port) as other:
        for peer, number, data in ((one, 0, first), (other, 1, second)):
            peer.associate()
            begun(peer, number, data, 2 * MIB)
        wait_until(lambda: left(server) == 0)
        one.send(fragment(1, 2, first[2 * MIB : 2 * MIB + 2**16]))
        assert one.status() == 0xA700
        other.send(b"".join(fragment(1, 0, second[at : at + 2**14]) for at in range(2 * MIB, 3 * MIB, 2**14)))
        other.send(fragment(1, 2, b""))
        assert other.status() == 0x0000
        assert one.store(first, NAMES[0]) == 0x0000


def test_ordinary_slices_are_taken_while_nothing_longer_is() -> None:
    long, short = long_instance(0, 4 * MIB), long_instance(1, MIB)
    with DicomServer(CONFIG, Kept()) as server, RawPeer(server.port) as slow, RawPeer(server.port) as peer:
        slow.associate()
        peer.associate()
        begun(slow, 0, long, 4 * MIB)
        wait_until(lambda: left(server) == 0)
        assert peer.store(long, NAMES[0]) == 0xA700
        assert peer.store(short, NAMES[1]) == 0x0000
        slow.send(fragment(1, 2, b""))
        assert slow.status() == 0x0000
        assert peer.store(long, NAMES[0]) == 0x0000


def test_what_a_sender_that_breaks_off_held_is_free_again() -> None:
    counts, data = Counts(), long_instance(0, 4 * MIB)
    with DicomServer(CONFIG, Kept(), observer=counts) as server:
        with RawPeer(server.port) as peer:
            peer.associate()
            begun(peer, 0, data, 4 * MIB)
            wait_until(lambda: left(server) == 0)
        wait_until(lambda: left(server) == CONFIG.maximum_held_bytes)
        with RawPeer(server.port) as peer:
            peer.associate()
            assert peer.store(data, NAMES[0]) == 0x0000


def test_an_instance_of_the_longest_length_is_always_taken() -> None:
    config = ListenerConfig(port=0, maximum_instance_bytes=3 * MIB, maximum_held_bytes=MIB)
    with DicomServer(config, Kept()) as server, RawPeer(server.port) as peer:
        peer.associate()
        assert peer.store(long_instance(0, 3 * MIB), NAMES[0]) == 0x0000
        assert peer.store(long_instance(0, 3 * MIB + 1), NAMES[0]) == 0xC001


def test_what_is_held_is_given_back_once() -> None:
    held = HeldBytes(3 * MIB)
    buffer, other = BoundedBuffer(3 * MIB, held), BoundedBuffer(3 * MIB, held)
    buffer.write(bytes(2 * MIB + 1))
    assert not held.take(1)
    other.write(bytes(MIB))
    other.write(bytes(1))
    assert (buffer.is_dropped, other.is_dropped, other.tell()) == (False, True, 0)
    buffer.let_go()
    buffer.let_go()
    other.let_go()
    assert held.take(3 * MIB)
    assert not held.take(1)
