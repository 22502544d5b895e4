"""Learner: the network in training, its moving average and its optimiser; what a checkpoint holds."""

import math
from collections.abc import Mapping

import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from zweitblick_training.loss import region_loss
from zweitblick_training.network import built
from zweitblick_training.processes import Place
from zweitblick_training.recipe import Recipe
from zweitblick_training.run import Run
from zweitblick_training.samples import Batch


class DivergedError(RuntimeError):
    """The loss or its gradient is no number any more."""


class Learner:
    """A network that learns step by step.

    Parameters
    ----------
    recipe
        Its shape, and how it learns.
    place
        Where.
    start
        Weights to begin with, by name; none: random ones of the recipe's seed.
    """

    def __init__(self, recipe: Recipe, place: Place, start: Mapping[str, Tensor] | None = None) -> None:
        torch.manual_seed(recipe.seed)
        network = built(recipe)
        if start is not None:
            network.load_state_dict(start)
        # Only convolutions in this layout run at the processor's bf16 speed; torch's stub does not know the argument.
        network.to(place.device, memory_format=torch.channels_last_3d)  # type: ignore[call-overload]  # see above
        self.recipe, self.place, self.network = recipe, place, network
        self.average = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(recipe.ema), use_buffers=True)
        self.trained = _shared(network, place).train()
        self.optimiser = torch.optim.AdamW(network.parameters(), lr=recipe.rate, weight_decay=recipe.decay)

    def learn(self, step: int, batch: Batch) -> float:
        """Make one step and return its loss, the mean over all processes.

        Raises
        ------
        DivergedError
            If the loss or its gradient is not finite; the weights are as they were before the step.
        """
        for group in self.optimiser.param_groups:
            group["lr"] = rate_at(step, self.recipe)
        image, target, labelled = (one.to(self.place.device, non_blocking=True) for one in batch)
        with self.place.mixed_precision():
            logits = self.trained(image.contiguous(memory_format=torch.channels_last_3d))
        loss = region_loss(logits.float(), target, labelled)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        told = _finite("loss", self._mean(loss.detach()), step)
        # Clipping by a norm that is no number makes every weight none, one step before the loss would tell.
        _finite("gradient", nn.utils.clip_grad_norm_(self.network.parameters(), self.recipe.clip), step)
        self.optimiser.step()
        self.average.update_parameters(self.network)
        return told

    def _mean(self, loss: Tensor) -> Tensor:
        """Mean over all processes."""
        if self.place.world > 1:
            distributed.all_reduce(loss)
            loss /= self.place.world
        return loss

    def resume(self, run: Run) -> int:
        """Take up a run's last checkpoint, if there is one; return how many steps were made."""
        if not run.checkpoint.exists():
            return 0
        state = torch.load(run.checkpoint, map_location=self.place.device, weights_only=True)
        self.network.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        self.optimiser.load_state_dict(state["optimiser"])
        # Older checkpoints lack them; a network that draws, as by dropout, goes on with others then.
        if "draws" in state:
            _set_draws(state["draws"], self.place.device)
        return int(state["step"])

    def save(self, run: Run, step: int) -> None:
        """Write a checkpoint by way of a temporary name: a full disk or a kill leaves the last one whole."""
        part = run.checkpoint.with_suffix(".part")
        state = {
            "step": step,
            "device": self.place.device.type,
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "draws": _draws(self.place.device),
        }
        torch.save(state, part)
        part.replace(run.checkpoint)


def rate_at(step: int, recipe: Recipe) -> float:
    """Learning rate of a step: linear rise, then half a cosine to 0 (Loshchilov 2017)."""
    if step < recipe.warmup:
        return recipe.rate * (step + 1) / recipe.warmup
    progress = (step - recipe.warmup) / max(recipe.steps - recipe.warmup, 1)
    return recipe.rate * 0.5 * (1 + math.cos(math.pi * min(progress, 1.0)))


def _finite(what: str, value: Tensor, step: int) -> float:
    number = float(value)
    if not math.isfinite(number):
        raise DivergedError(f"the {what} is {number} at step {step}; lower `rate` and start again")
    return number


def _draws(device: torch.device) -> dict[str, Tensor]:
    """States of the generators that a network in training draws from; the same in every process."""
    states = {"cpu": torch.get_rng_state()}
    return states if device.type == "cpu" else {**states, device.type: torch.cuda.get_rng_state(device)}


def _set_draws(states: Mapping[str, Tensor], device: torch.device) -> None:
    torch.set_rng_state(states["cpu"].cpu())
    # A run that goes on with another kind of processor draws anew there.
    if device.type == "cuda" and device.type in states:
        torch.cuda.set_rng_state(states[device.type].cpu(), device)


def _shared(network: nn.Module, place: Place) -> nn.Module:
    """Let several processes train one network; on GPUs they also share the statistics of a batch."""
    if place.world == 1:
        return network
    if place.device.type == "cuda":
        network = nn.SyncBatchNorm.convert_sync_batchnorm(network)
    return DistributedDataParallel(network)
