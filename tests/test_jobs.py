"""`zweitblick jobs` shows what waits or has failed, and has it read again, or not at all."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from kept_study import Clock
from store.stores import ACCESSION, PATIENT_ID, PATIENT_NAME, SENDER, instance, study_uid
from zweitblick.cli import main
from zweitblick.store.deliveries import Attempt, DeliveryState
from zweitblick.store.life import Actor, Event, State
from zweitblick.store.places import StorePlaces
from zweitblick.store.store import Store
from zweitblick.vault.keyholders import FileKeyHolder, make_key_file

Jobs = Callable[..., list[list[str]]]


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setenv("ZWEITBLICK_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("ZWEITBLICK_KEY_FILE", str(tmp_path / "key"))
    make_key_file(tmp_path / "key")
    places = StorePlaces.within(tmp_path / "data")
    with Store(places, FileKeyHolder(tmp_path / "key"), clock=Clock(), quiet_time=lambda _: timedelta(0)) as store:
        yield store


@pytest.fixture
def jobs(capsys: pytest.CaptureFixture[str]) -> Jobs:
    """Run the command; return its lines in cells, which are two blanks apart."""

    def run(*arguments: str, code: int = 0) -> list[list[str]]:
        assert main(["jobs", *arguments]) == code
        said = capsys.readouterr()
        for secret in (PATIENT_NAME, PATIENT_ID, ACCESSION, SENDER, study_uid(1), study_uid(2)):
            assert secret not in said.out + said.err
        return [[cell.strip() for cell in line.split("  ") if cell] for line in (said.out + said.err).splitlines()]

    return run


def failed(store: Store, study: int) -> str:
    """Keep a study that has failed, and return its round's id."""
    store.keep(instance(study))
    one = store.rounds(store.token(study_uid(study)))[-1]
    store.advance(one.id, Event.COMPLETED, by=Actor.WORKER)
    store.work.advance(one.id, Event.STARTED, turn=1)
    store.work.give_up(one.id, "study.not-a-head", "no head", turn=1)
    return one.id


def test_jobs_are_listed_with_state_time_attempts_and_error(store: Store, jobs: Jobs) -> None:
    one = failed(store, 1)
    store.keep(instance(2))
    tokens = [store.token(study_uid(study)) for study in (1, 2)]
    other = store.rounds(tokens[1])[-1].id
    headings, *rows = jobs("list")
    assert headings == ["ROUND", "STUDY", "NO", "STATE", "SINCE", "ATTEMPTS", "ERROR"]
    assert sorted(rows) == sorted(
        [
            [one, tokens[0], "1", "failed", "2026-11-27T08:00:00+00:00", "1", "study.not-a-head"],
            [other, tokens[1], "1", "receiving", "2026-11-27T08:00:00+00:00", "0", "-"],
        ]
    )
    assert [row[0] for row in jobs("list", "--state", "failed")[1:]] == [one]


def test_why_a_delivery_failed_is_listed(store: Store, jobs: Jobs) -> None:
    store.keep(instance(1))
    one = store.rounds(store.token(study_uid(1)))[-1].id
    for event in (Event.COMPLETED, Event.STARTED, Event.READ, Event.SEALED):
        store.advance(one, event, by=Actor.WORKER)
    (delivery,) = store.deliveries.begin(one, ["PACS"])
    for number, (state, code) in enumerate(
        ((DeliveryState.WAITING, "peer.busy"), (DeliveryState.REFUSED, "peer.refused"))
    ):
        store.deliveries.note(delivery.id, Attempt(number + 1, state, code))
        assert jobs("list")[1][-1] == code


@pytest.mark.parametrize("named", ["uid", "round", "study"])
def test_what_has_failed_is_retried_and_cancelled(store: Store, jobs: Jobs, named: str) -> None:
    one = failed(store, 1)
    study = store.token(study_uid(1))
    name = {"uid": study_uid(1), "round": one, "study": study}[named]
    for command, state in (("retry", State.STABLE), ("cancel", State.CANCELLED), ("retry", State.STABLE)):
        assert jobs(command, name) == [[f"round {one} of study {study} is {state}"]]
        assert store.work.round(one).state is state
    assert {entry.actor for entry in store.work.history(one)[-3:]} == {Actor.ADMINISTRATOR}


def test_what_cannot_be_is_said(store: Store, jobs: Jobs) -> None:
    store.keep(instance(1))
    assert "error: store.event" in jobs("retry", study_uid(1), code=3)[0][0]
    assert "error: store.study-unknown" in jobs("cancel", "0" * 32, code=3)[0][0]
    assert "error: store.study-unknown" in jobs("cancel", study_uid(2), code=3)[0][0]


def test_a_mistaken_setting_makes_no_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ZWEITBLICK_DATA", str(tmp_path / "nowhere"))
    monkeypatch.setenv("ZWEITBLICK_KEY_FILE", str(tmp_path / "none"))
    assert main(["jobs", "list"]) == 3
    assert "vault.key-holder" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
