"""A run that nobody trained: a small network with random weights and uneven BatchNorm statistics."""

import json
from pathlib import Path

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel

from zweitblick_training.network import TumourUNet
from zweitblick_training.recipe import Recipe
from zweitblick_training.run import Run

TINY = Recipe(features=(8, 8, 12, 16), patch=48, steps=2, warmup=1, shares=(("brats", 1.0),))


def uneven_network(seed: int = 0) -> TumourUNet:
    torch.manual_seed(seed)
    network = TumourUNet(TINY.features, TINY.cube)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm3d):
            for values, low, high in (
                (module.running_mean, -0.5, 0.5),
                (module.running_var, 0.3, 3.0),
                (module.weight.data, 0.5, 2.0),
                (module.bias.data, -0.3, 0.3),
            ):
                values.uniform_(low, high)
    # Small logits: weights that nobody trained are not robust to being stored at half precision.
    network.body.output_block.conv.conv.weight.data *= 0.1
    return network.eval()


def tumour_run(folder: Path) -> Run:
    folder.mkdir(parents=True)
    run = Run(folder)
    TINY.write(run.recipe)
    run.losses.write_text("".join(json.dumps({"step": step, "loss": 1.0, "s": 18.0}) + "\n" for step in range(2)))
    average = AveragedModel(uneven_network(), use_buffers=True)
    torch.save({"step": TINY.steps, "device": "cpu", "average": average.state_dict()}, run.checkpoint)
    return run
