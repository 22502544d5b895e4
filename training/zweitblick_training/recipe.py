"""Recipe: every number that a run depends on, frozen, read from one YAML file and saved with the model."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

import yaml
from pydantic import ConfigDict, Field, TypeAdapter

from zweitblick.model.prepare import STRIDE
from zweitblick_training.augmentation import Augmentation
from zweitblick_training.state_file import write_state
from zweitblick_training.yaml_file import read_yaml

Count = Annotated[int, Field(gt=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]


class RecipeError(ValueError):
    """A recipe that no run can follow; the message names each key and what is wrong with it."""


SMALLEST_MAP = 3
"""Voxels that a patch must keep along each axis at a network's deepest level.

torch 2.13 on processors with AVX-512 reads past smaller maps when it computes the weight gradient of a 3³ convolution
in bf16: with 16 channels and maps of 2³ it was not finite in 57 of 300 passes, with 3³ and more in none.
"""


def check_edge(key: str, edge: int, stride: int) -> None:
    """Refuse an edge of a training patch that does not suit a network.

    Parameters
    ----------
    key
        The recipe's name of it.
    edge
        In voxels.
    stride
        How many of them make one at the deepest level.

    Raises
    ------
    RecipeError
        If it is no multiple of the stride, or leaves fewer than `SMALLEST_MAP` voxels at the deepest level.
    """
    if edge % stride or edge < SMALLEST_MAP * stride:
        raise RecipeError(f"{key}: {edge} is no multiple of {stride} from {SMALLEST_MAP * stride} up")


@dataclass(frozen=True)
class Recipe:
    """How the tumour network is trained.

    Parameters
    ----------
    architecture
        ``residual-unet`` is ours; ``segresnet`` is MONAI's network of that name as its brats bundle configures it
        (Myronenko 2018), the outside baseline, with whose shape ``features`` and ``cube`` have nothing to do.
    features
        Channels of each level, from the first down.
    cube
        Edge of the cube of voxels that is folded into channels before the first level: 2 works at half resolution, 1
        at full.
    patch, batch
        Edge of a cubic training patch in voxels of 1 mm, and patches a step, over all processes.
    steps, warmup
        Optimiser steps in all, and those over which the rate rises from 0.
    rate, decay
        AdamW's peak learning rate and weight decay (Loshchilov 2019).
    ema
        Decay of the moving average of the weights that is released.
    clip
        Largest gradient norm.
    sequence_dropout
        Share of samples in which a random subset of the sequences is withheld.
    shares
        How often each data set is drawn from, by its source; one without cases in a run passes its share on to the
        others, one with cases and no share is an error. None at all: by the number of cases.
    tumour_share
        Share of patches centred on a tumour voxel.
    augmentation
        How a patch is changed.
    seed
        Of weights and of every sample; sample ``n`` depends on ``(seed, n)`` alone, which makes resuming exact.

    Raises
    ------
    RecipeError
        If the network's levels do not halve the grid as often as serving expects, or a patch does not suit them.
    """

    architecture: Literal["residual-unet", "segresnet"] = "residual-unet"
    features: tuple[Count, ...] = (24, 48, 96, 192)
    cube: Count = 2
    patch: Count = 96
    batch: Count = 2
    steps: Count = 6000
    warmup: Count = 100
    rate: Positive = 2e-3
    decay: Annotated[float, Field(ge=0)] = 1e-2
    ema: Share = 0.998
    clip: Positive = 12.0
    sequence_dropout: Share = 0.3
    shares: tuple[tuple[str, Share], ...] = ()
    tumour_share: Share = 0.75
    augmentation: Augmentation = field(default_factory=Augmentation)
    seed: int = 20261124

    # Read by pydantic: a misspelt key must not pass for a default.
    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    def __post_init__(self) -> None:
        stride = self.cube * 2 ** (len(self.features) - 1)
        if stride != STRIDE:
            raise RecipeError(
                f"features and cube: {len(self.features)} levels over a cube of {self.cube} halve the grid to "
                f"1/{stride}; serving prepares arrays for 1/{STRIDE}"
            )
        check_edge("patch", self.patch, STRIDE)

    def write(self, path: Path) -> None:
        """Write as YAML, keys in the order of the fields."""
        values = RECIPE.dump_python(self, mode="json")
        write_state(path, yaml.safe_dump(values, sort_keys=False, default_flow_style=None))

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a YAML file; keys left out have their default.

        Raises
        ------
        RecipeError
            If a key is unknown, a value has the wrong type or range, or the file is no YAML mapping.
        """
        return read_yaml(path, TypeAdapter(cls), RecipeError)

    @classmethod
    def read_whole(cls, path: Path) -> Self:
        """Read what `write` wrote: a run goes on with its own numbers, and with no default that came after it.

        Raises
        ------
        RecipeError
            As `read` does, or naming each key that is missing.
        """
        recipe = cls.read(path)
        said = yaml.safe_load(path.read_text(encoding="utf-8"))
        missing = list(_missing(said or {}, RECIPE.dump_python(recipe, mode="json")))
        if missing:
            raise RecipeError(
                f"{path} lacks {', '.join(missing)}: the file was cut short, or the run is older than these keys. "
                "Write them there as the run has followed them; a share of before its time is 0"
            )
        return recipe


def _missing(said: Mapping[str, Any], whole: Mapping[str, Any], within: str = "") -> Iterator[str]:
    """Yield the keys that a file leaves out; of a part that it lacks, only the part's."""
    for key, value in whole.items():
        if key not in said:
            yield within + key
        elif isinstance(value, dict):
            yield from _missing(said[key], value, f"{key}.")


RECIPE = TypeAdapter(Recipe)
