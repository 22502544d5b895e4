"""Every entry reaches a receiver, whatever breaks; over mutual TLS only, and as RFC 5424 and 5425 have it."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from audit.happenings import NOW, PATIENT, EnvelopeSealer, access, happenings, opened_trail, signer_in
from audit.receiver import Receiver as Listener
from audit.receiver import parsed, unframed
from audit.test_message import SCHEMA
from dimse.certificates import Authority, new_authority
from zweitblick.audit.events import failed
from zweitblick.audit.exporter import AGAIN, BATCH, SyslogExporter, Times
from zweitblick.audit.head import SignedHead
from zweitblick.audit.message import AuditEvent, Source, xml
from zweitblick.audit.reader import Recorded, TrailReader
from zweitblick.audit.syslog import MOST_SEQUENCE_ID, Origin, Receiver, audit_frame, client_context, head_frame
from zweitblick.audit.verification import verify_trail
from zweitblick.errors import AuditReadError, AuditWriteError, SyslogSettingError

ORIGIN = Origin("reader.hospital.example", 4711)
HEAD = SignedHead("00" * 16, 1, "11" * 32, "22" * 64)


class House:
    """A trail, and certificates of both ends."""

    def __init__(self, folder: Path, authority: Authority) -> None:
        self.folder, self.authority = folder, authority
        self.ours, self.theirs = authority.issue("reader"), authority.issue("receiver")
        self.trail = opened_trail(folder)

    def record(self, count: int) -> None:
        for number in range(count):
            self.trail.record(access(f"{PATIENT}-{number}"))

    def listener(self, *, port: int = 0, most_bytes: int = 2**40) -> Listener:
        return Listener(self.authority, self.theirs, port=port, most_bytes=most_bytes)

    def exporter(self, port: int, *, authority: Authority | None = None) -> SyslogExporter:
        by = authority or self.authority
        files = by.issue("reader-of-it")
        context = client_context(files.certificate, files.key, authorities=self.authority.files.certificate)
        return SyslogExporter(
            TrailReader(self.folder / "audit", EnvelopeSealer()),
            Receiver("127.0.0.1", port, context),
            ORIGIN,
            position=self.folder / "audit" / "syslog.position",
            times=Times(poll_s=0.01, retry_s=0.01, settle_s=0.05),
        )


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return new_authority(tmp_path_factory.mktemp("certificates"), "authority")


@pytest.fixture
def house(tmp_path: Path, authority: Authority) -> Iterator[House]:
    made = House(tmp_path, authority)
    with made.trail:
        yield made


@given(happenings, st.integers(1, 2**40))
def test_a_message_is_one_of_rfc_5424_whatever_it_tells_of(event: AuditEvent, number: int) -> None:
    message = xml(event, at=NOW, source=Source("x"))
    (inside,), rest = unframed(audit_frame(Recorded(number, message, HEAD), ORIGIN))
    read = parsed(inside)
    assert rest == b""
    assert read.text.encode() == message
    assert read.time == NOW
    assert (read.host, read.app, read.id) == (ORIGIN.host, "zweitblick", "DICOM+RFC3881")
    assert 1 <= read.sequence <= 2147483647
    assert (read.sequence - number) % 2147483647 == 0
    assert read.priority == (10 * 8 + 5 if event.outcome == 0 else 10 * 8 + 4)


@given(st.text(max_size=300))
def test_a_host_of_any_name_makes_a_message(name: str) -> None:
    recorded = Recorded(MOST_SEQUENCE_ID, xml(access(), at=NOW, source=Source("x")), HEAD)
    for frame in (audit_frame(recorded, Origin(name, 1)), head_frame(recorded, Origin(name, 1))):
        (inside,), _ = unframed(frame)
        assert parsed(inside).app == "zweitblick"


def test_the_priority_of_the_standard(house: House) -> None:
    for event, priority in ((access(), b"<85>1 "), (failed(access(), "store.full"), b"<84>1 ")):
        frame = audit_frame(Recorded(1, xml(event, at=NOW, source=Source("x")), HEAD), ORIGIN)
        assert frame.split(b" ", 1)[1].startswith(priority)


def test_all_that_is_on_record_arrives_in_order_with_its_head(house: House) -> None:
    house.record(BATCH + 3)
    with house.listener() as listener:
        with house.exporter(listener.port) as exporter:
            listener.wait_for(BATCH + 3)
            house.record(2)
            listener.wait_for(BATCH + 5)
        assert exporter.delivered == BATCH + 5
    audit = [one for one in listener.messages if one.id == "DICOM+RFC3881"]
    assert [one.sequence for one in audit] == list(range(1, BATCH + 6))
    for one in audit:
        assert SCHEMA.validate(etree.fromstring(one.text.encode()))
    assert f"{PATIENT}-1" in audit[1].text
    heads = [SignedHead.from_json(one.text.encode()) for one in listener.messages if one.id == "ZWEITBLICK+HEAD"]
    keys = [signer_in(house.folder).public_key]
    assert heads[-1] == house.trail.signed_head()
    for head in heads:
        verify_trail(house.folder / "audit", head=head, keys=keys)


def test_a_next_start_goes_on_and_repeats_the_last_ones(house: House) -> None:
    house.record(AGAIN + 10)
    with house.listener() as listener, house.exporter(listener.port):
        listener.wait_for(AGAIN + 10)
    house.record(1)
    with house.listener() as listener, house.exporter(listener.port):
        listener.wait_for(AGAIN + 11)
    audit = [one.sequence for one in listener.messages if one.sequence]
    assert audit == list(range(11, AGAIN + 12))


def test_nothing_is_lost_while_the_receiver_is_away_and_its_connections_break(house: House) -> None:
    with house.listener() as first:
        port = first.port
    seen: set[int] = set()
    house.record(20)
    with house.exporter(port) as exporter:
        for count in range(3):
            with house.listener(port=port, most_bytes=30_000) as listener:
                house.record(20)
                listener.wait_for(20 * (count + 2) if count == 2 else 1)
            seen |= {one.sequence for one in listener.messages}
        with house.listener(port=port) as listener:
            house.record(20)
            listener.wait_for(100)
            exporter.close()
            seen |= {one.sequence for one in listener.messages}
    assert exporter.delivered == 100
    assert seen - {0} == set(range(1, 101))


def test_a_receiver_that_does_not_know_us_gets_nothing(
    house: House, tmp_path_factory: pytest.TempPathFactory, caplog: pytest.LogCaptureFixture
) -> None:
    stranger = new_authority(tmp_path_factory.mktemp("stranger"), "stranger")
    house.record(3)
    with house.listener() as listener, house.exporter(listener.port, authority=stranger) as exporter:
        listener.wait_for_failure()
    assert exporter.delivered == 0
    assert listener.messages == []
    assert PATIENT not in caplog.text


def test_a_receiver_that_we_do_not_know_gets_nothing(house: House, tmp_path_factory: pytest.TempPathFactory) -> None:
    stranger = new_authority(tmp_path_factory.mktemp("stranger"), "stranger")
    house.record(3)
    with Listener(house.authority, stranger.issue("receiver")) as listener:
        with house.exporter(listener.port) as exporter:
            listener.wait_for_failure()
        assert exporter.delivered == 0
        assert listener.messages == []


def test_two_do_not_deliver_from_one_position(house: House) -> None:
    with house.listener() as listener, house.exporter(listener.port), pytest.raises(AuditWriteError):
        house.exporter(listener.port)


@pytest.mark.parametrize("content", ["", "many", "1.5"])
def test_a_position_that_is_none_is_refused(house: House, content: str) -> None:
    (house.folder / "audit" / "syslog.position").write_text(content)
    with pytest.raises(AuditReadError):
        house.exporter(1)


def test_files_that_do_not_fit_are_refused(house: House) -> None:
    ours, authorities = house.ours, house.authority.files.certificate
    for certificate, key, cas in (
        (ours.certificate, house.theirs.key, authorities),
        (ours.key, ours.key, authorities),
        (ours.certificate, ours.key, house.folder / "absent"),
        (ours.certificate, ours.key, ours.key),
    ):
        with pytest.raises(SyslogSettingError):
            client_context(certificate, key, authorities=cas)


def test_a_head_message_is_json() -> None:
    (inside,), _ = unframed(head_frame(Recorded(1, b"", HEAD), ORIGIN))
    assert json.loads(parsed(inside).text) == {
        "trail": HEAD.trail,
        "count": 1,
        "head": HEAD.head,
        "signature": HEAD.signature,
    }
