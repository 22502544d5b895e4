"""TLS as BCP 195 asks: who gets in, who does not, and what a bad certificate says."""

import ssl
from pathlib import Path

import pytest
from pynetdicom import AE
from pynetdicom.sop_class import Verification

from dimse.certificates import Authority, Files, new_authority
from dimse.wire import ASSOCIATE_AC, ECHO_RQ, EXPLICIT, VERIFICATION, Kept, RawPeer, associate_rq, fragment
from zweitblick.dimse import DicomServer, ListenerConfig, server_context
from zweitblick.errors import CertificateError


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return new_authority(tmp_path_factory.mktemp("tls"), "authority")


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return new_authority(tmp_path_factory.mktemp("other"), "other").issue("stranger")


@pytest.fixture(scope="module")
def ours(authority: Authority) -> Files:
    return authority.issue("server")


def client_context(authority: Authority, files: Files | None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=authority.files.certificate)
    if files is not None:
        context.load_cert_chain(files.certificate, files.key)
    return context


def echoes(port: int, context: ssl.SSLContext | None) -> bool:
    try:
        with RawPeer(port, context) as peer:
            peer.send(associate_rq([(VERIFICATION, [EXPLICIT])]))
            if peer.receive()[0] != ASSOCIATE_AC:
                return False
            peer.send(fragment(1, 3, ECHO_RQ))
            return peer.status() == 0x0000
    except (ssl.SSLError, ConnectionError):
        return False


def test_pynetdicom_sends_over_tls(authority: Authority, ours: Files) -> None:
    sender = AE()
    sender.add_requested_context(Verification)
    tls = server_context(ours.certificate, ours.key, client_cas=authority.files.certificate)
    with DicomServer(ListenerConfig(port=0, tls=tls), Kept()) as server:
        context = client_context(authority, authority.issue("scanner"))
        association = sender.associate("127.0.0.1", server.port, tls_args=(context, "127.0.0.1"))
        assert association.send_c_echo().Status == 0x0000
        association.release()


def test_senders_without_certificate_are_taken_unless_one_is_asked_for(authority: Authority, ours: Files) -> None:
    config = ListenerConfig(port=0, tls=server_context(ours.certificate, ours.key))
    with DicomServer(config, Kept()) as server:
        assert echoes(server.port, client_context(authority, None))
        assert not echoes(server.port, None)


def test_only_senders_that_the_authority_vouches_for_are_taken(
    authority: Authority, ours: Files, stranger: Files
) -> None:
    tls = server_context(ours.certificate, ours.key, client_cas=authority.files.certificate)
    with DicomServer(ListenerConfig(port=0, tls=tls), Kept()) as server:
        assert echoes(server.port, client_context(authority, authority.issue("scanner")))
        assert not echoes(server.port, client_context(authority, None))
        assert not echoes(server.port, client_context(authority, stranger))


def test_a_handshake_that_does_not_end_holds_up_nobody(authority: Authority, ours: Files) -> None:
    config = ListenerConfig(port=0, tls=server_context(ours.certificate, ours.key))
    with DicomServer(config, Kept()) as server, RawPeer(server.port), RawPeer(server.port) as half:
        half.send(b"\x16\x03\x01\x02\x00")
        assert echoes(server.port, client_context(authority, None))


def test_a_handshake_that_does_not_end_is_given_up(ours: Files) -> None:
    config = ListenerConfig(port=0, tls=server_context(ours.certificate, ours.key), acse_timeout_s=0.1)
    with DicomServer(config, Kept()) as server, RawPeer(server.port) as silent:
        assert silent.receive()[0] == 0


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_both_versions_of_today_are_spoken(authority: Authority, ours: Files, version: ssl.TLSVersion) -> None:
    config = ListenerConfig(port=0, tls=server_context(ours.certificate, ours.key))
    context = client_context(authority, None)
    context.minimum_version = context.maximum_version = version
    with DicomServer(config, Kept()) as server:
        assert echoes(server.port, context)


@pytest.mark.parametrize("cipher", ["AES128-GCM-SHA256", "ECDHE-RSA-AES128-SHA256", "DHE-RSA-AES256-GCM-SHA384"])
def test_no_suite_without_forward_secrecy_and_aead(authority: Authority, ours: Files, cipher: str) -> None:
    """RFC 9325 section 4.1 and 4.2: neither RSA key transport, nor CBC, nor finite-field DHE."""
    config = ListenerConfig(port=0, tls=server_context(ours.certificate, ours.key))
    context = client_context(authority, None)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(cipher)
    with DicomServer(config, Kept()) as server:
        assert not echoes(server.port, context)


def test_older_versions_are_refused(ours: Files) -> None:
    context = server_context(ours.certificate, ours.key)
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert {suite["protocol"] for suite in context.get_ciphers()} == {"TLSv1.2", "TLSv1.3"}
    assert all(suite["aead"] for suite in context.get_ciphers())


def test_files_that_are_no_certificates_are_named(
    authority: Authority, ours: Files, stranger: Files, tmp_path: Path
) -> None:
    missing, text = tmp_path / "missing.pem", tmp_path / "text.pem"
    text.write_text("no certificate")
    locked = authority.issue("locked", password=b"secret")
    for certificate, key, named in [
        (missing, ours.key, "missing.pem"),
        (ours.certificate, missing, "missing.pem"),
        (text, ours.key, "text.pem"),
        (ours.certificate, text, "text.pem"),
        (ours.certificate, stranger.key, "stranger.key"),
        (locked.certificate, locked.key, "locked.key"),
    ]:
        with pytest.raises(CertificateError, match=named):
            server_context(certificate, key)
    for client_cas in (missing, text):
        with pytest.raises(CertificateError, match=client_cas.name):
            server_context(ours.certificate, ours.key, client_cas=client_cas)
