"""Program that a test kills: keeps instances from four threads and says which are acknowledged.

python killed.py FOLDER FIRST     prints "open", then a number after each instance that was acknowledged
"""

import itertools
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path

from store.stores import file_holder, instance, opened_store
from zweitblick.store.places import StorePlaces

THREADS = 4


def main() -> None:
    folder, first = Path(sys.argv[1]), int(sys.argv[2])
    numbers = itertools.count(first)
    with opened_store(StorePlaces.within(folder), file_holder(folder), lambda: datetime.now(UTC)) as store:
        say("open")

        def receive() -> None:
            for number in numbers:
                store.keep(instance(study=number % 3, number=number))
                say(number)

        for _ in range(THREADS):
            threading.Thread(target=receive).start()
        threading.Event().wait()


def say(what: object) -> None:
    sys.stdout.write(f"{what}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
