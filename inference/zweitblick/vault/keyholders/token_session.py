"""The session that a process has with a token of an HSM that speaks PKCS#11. Needs the extra ``hsm``."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import pkcs11
from pkcs11 import PKCS11Error, Session

from zweitblick.errors import KeyHolderError
from zweitblick.vault.keyholders.places import TokenPlace
from zweitblick.vault.keyholders.private import FileMark, read_private

if TYPE_CHECKING:
    from pkcs11._pkcs11 import lib as Library  # noqa: N812 -- it is a class

Answer = TypeVar("Answer")

_turns: dict[Path, threading.RLock] = {}
_sessions: dict[tuple[Path, str, Path], "TokenSession"] = {}
_making = threading.Lock()


def token_session(place: TokenPlace) -> "TokenSession":
    """Return the one session that all share who use a token, since HSMs have few.

    Parameters
    ----------
    place
        The token, and how one logs in there; which keys are used there is all one.
    """
    module = place.module.resolve()
    with _making:
        turn = _turns.setdefault(module, threading.RLock())
        return _sessions.setdefault((module, place.token, place.pin_file), TokenSession(place, turn))


class TokenSession:
    """A session with a token, logged in; for several threads at once, in turn.

    It is opened when it is needed, and again when it was lost; if that does not help, the library is initialized anew,
    which ends all sessions of this process with it. A PIN that was refused is not tried again before its file changes,
    since an HSM counts failures. How long a call may take is for the maker's library to say.

    Parameters
    ----------
    place
        The token, and how one logs in there.
    turn
        Under which a process uses the library, where a log-out is everybody's.
    """

    def __init__(self, place: TokenPlace, turn: threading.RLock) -> None:
        self._place = place
        self._turn = turn
        self._session: Session | None = None
        self._writable = False
        self._worked = False
        self._refused: FileMark | None = None

    def asked(self, what: Callable[[Session], Answer]) -> Answer:
        """Ask in the session that is open, then in a new one, then with the library initialized anew.

        Parameters
        ----------
        what
            Is given the session. Keys that it finds are worth nothing in another.

        Raises
        ------
        PKCS11Error
            If the HSM cannot be used, or ``what`` raises it each time.
        KeyHolderError
            If the PIN cannot be read or is refused.
        """
        with self._turn:
            ways = [self._opened, self._opened_anew] if self._worked else [self._opened]
            if (session := self._session) is not None:
                ways.insert(0, lambda: _there(session))
            for way in ways:
                try:
                    self._session = way()
                    answer = what(self._session)
                except PKCS11Error as error:
                    lost = error
                    self.close()
                else:
                    self._worked = True
                    return answer
            raise lost

    def administrated(self, what: Callable[[Session], Answer]) -> Answer:
        """Ask as `asked` does, in a session that may write; so may those after it.

        Raises
        ------
        PKCS11Error, KeyHolderError
            As `asked`.
        """
        with self._turn:
            if not self._writable:
                self.close()
                self._writable = True
            return self.asked(what)

    def close(self) -> None:
        """Log out; whoever asks next logs in again."""
        with self._turn:
            session, self._session = self._session, None
            if session is not None:
                try:
                    session.close()
                except PKCS11Error:
                    # it was lost already
                    return

    def _opened_anew(self) -> Session:
        self._library().reinitialize()
        return self._opened()

    def _opened(self) -> Session:
        place = self._place
        pin, mark = read_private(place.pin_file, "PIN file")
        if mark == self._refused:
            raise KeyHolderError(f"token {place.token} has refused the PIN of {place.pin_file}; correct it")
        token = self._library().get_token(token_label=place.token)
        # python-pkcs11 0.10 does not close the session of a log-in that failed: one reason not to log in for each call
        try:
            return token.open(rw=self._writable, user_pin=pin)
        except pkcs11.UserAlreadyLoggedIn:
            return token.open(rw=self._writable)  # somebody else's log-in is the whole process's
        except (pkcs11.PinIncorrect, pkcs11.PinLocked, pkcs11.PinInvalid, pkcs11.PinLenRange) as error:
            self._refused = mark
            raise KeyHolderError(
                f"token {place.token} refuses the PIN of {place.pin_file} ({type(error).__name__}); "
                "correct it before the HSM locks"
            ) from error

    def _library(self) -> "Library":
        return pkcs11.lib(str(self._place.module))


def _there(session: Session) -> Session:
    """See whether a session is there: python-pkcs11 cannot end a search that did not begin."""
    session.generate_random(8)
    return session
