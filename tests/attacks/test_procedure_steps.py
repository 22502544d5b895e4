"""Hostile procedure steps at the DICOM port: refused or kept, and the same association answers the next one."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dimse.modality import begun, ended, raw
from dimse.wire import BIG, EXPLICIT, IMPLICIT, RawPeer, encoded
from kept_study import Clock, new_store
from zweitblick.dicom.performed_step import PERFORMED_STEP
from zweitblick.dimse import DicomServer, ListenerConfig
from zweitblick.dimse.services import Services
from zweitblick.dimse.status import STEP_STATUS

FUZZ = settings(settings.get_profile("fuzz"), suppress_health_check=[HealthCheck.function_scoped_fixture])
STUDY = "1.2.3"
ANSWERS = {0x0000, *STEP_STATUS.values()}


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    folder: Path = tmp_path_factory.mktemp("steps")
    config = ListenerConfig(port=0, maximum_instance_bytes=2**20, maximum_associations=400)
    with (
        new_store(folder, Clock()) as store,
        DicomServer(config, store, services=Services(steps=store.procedure_steps)) as server,
    ):
        yield server.port


@FUZZ
@given(
    number=st.integers(1, 10**9),
    command=st.sampled_from([0x0140, 0x0120]),
    harm=st.tuples(
        st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(1, 255)), max_size=6), st.floats(0.1, 1)
    ),
    syntax=st.sampled_from([IMPLICIT, EXPLICIT]),
)
def test_a_damaged_step_is_refused_or_kept(
    port: int, number: int, command: int, harm: tuple[list[tuple[float, int]], float], syntax: str
) -> None:
    step, (flips, keep) = f"1.2.{number}", harm
    whole = encoded(begun(STUDY) if command == 0x0140 else ended("IN PROGRESS", ["1.2.3.4.1"]), syntax)
    data = bytearray(whole)
    for where, mask in flips:
        data[int(where * len(data))] ^= mask
    with RawPeer(port) as peer:
        peer.associate((PERFORMED_STEP, [syntax]))
        peer.send(raw(command, step, bytes(data[: max(1, int(keep * len(data)))])))
        assert peer.status() in ANSWERS
        peer.send(raw(0x0140, step, encoded(begun(STUDY), syntax)))
        assert peer.status() in (0x0000, 0x0111)
        peer.release()


def test_other_transfer_syntaxes_are_not_taken(port: int) -> None:
    with RawPeer(port) as peer:
        assert peer.associate((PERFORMED_STEP, [BIG]), (PERFORMED_STEP, [IMPLICIT]))[1][0] != 0
