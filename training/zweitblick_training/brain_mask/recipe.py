"""Every number that a brain-mask training depends on."""

from dataclasses import dataclass
from pathlib import Path

from zweitblick.model.brain_mask import STRIDE
from zweitblick_training.recipe import check_edge


@dataclass(frozen=True)
class BrainMaskRecipe:
    """One training run of the brain-mask network.

    Parameters
    ----------
    data
        Folder with the packed cases ``lgg``, ``brats`` and ``nontumour``.
    teacher
        Folder with one ``<case>.npz`` (key ``brain``) per whole head, see `teacher.label_head`.
    run
        Folder for the checkpoint and the log; a run that is found there is resumed.
    seed
        Of the weights and, with the step's number, of each batch.
    steps, batch
        Optimizer steps and samples in each.
    crops
        Sizes ``(K, J, I)`` of samples, voxels of 2 mm; each batch draws one.
    learning_rate, weight_decay
        AdamW; the rate rises over ``warmup`` steps and falls to 0 as a cosine.
    average
        Decay of the exponential moving average of the weights, which is what is exported.
    channels
        Features of each level of the U-Net.
    threads
        CPU threads of torch.

    Raises
    ------
    RecipeError
        If a crop does not suit the network's levels.
    """

    data: Path
    teacher: Path
    run: Path
    seed: int = 0
    steps: int = 2200
    batch: int = 2
    crops: tuple[tuple[int, int, int], ...] = ((80, 96, 80), (96, 128, 96))
    learning_rate: float = 3e-3
    weight_decay: float = 1e-2
    warmup: int = 50
    average: float = 0.99
    channels: tuple[int, ...] = (16, 32, 32, 48, 64)
    threads: int = 1

    def __post_init__(self) -> None:
        for edge in {edge for crop in self.crops for edge in crop}:
            check_edge("crops", edge, STRIDE)
