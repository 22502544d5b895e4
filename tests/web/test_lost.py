"""What is seen of a study whose key is lost, and of a store that has stopped."""

from pathlib import Path

import pydicom

from web.web_house import WebHouse
from zweitblick.store.life import Event


def test_a_failure_of_a_study_without_a_key_is_shown_with_its_code(web_house: WebHouse, files: list[Path]) -> None:
    web_house.keep(files[0])
    uid = pydicom.dcmread(files[0], stop_before_pixels=True).StudyInstanceUID
    web_house.happen(uid, Event.COMPLETED, Event.STARTED)
    failed = web_house.last(uid)
    web_house.store._rooms.keyring.destroy(failed.study)
    web_house.store.work.give_up(failed.id, "store.key-missing", "no key", turn=1)
    answer = web_house.client.get(f"/api/v1/reads/{uid}").json()
    assert (answer["state"], answer["error"]["code"]) == ("failed", "store.key-missing")


def test_it_is_not_ready_once_nothing_is_kept_any_more(web_house: WebHouse) -> None:
    assert web_house.stranger.get("/ready").status_code == 200
    web_house.store._ingest.close()
    answer = web_house.stranger.get("/ready")
    assert (answer.status_code, answer.json()["code"]) == (503, "store.unavailable")
    assert "not kept" in answer.json()["detail"]
