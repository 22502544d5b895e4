"""Receiver processes with stores of their own: what they tell, and what takes the place of one that has stopped."""

import threading
from functools import partial
from pathlib import Path

import pytest

from dimse.wire import EXPLICIT, MR, Counts, RawPeer, encoded, instance
from faulty_receiver import receive_with_a_fault
from kept_study import wait_until
from zweitblick.cli.receiving import receive, store_of
from zweitblick.cli.recording import opened_trail
from zweitblick.dimse import Crew, Receivers
from zweitblick.settings import Settings
from zweitblick.vault.keyholders import FileKeyHolder, make_key_file

PROCESSING_FAILURE = 0x0110
UIDS = ["1.2.3.4.1", "1.2.3.4.2"]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    found = Settings(data=tmp_path, key_file=tmp_path / "key")
    make_key_file(found.key_file)
    with opened_trail(found):
        pass  # its keys are made, as the service does before it starts receivers
    return found


def sent(port: int, number: int, *, patient_id: str = "geheime-nummer") -> int:
    data = instance(number)
    data.PatientID = patient_id
    with RawPeer(port) as peer:
        peer.associate((MR, [EXPLICIT]))
        return peer.store(encoded(data), UIDS[number - 1])


def test_a_receiver_tells_how_many_instances_it_keeps_apart(settings: Settings) -> None:
    counts = Counts()
    crew = Crew("127.0.0.1", 0, 1, partial(receive, settings))
    with Receivers(crew, counts, lambda _: None, listening=threading.Event()) as receivers:
        assert [sent(receivers.port, 1, patient_id=one) for one in ("1", "1", "2", "3")] == [0, 0, 0, 0]
    assert (counts.statuses, counts.conflicts) == ([0, 0, 0, 0], 2)


def test_a_receiver_whose_store_has_stopped_is_replaced(settings: Settings, caplog: pytest.LogCaptureFixture) -> None:
    counts, listening = Counts(), threading.Event()
    crew = Crew("127.0.0.1", 0, 1, partial(receive_with_a_fault, settings), delay_s=lambda _failures: 0.0)
    with Receivers(crew, counts, lambda _: None, listening=listening) as receivers:
        (first,) = receivers.processes
        assert sent(receivers.port, 1) == PROCESSING_FAILURE
        wait_until(lambda: listening.is_set() and first not in receivers.processes)
        assert [sent(receivers.port, number) for number in (1, 2)] == [0, 0]
        wait_until(lambda: counts.statuses == [PROCESSING_FAILURE, 0, 0])
    assert "receiver 1 ended by exit code 0" in caplog.text
    with store_of(settings, FileKeyHolder(settings.key_file), audit=None) as store:
        (study,) = {str(instance(number).StudyInstanceUID) for number in (1, 2)}
        kept = [one.sop_instance_uid for one in store.instances(store.token(study))]
    assert sorted(kept) == UIDS
