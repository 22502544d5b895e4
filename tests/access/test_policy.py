"""The table of roles and actions, written a second time by what each role is for."""

import pytest

from zweitblick.access.policy import POLICY, Action, allows, check_allowed
from zweitblick.access.principal import Role
from zweitblick.errors import ForbiddenError

#                radiologist, administrator, researcher, auditor, service
TABLE = {
    Action.ACCOUNT: (1, 1, 1, 1, 1),
    Action.VIEW: (1, 0, 0, 0, 1),
    Action.SEND: (1, 0, 0, 0, 1),
    Action.ORDER: (1, 0, 0, 0, 1),
    Action.MEASURE: (0, 1, 1, 0, 1),
    Action.BREAK_GLASS: (0, 1, 0, 0, 0),
    Action.SUPERVISE: (0, 1, 0, 1, 0),
}


@pytest.mark.parametrize("action", Action)
def test_each_role_may_do_what_it_is_for(action: Action) -> None:
    assert tuple(int(allows([role], action)) for role in Role) == TABLE[action]


def test_who_has_no_role_may_do_nothing_and_who_has_two_may_do_both() -> None:
    assert not any(allows([], action) for action in Action)
    assert allows([Role.AUDITOR, Role.RADIOLOGIST], Action.VIEW)
    assert allows([Role.AUDITOR, Role.RADIOLOGIST], Action.SUPERVISE)


def test_who_may_not_is_told_who_may() -> None:
    with pytest.raises(ForbiddenError, match="radiologist, service"):
        check_allowed([Role.RESEARCHER], Action.VIEW)


def test_every_role_is_in_the_table() -> None:
    assert set(POLICY) == set(Role)
