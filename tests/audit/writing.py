"""Program that a test kills: records accesses and says which are on record.

python writing.py FOLDER NAME     prints the Patient ID of each access that was recorded
"""

import itertools
import sys
from pathlib import Path

from audit.happenings import access, opened_trail


def main() -> None:
    folder, name = Path(sys.argv[1]), sys.argv[2]
    with opened_trail(folder, file_bytes=3000) as trail:
        for number in itertools.count():
            trail.record(access(f"{name}-{number}"))
            sys.stdout.write(f"{name}-{number}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
