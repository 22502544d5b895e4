"""Instances a second that become durable and sealed, against plain files with fsync in the same run.

python -m benchmarks.ingest     medians of five, references interleaved; TMPDIR says on which disk

The reference writes each instance as it came to a file, fsyncs it, renames it and fsyncs the folder: what a receiver
does that keeps its word but neither seals nor knows what it has. A second table says where one thread's time goes.
"""

import hashlib
import os
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.figures import publish
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage
from rich.table import Table

from zweitblick.store.database import Database
from zweitblick.store.folder import ObjectFolder
from zweitblick.store.places import StorePlaces
from zweitblick.store.received import ReceivedInstance, part10_head
from zweitblick.store.schema import wrapped_keys
from zweitblick.store.store import Store
from zweitblick.vault.data_key import DataKey
from zweitblick.vault.envelope import sealed
from zweitblick.vault.keyholders import FileKeyHolder, make_key_file

RUNS = 5
INSTANCES = 160
"""In one run, whatever the number of threads."""
SIZES = {"128 KiB": 2**17, "512 KiB": 2**19}
"""Slices of 256×256 and 512×512 voxels of 16 bits."""
THREADS = (1, 8, 20)


@dataclass(frozen=True)
class Sender:
    """Sends studies of its own, one after another."""

    name: str
    size: int

    def instances(self, count: int) -> list[ReceivedInstance]:
        return [self.instance(number) for number in range(count)]

    def instance(self, number: int) -> ReceivedInstance:
        study = f"2.25.{int(self.name.encode().hex(), 16)}"
        return ReceivedInstance(
            sop_class_uid=MRImageStorage,
            sop_instance_uid=f"{study}.1.{number}",
            transfer_syntax_uid=ExplicitVRLittleEndian,
            study_instance_uid=study,
            series_instance_uid=f"{study}.1",
            calling_ae_title="BENCHMARK",
            data=os.urandom(self.size),
        )


def main() -> None:
    table = Table("size", "threads", "keep(), 1/s", "spread", "plain files, 1/s", "spread", "ratio")
    steps = Table("one instance, ms", *SIZES)
    with tempfile.TemporaryDirectory() as room:
        folder = Path(room)
        make_key_file(folder / "kek")
        holder = FileKeyHolder(folder / "kek")
        with Store(StorePlaces.within(folder), holder, clock=lambda: datetime.now(UTC)) as store:
            for size in SIZES:
                for threads in THREADS:
                    compare(table, store, folder, size=size, threads=threads)
        profile(steps, folder)
    publish("ingest", table)
    publish("ingest, one thread", steps)


def compare(table: Table, store: Store, folder: Path, *, size: str, threads: int) -> None:
    pairs = []
    for run in range(RUNS + 1):
        senders = [Sender(f"{size[:3]}{threads}-{run}-{each}", SIZES[size]) for each in range(threads)]
        batches = [sender.instances(INSTANCES // threads) for sender in senders]
        pairs.append((rate(batches, store.keep), rate(batches, plain_file(folder))))
    mine, theirs = (sorted(column) for column in zip(*pairs[1:], strict=True))
    middle, other = statistics.median(mine), statistics.median(theirs)
    spreads = [f"{column[0]:.0f}-{column[-1]:.0f}" for column in (mine, theirs)]
    table.add_row(size, str(threads), f"{middle:.0f}", spreads[0], f"{other:.0f}", spreads[1], f"{middle / other:.2f}")


def rate(batches: list[list[ReceivedInstance]], keep: Callable[[ReceivedInstance], None]) -> float:
    def send(batch: list[ReceivedInstance]) -> None:
        for instance in batch:
            keep(instance)

    senders = [threading.Thread(target=send, args=(batch,)) for batch in batches]
    started = time.perf_counter()
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join()
    return sum(map(len, batches)) / (time.perf_counter() - started)


def plain_file(folder: Path) -> Callable[[ReceivedInstance], None]:
    received = folder / "plain"
    received.mkdir(exist_ok=True)

    def keep(instance: ReceivedInstance) -> None:
        part = received / f"{instance.sop_instance_uid}.part"
        with part.open("wb") as file:
            file.write(instance.data)
            file.flush()
            os.fsync(file.fileno())
        part.rename(part.with_suffix(".dcm"))
        descriptor = os.open(received, os.O_RDONLY)
        os.fsync(descriptor)
        os.close(descriptor)

    return keep


def profile(table: Table, folder: Path) -> None:
    """Time the steps by themselves; what is left of one thread's time is Python's, for rows, statements and waking."""
    instances = {size: Sender(f"profile{size}", bytes_).instance(1) for size, bytes_ in SIZES.items()}
    key, database, objects = DataKey.fresh(), Database(f"sqlite:///{folder}/rows", tables="keys"), folder / "alone"
    packs = ObjectFolder(objects)
    row = {"kek_id": "", "data_key_id": "", "ciphertext": os.urandom(1500)}

    def commit(_: ReceivedInstance) -> None:
        with database.writing() as transaction:
            transaction.execute(wrapped_keys.insert().values(owner=os.urandom(16).hex(), **row))

    parts: dict[str, Callable[[ReceivedInstance], object]] = {
        "SHA-256": lambda instance: hashlib.sha256(instance.data).digest(),
        "file meta information": part10_head,
        "seal": lambda instance: sealed(instance.data, key, study="study", name="name"),
        "append to a pack, fdatasync": lambda instance: packs.append([("study", [instance.data])]),
        "transaction of one row, fsync": commit,
    }
    for name, part in parts.items():
        table.add_row(name, *(f"{milliseconds(part, instance):.2f}" for instance in instances.values()))
    packs.close()
    database.close()


def milliseconds(part: Callable[[ReceivedInstance], object], instance: ReceivedInstance) -> float:
    times = []
    for _ in range(40):
        started = time.perf_counter()
        part(instance)
        times.append(time.perf_counter() - started)
    return 1000 * statistics.median(times)


if __name__ == "__main__":
    main()
