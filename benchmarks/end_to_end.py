"""Time a whole study, from DICOM on disk to SEG, SR and PDF on disk, against the common open stack in the same run.

python -m benchmarks.end_to_end          a synthetic whole head of four sequences of 150 slices; medians of five
python -m benchmarks.end_to_end --runs 1
"""

import argparse
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.reference_stack import read_study, segresnet
from rich.console import Console
from rich.table import Table

from zweitblick.sample import SampleSpec, write_sample
from zweitblick.study import Sequence

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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=5, help="times each (default: %(default)s)")
    runs = parser.parse_args().runs
    with tempfile.TemporaryDirectory() as room:
        truth = write_sample(Path(room) / "study", spec=THIN)
        out = Path(room) / "results"
        new, peak_gib = new_processes(Path(room) / "study", out, runs)
        warm = warm_process(Path(room) / "study", out, runs)
        network = segresnet()
        folders = {sequence: truth.series[sequence].folder for sequence in Sequence}
        reference = [read_study(folders, network) for _ in range(runs)]
    table = Table("what", "median, s", "spread", "times faster")
    whole = statistics.median(sum(one.values()) for one in reference)
    for name, times in (("zweitblick read, new process", new), ("zweitblick read, warm", warm)):
        ratio = whole / statistics.median(times)
        table.add_row(name, f"{statistics.median(times):.2f}", f"{min(times):.2f}-{max(times):.2f}", f"{ratio:.1f}")
    for stage in reference[0]:
        times = [one[stage] for one in reference]
        table.add_row(f"reference: {stage}", f"{statistics.median(times):.2f}", f"{min(times):.2f}-{max(times):.2f}")
    table.add_row("reference: whole", f"{whole:.2f}")
    Console().print(table)
    Console().print(f"zweitblick read: {peak_gib:.2f} GiB of resident memory at the most")


def new_processes(study: Path, out: Path, runs: int) -> tuple[list[float], float]:
    """Seconds of each run in a process of its own, and the largest resident memory in GiB."""
    command = [sys.executable, "-m", "zweitblick", "read", str(study), "--out", str(out), "--overwrite"]
    times = []
    for _ in range(runs):
        started = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        times.append(time.perf_counter() - started)
    return times, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20


def warm_process(study: Path, out: Path, runs: int) -> list[float]:
    """Seconds of each run but the first in one process."""
    code = WARM.format(runs=runs, study=str(study), out=str(out))
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    return [float(line) for line in done.stderr.splitlines() if line.replace(".", "", 1).isdecimal()][1:]


if __name__ == "__main__":
    main()
