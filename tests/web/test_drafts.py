"""What a radiologist has put down so far is a draft: others neither read nor change it until the item has ended."""

import httpx
import pytest
from pydicom import Dataset

from web.entrances import Entrances
from worklist.work import code, new_item, performed

ITEMS = "/dicom-web/workitems"
UID, CLAIM = "2.25.4711", "1.2.3.4"
DRAFT = "00741216"


def radiologist(house: Entrances, name: str) -> httpx.Client:
    token = house.provider.access_token(sub=name, roles=["radiologist"])
    return house.browser(Authorization=f"Bearer {token}")


def state(client: httpx.Client, asked: str, claim: str) -> int:
    body = Dataset()
    body.ProcedureStepState, body.TransactionUID = asked, claim
    return client.put(f"{ITEMS}/{UID}/state", content=body.to_json()).status_code


def change() -> str:
    made = performed()
    made.UnifiedProcedureStepPerformedProcedureSequence[0].PerformedStationNameCodeSequence = [code("ANNA", "99TEST")]
    return made.to_json()


def test_a_radiologist_does_not_read_the_draft_of_another(entrances: Entrances) -> None:
    anna, bea = radiologist(entrances, "anna"), radiologist(entrances, "bea")
    assert anna.post(f"{ITEMS}?{UID}", content=new_item().to_json()).status_code == 201
    assert state(anna, "IN PROGRESS", CLAIM) == 200
    assert anna.post(f"{ITEMS}/{UID}?transaction={CLAIM}", content=change()).status_code == 200

    nested = "UnifiedProcedureStepPerformedProcedureSequence.PerformedStationNameCodeSequence.CodeValue"
    for wrong in ("", "?transaction=1.2.3.5", "?transaction="):
        (shown,) = bea.get(f"{ITEMS}/{UID}{wrong}").json()
        assert DRAFT not in shown
        assert "00081195" not in shown  # the claim itself
    (found,) = bea.get(ITEMS, params={"00080018": UID}).json()
    assert DRAFT not in found
    assert bea.get(ITEMS, params={nested: "ANNA"}).status_code == 204
    assert bea.post(f"{ITEMS}/{UID}?transaction=1.2.3.5", content=change()).status_code == 409
    assert state(bea, "COMPLETED", "1.2.3.5") == 409

    (own,) = anna.get(f"{ITEMS}/{UID}?transaction={CLAIM}").json()
    assert DRAFT in own
    assert state(anna, "COMPLETED", CLAIM) == 200
    (ended,) = bea.get(f"{ITEMS}/{UID}").json()
    assert DRAFT in ended
    assert len(bea.get(ITEMS, params={nested: "ANNA"}).json()) == 1


@pytest.mark.parametrize("claim", ["", "ä"])
def test_what_nobody_has_claimed_has_no_draft(entrances: Entrances, claim: str) -> None:
    anna = radiologist(entrances, "anna")
    place = anna.post(ITEMS, content=new_item().to_json()).headers["location"]
    (shown,) = anna.get(place, params={"transaction": claim}).json()
    assert DRAFT not in shown
