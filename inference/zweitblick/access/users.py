"""Local users and machines in a file, for where there is no identity provider.

The file is JSON: ``people`` with the Argon2id hash of a password (RFC 9106), ``machines`` with the SHA-256 of a random
token, and the roles of each. It is read anew when it is needed, so that who is taken out is out at once. Whoever writes
it holds the lock of a file beside it (``.lock``), so that none of two changes is lost.
"""

import fcntl
import hashlib
import json
import os
import re
import secrets
import socket
import stat
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from zweitblick.access.principal import Means, Principal, Role
from zweitblick.errors import LoginError, TokenError, UsersError

MACHINE_PREFIX = "zbm_"
"""Machine tokens begin with it, which tells them from others, also to who looks for secrets in the wrong places."""

LEAST_PASSWORD_CHARACTERS = 15
"""Of a password that is the only factor (NIST SP 800-63B-4 section 3.1.1.2); the most is our own limit."""
MOST_PASSWORD_CHARACTERS = 1024

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_TOKEN_BYTES = 32
_WRONG = "name and password do not belong together; try again"
_PEOPLE, _MACHINES = "people", "machines"

Entries = dict[str, dict[str, Any]]


class Users:
    """The file of local users; for several threads at once.

    Parameters
    ----------
    path
        The file; it need not be there yet.
    hasher
        Makes and checks password hashes, one at a time: each takes 64 MiB.
    """

    def __init__(self, path: Path, hasher: PasswordHasher) -> None:
        self._path = path
        self._hasher = hasher
        self._hashing = threading.Lock()
        self._of_nobody = hasher.hash(secrets.token_urlsafe(_TOKEN_BYTES))

    def logged_in(self, name: str, password: str) -> Principal:
        """Return who logs in; a name that is not known takes the same work as a wrong password.

        Raises
        ------
        LoginError
            If name and password do not belong together.
        UsersError
            If the file cannot be used.
        """
        found = self._read()[_PEOPLE].get(name)
        stored = self._of_nobody if found is None else str(found["password"])
        try:
            with self._hashing:
                self._hasher.verify(stored, password)
        except (VerificationError, InvalidHashError) as error:
            raise LoginError(_WRONG) from error
        if found is None:
            raise LoginError(_WRONG)
        return _principal(name, found, Means.PASSWORD)

    def check_current(self, principal: Principal) -> None:
        """Let pass who is in the file as they were when they logged in.

        Raises
        ------
        TokenError
            If they were taken out, or were given another password or other roles.
        UsersError
            If the file cannot be used.
        """
        entries = self._read()[_PEOPLE].values()
        if principal.entry not in map(_entry_digest, entries):
            raise TokenError("the session has ended; log in again")

    def machine(self, token: str) -> Principal:
        """Return the machine that a token is of.

        Raises
        ------
        TokenError
            If it is of none.
        UsersError
            If the file cannot be used.
        """
        digest = _digest(token)
        for name, one in self._read()[_MACHINES].items():
            if secrets.compare_digest(str(one["token_sha256"]), digest):
                return _principal(name, one, Means.MACHINE_TOKEN)
        raise TokenError(
            "the token is of no machine that is known here; make one with 'zweitblick users add --machine'"
        )

    def add_person(self, name: str, password: str, roles: Iterable[Role]) -> None:
        """Write a person into the file, in place of one who had the name.

        Raises
        ------
        UsersError
            If name or password will not do, or the file cannot be used.
        """
        if not LEAST_PASSWORD_CHARACTERS <= len(password) <= MOST_PASSWORD_CHARACTERS:
            raise UsersError(
                f"the password has {len(password)} characters; give {LEAST_PASSWORD_CHARACTERS} to "
                f"{MOST_PASSWORD_CHARACTERS}, such as four random words"
            )
        self._put(_PEOPLE, name, {"roles": sorted(roles), "password": self._hasher.hash(password)})

    def add_machine(self, name: str, roles: Iterable[Role]) -> str:
        """Write a machine into the file, in place of one that had the name, and return its token, kept nowhere else.

        Raises
        ------
        UsersError
            If the name will not do, or the file cannot be used.
        """
        token = MACHINE_PREFIX + secrets.token_urlsafe(_TOKEN_BYTES)
        self._put(_MACHINES, name, {"roles": sorted(roles), "token_sha256": _digest(token)})
        return token

    def remove(self, name: str) -> None:
        """Take a person or machine out of the file.

        Raises
        ------
        UsersError
            If there is none of the name, or the file cannot be used.
        """
        with self._changing() as entries:
            if not any(name in some for some in entries.values()):
                raise UsersError(f"{name!r} is no user of {self._path}; see 'zweitblick users list'")
            for some in entries.values():
                some.pop(name, None)

    def roles(self) -> dict[str, frozenset[Role]]:
        """Return the names of people and machines with their roles.

        Raises
        ------
        UsersError
            If the file cannot be used.
        """
        entries = self._read()
        return {name: _roles(one) for kind in (_PEOPLE, _MACHINES) for name, one in sorted(entries[kind].items())}

    def _put(self, kind: str, name: str, entry: dict[str, Any]) -> None:
        if not _NAME.fullmatch(name):
            raise UsersError(f"{name!r} is no name; give 1 to 64 small letters, digits, dots, hyphens and underlines")
        other = _MACHINES if kind == _PEOPLE else _PEOPLE
        with self._changing() as entries:
            if name in entries[other]:
                raise UsersError(f"{name!r} is among the {other} already; choose another name")
            entries[kind][name] = entry

    @contextmanager
    def _changing(self) -> Iterator[dict[str, Entries]]:
        """Give the entries, and write them at the end, as nobody else does meanwhile."""
        try:
            lock = self._created(self._path.with_name(f"{self._path.name}.lock"), os.O_RDWR)
        except OSError as error:
            raise self._not_written(error) from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            entries = self._read()
            yield entries
            self._write(entries)
        finally:
            os.close(lock)

    def _read(self) -> dict[str, Entries]:
        try:
            with self._path.open("rb") as file:
                if stat.S_IMODE(os.fstat(file.fileno()).st_mode) & 0o077:
                    raise UsersError(f"{self._path} is open to others than its owner; chmod 600 it")
                found = json.load(file)
        except FileNotFoundError:
            return {_PEOPLE: {}, _MACHINES: {}}
        except OSError as error:
            raise UsersError(f"{self._path} cannot be read ({error.strerror}); see to its owner and mode") from error
        except ValueError as error:
            raise UsersError(f"{self._path} cannot be read as JSON; restore it, or delete it and add users") from error
        return _checked(found, self._path)

    def _write(self, entries: dict[str, Entries]) -> None:
        new = self._path.with_name(f"{self._path.name}.{secrets.token_hex(4)}")
        try:
            with os.fdopen(self._created(new, os.O_WRONLY | os.O_EXCL), "w", encoding="utf-8") as file:
                json.dump(entries, file, indent=1, sort_keys=True)
                file.flush()
                os.fsync(file.fileno())
            new.replace(self._path)
        except OSError as error:
            new.unlink(missing_ok=True)
            raise self._not_written(error) from error

    def _created(self, path: Path, flags: int) -> int:
        """Open a file beside this one that has the same owner, or else that of the folder, also if root makes it."""
        descriptor = os.open(path, flags | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        if os.geteuid() == 0:
            model = (self._path if self._path.exists() else self._path.parent).stat()
            os.fchown(descriptor, model.st_uid, model.st_gid)
        return descriptor

    def _not_written(self, error: OSError) -> UsersError:
        return UsersError(f"{self._path} cannot be written ({error.strerror}); see to its folder")


def _checked(found: object, path: Path) -> dict[str, Entries]:
    """Return what was read, if it is of the form that is written."""
    try:
        entries: dict[str, Entries] = {_PEOPLE: dict(found[_PEOPLE]), _MACHINES: dict(found[_MACHINES])}  # type: ignore[index]  # TypeError is caught
        for kind, secret in ((_PEOPLE, "password"), (_MACHINES, "token_sha256")):
            for one in entries[kind].values():
                _roles(one)
                str(one[secret])
    except (TypeError, KeyError, ValueError) as error:
        raise UsersError(f"{path} is not as 'zweitblick users' writes it; restore it, or add users anew") from error
    return entries


def _principal(name: str, entry: dict[str, Any], means: Means) -> Principal:
    digest = _entry_digest(entry) if means is Means.PASSWORD else ""
    return Principal(f"{name}@{socket.gethostname()}", _roles(entry), means, name, digest)


def _entry_digest(entry: dict[str, Any]) -> str:
    """Return what tells an entry from others: its hash of the password has a random salt."""
    return _digest(json.dumps(entry, sort_keys=True))


def _roles(entry: dict[str, Any]) -> frozenset[Role]:
    return frozenset(map(Role, entry["roles"]))


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
