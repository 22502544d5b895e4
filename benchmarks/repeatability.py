"""Measure how much of a change is none: heads that have not changed, read twice in different positions.

python -m benchmarks.repeatability ../shared/data

Each real brain is read as it is and twice again: turned by 5 and by 16 degrees, a tenth brighter, with noise of 3 %.
What differs then is what a change in a report must exceed. The lesions are matched as `zweitblick read --prior` does,
and RANO's imaging part is proposed as if the first reading were a baseline: all but "stable disease" would be wrong.
"""

import argparse
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from pathlib import Path

import numpy as np
from benchmarks.figures import publish
from benchmarks.registration import rigid
from numpy.typing import NDArray
from rich.table import Table

from zweitblick import pipeline
from zweitblick.change import Matching, Proposal
from zweitblick.findings import DiameterBasis, Findings
from zweitblick.measure import measure
from zweitblick.measure.matching import lesion_changes, outlined_before, outlined_now
from zweitblick.measure.rano import proposed
from zweitblick.model.bundle import Bundles, default_models, load_bundles
from zweitblick.prediction import Prediction, Region
from zweitblick.prior import Role, Timepoint
from zweitblick.register.level import Pyramid
from zweitblick.register.rigid import align
from zweitblick.study import Patient, Sequence
from zweitblick.volume import Grid, Volume, axis_aligned_grid
from zweitblick_training.datasets.packed import read_packed

CASES = (
    *("BraTS19_CBICA_ASK_1", "BraTS2021_00014", "BraTS2021_01477", "BraTS2021_01479", "BraTS2021_01531"),
    *("Brats18_CBICA_ALU_1", "Brats18_CBICA_AMH_1", "Brats18_CBICA_AQP_1", "Brats18_CBICA_ASA_1"),
    *("Brats18_CBICA_ASW_1", "Brats18_TCIA01_499_1", "Brats18_TCIA02_370_1"),
)
MOVES = {"5°": rigid((4, -2, 3), (4, -6, 5)), "16°": rigid((9, -6, 12), (12, -20, 15))}
BRIGHTER, NOISE = 1.1, 0.03
SLICE_MM = 5.0
"""Of the SEG that is kept of the first reading."""

START = datetime.combine(date(2026, 1, 1), time())
Volumes = dict[Sequence, Volume]


@dataclass(frozen=True)
class Reading:
    volumes: Volumes
    prediction: Prediction
    findings: Findings


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", type=Path, help="folder that holds brats")
    data, bundles = parser.parse_args().data, load_bundles(default_models())
    table = Table("", "turned", "ET ml", "ET %", "TC %", "WT %", "products mm²", "products %", "lesions", "RANO")
    for name in CASES:
        for row in rows(read_packed(data, "brats", name).volumes, bundles):
            table.add_row(name, *row)
    publish("repeatability", table)


def rows(volumes: Volumes, bundles: Bundles) -> Iterator[tuple[str, ...]]:
    first = read(volumes, bundles)
    products = first.findings.sum_of_products_mm2
    for name, move in MOVES.items():
        second = read(moved(volumes, move), bundles)
        matching = matched(first, second)
        yield (
            name,
            f"{first.findings.volume_ml[Region.ET]:.1f}",
            *(percent(first.findings.volume_ml[region], second.findings.volume_ml[region]) for region in Region),
            f"{products:.0f}",
            percent(products, second.findings.sum_of_products_mm2),
            ", ".join(f"{count} {fate}" for fate, count in Counter(one.fate for one in matching.lesions).items()),
            rano(first, second, matching),
        )


def read(volumes: Volumes, bundles: Bundles) -> Reading:
    prediction = pipeline.segment(volumes, bundles)
    distances = dict.fromkeys(DiameterBasis, SLICE_MM)
    limit_ml = pipeline.REPORTING_LIMIT_ML
    findings = measure(
        prediction,
        slice_distance_mm=distances,
        reporting_limit_ml=limit_ml,
        validated_ml=bundles.tumour.validated_ml,
    )
    return Reading(volumes, prediction, findings)


def moved(volumes: Volumes, move: NDArray[np.float64]) -> Volumes:
    """The same head lying otherwise: other patient coordinates, so that it is interpolated anew."""
    rng = np.random.default_rng(1)

    def scanned(volume: Volume) -> Volume:
        noisy = volume.voxels * BRIGHTER * (1 + NOISE * rng.standard_normal(volume.shape))
        return Volume(noisy.clip(0).astype(np.float32), Grid(volume.shape, move @ volume.lps_from_index))

    return {sequence: scanned(volume) for sequence, volume in volumes.items()}


def matched(first: Reading, second: Reading) -> Matching:
    before, now = first.volumes[Sequence.T1C], second.volumes[Sequence.T1C]
    alignment = align(Pyramid(before), Pyramid(now), same_frame=False)
    k, j, i = (int(size) for size in np.array(before.shape) * before.spacing_mm / (SLICE_MM, 1, 1))
    thick = np.diag([SLICE_MM, 1, 1, 1])
    affine = axis_aligned_grid((0, 0, 0), (1, 1, 1), 1.0).lps_from_index @ thick
    affine[:3, 3] = before.grid.center_lps - affine[:3, :3] @ (np.array([k, j, i]) - 1) / 2
    slices = Grid((k, j, i), affine)
    kept = outlined_before(
        Volume(first.prediction.labels_on(slices).astype(np.float32), slices),
        first.findings,
        earlier_from_common_lps=alignment.moving_from_reference_lps,
        field=before.grid,
        field_from_earlier=np.eye(4),
    )
    changes = lesion_changes(kept, outlined_now(second.prediction, second.findings, now.grid))
    return Matching(Sequence.T1C, alignment.moving_from_reference_lps, alignment.motion_mm, changes)


def rano(first: Reading, second: Reading, matching: Matching) -> str:
    baseline = Timepoint("1", START, Patient(), first.findings, True, (), Role.BASELINE)  # noqa: FBT003 -- with contrast
    present = replace(
        baseline, study_uid="2", started_at=START + timedelta(90), findings=second.findings, role=Role.FOLLOW_UP
    )
    found = proposed(present, [baseline], matching)
    return str(found.category) if isinstance(found, Proposal) else f"none: {found.reason[:40]}"


def percent(before: float, now: float) -> str:
    return f"{100 * (now / before - 1):+.0f}" if before else "-"


if __name__ == "__main__":
    main()
