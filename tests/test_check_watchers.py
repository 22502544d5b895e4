"""``zweitblick check`` tries who watches the service: the audit trail, its receiver, and that of spans."""

from pathlib import Path

import pytest

from audit.receiver import Receiver as Listener
from dimse.certificates import Authority, Files, new_authority
from span_collector import span_collector
from zweitblick.cli.checks import checks
from zweitblick.errors import PeerUnreachableError, SigningKeyError, SyslogSettingError
from zweitblick.settings import AuditSettings, Settings
from zweitblick.signing.keys import make_signing_key

NOT_SET = AuditSettings()


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return new_authority(tmp_path_factory.mktemp("certificates"), "authority")


def tried(name: str, folder: Path, *, audit: AuditSettings = NOT_SET, otlp: str | None = None) -> str:
    return checks(Settings(data=folder / "data", key_file=folder / "key", audit=audit, otlp_endpoint=otlp))[name]()


def syslog(files: Files, authority: Authority, port: int) -> AuditSettings:
    return AuditSettings(
        syslog_host="127.0.0.1",
        syslog_port=port,
        syslog_certificate=files.certificate,
        syslog_key=files.key,
        syslog_cas=authority.files.certificate,
    )


def test_before_the_first_start_the_trail_is_to_be_made_and_is_not(tmp_path: Path) -> None:
    assert "first starts" in tried("audit", tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_trail_that_is_there_is_named_with_its_key(tmp_path: Path) -> None:
    make_signing_key(tmp_path / "audit-key.pem")
    (tmp_path / "data" / "audit").mkdir(parents=True)
    assert str(tmp_path / "audit-key.pem") in tried("audit", tmp_path)


def test_a_key_that_is_none_is_a_fault(tmp_path: Path) -> None:
    (tmp_path / "audit-key.pem").write_text("no key")
    (tmp_path / "audit-key.pem").chmod(0o600)
    with pytest.raises(SigningKeyError):
        tried("audit", tmp_path)


def test_a_receiver_that_lets_us_in_is_ok_and_is_sent_nothing(tmp_path: Path, authority: Authority) -> None:
    with Listener(authority, authority.issue("receiver")) as listener:
        said = tried("audit.syslog_host", tmp_path, audit=syslog(authority.issue("us"), authority, listener.port))
    assert f"127.0.0.1 port {listener.port}" in said
    assert not listener.messages
    assert not listener.failures


def test_a_receiver_that_refuses_our_certificate_is_a_fault(tmp_path: Path, authority: Authority) -> None:
    strange = new_authority(tmp_path, "stranger").issue("stranger")
    with Listener(authority, authority.issue("receiver")) as listener:
        with pytest.raises(PeerUnreachableError, match="certificates"):
            tried("audit.syslog_host", tmp_path, audit=syslog(strange, authority, listener.port))
        listener.wait_for_failure()


def test_a_receiver_that_we_do_not_trust_is_a_fault(tmp_path: Path, authority: Authority) -> None:
    ours = authority.issue("us")
    with (
        Listener(authority, authority.issue("receiver")) as listener,
        pytest.raises(PeerUnreachableError, match="CERTIFICATE_VERIFY_FAILED"),
    ):
        tried("audit.syslog_host", tmp_path, audit=syslog(ours, new_authority(tmp_path, "other"), listener.port))


def test_a_receiver_that_is_away_is_a_fault(tmp_path: Path, authority: Authority) -> None:
    with Listener(authority, authority.issue("receiver")) as listener:
        port = listener.port
    with pytest.raises(PeerUnreachableError, match=f"port {port}"):
        tried("audit.syslog_host", tmp_path, audit=syslog(authority.issue("us"), authority, port))


def test_files_for_tls_that_are_none_are_a_fault(tmp_path: Path, authority: Authority) -> None:
    gone = Files(tmp_path / "none.pem", tmp_path / "none.key")
    with pytest.raises(SyslogSettingError, match=r"none\.pem"):
        tried("audit.syslog_host", tmp_path, audit=syslog(gone, authority, 6514))


def test_a_receiver_of_spans_that_takes_none_at_all_is_ok(tmp_path: Path) -> None:
    with span_collector(200) as (address, received):
        assert address in tried("otlp_endpoint", tmp_path, otlp=address)
    assert [path for path, _ in received] == ["/v1/traces"]


def test_a_receiver_of_spans_that_refuses_is_a_fault(tmp_path: Path) -> None:
    with span_collector(401) as (address, _), pytest.raises(PeerUnreachableError, match="v1/traces"):
        tried("otlp_endpoint", tmp_path, otlp=address)


def test_nobody_who_takes_spans_is_a_fault(tmp_path: Path) -> None:
    with span_collector(200) as (address, _):
        pass
    with pytest.raises(PeerUnreachableError, match="v1/traces"):
        tried("otlp_endpoint", tmp_path, otlp=address)


def test_what_is_not_set_is_not_tried(tmp_path: Path) -> None:
    assert {"audit.syslog_host", "otlp_endpoint"}.isdisjoint(checks(Settings(tmp_path / "data", tmp_path / "key")))
