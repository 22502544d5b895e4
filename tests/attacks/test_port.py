"""Hostile data sets, identifiers and handshakes at the DICOM port, with a real store behind it."""

import re
import socket
import ssl
import struct
import threading
from collections.abc import Iterator
from contextlib import suppress

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dimse.certificates import Authority, new_authority
from dimse.wire import (
    ASSOCIATE_AC,
    BIG,
    DEFLATED,
    ECHO_RQ,
    EXPLICIT,
    IMPLICIT,
    MR,
    VERIFICATION,
    Kept,
    RawPeer,
    associate_rq,
    encoded,
    fragment,
    instance,
)
from kept_study import Clock, new_store
from zweitblick.dicom.identity import identity
from zweitblick.dicom.read import read_study
from zweitblick.dimse import DicomServer, ListenerConfig, server_context
from zweitblick.errors import UnknownStudyError, ZweitblickError
from zweitblick.store.store import Store

FUZZ = settings(settings.get_profile("fuzz"), suppress_health_check=[HealthCheck.function_scoped_fixture])
SYNTAXES = (IMPLICIT, EXPLICIT, BIG, *DEFLATED)
ANSWERS = {0x0000, 0xA700, 0xA900, 0xC000, 0xC001}
"""PS3.4 table B.2-1; anything else would say that we have failed."""

OF_THE_STORE = {"data", "keys", "key", "objects", "store.sqlite", "keys.sqlite", "lock"}

UID = "1.2.3.4.1"


@pytest.fixture(scope="module", autouse=True)
def no_thread_is_left() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) == before


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """A store that is attacked again and again; afterwards no file is where or named as a sender wanted it."""
    folder = tmp_path_factory.mktemp("room") / "store"
    folder.mkdir()
    with new_store(folder, Clock()) as opened:
        yield opened
    assert [path.name for path in folder.parent.iterdir()] == ["store"]
    names = {path.name for path in folder.rglob("*")} - OF_THE_STORE
    assert names
    assert not [name for name in names if not re.fullmatch("[0-9a-f]{2,32}", name)]


@pytest.fixture(scope="module")
def port(store: Store) -> Iterator[int]:
    config = ListenerConfig(port=0, maximum_instance_bytes=2**20, maximum_associations=400)
    with DicomServer(config, store) as server:
        yield server.port


def answered(port: int, data: bytes, syntax: str = EXPLICIT, uid: str = UID, *, calling: str = "RAW") -> int:
    """Status of a C-STORE, after which the same association still answers."""
    with RawPeer(port) as peer:
        peer.associate((MR, [syntax]), calling=calling)
        status = peer.store(data, uid)
        assert peer.store(b"", uid) == 0xC000
        peer.release()
    return status


def opened(store: Store, study: str = "1.2.3", uid: str = UID) -> list[bytes]:
    """Contents of what is kept of an instance."""
    found = []
    with suppress(UnknownStudyError):
        for kept in store.instances(store.token(study), sop_instance_uid=uid):
            with store.open(kept.id) as file:
                found.append(file.read())
    return found


@FUZZ
@given(
    study=st.integers(1, 10**9).map(lambda number: f"1.2.{number}"),
    syntax=st.sampled_from(SYNTAXES),
    harm=st.tuples(
        st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(1, 255)), min_size=1, max_size=8),
        st.floats(0, 1),
    ),
)
def test_a_damaged_data_set_is_refused_or_kept_as_it_came(
    port: int, store: Store, study: str, syntax: str, harm: tuple[list[tuple[float, int]], float]
) -> None:
    damage, keep = harm
    data = bytearray(encoded(instance(study=study), syntax))
    for where, mask in damage:
        data[int(where * len(data))] ^= mask
    sent, uid = bytes(data[: max(1, int(keep * len(data)))]), f"{study}.4.1"
    before = opened(store, study, uid)
    status = answered(port, sent, syntax, uid)
    assert status in ANSWERS
    if status != 0x0000:
        assert sorted(opened(store, study, uid)) == sorted(before)
        return
    # damage of the study's own UID makes it another study
    kept = opened(store, identity(sent, syntax).study_instance_uid, uid)
    assert [content for content in kept if content.endswith(sent)]
    for content in kept:
        with suppress(ZweitblickError):
            read_study([content])


@FUZZ
@given(uid=st.text(st.characters(codec="ascii"), max_size=64), place=st.sampled_from(["study", "series", "instance"]))
def test_what_is_no_uid_identifies_nothing(port: int, uid: str, place: str) -> None:
    keyword = {"study": "StudyInstanceUID", "series": "SeriesInstanceUID", "instance": "SOPInstanceUID"}[place]
    data = instance()
    data[keyword]._value = uid
    status = answered(port, encoded(data), uid=uid if place == "instance" else UID)
    assert (status == 0x0000) is bool(re.fullmatch(r"[0-9]+(\.[0-9]+)*[ \0]*", uid))


@pytest.mark.parametrize("uid", ["../../etc/passwd", "/etc/passwd", "..", "1.2/../3", "1.2.3\0/x", "1.2;rm", "%2e%2e"])
def test_paths_are_no_identifiers(port: int, uid: str) -> None:
    data = instance()
    data["StudyInstanceUID"]._value = uid
    assert answered(port, encoded(data)) == 0xC000


@pytest.mark.parametrize("calling", ["../../../etc", "'; DROP TABLE--", "%s%s%n", "A\\B", "\x7f\x01"])
def test_titles_are_kept_apart_from_everything_else(port: int, store: Store, calling: str) -> None:
    """Some are no AE title (PS3.5 section 6.2) and need not be answered; none does harm."""
    with suppress(AssertionError):
        answered(port, encoded(instance()), calling=calling)
    assert answered(port, encoded(instance())) == 0x0000


@pytest.mark.parametrize("depth", [100, 3000, 60_000])
def test_sequences_within_sequences_without_end_are_walked(port: int, store: Store, depth: int) -> None:
    whole, study = encoded(instance(study="1.2.4")), "1.2.4"
    begin = struct.pack("<HH2sHLHHL", 0x0008, 0x1140, b"SQ", 0, 0xFFFFFFFF, 0xFFFE, 0xE000, 0xFFFFFFFF)
    end = struct.pack("<HHLHHL", 0xFFFE, 0xE00D, 0, 0xFFFE, 0xE0DD, 0)
    place = whole.index(struct.pack("<HH", 0x0010, 0x0010))
    nested = whole[:place] + begin * depth + end * depth + whole[place:]
    status = answered(port, nested, uid=f"{study}.4.1")
    assert status in (0x0000, 0xC000, 0xC001)
    for content in opened(store, study, f"{study}.4.1"):
        with suppress(ZweitblickError):
            read_study([content])


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return new_authority(tmp_path_factory.mktemp("tls"), "authority")


@pytest.fixture(scope="module")
def tls_port(authority: Authority) -> Iterator[int]:
    ours = authority.issue("server")
    config = ListenerConfig(
        port=0, tls=server_context(ours.certificate, ours.key), maximum_associations=400, acse_timeout_s=20
    )
    with DicomServer(config, Kept()) as server:
        yield server.port


def hello(authority: Authority) -> bytes:
    """First bytes of a TLS client."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = ssl.create_default_context(cafile=authority.files.certificate).wrap_bio(
        incoming, outgoing, server_hostname="127.0.0.1"
    )
    with suppress(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()


@FUZZ
@given(
    flips=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(1, 255)), max_size=4),
    keep=st.floats(0, 1),
    junk=st.binary(max_size=100),
)
def test_a_damaged_handshake_ends_its_own_connection_only(
    tls_port: int, authority: Authority, flips: list[tuple[float, int]], keep: float, junk: bytes
) -> None:
    attack = bytearray(hello(authority))
    for where, mask in flips:
        attack[int(where * len(attack))] ^= mask
    with socket.create_connection(("127.0.0.1", tls_port), 20) as peer, suppress(ConnectionError):
        peer.sendall(attack[: int(keep * len(attack))] + junk)
    with RawPeer(tls_port, ssl.create_default_context(cafile=authority.files.certificate)) as peer:
        peer.send(associate_rq([(VERIFICATION, [EXPLICIT])]))
        assert peer.receive()[0] == ASSOCIATE_AC
        peer.send(fragment(1, 3, ECHO_RQ))
        assert peer.status() == 0x0000
        peer.release()
