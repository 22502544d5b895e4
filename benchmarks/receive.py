"""Time C-STORE on loopback into one of our processes against `storescp` writing plain files in the same run.

python -m benchmarks.receive               medians of five, all receivers in turn; instances/s, sent by dcmsend
python -m benchmarks.receive --profile     where the receiving process spends its time, thread by thread
"""

import cProfile
import multiprocessing
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
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
from benchmarks.figures import publish
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage, generate_uid
from rich.table import Table

from zweitblick.dimse import DicomServer, Keeper, ListenerConfig, Received

RUNS = 5
INSTANCES = 150
ROWS = 512
"""512×512 voxels of 16 bits: half a megabyte."""
SENDERS = (1, 4)


class Discarding:
    """Keeps nothing."""

    def keep(self, instance: Received) -> None:
        pass


class Writing:
    """Writes one file for each instance, without fsync, as storescp does."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def keep(self, instance: Received) -> None:
        (self._folder / instance.sop_instance_uid).write_bytes(instance.data)


def main() -> None:
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        studies = [write_study(folder / f"study{number}") for number in range(max(SENDERS))]
        if "--profile" in sys.argv:
            profile(studies[0], folder)
        else:
            compare(studies, folder)


def compare(studies: list[Path], folder: Path) -> None:
    mine, theirs = folder / "ours", folder / "theirs"
    receivers = {
        "ours, keeps nothing": lambda: ours(None),
        "ours, writes files": lambda: ours(fresh(mine)),
        "ours, two processes on one port, write files": lambda: ours(fresh(mine), processes=2),
        "storescp --bit-preserving --fork": lambda: storescp(fresh(theirs), "--bit-preserving", "--fork"),
        "storescp --fork": lambda: storescp(fresh(theirs), "--fork"),
    }
    rates: dict[tuple[str, int], list[float]] = {}
    for _ in range(RUNS):
        for name, receiver in receivers.items():
            for count in SENDERS:
                with receiver() as port:
                    rates.setdefault((name, count), []).append(rate(studies[:count], port))
    table = Table("receiver", *(f"{count} sender{'s' * (count > 1)}, instances/s (spread)" for count in SENDERS))
    for name in receivers:
        table.add_row(name, *(shown(rates[name, count]) for count in SENDERS))
    publish("receive", table)


def shown(rates: list[float]) -> str:
    return f"{statistics.median(rates):.0f} ({min(rates):.0f}-{max(rates):.0f})"


def write_study(folder: Path) -> Path:
    folder.mkdir()
    rng = np.random.default_rng(1)
    study, series = generate_uid(), generate_uid()
    for number in range(INSTANCES):
        data = Dataset()
        data.SOPClassUID, data.SOPInstanceUID = MRImageStorage, generate_uid()
        data.StudyInstanceUID, data.SeriesInstanceUID = study, series
        data.Modality, data.PatientID, data.InstanceNumber = "MR", "benchmark", number + 1
        data.Rows = data.Columns = ROWS
        data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 16, 12, 11, 0
        data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
        data.PixelData = rng.integers(0, 4096, (ROWS, ROWS), np.uint16).tobytes()
        data["PixelData"].VR = "OW"
        data.file_meta = FileMetaDataset()
        data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        data.save_as(folder / f"{number}.dcm", enforce_file_format=True)
    return folder


def fresh(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    return folder


def rate(studies: list[Path], port: int) -> float:
    """Instances a second, from the start of the senders to the end of the last."""
    start = time.perf_counter()
    senders = [
        subprocess.Popen(
            ["dcmsend", "--scan-directories", "--max-send-pdu", "131072", "127.0.0.1", str(port), str(study)],
            env=os.environ | {"TCP_NODELAY": "1"},
            stdout=subprocess.DEVNULL,
        )
        for study in studies
    ]
    ends = [sender.wait() for sender in senders]
    if any(ends):
        raise SystemExit("dcmsend failed")
    return len(studies) * INSTANCES / (time.perf_counter() - start)


@contextmanager
def ours(folder: Path | None, *, processes: int = 1) -> Iterator[int]:
    port, started = 0, []
    for _ in range(processes):
        here, there = multiprocessing.Pipe()
        process = multiprocessing.get_context("spawn").Process(target=serve, args=(there, folder, port))
        process.start()
        port = here.recv()
        started.append((process, here))
    yield port
    for process, pipe in started:
        pipe.send("stop")
        process.join()


def serve(pipe: Connection, folder: Path | None, port: int) -> None:
    keeper: Keeper = Discarding() if folder is None else Writing(folder)
    with DicomServer(ListenerConfig(port=port, reuse_port=True), keeper) as server:
        pipe.send(server.port)
        pipe.recv()


@contextmanager
def storescp(folder: Path, *options: str) -> Iterator[int]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = ["storescp", *options, "--max-pdu", "131072", "--output-directory", str(folder), str(port)]
    process = subprocess.Popen(command, env=os.environ | {"TCP_NODELAY": "1"}, stderr=subprocess.DEVNULL)
    while subprocess.run(["echoscu", "127.0.0.1", str(port)], capture_output=True, check=False).returncode:
        time.sleep(0.05)
    yield port
    process.terminate()
    process.wait()


def profile(study: Path, folder: Path) -> None:
    """Profile both threads of an association; cProfile slows them, so only the shares mean anything."""
    profiles: list[cProfile.Profile] = []
    run = threading.Thread.run

    def profiled(thread: threading.Thread) -> None:
        one = cProfile.Profile(time.thread_time)
        profiles.append(one)
        one.runcall(run, thread)

    threading.Thread.run = profiled  # type: ignore[method-assign]  # of this process only
    with DicomServer(ListenerConfig(port=0), Writing(fresh(folder / "ours"))) as server:
        print(f"{rate([study], server.port):.0f} instances/s under the profiler")
    total = pstats.Stats(profiles[0])
    for one in profiles[1:]:
        total.add(one)
    total.sort_stats("tottime").print_stats(25)


if __name__ == "__main__":
    main()
