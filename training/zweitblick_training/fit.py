"""Fit: the training loop, top to bottom."""

import json
import queue
import threading
import time
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from zweitblick_training.augment import Sample, sample
from zweitblick_training.case import Case
from zweitblick_training.network import HalfResolutionUNet
from zweitblick_training.recipe import Recipe
from zweitblick_training.run import Run

PREFETCHED = 4


def fit(recipe: Recipe, cases: Sequence[Case], run: Run, *, save_every: int = 100) -> None:
    """Train until ``recipe.steps``, from the last checkpoint if there is one.

    Parameters
    ----------
    recipe
        Every number of the run.
    cases
        Training cases only.
    run
        Where checkpoints go; killed at any moment, a run loses the steps since the last one.
    save_every
        Steps between checkpoints.
    """
    run.folder.mkdir(parents=True, exist_ok=True)
    (run.folder / "recipe.json").write_text(recipe.to_json(), encoding="utf-8")
    torch.manual_seed(recipe.seed)
    network = HalfResolutionUNet(recipe.features)
    # Only convolutions in this layout run at the processor's bf16 speed; torch's stub does not know the argument.
    network.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]  # see above
    average = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(recipe.ema), use_buffers=True)
    optimiser = torch.optim.AdamW(network.parameters(), lr=recipe.rate, weight_decay=recipe.decay)
    done = _resume(run, network, average, optimiser)
    network.train()
    with run.losses.open("a", encoding="utf-8") as log:
        for step, batch in _batches(cases, recipe, done):
            started = time.perf_counter()
            for group in optimiser.param_groups:
                group["lr"] = rate_at(step, recipe)
            with torch.autocast("cpu", torch.bfloat16):
                logits = network(_stacked([one.image for one in batch]))
            loss = region_loss(logits.float(), _stacked([one.target for one in batch]), _labelled(batch))
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), recipe.clip)
            optimiser.step()
            average.update_parameters(network)
            seconds = time.perf_counter() - started
            print(
                json.dumps({"step": step, "loss": round(loss.item(), 4), "s": round(seconds, 2)}), file=log, flush=True
            )
            if (step + 1) % save_every == 0 or step + 1 == recipe.steps:
                _save(run, step + 1, network, average, optimiser)


def rate_at(step: int, recipe: Recipe) -> float:
    """Learning rate of a step: linear rise, then half a cosine to 0."""
    if step < recipe.warmup:
        return recipe.rate * (step + 1) / recipe.warmup
    progress = (step - recipe.warmup) / max(recipe.steps - recipe.warmup, 1)
    return float(recipe.rate * 0.5 * (1 + np.cos(np.pi * min(progress, 1.0))))


def region_loss(logits: Tensor, target: Tensor, labelled: Tensor) -> Tensor:
    """Soft Dice over the batch plus cross-entropy, on the regions that were labelled (Milletari 2016; Isensee 2021).

    Parameters
    ----------
    logits, target
        ``(B, 3, K, J, I)``.
    labelled
        ``(B, 3)``, 1 where the region was drawn; others add nothing.
    """
    weight = labelled[:, :, None, None, None]
    entropy = functional.binary_cross_entropy_with_logits(logits, target, reduction="none").mean((2, 3, 4))
    probability = torch.sigmoid(logits) * weight
    axes = (0, 2, 3, 4)
    overlap = (probability * target).sum(axes)
    total = probability.sum(axes) + (target * weight).sum(axes)
    dice = (2 * overlap + 1.0) / (total + 1.0)
    drawn = labelled.amax(0)
    return ((1 - dice) * drawn).sum() / drawn.sum() + (entropy * labelled).sum() / labelled.sum()


def _batches(cases: Sequence[Case], recipe: Recipe, done: int) -> Iterator[tuple[int, list[Sample]]]:
    """Make samples in a thread of their own, a few steps ahead."""
    ready: queue.Queue[tuple[int, list[Sample]]] = queue.Queue(PREFETCHED)

    def make() -> None:
        for step in range(done, recipe.steps):
            ready.put((step, [_draw(cases, recipe, step, slot) for slot in range(recipe.batch)]))

    threading.Thread(target=make, daemon=True).start()
    for _ in range(done, recipe.steps):
        yield ready.get()


def _draw(cases: Sequence[Case], recipe: Recipe, step: int, slot: int) -> Sample:
    rng = np.random.default_rng((recipe.seed, step, slot))
    sources, shares = zip(*recipe.shares, strict=True)
    source = rng.choice(sources, p=shares)
    among = [case for case in cases if case.source == source]
    return sample(among[int(rng.integers(len(among)))], recipe, rng)


def _stacked(tensors: list[Tensor]) -> Tensor:
    return torch.stack(tensors).to(memory_format=torch.channels_last_3d)


def _labelled(batch: list[Sample]) -> Tensor:
    return torch.stack([one.labelled for one in batch])


def _resume(run: Run, network: torch.nn.Module, average: torch.nn.Module, optimiser: torch.optim.Optimizer) -> int:
    if not run.checkpoint.exists():
        return 0
    state = torch.load(run.checkpoint, weights_only=True)
    network.load_state_dict(state["network"])
    average.load_state_dict(state["average"])
    optimiser.load_state_dict(state["optimiser"])
    return int(state["step"])


def _save(
    run: Run, step: int, network: torch.nn.Module, average: torch.nn.Module, optimiser: torch.optim.Optimizer
) -> None:
    part = run.checkpoint.with_suffix(".part")
    state = {
        "step": step,
        "network": network.state_dict(),
        "average": average.state_dict(),
        "optimiser": optimiser.state_dict(),
    }
    torch.save(state, part)
    part.replace(run.checkpoint)
