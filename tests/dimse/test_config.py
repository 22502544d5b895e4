"""What is reachable from elsewhere is protected, and every refusal names its key."""

import ssl
from typing import Any

import pytest

from zweitblick.dimse import ListenerConfig
from zweitblick.errors import DimseSettingError

PROTECTED: dict[str, Any] = {
    "ae_title": "OURS",
    "calling_ae_titles": frozenset({"PACS"}),
    "tls": ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER),
}


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1"])
def test_loopback_needs_nothing(host: str) -> None:
    assert ListenerConfig(host=host).tls is None


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.4", "8.8.8.8", "::ffff:10.0.0.1"])  # noqa: S104  # that is the test
@pytest.mark.parametrize("missing", [*PROTECTED, None])
def test_every_other_address_needs_titles_and_tls(host: str, missing: str | None) -> None:
    given = {key: value for key, value in PROTECTED.items() if key != missing}
    if missing is None:
        assert ListenerConfig(host=host, **given).host == host
    else:
        with pytest.raises(DimseSettingError, match=f"^{missing} "):
            ListenerConfig(host=host, **given)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("host", ""),
        ("host", "localhost"),
        ("port", -1),
        ("port", 65536),
        ("ae_title", ""),
        ("ae_title", " "),
        ("ae_title", "SEVENTEEN LETTERS"),
        ("ae_title", "BACK\\SLASH"),
        ("ae_title", "Ümlaut"),
        ("ae_title", "LINE\nFEED"),
        ("calling_ae_titles", frozenset({"GOOD", ""})),
        ("maximum_associations", 0),
        ("maximum_pdu_bytes", 0),
        ("maximum_pdu_bytes", 2**20 + 1),
        ("maximum_instance_bytes", 0),
        ("maximum_held_bytes", 0),
        ("acse_timeout_s", 0),
        ("acse_timeout_s", float("nan")),
        ("network_timeout_s", float("inf")),
    ],
)
def test_a_value_out_of_range_is_named(key: str, value: object) -> None:
    with pytest.raises(DimseSettingError, match=f"^{key} "):
        ListenerConfig(**{key: value})


def test_the_context_stays_out_of_the_repr() -> None:
    assert "SSLContext" not in repr(ListenerConfig(**PROTECTED))
