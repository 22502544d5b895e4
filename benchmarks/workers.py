"""Time a queue of studies read by one worker process, and by two, on PostgreSQL.

PYTHONPATH=tests python -m benchmarks.workers                 six studies, twice by one worker and twice by two
PYTHONPATH=tests python -m benchmarks.workers --studies 2

Workers are `zweitblick work`, each with networks of its own, on all cores. The studies are those of
`benchmarks.end_to_end`, kept before the clock starts, which runs from the moment that all are complete until the last
awaits review. PostgreSQL is Debian's, in a folder of its own.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from benchmarks.end_to_end import THIN, spread
from benchmarks.figures import publish
from rich.table import Table

from interop.postgresql import Server, running_server
from reading_house import keep_renamed, last
from zweitblick.sample import write_sample
from zweitblick.store.life import Actor, Event, State
from zweitblick.store.places import StorePlaces
from zweitblick.store.store import Store
from zweitblick.vault.keyholders import FileKeyHolder, make_key_file

ORDER = (1, 2, 2, 1)
"""So many workers; turned round, as a machine may become slower or faster meanwhile."""
LOOKED_EVERY_S = 0.05
NEVER = timedelta(days=1)
"""None is complete by itself before the clock starts."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--studies", type=int, default=6, help="studies of each run (default: %(default)s)")
    studies = parser.parse_args().studies
    seconds: dict[int, list[float]] = {count: [] for count in sorted(set(ORDER))}
    with tempfile.TemporaryDirectory() as room, running_server() as server:
        write_sample(Path(room) / "study", spec=THIN)
        files = sorted((Path(room) / "study").rglob("*.dcm"))
        for number, count in enumerate(ORDER):
            seconds[count].append(read(Path(room) / str(number), server, files, studies, count))
    table = Table(f"{studies} studies, read by", "s", "spread", "studies an hour, best")
    for count, found in seconds.items():
        table.add_row(f"{count} worker{'s' * (count > 1)}", *spread(found), f"{3600 * studies / min(found):.0f}")
    publish("workers", table)


def read(folder: Path, server: Server, files: Sequence[Path], studies: int, count: int) -> float:
    """Keep so many studies, have so many workers read them, and return the seconds."""
    folder.mkdir()
    make_key_file(folder / "key")
    urls = server.new_database(), server.new_database()
    places = StorePlaces(*urls, folder / "data" / "objects")
    holder = FileKeyHolder(folder / "key")
    with Store(places, holder, clock=now, quiet_time=lambda _: NEVER) as store, ExitStack() as working:
        kept = [keep_renamed(store, list(files), str(number)) for number in range(studies)]
        for _ in range(count):
            working.enter_context(worker(folder, urls))
        began = time.perf_counter()
        for token in kept:
            store.advance(last(store, token).id, Event.COMPLETED, by=Actor.WORKER)
        while not are_read(store, kept):
            time.sleep(LOOKED_EVERY_S)
        return time.perf_counter() - began


def are_read(store: Store, tokens: Sequence[str]) -> bool:
    """Whether all studies await review, which one that ended otherwise never will."""
    states = {last(store, token).state for token in tokens}
    if ended := states & {State.FAILED, State.CANCELLED}:
        raise SystemExit(f"a study was not read, but is {', '.join(ended)}")
    return states == {State.AWAITING_REVIEW}


def now() -> datetime:
    return datetime.now(UTC)


@contextmanager
def worker(folder: Path, urls: tuple[str, str]) -> Iterator[None]:
    """Run a worker that waits for studies."""
    settings = {"DATA": folder, "KEY_FILE": folder / "key", "DATABASE": urls[0], "KEYS_DATABASE": urls[1]}
    environment = os.environ | {f"ZWEITBLICK_{name}": str(value) for name, value in settings.items()}
    command = [sys.executable, "-m", "zweitblick", "work"]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        if process.stdout is not None:
            process.stdout.readline()  # its networks are loaded
        try:
            yield
        finally:
            process.terminate()


if __name__ == "__main__":
    main()
