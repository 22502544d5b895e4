"""Distil the brain-mask network: Dice and cross-entropy against teacher and strippers, on the CPU, resumable."""

import copy
import logging
import math
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from monai.networks.nets.unet import UNet
from torch import Tensor, nn
from torch.nn import functional

from zweitblick_training.brain_mask.draw import draw_sample
from zweitblick_training.brain_mask.heads import Head, training_heads
from zweitblick_training.brain_mask.recipe import BrainMaskRecipe

LOG = logging.getLogger(__name__)
CHECKPOINT_EVERY = 50


@dataclass
class Progress:
    """What a resumed run needs: a checkpoint is exactly this."""

    student: nn.Module
    average: nn.Module
    optimizer: torch.optim.Optimizer
    step: int = 0
    seconds: float = 0.0
    losses: list[float] = field(default_factory=list)


def build_network(channels: tuple[int, ...]) -> nn.Module:
    """Build a MONAI residual U-Net, one channel in, one logit out, halving its grid at every level."""
    strides = (2,) * (len(channels) - 1)
    # Not batch statistics: pictures differ so much that a stripped T2 fell from .86 to .28 with running ones.
    return UNet(3, 1, 1, channels, strides, num_res_units=1, norm=("instance", {"affine": True}))


def fit_brain_mask(recipe: BrainMaskRecipe) -> nn.Module:
    """Train or resume, and return the averaged network in evaluation mode.

    Parameters
    ----------
    recipe
        Every number of the run; its ``run`` folder receives ``checkpoint.pt``.

    Returns
    -------
    Network from ``(batch, 1, K, J, I)`` inputs to logits of the same shape.
    """
    return fit_on_heads(recipe, training_heads(recipe.data, recipe.teacher), until=recipe.steps)


def fit_on_heads(recipe: BrainMaskRecipe, heads: list[Head], *, until: int) -> nn.Module:
    """Train or resume on given heads, stopping (with a checkpoint) after step ``until``."""
    torch.set_num_threads(recipe.threads)
    torch.manual_seed(recipe.seed)
    recipe.run.mkdir(parents=True, exist_ok=True)
    progress = _started_or_resumed(recipe)
    while progress.step < until:
        begun = time.monotonic()
        progress.losses.append(_one_step(progress, recipe, heads))
        progress.step += 1
        progress.seconds += time.monotonic() - begun
        if progress.step % CHECKPOINT_EVERY == 0 or progress.step == until:
            recent = float(np.mean(progress.losses[-CHECKPOINT_EVERY:]))
            LOG.info("step %d loss %.4f, %.0f s", progress.step, recent, progress.seconds)
            _save(progress, recipe.run / "checkpoint.pt")
    return progress.average.eval()


def mask_loss(logits: Tensor, target: Tensor) -> Tensor:
    """Cross-entropy plus one minus the soft Dice of each sample."""
    entropy = functional.binary_cross_entropy_with_logits(logits, target)
    axes = (1, 2, 3, 4)
    probability = torch.sigmoid(logits)
    overlap = 2 * (probability * target).sum(axes) + 1
    dice = overlap / (probability.sum(axes) + target.sum(axes) + 1)
    return entropy + 1 - dice.mean()


def learning_rate(recipe: BrainMaskRecipe, step: int) -> float:
    """Rise linearly over the warm-up, then fall as a cosine to 0 at the last step."""
    if step < recipe.warmup:
        return recipe.learning_rate * (step + 1) / recipe.warmup
    share = (step - recipe.warmup) / max(1, recipe.steps - recipe.warmup)
    return recipe.learning_rate * 0.5 * (1 + math.cos(math.pi * share))


def _one_step(progress: Progress, recipe: BrainMaskRecipe, heads: list[Head]) -> float:
    x, target = _batch(recipe, heads, progress.step)
    for group in progress.optimizer.param_groups:
        group["lr"] = learning_rate(recipe, progress.step)
    progress.student.train()
    with torch.autocast("cpu", torch.bfloat16):
        logits = progress.student(x)
    loss = mask_loss(logits.float(), target)
    progress.optimizer.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(progress.student.parameters(), 1.0)
    progress.optimizer.step()
    _follow(progress.average, progress.student, min(recipe.average, progress.step / (progress.step + 10)))
    return float(loss.detach())


def _batch(recipe: BrainMaskRecipe, heads: list[Head], step: int) -> tuple[Tensor, Tensor]:
    """Draw from a stream that depends on seed and step only, so that a resumed run sees the same batches."""
    random = np.random.default_rng((recipe.seed, step))
    crop = recipe.crops[random.integers(len(recipe.crops))]
    samples = [draw_sample(heads, random, crop) for _ in range(recipe.batch)]
    x, target = (torch.from_numpy(np.stack(part)[:, None]) for part in zip(*samples, strict=True))
    return x.contiguous(memory_format=torch.channels_last_3d), target


@torch.no_grad()
def _follow(average: nn.Module, student: nn.Module, decay: float) -> None:
    """Move the average towards the student."""
    for mine, theirs in zip(average.state_dict().values(), student.state_dict().values(), strict=True):
        if mine.dtype.is_floating_point:
            mine.lerp_(theirs, 1 - decay)
        else:
            mine.copy_(theirs)


def _started_or_resumed(recipe: BrainMaskRecipe) -> Progress:
    # Channels last is a third faster on the CPU.
    student = nn.utils.convert_conv3d_weight_memory_format(build_network(recipe.channels), torch.channels_last_3d)
    optimizer = torch.optim.AdamW(student.parameters(), recipe.learning_rate, weight_decay=recipe.weight_decay)
    progress = Progress(student, copy.deepcopy(student), optimizer)
    path = recipe.run / "checkpoint.pt"
    if path.exists():
        state = torch.load(path, weights_only=True)
        for name in ("student", "average", "optimizer"):
            getattr(progress, name).load_state_dict(state[name])
        progress.step, progress.seconds, progress.losses = state["step"], state["seconds"], state["losses"]
    return progress


def _save(progress: Progress, path: Path) -> None:
    """Write to a temporary name first, so that a run killed here can still be resumed."""
    state = {name: getattr(progress, name).state_dict() for name in ("student", "average", "optimizer")}
    state |= {"step": progress.step, "seconds": progress.seconds, "losses": progress.losses}
    torch.save(state, path.with_suffix(".tmp"))
    path.with_suffix(".tmp").replace(path)
