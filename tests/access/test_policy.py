"""The table of roles and neededs, written a second time by what each role is for."""

import pytest

from zweitblick.access.policy import POLICY, Permission, able, allows
from zweitblick.access.principal import Role

#                radiologist, administrator, researcher, auditor, service
TABLE = {
    Permission.ACCOUNT: (1, 1, 1, 1, 1),
    Permission.VIEW: (1, 0, 0, 0, 1),
    Permission.SEND: (1, 0, 0, 0, 1),
    Permission.ORDER: (1, 0, 0, 0, 1),
    Permission.MEASURE: (0, 1, 1, 0, 1),
    Permission.BREAK_GLASS: (0, 1, 0, 0, 0),
    Permission.SUPERVISE: (0, 1, 0, 1, 0),
}


@pytest.mark.parametrize("needed", Permission)
def test_each_role_may_do_what_it_is_for(needed: Permission) -> None:
    assert tuple(int(allows([role], needed)) for role in Role) == TABLE[needed]


def test_who_has_no_role_may_do_nothing_and_who_has_two_may_do_both() -> None:
    assert not any(allows([], needed) for needed in Permission)
    assert allows([Role.AUDITOR, Role.RADIOLOGIST], Permission.VIEW)
    assert allows([Role.AUDITOR, Role.RADIOLOGIST], Permission.SUPERVISE)


@pytest.mark.parametrize("needed", Permission)
def test_those_who_are_able_are_those_that_it_allows(needed: Permission) -> None:
    assert able(needed) == [role for role, is_allowed in zip(Role, TABLE[needed], strict=True) if is_allowed]


def test_every_role_is_in_the_table() -> None:
    assert set(POLICY) == set(Role)
