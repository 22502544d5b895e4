"""Time one whole brain through each network that was considered, against MONAI's SegResNet in the same run.

python -m benchmarks.candidates     ONNX Runtime, random weights; medians of three, networks interleaved
"""

import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
from benchmarks.figures import publish
from rich.table import Table

from zweitblick.model.prepare import CHANNELS, STRIDE
from zweitblick.model.runtime import OnnxNetwork
from zweitblick_training.export import graph_of, halved, probabilities, write_graph
from zweitblick_training.network import built
from zweitblick_training.recipe import Recipe

RUNS = 3
CROP = (144, 176, 144)
"""A brain with its margin at 1 mm."""

CANDIDATES = {
    "SegResNet": Recipe(architecture="segresnet"),
    "half16": Recipe(features=(16, 32, 64, 128)),
    "half24": Recipe(features=(24, 48, 96, 192)),
    "half32": Recipe(features=(32, 64, 128, 192)),
    "bn16": Recipe(features=(16, 32, 64, 128, 192), cube=1),
}


def main() -> None:
    table = Table("network", "parameters, M", "file, MB", "seconds", "spread", "times faster")
    x = np.random.default_rng(0).standard_normal((1, 4, *CROP), np.float32)
    with tempfile.TemporaryDirectory() as room:
        files = {name: Path(room) / f"{name}.onnx" for name in CANDIDATES}
        networks = {name: built(recipe).eval() for name, recipe in CANDIDATES.items()}
        for name, network in networks.items():
            # Not compared with torch: random weights react to storage at half precision as trained ones do not.
            model = graph_of(probabilities(network), channels=len(CHANNELS), stride=STRIDE)
            write_graph(halved(model), files[name])
        opened = {name: OnnxNetwork(file) for name, file in files.items()}
        times = [{name: seconds(one, x) for name, one in opened.items()} for _ in range(RUNS + 1)][1:]
        reference = statistics.median(row["SegResNet"] for row in times)
        for name, network in networks.items():
            mine = sorted(row[name] for row in times)
            table.add_row(
                name,
                f"{sum(weight.numel() for weight in network.parameters()) / 1e6:.2f}",
                f"{files[name].stat().st_size / 1e6:.1f}",
                f"{statistics.median(mine):.2f}",
                f"{mine[0]:.2f}-{mine[-1]:.2f}",
                f"{reference / statistics.median(mine):.1f}",
            )
    publish("candidates", table)


def seconds(network: OnnxNetwork, x: np.ndarray) -> float:
    started = time.perf_counter()
    network(x)
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
