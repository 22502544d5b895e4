"""Program that tests run several of: keeps the same instances as the others from two threads, as a receiver does.

python receiver.py FOLDER FIRST LAST     prints "open", then each number that was acknowledged
"""

import sys
import threading
from datetime import UTC, datetime
from pathlib import Path

from store.killed import say
from store.stores import file_holder, instance, opened_store
from zweitblick.store.places import StorePlaces

THREADS = 2
STUDIES = 2


def main() -> None:
    folder, first, last = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    numbers = iter(range(first, last))
    with opened_store(StorePlaces.within(folder), file_holder(folder), lambda: datetime.now(UTC)) as store:
        say("open")
        sys.stdin.readline()

        def receive() -> None:
            for number in numbers:
                store.keep(instance(study=number % STUDIES, number=number))
                say(number)

        threads = [threading.Thread(target=receive) for _ in range(THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


if __name__ == "__main__":
    main()
