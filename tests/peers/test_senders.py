"""One contract for both senders: delivered is what was acknowledged, and each failure says whether it may pass."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from dimse.certificates import new_authority
from peers.fake_peers import PDF, SEG, SR, StorePeer, StowPeer, data_of, free_port, made
from zweitblick.errors import (
    PeerAnswerError,
    PeerBrokenOffError,
    PeerBusyError,
    PeerContextError,
    PeerCredentialsError,
    PeerError,
    PeerRefusedError,
    PeerRejectedError,
    PeerTimeoutError,
    PeerUnreachableError,
)
from zweitblick.peers.association import Patience
from zweitblick.peers.destination import Destination, Trust
from zweitblick.peers.sender import sender
from zweitblick.tls import server_context

Peer = StorePeer | StowPeer

PATIENT = Patience(connection_s=5, association_s=5, answer_s=20)
HASTY = Patience(connection_s=5, association_s=5, answer_s=0.3)
KINDS = {"C-STORE": StorePeer, "STOW-RS": StowPeer}


@pytest.fixture(params=list(KINDS))
def peer(request: pytest.FixtureRequest) -> Iterator[Peer]:
    with KINDS[request.param]() as found:
        yield found


@pytest.fixture
def stow() -> Iterator[StowPeer]:
    with StowPeer() as found:
        yield found


def send(destination: Destination, *kinds: str, patience: Patience = PATIENT) -> tuple[int, ...]:
    instances = [made(kind)[0] for kind in kinds or (SEG,)]
    return sender(destination, patience=patience).send(instances).warnings


def test_what_arrives_is_what_was_sent(peer: Peer) -> None:
    sent = [made(SEG, size=2**20), made(SR), made(PDF, size=3)]
    receipt = sender(peer.destination, patience=PATIENT).send([one for one, _ in sent])
    assert receipt.warnings == ()
    assert peer.taken == {one.sop_instance_uid: data_of(file) for one, file in sent}


def test_a_second_sending_brings_the_same(peer: Peer) -> None:
    one, file = made(SEG)
    for _ in range(2):
        sender(peer.destination, patience=PATIENT).send([one])
    assert peer.taken == {one.sop_instance_uid: data_of(file)}


@pytest.mark.parametrize("status", [0xB000, 0xB006, 0xB007])
def test_a_warning_is_an_acknowledgement(peer: Peer, status: int) -> None:
    peer.statuses = [0, status]
    assert send(peer.destination, SEG, SR) == (status,)
    assert len(peer.taken) == 2


def test_a_duplicate_is_there(peer: Peer) -> None:
    peer.statuses = [0x0111]
    assert send(peer.destination) == (0x0111,)


@pytest.mark.parametrize("status", [0xA900, 0xA9FF, 0xC000, 0xC123, 0x0122, 0x0124])
def test_what_would_be_refused_again_is_refused(peer: Peer, status: int) -> None:
    peer.statuses = [0, status]
    with pytest.raises(PeerRefusedError, match=f"PACS.*0x{status:04X}"):
        send(peer.destination, SEG, SR)


@pytest.mark.parametrize("status", [0xA700, 0xA702, 0x0110, 0x0212])
def test_what_may_pass_is_said_to(peer: Peer, status: int) -> None:
    peer.statuses = [status]
    with pytest.raises(PeerBusyError, match=f"PACS.*0x{status:04X}"):
        send(peer.destination)
    send(peer.destination)


def test_a_peer_that_says_nothing_is_not_waited_for(peer: Peer) -> None:
    peer.manner = "silent"
    with pytest.raises(PeerTimeoutError):
        send(peer.destination, patience=HASTY)


def test_a_connection_that_breaks_is_no_acknowledgement(peer: Peer) -> None:
    peer.manner = "rude"
    with pytest.raises(PeerBrokenOffError):
        send(peer.destination)


def test_nobody_there(peer: Peer) -> None:
    port = free_port()
    if isinstance(peer, StorePeer):
        gone: Destination = replace(peer.destination, port=port)
    else:
        gone = replace(peer.destination, url=f"http://127.0.0.1:{port}")
    with pytest.raises(PeerUnreachableError, match="PACS"):
        send(gone)


def test_no_such_host(peer: Peer) -> None:
    if isinstance(peer, StorePeer):
        gone: Destination = replace(peer.destination, host="nobody.invalid")  # RFC 6761
    else:
        gone = replace(peer.destination, url="http://nobody.invalid")
    with pytest.raises(PeerUnreachableError, match=r"nobody\.invalid"):
        send(gone)


@pytest.mark.parametrize("manner", ["polite", "rude"])
def test_errors_say_nothing_of_the_patient(peer: Peer, manner: str) -> None:
    peer.manner, peer.statuses = manner, [0xA900]
    instance, _ = made(SEG)
    with pytest.raises(PeerError) as caught:
        sender(peer.destination, patience=PATIENT).send([instance])
    assert instance.sop_instance_uid not in f"{caught.value}{instance!r}"
    assert "Geheim" not in f"{caught.value}{instance!r}"


@pytest.mark.parametrize("kind", list(KINDS))
def test_tls_is_with_whom_it_should_be(kind: str, tmp_path: Path) -> None:
    authority, other = new_authority(tmp_path, "authority"), new_authority(tmp_path, "other")
    theirs, ours = authority.issue("server"), authority.issue("client")
    tls = server_context(theirs.certificate, theirs.key, client_cas=authority.files.certificate)
    shown = {"certificate": ours.certificate, "key": ours.key}
    with KINDS[kind](tls=tls) as peer:
        send(peer.trusting(Trust(authority.files.certificate, **shown)))
        assert len(peer.taken) == 1
        with pytest.raises(PeerUnreachableError):
            send(peer.trusting(Trust(other.files.certificate, **shown)))
        with pytest.raises(PeerError):
            send(peer.trusting(Trust(authority.files.certificate)))
        with pytest.raises(PeerUnreachableError, match=r"no certificates"):
            send(peer.trusting(Trust(tmp_path / "nothing.pem")))
        assert len(peer.taken) == 1


def test_c_store_proposes_what_is_sent_and_nothing_else() -> None:
    implicit, explicit = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1"
    instances = [made(SEG)[0], made(SR, syntax=implicit)[0], made(SEG)[0]]
    with StorePeer() as peer:
        sender(peer.destination, patience=PATIENT).send(instances)
        assert peer.proposed == [(SEG, [explicit]), (SR, [implicit])]
        assert len(peer.taken) == 3


def test_a_kind_that_the_peer_does_not_take_is_named() -> None:
    with StorePeer(sop_classes=(SR,)) as peer:
        with pytest.raises(PeerContextError, match=r"PACS.*Segmentation Storage.*Explicit VR Little Endian"):
            send(peer.destination, SR, SEG)
        assert peer.taken == {}


def test_a_peer_that_takes_nothing_of_what_is_sent() -> None:
    with StorePeer(sop_classes=(SR,)) as peer, pytest.raises(PeerContextError):
        send(peer.destination, SEG)


def test_a_host_is_reached_at_whichever_address_it_listens_on() -> None:
    """The name has an address of IPv6 too on most machines, at which nobody listens here."""
    with StorePeer() as peer:
        send(replace(peer.destination, host="localhost"))
        assert len(peer.taken) == 1


def test_an_association_may_be_rejected() -> None:
    with StorePeer() as peer, pytest.raises(PeerRejectedError, match=r"PACS.*[Cc]alled AE title"):
        send(replace(peer.destination, called_ae_title="OTHER"))


@pytest.mark.parametrize("status", [400, 403, 404, 409, 413, 415])
def test_http_refusals_are_final(stow: StowPeer, status: int) -> None:
    stow.status, stow.answer = status, b""
    with pytest.raises(PeerRefusedError, match=str(status)):
        send(stow.destination)


def test_credentials_that_are_not_taken_may_be_renewed(stow: StowPeer) -> None:
    stow.status, stow.answer = 401, b""
    with pytest.raises(PeerCredentialsError, match=r"PACS.*401"):
        send(stow.destination)


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503])
def test_http_failures_may_pass(stow: StowPeer, status: int) -> None:
    stow.status, stow.answer = status, b""
    with pytest.raises(PeerBusyError, match=str(status)):
        send(stow.destination)


@pytest.mark.parametrize(
    "answer",
    [b"", b"<xml/>", b"[]", b"7", b"{}", b"[" * 100_000, b'{"00081199": 3}', b'{"00081199": {"Value": [{}]}}'],
    ids=lambda answer: answer[:12],
)
def test_an_answer_that_does_not_name_the_instance_is_no_acknowledgement(stow: StowPeer, answer: bytes) -> None:
    stow.answer = answer
    with pytest.raises(PeerAnswerError):
        send(stow.destination)


def test_an_answer_is_not_read_without_end(stow: StowPeer) -> None:
    stow.answer = b" " * (2**22 + 1)
    with pytest.raises(PeerAnswerError):
        send(stow.destination)


def test_each_part_says_what_it_is(stow: StowPeer) -> None:
    send(stow.destination, SEG)
    (request,) = stow.requests
    assert request["path"] == "/dicom-web/studies"
    assert request["accept"] == "application/dicom+json"
    assert stow.parts == ["application/dicom"]
    assert "authorization" not in request


def test_token_and_password_come_from_files_as_they_are_now(stow: StowPeer, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    with_token = replace(stow.destination, token_file=secret)
    secret.write_text("first\n")
    send(with_token)
    secret.write_text("second\n")
    send(with_token)
    secret.write_text("Aladdin:open sesame\n")  # RFC 7617 section 2 has it encoded
    with_password = replace(stow.destination, password_file=secret)
    send(with_password)
    shown = [request["authorization"] for request in stow.requests]
    assert shown == ["Bearer first", "Bearer second", "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="]
    assert "sesame" not in repr(with_password)


@pytest.mark.parametrize("content", [None, b"", b"\xff", b"two\nlines"])
def test_a_secret_that_cannot_be_used_is_named_by_its_file(
    stow: StowPeer, tmp_path: Path, content: bytes | None
) -> None:
    secret = tmp_path / "secret"
    if content is not None:
        secret.write_bytes(content)
    with pytest.raises(PeerCredentialsError, match=str(secret)):
        send(replace(stow.destination, token_file=secret))
    assert stow.requests == []
