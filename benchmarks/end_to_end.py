"""Time whole studies, from DICOM on disk to SEG, SR and PDF on disk, against the common open stack in the same run.

python -m benchmarks.end_to_end          a synthetic whole head of four sequences of 150 slices; medians of five
python -m benchmarks.end_to_end --runs 1 --data ../shared/data

Where the data are, a clinical study too: whole heads as scanned (TCGA-FG-6692), four sequences of 26 slices, two of
them in a second position. It is there as NIfTI, and is written as DICOM first.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.figures import publish
from benchmarks.reference_stack import read_study, segresnet
from rich.table import Table
from torch.nn import Module

from zweitblick.sample import SampleSpec, write_sample
from zweitblick.sample.files import SeriesHeader, make_folder, write_series
from zweitblick.sample.tissues import PROTOCOLS
from zweitblick.study import Sequence
from zweitblick.volume import Volume

THIN = SampleSpec(slice_mm=1.0, flair_motion_mm=(4.0, -3.0, 6.0), flair_motion_deg=(5.0, -3.0, 4.0))
"""Slices of 1 mm; the patient moved before FLAIR."""

WARM = """
import sys, time
from pathlib import Path
from zweitblick.cli import main
for attempt in range({runs} + 1):
    started = time.perf_counter()
    main(["read", {study!r}, "--out", {out!r}, "--overwrite"])
    print(time.perf_counter() - started, file=sys.stderr)
"""


CLINICAL = Path("raw") / "TCGA-FG-6692"
SCANNED = {Sequence.T1: "t1", Sequence.T2: "t2", Sequence.FLAIR: "flair", Sequence.T1C: "t1c"}
SECOND_POSITION = (Sequence.T2, Sequence.FLAIR)

Folders = dict[Sequence, Path]
"""Of the series of one study, which lie side by side."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=5, help="times each (default: %(default)s)")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder that holds raw")
    arguments = parser.parse_args()
    network = segresnet()
    table = Table("study and what reads it", "median, s", "spread", "times faster", "peak, GiB")
    with tempfile.TemporaryDirectory() as room:
        truth = write_sample(Path(room) / "synthetic", spec=THIN)
        add(table, "synthetic", {one: truth.series[one].folder for one in Sequence}, network, arguments.runs)
        if (arguments.data / CLINICAL).is_dir():
            add(table, "clinical", written(arguments.data / CLINICAL, Path(room)), network, arguments.runs)
        else:
            print(f"the clinical study is left out: no {CLINICAL} in {arguments.data}; name the folder with --data")
    publish("end to end", table)


def written(source: Path, room: Path) -> Folders:
    """Write the clinical study as DICOM."""
    folders = {}
    for number, (sequence, name) in enumerate(SCANNED.items(), 1):
        folders[sequence] = room / "clinical" / name
        make_folder(folders[sequence])
        frame = "second" if sequence in SECOND_POSITION else "first"
        header = SeriesHeader(sequence, PROTOCOLS[sequence], number, frame, "clinical", 0)
        write_series(folders[sequence], Volume.from_nifti(source / f"{name}.nii.gz"), header)
    return folders


def add(table: Table, name: str, folders: Folders, network: Module, runs: int) -> None:
    """Measure one study and add its rows."""
    study = next(iter(folders.values())).parent
    out = study.parent / "results"
    new, new_gib = new_processes(study, out, runs)
    warm, warm_gib = warm_process(study, out, runs)
    reference = [read_study(folders, network) for _ in range(runs)]
    whole = [sum(one.values()) for one in reference]
    for what, times, gib in (("new process", new, new_gib), ("warm", warm, warm_gib)):
        ratio = statistics.median(whole) / statistics.median(times)
        table.add_row(f"{name}: zweitblick read, {what}", *spread(times), f"{ratio:.1f}", f"{gib:.2f}")
    table.add_row(f"{name}: reference", *spread(whole))
    for stage in reference[0]:
        table.add_row(f"{name}: reference, {stage}", *spread([one[stage] for one in reference]))
    table.add_section()


def spread(times: list[float]) -> tuple[str, str]:
    return f"{statistics.median(times):.2f}", f"{min(times):.2f}-{max(times):.2f}"


def new_processes(study: Path, out: Path, runs: int) -> tuple[list[float], float]:
    """Seconds of each run in a process of its own, and the largest resident memory in GiB."""
    command = [sys.executable, "-m", "zweitblick", "read", str(study), "--out", str(out), "--overwrite"]
    times, peaks = [], []
    for _ in range(runs):
        started = time.perf_counter()
        peaks.append(peak_gib(subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)))
        times.append(time.perf_counter() - started)
    return times, max(peaks)


def warm_process(study: Path, out: Path, runs: int) -> tuple[list[float], float]:
    """Seconds of each run but the first in one process, and its largest resident memory in GiB."""
    code = WARM.format(runs=runs, study=str(study), out=str(out))
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.DEVNULL, stderr=said)
        peak = peak_gib(process)
        said.seek(0)
        return [float(line) for line in said if line.strip().replace(".", "", 1).isdecimal()][1:], peak


def peak_gib(process: "subprocess.Popen[bytes]") -> float:
    """Wait for a process and return its largest resident memory in GiB."""
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if status:
        raise SystemExit(f"zweitblick read failed with status {process.returncode}")
    return usage.ru_maxrss / 2**20


if __name__ == "__main__":
    main()
