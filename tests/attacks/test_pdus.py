"""Hostile PDUs against the listening server: it lives, keeps nothing wrong, and serves the next association."""

import struct
import threading
import tracemalloc
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dimse.wire import (
    ASSOCIATE_AC,
    EXPLICIT,
    MR,
    VERIFICATION,
    Kept,
    RawPeer,
    associate_rq,
    encoded,
    fragment,
    instance,
    message,
    pdu,
    store_rq,
)
from zweitblick.dimse import DicomServer, ListenerConfig

CONTEXTS = [(MR, [EXPLICIT]), (VERIFICATION, [EXPLICIT])]
REQUEST = associate_rq(CONTEXTS)
STORE = message(1, store_rq("1.2.3.4.1"), encoded(instance()), size=100)
FUZZ = settings(settings.get_profile("fuzz"), suppress_health_check=[HealthCheck.function_scoped_fixture])
PEAK_BYTES = 16 * 2**20
"""Of one attack."""
LEFT_BYTES = 2**20
"""Of all of them, however many there were."""
ROOMS = ("zweitblick", "pynetdicom", "pydicom")
"""What runs in the server."""


@dataclass
class Target:
    """A running server, and proof that it serves."""

    port: int
    keeper: Kept

    def attacked(self, *attacks: bytes, associated: bool) -> None:
        """Send, hang up, and see that the next sender is served, and that neither took much memory."""
        before, _ = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        with RawPeer(self.port) as peer:
            if associated:
                peer.associate(*CONTEXTS)
            try:
                for attack in attacks:
                    peer.send(attack)
            except ConnectionError:
                pass  # it has hung up on us, as it may
        with RawPeer(self.port) as peer:
            peer.send(REQUEST)
            assert peer.receive()[0] == ASSOCIATE_AC
            peer.store(encoded(instance()), "1.2.3.4.1")
            peer.release()
        assert {(kept.sop_instance_uid, kept.data) for kept in self.keeper.instances} == {
            ("1.2.3.4.1", encoded(instance()))
        }
        self.keeper.instances.clear()
        assert tracemalloc.get_traced_memory()[1] - before < PEAK_BYTES


@pytest.fixture(scope="module")
def target() -> Iterator[Target]:
    """A server that is attacked again and again; afterwards no thread of it is left and it has not grown."""
    before = set(threading.enumerate())
    keeper = Kept()
    config = ListenerConfig(port=0, maximum_associations=400, acse_timeout_s=20, network_timeout_s=20)
    tracemalloc.start()
    with DicomServer(config, keeper) as server:
        yield Target(server.port, keeper)
    # hypothesis remembers what it has tried, which is none of the server's
    left = tracemalloc.take_snapshot().filter_traces([tracemalloc.Filter(True, f"*/{room}/*") for room in ROOMS])
    tracemalloc.stop()
    assert sum(trace.size for trace in left.traces) < LEFT_BYTES
    assert set(threading.enumerate()) == before


@FUZZ
@given(attack=st.binary(max_size=300))
def test_any_bytes_first(target: Target, attack: bytes) -> None:
    target.attacked(attack, associated=False)


@FUZZ
@given(
    flips=st.lists(st.tuples(st.integers(0, len(REQUEST) - 1), st.integers(1, 255)), min_size=1, max_size=6),
    cut=st.integers(0, len(REQUEST)),
)
def test_damaged_association_requests(target: Target, flips: list[tuple[int, int]], cut: int) -> None:
    damaged = bytearray(REQUEST)
    for place, mask in flips:
        damaged[place] ^= mask
    target.attacked(bytes(damaged), associated=False)
    target.attacked(REQUEST[:cut], associated=False)


@FUZZ
@given(kind=st.integers(0, 255), content=st.binary(max_size=200), claimed=st.integers(0, 2**32 - 1) | st.none())
def test_any_pdu_within_an_association(target: Target, kind: int, content: bytes, claimed: int | None) -> None:
    attack = pdu(kind, content) if claimed is None else struct.pack(">BBL", kind, 0, claimed) + content
    target.attacked(attack, associated=True)


@FUZZ
@given(
    parts=st.lists(
        st.tuples(
            st.sampled_from([0, 1, 2, 3, 5, 255]),
            st.integers(0, 255),
            st.binary(max_size=60) | st.sampled_from([store_rq("1.2.3.4.9"), store_rq("1.2.3.4.9")[:50]]),
        ),
        min_size=1,
        max_size=5,
    )
)
def test_any_fragments(target: Target, parts: list[tuple[int, int, bytes]]) -> None:
    target.attacked(*(fragment(*part) for part in parts), associated=True)


@FUZZ
@given(
    elements=st.dictionaries(
        st.sampled_from([0x0000, 0x0002, 0x0100, 0x0110, 0x0120, 0x0800, 0x0900, 0x1000]),
        st.binary(max_size=6) | st.sampled_from([b"1.2.3", b"\1\0", b"\x30\0", b"\x01\x01", "PÄTIENT".encode()]),
    ),
    data=st.binary(max_size=60),
)
def test_any_command_set(target: Target, elements: dict[int, bytes], data: bytes) -> None:
    command = b"".join(struct.pack("<HHL", 0, element, len(value)) + value for element, value in elements.items())
    target.attacked(fragment(1, 3, command), fragment(1, 2, data), associated=True)


@FUZZ
@given(flips=st.lists(st.tuples(st.integers(0, 200), st.integers(1, 255)), min_size=1, max_size=4))
def test_damaged_stores(target: Target, flips: list[tuple[int, int]]) -> None:
    """Only within PDU headers and command set: damage within a data set is the sender's content and is kept."""
    head = len(STORE) - sum(106 for _ in range(0, len(encoded(instance())), 100)) - 100
    damaged = bytearray(STORE)
    for place, mask in flips:
        damaged[place % head] ^= mask
    target.attacked(bytes(damaged), associated=True)
