"""The tumour bundle: a finished run becomes data without Python; the same run gives the same bytes."""

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from zweitblick.model.bundle import METADATA
from zweitblick.model.prepare import CHANNELS, STRIDE
from zweitblick.model.runtime import OnnxNetwork
from zweitblick.prediction import REGIONS, Region
from zweitblick_training.case import Case
from zweitblick_training.export.bundle import read_metadata, revise, seal, set_precision, write_bundle
from zweitblick_training.export.error import ExportError
from zweitblick_training.export.int8 import calibration_patches, quantise
from zweitblick_training.export.metadata import tumour_metadata
from zweitblick_training.export.onnx_file import export_network
from zweitblick_training.export.parity import check_parity_on_cases
from zweitblick_training.export.precision import NETWORK_FILES, Precision, default_precision, mean_dice
from zweitblick_training.export.served import UNCALIBRATED, probabilities
from zweitblick_training.export.weights import WEIGHTS, write_weights
from zweitblick_training.facts import FACTS_FILE, UNSTATED, Facts
from zweitblick_training.network import Probabilities
from zweitblick_training.recipe import RECIPE, Recipe
from zweitblick_training.run import Run, averaged, device_type, steps_made

WATTS = {"cpu": 10.0, "cuda": 500.0}
"""Assumed draw of one busy server core or GPU, for the card's estimate of energy."""

CALIBRATION_EDGE, CALIBRATION_EACH, CALIBRATION_SEED = 64, 2, 0
"""Edge of a patch for int8's ranges, patches of each case, and seed of their places."""

PARITY_EDGE = 96
"""Voxels along the middle of a real case that is compared with torch."""


@contextmanager
def replacing(bundle: Path) -> Iterator[Path]:
    """Give a new folder beside a bundle, which takes its place, card and all, once the block ends without an error.

    Until then, and for good if it does not, the older release is what is served.

    Raises
    ------
    ExportError
        If the folder holds something else than a bundle.
    """
    _check_replaceable(bundle)
    part, old = (bundle.with_name(f".{bundle.name}.{state}") for state in ("part", "old"))
    shutil.rmtree(part, ignore_errors=True)
    if old.exists() and not bundle.exists():  # an export was killed between the two renames below
        old.replace(bundle)
    try:
        part.mkdir(parents=True)
        yield part
        # A folder cannot replace another: killed between these two, the older release is whole under its other name.
        shutil.rmtree(old, ignore_errors=True)
        if bundle.exists():
            bundle.replace(old)
        part.replace(bundle)
        shutil.rmtree(old, ignore_errors=True)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def release(
    run: Run,
    bundle: Path,
    splits: Mapping[str, Sequence[str]],
    *,
    temperature: Sequence[float] = UNCALIBRATED,
    facts: Facts = UNSTATED,
) -> str:
    """Release a run as the tumour bundle and return its digest; its card is written by the evaluation.

    Parameters
    ----------
    run
        A finished run.
    bundle
        Folder to write to; of an older release that is served, the one that `replacing` gives.
    splits
        Case names as `zweitblick_training.sides.Sides.said` gives them.
    temperature
        By which the logits of ET, TC and WT are divided, fitted by the evaluation.
    facts
        What is said of version, data and licence.

    Raises
    ------
    ExportError
        If the run is not finished, the exported network differs from the trained one, or a temperature is no positive
        number.
    """
    _check_finished(run)
    network = averaged(run)
    served = probabilities(network, temperature)
    export_network(served, bundle / NETWORK_FILES[Precision.FP32], channels=len(CHANNELS), stride=STRIDE)
    write_weights(network.state_dict(), bundle / WEIGHTS)
    files = {
        "splits.json": json.dumps(splits, indent=1) + "\n",
        "training.json": json.dumps(_training(run, splits, network), indent=1) + "\n",
        "recipe.yaml": run.recipe.read_text(encoding="utf-8"),
        FACTS_FILE: facts.text,
        "LICENSE": facts.licence,
    }
    metadata = {**tumour_metadata(facts), "temperature": dict(zip(map(str, REGIONS), temperature, strict=True))}
    return write_bundle(bundle, metadata, files, channels=len(CHANNELS))


def check_release(run: Run, bundle: Path, cases: Sequence[Case]) -> float:
    """Return the largest difference in probability between a run and its fp32 release on real cases.

    Raises
    ------
    ExportError
        If it is above `PARITY`.
    """
    return check_parity_on_cases(_served(run, bundle), bundle / NETWORK_FILES[Precision.FP32], cases, edge=PARITY_EDGE)


def add_int8(run: Run, bundle: Path, cases: Sequence[Case]) -> None:
    """Add the int8 variant of a run to its release; fp32 stays what is served until `choose_precision`.

    Parameters
    ----------
    run
        The run that was released.
    bundle
        Its bundle.
    cases
        To calibrate on; each must be among the training cases of the bundle's ``splits.json``.

    Raises
    ------
    ExportError
        If a case is not.
    """
    taught = set(json.loads((bundle / "splits.json").read_text(encoding="utf-8"))["train"])
    foreign = sorted({case.name for case in cases} - taught)
    if foreign:
        raise ExportError(f"int8 is calibrated on training cases only; not among them: {', '.join(foreign)}")
    patches = calibration_patches(cases, each=CALIBRATION_EACH, edge=CALIBRATION_EDGE, seed=CALIBRATION_SEED)
    quantise(_served(run, bundle), bundle / NETWORK_FILES[Precision.INT8], patches, stride=STRIDE)
    seal(bundle)


def choose_precision(bundle: Path, cases: Sequence[Case]) -> Precision:
    """Serve int8 if it loses next to nothing on held-back cases, else fp32; the metadata keeps both scores.

    Where the cases do not show what it loses of a region (`undrawn`), fp32 is served.

    Parameters
    ----------
    bundle
        A release with both networks.
    cases
        Prepared cases that the network has not seen.

    Raises
    ------
    ExportError
        If a network is missing.
    """
    scores = {one: mean_dice(OnnxNetwork(bundle / NETWORK_FILES[one]), cases) for one in Precision}
    chosen = default_precision(scores[Precision.FP32], scores[Precision.INT8])
    set_precision(bundle, chosen, channels=len(CHANNELS))
    compared = {str(one): {str(region): round(dice, 4) for region, dice in scores[one].items()} for one in Precision}
    revise(bundle, {"precision_dice": {"cases": len(cases), **compared}})
    return chosen


def follow_precision(bundle: Path, folds: Sequence[Path]) -> Precision:
    """Serve a release that learnt from every case in int8 if its folds lose next to nothing by it, else in fp32.

    What counts is the mean of the folds' means, each weighted with its number of cases. A fold whose cases do not show
    a region, or that compared nothing, has no say in it.

    Parameters
    ----------
    bundle
        A release with both networks, which no held-back case can judge.
    folds
        Bundles that `choose_precision` judged.

    Raises
    ------
    ExportError
        If a network is missing.
    """
    compared = [said for fold in folds if (said := read_metadata(fold).get("precision_dice"))]
    chosen = default_precision(*(_pooled(compared, one) for one in (Precision.FP32, Precision.INT8)))
    set_precision(bundle, chosen, channels=len(CHANNELS))
    return chosen


def check_temperature(bundle: Path, folds: Sequence[Path]) -> None:
    """Refuse a release that divides its logits otherwise than the folds that judged it.

    What counts as sure of enhancing tumour moves with the temperature, so the folds' scores would be another network's.

    Raises
    ------
    ExportError
        Naming the first of them with another temperature.
    """
    own = read_metadata(bundle).get("temperature")
    for fold in folds:
        other = read_metadata(fold).get("temperature")
        if other != own:
            raise ExportError(
                f"{fold.parent.name}/{fold.name} has the temperatures {other}, the released bundle {own}: "
                "export them with one --temperature and score the folds again"
            )


def _pooled(compared: Sequence[Mapping[str, Any]], precision: Precision) -> dict[Region, float]:
    """Mean Dice in one precision over the cases of all folds, of the regions that any of them shows."""
    pooled: dict[Region, float] = {}
    for region in REGIONS:
        there = [(one[precision][region], one["cases"]) for one in compared if region in one[precision]]
        if there:
            values, cases = zip(*there, strict=True)
            pooled[region] = float(np.average(values, weights=cases))
    return pooled


def _check_replaceable(bundle: Path) -> None:
    """Refuse to replace a folder that was named by mistake."""
    if bundle.exists() and any(bundle.iterdir()) and not (bundle / METADATA).is_file():
        raise ExportError(f"{bundle.name} is a folder with other things in it; name a bundle or a new folder")


def _check_finished(run: Run) -> None:
    """Refuse a run whose recipe names more steps than it has made: its bundle would tell of a training that was not."""
    made, wanted = steps_made(run), Recipe.read(run.recipe).steps
    if made < wanted:
        raise ExportError(
            f"run {run.folder.name} has made {made} of {wanted} steps; resume it with fit, then export it"
        )


def _served(run: Run, bundle: Path) -> Probabilities:
    """Rebuild what was released, with the temperatures that the bundle says."""
    temperature = read_metadata(bundle)["temperature"]
    return probabilities(averaged(run), [temperature[region] for region in REGIONS])


def _training(run: Run, splits: Mapping[str, Sequence[str]], network: nn.Module) -> dict[str, Any]:
    """Say how a run went: recipe, size, time and energy."""
    rows = map(json.loads, run.losses.read_text(encoding="utf-8").splitlines())
    # Lines of a validation have no seconds.
    seconds = sum(row.get("s", 0.0) for row in rows)
    hours, watts = seconds / 3600, WATTS[device_type(run)]
    return {
        **RECIPE.dump_python(Recipe.read(run.recipe), mode="json"),
        "cases": len(splits["train"]),
        "parameters": round(sum(weight.numel() for weight in network.parameters()) / 1e6, 2),
        "hours": round(hours, 2),
        "watts": watts,
        "energy": round(hours * watts / 1000, 3),
    }
