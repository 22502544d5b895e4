"""Local users: who is in the file gets in with the right password, and a wrong one costs what an unknown name does."""

import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from argon2 import PasswordHasher, Type, extract_parameters
from argon2.profiles import CHEAPEST

from zweitblick.access.principal import Means, Role
from zweitblick.access.users import MACHINE_PREFIX, Users
from zweitblick.cli.doors import users_of
from zweitblick.errors import LoginError, TokenError, UsersError

PASSWORD = "correct horse battery staple"  # noqa: S105 -- of this test alone


class Counting(PasswordHasher):
    """Notes the parameters of each password that is checked: the work that it takes."""

    def __init__(self) -> None:
        super().__init__(CHEAPEST.time_cost, CHEAPEST.memory_cost, CHEAPEST.parallelism)
        self.checked: list[object] = []

    def verify(self, hash: str, password: str) -> bool:  # noqa: A002 -- its name there
        self.checked.append(extract_parameters(hash))
        return super().verify(hash, password)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "users.json"


@pytest.fixture
def hasher() -> Counting:
    return Counting()


@pytest.fixture
def users(path: Path, hasher: Counting) -> Users:
    made = Users(path, hasher)
    made.add_person("anna", PASSWORD, [Role.RADIOLOGIST])
    return made


def test_who_knows_the_password_gets_in(users: Users) -> None:
    found = users.logged_in("anna", PASSWORD)
    assert (found.name, found.roles, found.means) == ("anna", {Role.RADIOLOGIST}, Means.PASSWORD)


@pytest.mark.parametrize(
    ("name", "password"), [("anna", "wrong"), ("anna", ""), ("anna", PASSWORD + " "), ("bea", PASSWORD), ("", PASSWORD)]
)
def test_who_does_not_is_told_nothing_and_takes_the_same_work(
    users: Users, hasher: Counting, name: str, password: str
) -> None:
    users.logged_in("anna", PASSWORD)
    with pytest.raises(LoginError) as refused:
        users.logged_in(name, password)
    assert str(refused.value) == "name and password do not belong together; try again"
    right, wrong = hasher.checked
    assert right == wrong


def test_passwords_are_hashed_as_rfc_9106_recommends(path: Path) -> None:
    users_of(path).add_person("anna", PASSWORD, [Role.RADIOLOGIST])
    made = extract_parameters(json.loads(path.read_text())["people"]["anna"]["password"])
    assert (made.type, made.memory_cost, made.time_cost, made.parallelism) == (Type.ID, 65536, 3, 4)


def test_neither_password_nor_token_is_in_the_file_which_others_cannot_read(users: Users, path: Path) -> None:
    token = users.add_machine("pacs", [Role.SERVICE])
    assert not [secret for secret in (PASSWORD, token, token[len(MACHINE_PREFIX) :]) if secret in path.read_text()]
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_machine_is_known_by_its_token(users: Users) -> None:
    token = users.add_machine("pacs", [Role.SERVICE])
    found = users.machine(token)
    assert (found.name, found.roles, found.means) == ("pacs", {Role.SERVICE}, Means.MACHINE_TOKEN)
    newer = users.add_machine("pacs", [Role.SERVICE])
    assert users.machine(newer) == found
    for other in (token, newer[:-1], MACHINE_PREFIX, ""):
        with pytest.raises(TokenError):
            users.machine(other)


def test_who_is_taken_out_is_out_at_once(users: Users) -> None:
    anna, token = users.logged_in("anna", PASSWORD), users.add_machine("pacs", [Role.SERVICE])
    users.check_current(anna)
    users.remove("anna")
    users.remove("pacs")
    with pytest.raises(TokenError):
        users.check_current(anna)
    with pytest.raises(TokenError):
        users.machine(token)
    with pytest.raises(LoginError):
        users.logged_in("anna", PASSWORD)
    assert users.roles() == {}
    with pytest.raises(UsersError, match="anna"):
        users.remove("anna")


@pytest.mark.parametrize(("password", "role"), [(PASSWORD, Role.AUDITOR), (PASSWORD[::-1], Role.RADIOLOGIST)])
def test_who_gets_another_password_or_other_roles_logs_in_again(users: Users, password: str, role: Role) -> None:
    anna = users.logged_in("anna", PASSWORD)
    users.add_person("bea", PASSWORD, [Role.RADIOLOGIST])
    users.check_current(anna)
    users.add_person("anna", password, [role])
    with pytest.raises(TokenError):
        users.check_current(anna)
    users.check_current(users.logged_in("anna", password))


@pytest.mark.parametrize("name", ["", "Anna", "anna@there", "a b", "../anna", "a" * 65, "änna"])
def test_names_are_plain(users: Users, name: str) -> None:
    with pytest.raises(UsersError):
        users.add_machine(name, [Role.SERVICE])


@pytest.mark.parametrize("password", ["", "fourteen chars", "x" * 1025])
def test_passwords_are_long(users: Users, password: str) -> None:
    with pytest.raises(UsersError, match="characters"):
        users.add_person("bea", password, [Role.AUDITOR])


def test_a_person_and_a_machine_do_not_share_a_name(users: Users) -> None:
    with pytest.raises(UsersError, match="people already"):
        users.add_machine("anna", [Role.SERVICE])


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files to others")
def test_what_root_writes_stays_the_services(path: Path, hasher: Counting) -> None:
    def owners() -> set[tuple[int, int]]:
        return {(one.stat().st_uid, one.stat().st_gid) for one in path.parent.iterdir()}

    os.chown(path.parent, 1234, 1235)
    users = Users(path, hasher)
    users.add_machine("pacs", [Role.SERVICE])
    assert owners() == {(1234, 1235)}
    os.chown(path, 2234, 2235)
    users.add_machine("ris", [Role.SERVICE])
    users.remove("pacs")
    assert owners() == {(2234, 2235)}


def test_of_changes_at_the_same_time_none_is_lost(path: Path, hasher: Counting) -> None:
    names = {f"machine-{number}" for number in range(24)}

    def add(name: str) -> None:
        Users(path, hasher).add_machine(name, [Role.SERVICE])

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(add, sorted(names)))
    assert Users(path, hasher).roles().keys() == names


def test_a_file_that_cannot_be_opened_is_told_from_one_that_is_damaged(path: Path, hasher: Counting) -> None:
    path.mkdir()
    with pytest.raises(UsersError, match="Is a directory"):
        Users(path, hasher).roles()
    with pytest.raises(UsersError, match=r"cannot be written \(No such file"):
        Users(path / "absent" / "users.json", hasher).add_machine("pacs", [Role.SERVICE])


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"people": {}}', '{"people": {"a": {"roles": ["king"]}}, "machines": {}}']
)
def test_a_file_that_is_damaged_lets_nobody_in(users: Users, path: Path, content: str) -> None:
    path.write_text(content)
    with pytest.raises(UsersError, match=r"users\.json"):
        users.logged_in("anna", PASSWORD)


def test_a_file_that_others_may_read_lets_nobody_in(users: Users, path: Path) -> None:
    path.chmod(0o640)
    with pytest.raises(UsersError, match="chmod 600"):
        users.logged_in("anna", PASSWORD)
