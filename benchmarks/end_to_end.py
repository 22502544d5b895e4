"""Time whole studies, from DICOM on disk to SEG, SR and PDF on disk, against the common open stack in the same run.

python -m benchmarks.end_to_end          a synthetic whole head of four sequences of 150 slices; medians of five
python -m benchmarks.end_to_end --runs 1 --data ../shared/data

Where the data are, a clinical study too: whole heads as scanned (TCGA-FG-6692), four sequences of 26 slices, two of
them in a second position. It is there as NIfTI, and is written as DICOM first.
"""

import argparse
import statistics
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from benchmarks.child import measured, reading
from benchmarks.figures import publish
from benchmarks.reference_stack import read_study, segresnet
from rich.table import Table

from zweitblick.sample import SampleSpec, write_sample
from zweitblick.sample.files import SeriesHeader, make_folder, write_series
from zweitblick.sample.tissues import PROTOCOLS
from zweitblick.study import Sequence
from zweitblick.volume import Volume

THIN = SampleSpec(slice_mm=1.0, flair_motion_mm=(4.0, -3.0, 6.0), flair_motion_deg=(5.0, -3.0, 4.0))
"""Slices of 1 mm; the patient moved before FLAIR."""

WARM = """
import contextlib, gc, io, time
from zweitblick.cli import main
gc.freeze()  # as zweitblick.cli.process does
for attempt in range({runs} + 1):
    started = time.perf_counter()
    with contextlib.redirect_stdout(io.StringIO()):
        main(["read", {study!r}, "--out", {out!r}, "--overwrite"])
    print(time.perf_counter() - started)
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
    table = Table("study and what reads it", "median, s", "spread", "times faster", "peak, GiB")
    with tempfile.TemporaryDirectory() as room:
        truth = write_sample(Path(room) / "synthetic", spec=THIN)
        studies: dict[str, Folders] = {"synthetic": {one: truth.series[one].folder for one in Sequence}}
        if (arguments.data / CLINICAL).is_dir():
            studies["clinical"] = written(arguments.data / CLINICAL, Path(room))
        else:
            print(f"the clinical study is left out: no {CLINICAL} in {arguments.data}; name the folder with --data")
        ours = {name: Ours.of(next(iter(folders.values())).parent, arguments.runs) for name, folders in studies.items()}
        network = segresnet()
        for name, folders in studies.items():
            add(table, name, ours[name], [read_study(folders, network) for _ in range(arguments.runs)])
    publish("end to end", table)


@dataclass(frozen=True)
class Ours:
    """Seconds of each run, and the largest resident memory in GiB."""

    new: list[float]
    new_gib: float
    warm: list[float]
    warm_gib: float

    @classmethod
    def of(cls, study: Path, runs: int) -> Self:
        """Read one study in new processes, then in a warm one."""
        out = study.parent / "results"
        return cls(*new_processes(study, out, runs), *warm_process(study, out, runs))


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


def add(table: Table, name: str, ours: Ours, reference: list[dict[str, float]]) -> None:
    """Add the rows of one study."""
    whole = [sum(one.values()) for one in reference]
    for what, times, gib in (("new process", ours.new, ours.new_gib), ("warm", ours.warm, ours.warm_gib)):
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
    found = [reading(str(study), str(out)) for _ in range(runs)]
    return [one.seconds for one in found], max(one.peak_gib for one in found)


def warm_process(study: Path, out: Path, runs: int) -> tuple[list[float], float]:
    """Seconds of each run but the first in one process, and its largest resident memory in GiB."""
    found = measured([sys.executable, "-c", WARM.format(runs=runs, study=str(study), out=str(out))])
    return list(map(float, found.said.split()))[1:], found.peak_gib


if __name__ == "__main__":
    main()
