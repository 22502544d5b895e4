"""Breaking the glass: one study, one person, an hour, a reason; on record before, and with an alarm."""

import logging
from pathlib import Path

import httpx
import pytest

from audit.book import study_of
from kept_study import Clock, sent
from web.dicomweb_study import OTHER, STUDY
from web.entrances import Entrances
from zweitblick.access.emergencies import LONGEST
from zweitblick.access.principal import Role

REASON = "unconscious patient in the emergency room"
PLACE = "/api/v1/emergencies"


@pytest.fixture
def house(entrances: Entrances, files: list[Path], other: list[Path]) -> Entrances:
    for path in (files[0], other[0]):
        entrances.store.keep(sent(path))
    return entrances


@pytest.fixture
def administrator(house: Entrances) -> httpx.Client:
    return house.machine(Role.ADMINISTRATOR)


def broken(client: httpx.Client, study: str = STUDY, reason: str = REASON) -> httpx.Response:
    return client.post(PLACE, json={"study_uid": study, "reason": reason})


def seen(client: httpx.Client) -> list[int]:
    """What is answered about the study, about the other, and about all."""
    places = (f"/api/v1/reads/{STUDY}", f"/dicom-web/studies/{STUDY}/series", f"/api/v1/reads/{OTHER.uid}")
    return [client.get(place).status_code for place in (*places, "/api/v1/reads", "/dicom-web/studies")]


def test_it_opens_one_study_for_an_hour(house: Entrances, administrator: httpx.Client, clock: Clock) -> None:
    assert seen(administrator) == [403] * 5
    assert broken(administrator).status_code == 201
    assert seen(administrator) == [200, 200, 403, 403, 403]
    clock.move(LONGEST.total_seconds() - 300)  # the access token holds for five minutes
    again = house.machine(Role.ADMINISTRATOR)
    assert seen(again) == [200, 200, 403, 403, 403]
    clock.move(300)
    assert seen(house.machine(Role.ADMINISTRATOR)) == [403] * 5


def test_it_opens_nothing_to_others_and_nothing_but_to_see(house: Entrances, administrator: httpx.Client) -> None:
    broken(administrator)
    token = house.provider.access_token(sub="another", roles=["administrator"])
    another = house.browser(Authorization=f"Bearer {token}")
    assert seen(another) == [403] * 5
    assert administrator.post(f"/api/v1/reads/{STUDY}/complete").status_code == 403
    assert administrator.post(f"/dicom-web/studies/{STUDY}").status_code == 403


def test_it_ends_with_the_right_to_open_it(house: Entrances, administrator: httpx.Client) -> None:
    broken(administrator)
    assert seen(house.machine(Role.RESEARCHER)) == [403] * 5
    assert seen(house.machine(Role.ADMINISTRATOR)) == [200, 200, 403, 403, 403]


def test_it_is_on_record_and_raises_an_alarm(
    house: Entrances, administrator: httpx.Client, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "zweitblick"):
        broken(administrator)
    (event,) = house.book.events
    assert (event.id.meaning, event.types[0].value) == ("Security Alert", "110127")
    assert event.participants[0].user_id == "machine@127.0.0.1"
    assert [one.id for one in event.objects if one.id_type.meaning == "Study Instance UID"] == [STUDY]
    assert REASON.encode() in event.objects[0].details["Alert Description"]
    (alarm,) = [one for one in caplog.messages if "EMERGENCY" in one]
    assert house.store.token(STUDY) in alarm
    assert not [secret for secret in (STUDY, REASON, "machine") if secret in alarm]
    assert house.counts.emergencies == 1


def test_what_is_then_seen_is_on_record_as_well(house: Entrances, administrator: httpx.Client) -> None:
    broken(administrator)
    administrator.get(f"/dicom-web/studies/{STUDY}/metadata")
    assert [event.id.meaning for event in house.book.events] == ["Security Alert", "DICOM Instances Accessed"]
    assert study_of(house.book.events[1]) == STUDY


def test_it_does_not_open_if_it_cannot_be_put_on_record(house: Entrances, administrator: httpx.Client) -> None:
    house.book.is_away = True
    assert broken(administrator).status_code == 503
    house.book.is_away = False
    assert seen(administrator) == [403] * 5
    assert house.counts.emergencies == 0


def test_who_opened_it_may_end_it(house: Entrances, administrator: httpx.Client) -> None:
    broken(administrator)
    assert administrator.delete(f"{PLACE}/{STUDY}").status_code == 204
    assert seen(administrator) == [403] * 5
    assert [event.types[0].value for event in house.book.events[:2]] == ["110127", "110138"]


def test_those_that_are_open_are_seen_by_who_supervises(house: Entrances, administrator: httpx.Client) -> None:
    broken(administrator)
    (shown,) = house.machine(Role.AUDITOR).get(PLACE).json()
    assert (shown["user"], shown["reason"]) == ("machine@127.0.0.1", REASON)
    assert shown["study"] == house.store.token(STUDY)
    assert STUDY not in str(shown)


def test_it_needs_a_study_and_a_reason(administrator: httpx.Client) -> None:
    wrong = (("1.2.3", REASON), (STUDY, "because"), ("../x", REASON))
    assert [broken(administrator, study, reason).status_code for study, reason in wrong] == [404, 400, 400]


def test_nobody_else_may_and_a_researcher_never_sees_who_it_is(house: Entrances) -> None:
    for role in (Role.RESEARCHER, Role.AUDITOR, Role.RADIOLOGIST, Role.SERVICE):
        client = house.machine(role)
        assert broken(client).status_code == 403
        assert seen(client) == [200 if role in (Role.RADIOLOGIST, Role.SERVICE) else 403] * 5
