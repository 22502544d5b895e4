"""Time many studies at once, from DICOM on disk to documents on disk, against one alone in the same warm process.

python -m benchmarks.many_studies                             twenty, two in flight
python -m benchmarks.many_studies --studies 4 --in-flight 3

They share one set of bundles and one batcher. Every study is the synthetic whole head of `benchmarks.end_to_end`: the
same files are read each time, but nothing of one reading is kept for the next. Seconds of a stage include waiting for
others. On a machine with other work only the processor seconds mean something.
"""

import argparse
import resource
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.end_to_end import THIN
from benchmarks.figures import publish
from rich.table import Table

from zweitblick import pipeline
from zweitblick.cli.output import write_folder
from zweitblick.cli.read import files_of
from zweitblick.dicom.read import read_study
from zweitblick.documents import documents
from zweitblick.model.batcher import Batcher
from zweitblick.model.bundle import Bundles, default_models, load_bundles
from zweitblick.reading import Stamp
from zweitblick.sample import write_sample

ALONE = 3
"""Readings of one study alone, after a first one that is not counted."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--studies", type=int, default=20, help="studies in all (default: %(default)s)")
    parser.add_argument("--in-flight", type=int, default=2, help="at most so many at once (default: %(default)s)")
    arguments = parser.parse_args()
    bundles = load_bundles(default_models())
    with tempfile.TemporaryDirectory() as room, Batcher() as batcher:
        write_sample(Path(room) / "study", spec=THIN)
        house = House(sorted((Path(room) / "study").rglob("*.dcm")), Path(room), bundles, batcher)
        alone = measured(house, ALONE + 1, in_flight=1)
        many = measured(house, arguments.studies, in_flight=arguments.in_flight)
    publish("many studies", summary(alone, many))


@dataclass
class House:
    """What all studies share, and how long each stage of each took."""

    paths: list[Path]
    room: Path
    bundles: Bundles
    batcher: Batcher
    stages: list[Counter[str]] = field(default_factory=list)

    def read(self, number: int) -> float:
        """Read the study whole and return the seconds."""
        began = time.perf_counter()
        seconds: Counter[str] = Counter()

        @contextmanager
        def observer(stage: str) -> Iterator[None]:
            started = time.perf_counter()
            yield
            seconds[stage] += time.perf_counter() - started

        bundles = self.batcher.share().bundles(self.bundles)
        with observer("headers"):
            study = read_study(self.paths)
        reading = pipeline.read(study, bundles, stamp=Stamp(datetime.now(UTC)), observer=observer)
        with observer("documents"):
            write_folder(self.room / f"results-{number}", files_of(documents(reading)), overwrite=True)
        self.stages.append(seconds)
        return time.perf_counter() - began


@dataclass(frozen=True)
class Measured:
    """Wall and processor seconds of several readings, the seconds of each, and those of each stage."""

    wall: float
    processor: float
    readings: list[float]
    stages: list[Counter[str]]
    peak_gib: float


def measured(house: House, studies: int, *, in_flight: int) -> Measured:
    house.stages.clear()
    began, busy = time.perf_counter(), time.process_time()
    with ThreadPoolExecutor(in_flight) as pool:
        readings = list(pool.map(house.read, range(studies)))
    return Measured(
        time.perf_counter() - began,
        time.process_time() - busy,
        readings,
        list(house.stages),
        resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
    )


def summary(alone: Measured, many: Measured) -> Table:
    single = statistics.median(alone.readings[1:])
    count = len(many.readings)
    overlap = sum(seconds.total() for seconds in many.stages) / many.wall
    table = Table("what", f"one at a time, {ALONE}", f"{count} at once")
    table.add_row("seconds, median of one", f"{single:.2f}", f"{statistics.median(many.readings):.2f}")
    table.add_row("seconds, all", f"{sum(alone.readings[1:]):.2f}", f"{many.wall:.2f}")
    table.add_row("times one alone", str(ALONE), f"{many.wall / single:.2f}")
    table.add_row("overlap: stage seconds / wall", "", f"{overlap:.2f}")
    table.add_row("processor seconds of one", *(f"{one.processor / len(one.readings):.2f}" for one in (alone, many)))
    table.add_row("processors kept busy", *(f"{one.processor / one.wall:.2f}" for one in (alone, many)))
    table.add_row("peak resident memory, GiB", f"{alone.peak_gib:.2f}", f"{many.peak_gib:.2f}")
    for stage in alone.stages[-1]:
        columns = (statistics.median(seconds[stage] for seconds in one.stages) for one in (alone, many))
        table.add_row(f"  {stage}", *(f"{seconds:.2f}" for seconds in columns))
    return table


if __name__ == "__main__":
    main()
