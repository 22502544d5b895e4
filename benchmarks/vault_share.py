"""How much of the time of ingest and of a warm reading the vault takes, both timed in the same run.

`benchmarks.sealing` prints it; ``python -m benchmarks.vault_share`` prints it alone.

The vault's part is what it is asked for: here it does that alone, on the same bytes, after each time that all of it was
done. Ingest: an instance sealed as it comes, two rows sealed, three keyed hashes, by one sender whose data becomes
durable on the disk of TMPDIR. A reading: the rows of all instances opened, every instance opened, all results sealed
with their rows; timed is the worker's step, from sealed instances to sealed results, in a process that has read before.

The aims are of the time that passes. Beside that stands the share of the processor's time, to which it comes nearer the
less is waited for: on a faster disk, or from many senders at once.
"""

import io
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from benchmarks.end_to_end import THIN
from benchmarks.figures import publish
from benchmarks.ingest import SIZES, Sender
from rich.table import Table

from zweitblick.intake.file import IncomingFile
from zweitblick.model.batcher import Batcher
from zweitblick.model.bundle import Bundles, default_models, load_bundles
from zweitblick.sample import write_sample
from zweitblick.store.index import Indexed, KeyedIndex
from zweitblick.store.life import Actor, Event
from zweitblick.store.places import StorePlaces
from zweitblick.store.received import ReceivedInstance
from zweitblick.store.rows import opened_details, sealed_details
from zweitblick.store.store import Store
from zweitblick.vault.data_key import DataKey
from zweitblick.vault.envelope import SEGMENT_BYTES, OpeningReader, SealingWriter, sealed
from zweitblick.vault.keyholders import FileKeyHolder, make_key_file
from zweitblick.worker.partners import Partners
from zweitblick.worker.reading_step import ReadingStep
from zweitblick.worker.turn import Turn

INGESTS = 5
READINGS = 3
INSTANCES = 160
INGEST_AIM, READING_AIM = 0.10, 0.03
KEY, INDEX = DataKey(os.urandom(32)), KeyedIndex(DataKey(os.urandom(32)))
PLACE = {"study": "0" * 32, "name": "1" * 32}
DETAILS: dict[str, str | int] = {f"detail {number}": "1.2.826.0.1.3680043.8.498.4711.1" for number in range(6)}
"""As long as a row's."""


@dataclass(frozen=True)
class Seconds:
    """Of the wall clock, and of the processor in this process."""

    passed: float
    processor: float

    @classmethod
    def now(cls) -> "Seconds":
        return cls(time.perf_counter(), time.process_time())

    @classmethod
    def since(cls, start: "Seconds") -> "Seconds":
        now = cls.now()
        return cls(now.passed - start.passed, now.processor - start.processor)


Pair = tuple[Seconds, Seconds]
"""Of everything, and of the vault."""


def main() -> None:
    table = Table("share of the vault", "of time, %", "spread", "aim", "of the processor, %", "all, s", "vault, s")
    for size in SIZES:
        add(table, f"ingest, {size}, one sender", ingests(SIZES[size]), INGEST_AIM)
    add(table, "a warm reading", readings(), READING_AIM)
    publish("the share of the vault", table)


def add(table: Table, what: str, pairs: Sequence[Pair], aim: float) -> None:
    shares = sorted(100 * vault.passed / everything.passed for everything, vault in pairs)
    processor = statistics.median(100 * vault.processor / everything.processor for everything, vault in pairs)
    everything, vault = (statistics.median(one.passed for one in column) for column in zip(*pairs, strict=True))
    table.add_row(
        what,
        f"{statistics.median(shares):.1f}",
        f"{shares[0]:.1f}-{shares[-1]:.1f}",
        f"{100 * aim:.0f}",
        f"{processor:.1f}",
        f"{everything:.3f}",
        f"{vault:.4f}",
    )


def ingests(size: int) -> list[Pair]:
    """Seconds of keeping a study's instances, and of the vault's part; the first time is not counted."""
    pairs = []
    with tempfile.TemporaryDirectory() as room, new_store(Path(room)) as store:
        for run in range(INGESTS + 1):
            instances = Sender(f"share{size}-{run}", size).instances(INSTANCES)
            pairs.append((each(store.keep, instances), each(sealed_as_kept, instances)))
    return pairs[1:]


def each(call: Callable[[ReceivedInstance], object], instances: Sequence[ReceivedInstance]) -> Seconds:
    started = Seconds.now()
    for one in instances:
        call(one)
    return Seconds.since(started)


def sealed_as_kept(instance: ReceivedInstance) -> None:
    """Do what `zweitblick.store.ingest` asks the vault for."""
    body, data = io.BytesIO(), memoryview(instance.data)
    with SealingWriter(body, KEY, **PLACE) as writer:
        writer.write(data[:SEGMENT_BYTES])
        writer.write(data[SEGMENT_BYTES:])
    for row in ("object", "reception"):
        sealed_details(DETAILS, KEY, study=PLACE["study"], row=row)
    for kind, value in (
        (Indexed.INSTANCE, instance.sop_instance_uid),
        (Indexed.SERIES, instance.series_instance_uid),
        (Indexed.CONTENT, instance.sop_class_uid),
    ):
        INDEX.of(kind, value)


def readings() -> list[Pair]:
    """Seconds of reading a study of thin slices, and of the vault's part; the first time is not counted."""
    pairs = []
    bundles = load_bundles(default_models())
    with tempfile.TemporaryDirectory() as room, Batcher() as batcher:
        write_sample(Path(room) / "study", spec=THIN)
        instances = [received(path) for path in sorted((Path(room) / "study").rglob("*.dcm"))]
        objects = [sealed(one.data, KEY, **PLACE) for one in instances]
        for run in range(READINGS + 1):
            with new_store(Path(room) / str(run)) as store:
                seconds, results = read(store, instances, bundles, batcher)
            pairs.append((seconds, opened_and_sealed(objects, results)))
    return pairs[1:]


def read(
    store: Store, instances: Sequence[ReceivedInstance], bundles: Bundles, batcher: Batcher
) -> tuple[Seconds, list[bytes]]:
    """Return the seconds of a reading's step, and its results."""
    for one in instances:
        store.keep(one)
    (first,) = store.rounds(store.token(instances[0].study_instance_uid))
    store.advance(first.id, Event.COMPLETED, by=Actor.WORKER)
    (first,) = store.rounds(first.study)
    step = ReadingStep(store, bundles, Partners.none(store, now))
    started = Seconds.now()
    step.read(Turn.of(first), now().isoformat(), batcher.share())
    seconds = Seconds.since(started)
    results = []
    for result in store.results(first.id):
        with store.open(result.id) as file:
            results.append(file.read())
    if len(results) < len(("seg", "sr", "pdf", "encapsulated-pdf", "json", "fhir")):
        sys.exit("the study was not read")
    return seconds, results


def opened_and_sealed(objects: Sequence[bytes], results: Sequence[bytes]) -> Seconds:
    """Do what a reading asks the vault for: the details of each instance are opened, then its bytes, then results."""
    row = sealed_details(DETAILS, KEY, study=PLACE["study"], row="row")
    started = Seconds.now()
    for one in objects:
        opened_details(row, KEY, study=PLACE["study"], row="row")
        io.BufferedReader(OpeningReader(io.BytesIO(one), KEY, **PLACE), SEGMENT_BYTES).read()
    for result in results:
        with SealingWriter(io.BytesIO(), KEY, **PLACE) as writer:
            for start in range(0, len(result), SEGMENT_BYTES):
                writer.write(result[start : start + SEGMENT_BYTES])
        sealed_details(DETAILS, KEY, study=PLACE["study"], row="row")
    return Seconds.since(started)


def received(path: Path) -> ReceivedInstance:
    file = IncomingFile()
    file.write(path.read_bytes())
    return replace(file.instance(), calling_ae_title="SCANNER")


@contextmanager
def new_store(folder: Path) -> Iterator[Store]:
    folder.mkdir(exist_ok=True)
    make_key_file(folder / "key")
    holder = FileKeyHolder(folder / "key")
    with Store(StorePlaces.within(folder), holder, clock=now, quiet_time=lambda _: timedelta(0)) as store:
        yield store


def now() -> datetime:
    return datetime.now(UTC)


if __name__ == "__main__":
    main()
