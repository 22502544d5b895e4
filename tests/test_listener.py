"""What is set of DICOM associations is what the server listens by."""

from dataclasses import asdict, fields

import pytest
from pynetdicom import AE
from pynetdicom.sop_class import Verification

from dimse.wire import Kept
from zweitblick.cli.receiving import listener
from zweitblick.dimse import DicomServer, ListenerConfig
from zweitblick.settings import DicomSettings

LIMITS = {
    "maximum_associations": 1,
    "maximum_pdu_bytes": 2**14,
    "maximum_instance_bytes": 2**20,
    "maximum_held_bytes": 2**21,
    "acse_timeout_s": 7.0,
    "network_timeout_s": 8.0,
}


def test_every_limit_of_the_server_can_be_set() -> None:
    named = {
        field.name for field in fields(ListenerConfig) if field.name.startswith("maximum") or "timeout" in field.name
    }
    assert named == LIMITS.keys()
    assert asdict(listener(DicomSettings(**LIMITS))).items() >= LIMITS.items()
    assert listener(DicomSettings()) == ListenerConfig()


@pytest.mark.parametrize("most", [1, 2])
def test_no_more_associate_at_once_than_is_set(most: int) -> None:
    entity = AE("SCANNER")
    entity.add_requested_context(Verification)
    with DicomServer(
        listener(DicomSettings(port=0, maximum_associations=most, maximum_pdu_bytes=2**14)), Kept()
    ) as server:
        held = [entity.associate("127.0.0.1", server.port) for _ in range(most + 1)]
        assert [one.is_established for one in held] == [True] * most + [False]
        assert held[0].acceptor.maximum_length == 2**14
        for one in held[:most]:
            one.release()
