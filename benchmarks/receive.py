"""Instances a second over C-STORE on loopback, sealed and durable, against `storescp` writing plain files.

python -m benchmarks.receive               medians of five, all receivers in turn; then 2,000 instances over 20 senders;
                                           beside them receivers that do less, which bound what ours could reach
python -m benchmarks.receive --profile     what one instance costs a receiver, step by step; then Python's own profile

Receivers are those of `zweitblick serve`: processes with a store on SQLite, a key file and an audit trail. DCMTK's
`dcmsend` sends, on the same cores. Both of DCMTK's programs run with TCP_NODELAY=1, without which each answer waits.
`TMPDIR` says on which disk.
"""

import cProfile
import hashlib
import os
import pstats
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import pydicom
from benchmarks.figures import publish
from benchmarks.ingest import Sender, milliseconds
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage, generate_uid
from rich.table import Table

from zweitblick.cli.receiving import receive
from zweitblick.cli.recording import opened_trail
from zweitblick.dicom.identity import identity
from zweitblick.dimse import Crew, DicomServer, ListenerConfig, Received, Receivers, ServiceLink
from zweitblick.settings import Settings
from zweitblick.store.folder import ObjectFolder, Place
from zweitblick.store.group import GroupCommit
from zweitblick.store.places import StorePlaces
from zweitblick.store.received import ReceivedInstance, part10_head
from zweitblick.store.store import Store
from zweitblick.vault.data_key import DataKey
from zweitblick.vault.envelope import sealed
from zweitblick.vault.keyholders import FileKeyHolder, make_key_file

RUNS = 5
INSTANCES = 400
"""Of all senders together."""
SIZES = {"256×256": 256, "512×512": 512}
"""Voxels of 16 bits: 128 KiB and 512 KiB."""
SENDERS = (1, 4, 20)
CASES = [(size, count) for size in SIZES for count in SENDERS]
PROFILED = 150
CORES = os.cpu_count() or 1
CROWD, CROWD_INSTANCES = 20, 100
HERE = "127.0.0.1"
UNDELAYED = os.environ | {"TCP_NODELAY": "1"}
REFERENCE = "storescp --bit-preserving --fork"


@dataclass(frozen=True)
class Running:
    """A receiver: its port, and one of its processes."""

    port: int
    process: int


Receiver = Callable[[], AbstractContextManager[Running]]
"""Starts, and stops in the end."""


class Counts:
    """Counts what receivers answer."""

    def __init__(self) -> None:
        self.statuses: Counter[int] = Counter()
        self.rejections = 0

    def associated(self) -> None:
        pass

    def rejected(self) -> None:
        self.rejections += 1

    def ended(self) -> None:
        pass

    def conflicted(self) -> None:
        pass

    def answered(self, status: int, size_bytes: int) -> None:  # noqa: ARG002 -- observers are told
        self.statuses[status] += 1


class Discarding:
    """Keeps nothing."""

    def keep(self, instance: Received) -> None:
        pass


class Packing:
    """Seals and appends to packs that are durable, and keeps no rows."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._key = ObjectFolder(folder), DataKey.fresh()
        self._folder.sweep(lambda files: files)  # lets the next process in
        self._group: GroupCommit[tuple[str, bytes], Place] = GroupCommit(self._appended)

    def keep(self, instance: Received) -> None:
        hashlib.sha256(instance.data).digest()
        file = part10_head(instance) + instance.data
        self._group.submit((instance.study_instance_uid, sealed(file, self._key, study="study", name="name")))

    def _appended(self, group: Sequence[tuple[str, bytes]]) -> Sequence[Place]:
        return self._folder.append([(study, [content]) for study, content in group])


def main() -> None:
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        print(f"{CORES} cores, load {os.getloadavg()[0]:.1f}")
        if "--profile" in sys.argv:
            profile(folder)
        else:
            compare(folder)
            crowd(folder)


def compare(folder: Path) -> None:
    # of each case its own: what was sent before would be a duplicate, and not be written again
    studies = {
        (size, count): [
            write_study(folder / f"{size} {count} {number}", SIZES[size], INSTANCES // count) for number in range(count)
        ]
        for size, count in CASES
    }
    receivers: dict[str, Receiver] = {
        "one receiver that keeps nothing": lambda: lesser(Discarding, 1),
        f"{CORES} that keep nothing": lambda: lesser(Discarding, CORES),
        f"{CORES} that keep no rows": lambda: lesser(partial(Packing, fresh(folder / "packs")), CORES),
        "one receiver": lambda: ours(fresh(folder / "ours"), 1),
        f"one receiver per core: {CORES}": lambda: ours(fresh(folder / "ours"), CORES),
        "storescp": lambda: storescp(fresh(folder / "theirs")),
        REFERENCE: lambda: storescp(fresh(folder / "theirs"), "--bit-preserving", "--fork"),
    }
    rates: dict[str, dict[tuple[str, int], list[float]]] = {name: {case: [] for case in CASES} for name in receivers}
    for _ in range(RUNS):
        for name, receiver in receivers.items():
            with receiver() as running:
                for case in CASES:
                    rates[name][case].append(rate(studies[case], running.port))
    table = Table("voxels", "senders", *(f"{name}, instances/s (spread), times storescp" for name in receivers))
    for case in CASES:
        table.add_row(*map(str, case), *(shown(found[case], rates[REFERENCE][case]) for found in rates.values()))
    publish("receive", table)


def shown(rates: list[float], reference: list[float]) -> str:
    ratio = statistics.median(mine / other for mine, other in zip(rates, reference, strict=True))
    return f"{statistics.median(rates):.0f} ({min(rates):.0f}-{max(rates):.0f}), {ratio:.2f}"


def crowd(folder: Path) -> None:
    """Send 2,000 instances over 20 senders at once; count what was refused, and what is there afterwards."""
    studies = [write_study(folder / f"crowd {number}", 256, CROWD_INSTANCES) for number in range(CROWD)]
    table = Table(f"{CROWD_INSTANCES} instances from each of {CROWD}", "1/s", "times storescp", "refused", "kept")
    with storescp(fresh(folder / "crowd"), "--bit-preserving", "--fork") as running:
        reference = rate(studies, running.port)
    table.add_row(REFERENCE, f"{reference:.0f}", "1.00", "", str(len(list((folder / "crowd").iterdir()))))
    for count in sorted({1, CORES}):
        counts, place = Counts(), fresh(folder / "crowd")
        with ours(place, count, counts) as running:
            found = rate(studies, running.port)
        refused = counts.rejections + counts.statuses.total() - counts.statuses[0]
        name = f"{count} receiver{'s' * (count > 1)}"
        table.add_row(name, f"{found:.0f}", f"{found / reference:.2f}", str(refused), str(kept(place, studies)))
    publish("receive from a crowd", table)


def kept(folder: Path, studies: Sequence[Path]) -> int:
    with opened(folder) as store:
        uids = [
            str(pydicom.dcmread(study / "0.dcm", specific_tags=["StudyInstanceUID"])[0x0020000D].value)
            for study in studies
        ]
        return sum(len(store.instances(store.token(uid))) for uid in uids)


def opened(folder: Path) -> Store:
    return Store(StorePlaces.within(folder), FileKeyHolder(folder / "key"), clock=lambda: datetime.now(UTC))


def write_study(folder: Path, rows: int, instances: int) -> Path:
    folder.mkdir()
    rng = np.random.default_rng(1)
    study, series = generate_uid(), generate_uid()
    for number in range(instances):
        data = Dataset()
        data.SOPClassUID, data.SOPInstanceUID = MRImageStorage, generate_uid()
        data.StudyInstanceUID, data.SeriesInstanceUID = study, series
        data.Modality, data.PatientID, data.InstanceNumber = "MR", "benchmark", number + 1
        data.Rows = data.Columns = rows
        data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 16, 12, 11, 0
        data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
        data.PixelData = rng.integers(0, 4096, (rows, rows), np.uint16).tobytes()
        data["PixelData"].VR = "OW"
        data.file_meta = FileMetaDataset()
        data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        data.save_as(folder / f"{number}.dcm", enforce_file_format=True)
    return folder


def fresh(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    return folder


def rate(studies: Sequence[Path], port: int) -> float:
    """Instances a second, from the start of the senders to the end of the last."""
    instances = sum(len(list(study.iterdir())) for study in studies)
    start = time.perf_counter()
    senders = [
        subprocess.Popen(
            ["dcmsend", "--scan-directories", "--max-send-pdu", "131072", HERE, str(port), str(study)],
            env=UNDELAYED,
            stdout=subprocess.DEVNULL,
        )
        for study in studies
    ]
    ends = [sender.wait() for sender in senders]
    if any(ends):
        raise SystemExit("dcmsend failed")
    return instances / (time.perf_counter() - start)


@contextmanager
def ours(folder: Path, count: int, counts: Counts | None = None) -> Iterator[Running]:
    """Receivers as `zweitblick serve` starts them."""
    settings = Settings(data=folder, key_file=folder / "key")
    make_key_file(settings.key_file)
    with opened_trail(settings):
        pass  # its keys are made, as the service does before it starts receivers
    with receivers(partial(receive, settings), count, counts or Counts()) as found:
        yield Running(found.port, found.processes[0])


@contextmanager
def lesser(keeper: Callable[[], Discarding | Packing], count: int) -> Iterator[Running]:
    """Receivers that do less than ours."""
    with receivers(partial(receive_with, keeper), count, Counts()) as found:
        yield Running(found.port, found.processes[0])


def receivers(run: Callable[[Connection, int], None], count: int, counts: Counts) -> Receivers:
    return Receivers(Crew(HERE, 0, count, run), counts, lambda _: None, listening=threading.Event())


def receive_with(keeper: Callable[[], Discarding | Packing], pipe: Connection, port: int) -> None:
    link = ServiceLink(pipe)
    with DicomServer(ListenerConfig(port=port, reuse_port=True), keeper(), observer=link):
        link.listening()
        link.serve(lambda: False)
    link.close()


@contextmanager
def storescp(folder: Path, *options: str) -> Iterator[Running]:
    with socket.socket() as probe:
        probe.bind((HERE, 0))
        port = probe.getsockname()[1]
    command = ["storescp", *options, "--max-pdu", "131072", "--output-directory", str(folder), str(port)]
    process = subprocess.Popen(command, env=UNDELAYED, stderr=subprocess.DEVNULL)
    while subprocess.run(["echoscu", HERE, str(port)], capture_output=True, check=False).returncode:
        time.sleep(0.05)
    yield Running(port, process.pid)
    process.terminate()
    process.wait()


def profile(folder: Path) -> None:
    """Say what an instance costs; then profile all threads, which slows them, so that only the shares mean anything."""
    studies = {
        size: [write_study(folder / f"{size} {number}", rows, PROFILED) for number in range(RUNS)]
        for size, rows in SIZES.items()
    }
    table = Table("one instance from one sender, ms", *SIZES)
    for name, receiver in {
        "processor, keeps nothing": lambda: lesser(Discarding, 1),
        "processor, sealed and durable": lambda: ours(fresh(folder / "ours"), 1),
    }.items():
        with receiver() as running:
            table.add_row(name, *(f"{processor_ms(each, running):.2f}" for each in studies.values()))
    with ours(fresh(folder / "ours"), 1) as running:
        table.add_row("in all", *(f"{1000 / rate(each[:1], running.port):.2f}" for each in studies.values()))
    for name, step in steps(folder).items():
        table.add_row(name, *(f"{milliseconds(step, instance_of(each[0])):.2f}" for each in studies.values()))
    publish("receive from a crowd", table)
    profile_threads(studies["512×512"][0], fresh(folder / "profiled"))


def steps(folder: Path) -> dict[str, Callable[[ReceivedInstance], object]]:
    """What is done to an instance, each by itself; what is left is Python's, for rows, statements and waking."""
    key, packs = DataKey.fresh(), ObjectFolder(folder / "packs")
    return {
        "walk its head": lambda instance: identity(instance.data, instance.transfer_syntax_uid),
        "SHA-256": lambda instance: hashlib.sha256(instance.data).digest(),
        "file meta information": part10_head,
        "seal": lambda instance: sealed(instance.data, key, study="study", name="name"),
        "append to a pack, fdatasync": lambda instance: packs.append([("study", [instance.data])]),
    }


def instance_of(study: Path) -> ReceivedInstance:
    """The first instance of a study, as it comes: without preamble and file meta information (PS3.10 section 7.1)."""
    file = (study / "0.dcm").read_bytes()
    return replace(Sender("profile", 0).instance(1), data=file[144 + int.from_bytes(file[140:144], "little") :])


def processor_ms(studies: Sequence[Path], running: Running) -> float:
    """Processor time of a receiver for each instance, once it is warm."""
    first, *rest = studies
    rate([first], running.port)
    before = processor_s(running.process)
    for study in rest:
        rate([study], running.port)
    return 1000 * (processor_s(running.process) - before) / (len(rest) * PROFILED)


def processor_s(process: int) -> float:
    """User and system time of a process, as proc(5) has it."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def profile_threads(study: Path, folder: Path) -> None:
    profiles: list[cProfile.Profile] = []
    run = threading.Thread.run

    def profiled(thread: threading.Thread) -> None:
        one = cProfile.Profile(time.thread_time)
        profiles.append(one)
        one.runcall(run, thread)

    threading.Thread.run = profiled  # type: ignore[method-assign]  # of this process only
    make_key_file(folder / "key")
    with opened(folder) as store, DicomServer(ListenerConfig(port=0), store) as server:
        print(f"{rate([study], server.port):.0f} instances/s under the profiler")
    total = pstats.Stats(profiles[0])
    for one in profiles[1:]:
        total.add(one)
    total.sort_stats("tottime").print_stats(30)


if __name__ == "__main__":
    main()
