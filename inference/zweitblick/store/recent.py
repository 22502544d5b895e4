"""Recent: the last few values by name, for several threads at once."""

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

Value = TypeVar("Value")

MOST = 1024


class Recent(Generic[Value]):
    """Keeps the `MOST` values that were used last, in memory only."""

    def __init__(self) -> None:
        self._values: OrderedDict[str, Value] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, name: str) -> Value | None:
        """Return the value of a name, None if it is not remembered."""
        with self._lock:
            if name in self._values:
                self._values.move_to_end(name)
            return self._values.get(name)

    def put(self, name: str, value: Value) -> None:
        """Remember a value."""
        with self._lock:
            self._values[name] = value
            self._values.move_to_end(name)
            if len(self._values) > MOST:
                self._values.popitem(last=False)

    def forget(self, which: Callable[[str, Value], bool]) -> None:
        """Forget the values for which a test of name and value holds."""
        with self._lock:
            for name in [name for name, value in self._values.items() if which(name, value)]:
                del self._values[name]
