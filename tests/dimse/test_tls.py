"""TLS as BCP 195 asks: who gets in, who does not, and what a bad certificate says."""

import hashlib
import ssl
from pathlib import Path

import pytest
from pynetdicom import AE
from pynetdicom.sop_class import Verification

from audit.book import Book
from dimse.certificates import Authority, Files, new_authority
from dimse.wire import (
    ASSOCIATE_AC,
    ASSOCIATE_RJ,
    ECHO_RQ,
    EXPLICIT,
    VERIFICATION,
    Counts,
    Kept,
    RawPeer,
    associate_rq,
    fragment,
)
from zweitblick.dimse import DicomServer, ListenerConfig, server_context
from zweitblick.errors import CertificateError, DimseSettingError


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


def echoes(port: int, context: ssl.SSLContext | None, *, calling: str = "RAW") -> bool:
    try:
        with RawPeer(port, context) as peer:
            peer.send(associate_rq([(VERIFICATION, [EXPLICIT])], calling=calling))
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


def fingerprint(files: Files) -> str:
    """SHA-256 of a certificate as `ssl` decodes it."""
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(files.certificate.read_text())).hexdigest()


@pytest.mark.parametrize("by", ["fingerprint", "common name"])
def test_an_ae_title_is_that_of_its_certificate(authority: Authority, ours: Files, by: str) -> None:
    scanner, workstation = authority.issue("scanner"), authority.issue("workstation")
    shown = fingerprint(scanner) if by == "fingerprint" else "CN=scanner"
    tls = server_context(ours.certificate, ours.key, client_cas=authority.files.certificate)
    config = ListenerConfig(port=0, tls=tls, client_certificates={"SCANNER1": shown})
    counts, book = Counts(), Book()
    with DicomServer(config, Kept(), observer=counts, audit=book) as server:
        for files, title, is_taken in (
            (scanner, "SCANNER1", True),
            (workstation, "SCANNER1", False),
            (workstation, "ANOTHER", True),
            (authority.issue("scanner2"), "SCANNER1", False),
        ):
            assert echoes(server.port, client_context(authority, files), calling=title) == is_taken
    assert [(event.types[0].meaning, int(event.outcome)) for event in book.events] == [("Node Authentication", 8)] * 2


def test_who_uses_the_title_of_another_is_told_that_it_is_not_recognised(authority: Authority, ours: Files) -> None:
    """PS3.8 table 9-21: rejected permanently, by the service user, calling AE title not recognized."""
    tls = server_context(ours.certificate, ours.key, client_cas=authority.files.certificate)
    config = ListenerConfig(port=0, tls=tls, client_certificates={"SCANNER1": "00" * 32})
    with (
        DicomServer(config, Kept()) as server,
        RawPeer(server.port, client_context(authority, authority.issue("workstation"))) as peer,
    ):
        peer.send(associate_rq([(VERIFICATION, [EXPLICIT])], calling="SCANNER1"))
        assert peer.receive() == (ASSOCIATE_RJ, bytes([0, 1, 1, 3]))


def test_certificates_are_bound_only_where_they_are_asked_for(ours: Files) -> None:
    for tls in (None, server_context(ours.certificate, ours.key)):
        with pytest.raises(DimseSettingError, match="client_certificates"):
            ListenerConfig(port=0, tls=tls, client_certificates={"SCANNER1": "00" * 32})


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
