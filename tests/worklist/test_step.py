"""The life of a procedure step is PS3.4 Table CC.1.1-2."""

import pytest

from zweitblick.errors import TransactionError, WorkitemContentError, WorkitemStateError
from zweitblick.worklist.step import StepState, changed, check_modifiable

OURS, OTHER = "1.2.3", "1.2.4"
STATES = ("SCHEDULED", "IN PROGRESS", "COMPLETED", "CANCELED")
C300 = C302 = C310 = WorkitemStateError
C301, C303 = TransactionError, WorkitemContentError
B304 = B306 = False

STANDARD = {
    # asked for, Transaction UID: what it leads to in each of STATES, by the standard's status codes; True is a change
    ("IN PROGRESS", OURS): (True, C302, C300, C300),
    ("IN PROGRESS", ""): (C301, C301, C301, C301),
    ("SCHEDULED", OURS): (C303, C303, C303, C303),
    ("SCHEDULED", ""): (C303, C303, C303, C303),
    ("COMPLETED", OURS): (C310, True, B306, C300),
    ("COMPLETED", OTHER): (C310, C301, C301, C301),
    ("COMPLETED", ""): (C301, C301, C301, C301),
    ("CANCELED", OURS): (C310, True, C300, B304),
    ("CANCELED", OTHER): (C310, C301, C301, C301),
    ("CANCELED", ""): (C301, C301, C301, C301),
}


def cases() -> list[tuple[str, str, str, object]]:
    return [
        (state, asked, given, outcome)
        for (asked, given), outcomes in STANDARD.items()
        for state, outcome in zip(STATES, outcomes, strict=True)
    ]


@pytest.mark.parametrize(("state", "asked", "given", "outcome"), cases())
def test_a_change_of_state_is_answered_as_the_standard_has_it(
    state: str, asked: str, given: str, outcome: bool | type[Exception]
) -> None:
    claimed_by = "" if state == "SCHEDULED" else OURS
    if isinstance(outcome, bool):
        assert changed(StepState(state), asked, claimed_by=claimed_by, given=given) is outcome
    else:
        with pytest.raises(outcome):
            changed(StepState(state), asked, claimed_by=claimed_by, given=given)


@pytest.mark.parametrize("asked", ["", "DONE", "in progress"])
def test_states_that_are_none_cannot_be_asked_for(asked: str) -> None:
    with pytest.raises(WorkitemContentError):
        changed(StepState.IN_PROGRESS, asked, claimed_by=OURS, given=OURS)


@pytest.mark.parametrize(
    ("state", "given", "outcome"),
    [
        ("SCHEDULED", "", None),
        ("SCHEDULED", OURS, C301),
        ("IN PROGRESS", OURS, None),
        ("IN PROGRESS", OTHER, C301),
        ("IN PROGRESS", "", C301),
        ("COMPLETED", OURS, C300),
        ("CANCELED", OURS, C300),
        ("CANCELED", "", C300),
    ],
)
def test_attributes_are_set_by_whoever_has_claimed(state: str, given: str, outcome: type[Exception] | None) -> None:
    claimed_by = "" if state == "SCHEDULED" else OURS
    if outcome is None:
        check_modifiable(StepState(state), claimed_by=claimed_by, given=given)
    else:
        with pytest.raises(outcome):
            check_modifiable(StepState(state), claimed_by=claimed_by, given=given)
