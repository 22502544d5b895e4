"""The tumour network: MONAI's residual U-Net, at full resolution or between a pixel unshuffle and a pixel shuffle."""

import torch
from monai.networks.nets.dynunet import DynUNet
from monai.networks.nets.segresnet import SegResNet
from torch import Tensor, nn

from zweitblick.model.prepare import CHANNELS
from zweitblick.prediction import REGIONS
from zweitblick_training.recipe import Recipe


def built(recipe: Recipe) -> nn.Module:
    """Make a recipe's network, with random weights, from ``(B, 4, K, J, I)`` to logits ``(B, 3, K, J, I)``."""
    if recipe.architecture == "segresnet":
        return SegResNet(
            spatial_dims=3,
            init_filters=16,
            in_channels=len(CHANNELS),
            out_channels=len(REGIONS),
            dropout_prob=0.2,
            blocks_down=(1, 2, 2, 4),
            blocks_up=(1, 1, 1),
        )
    return TumourUNet(recipe.features, recipe.cube)


class TumourUNet(nn.Module):
    """A residual U-Net between a pixel unshuffle and a pixel shuffle (Shi 2016), three nested regions out.

    With a cube of 2 everything runs at half resolution, an eighth of the voxels; with 1 nothing is folded. BatchNorm,
    because it folds into the convolutions and does not make the output depend on the crop, as instance and group
    statistics do.

    Parameters
    ----------
    features
        Channels of each level, from the first down.
    cube
        Edge of the cube of voxels that is folded into channels.
    """

    def __init__(self, features: tuple[int, ...], cube: int) -> None:
        super().__init__()
        self.cube = cube
        levels = len(features)
        self.body = DynUNet(
            spatial_dims=3,
            in_channels=len(CHANNELS) * cube**3,
            out_channels=len(REGIONS) * cube**3,
            kernel_size=[3] * levels,
            strides=[1] + [2] * (levels - 1),
            upsample_kernel_size=[2] * (levels - 1),
            filters=list(features),
            norm_name="batch",
            act_name=("leakyrelu", {"inplace": True, "negative_slope": 0.01}),
            res_block=True,
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(batch, 4, K, J, I)`` to logits ``(batch, 3, K, J, I)``; sizes are multiples of 16."""
        logits: Tensor = self.body(pixel_unshuffle(x, self.cube))
        return pixel_shuffle(logits, self.cube)


class Probabilities(nn.Module):
    """The network as it is served: sigmoid, then ET <= TC <= WT.

    A voxel's TC is the larger of its ET and TC, its WT the largest of the three: a part cannot be likelier than the
    whole.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(batch, 4, K, J, I)`` to nested probabilities ``(batch, 3, K, J, I)``."""
        et, tc, wt = torch.sigmoid(self.network(x)).unbind(dim=1)
        tc = torch.maximum(et, tc)
        return torch.stack([et, tc, torch.maximum(tc, wt)], dim=1)


def pixel_unshuffle(x: Tensor, f: int) -> Tensor:
    """Fold each ``f³`` cube into channels: ``(B, C, K, J, I)`` to ``(B, f³ C, K/f, J/f, I/f)``."""
    b, c, k, j, i = x.shape
    x = x.reshape(b, c, k // f, f, j // f, f, i // f, f)
    return x.permute(0, 1, 3, 5, 7, 2, 4, 6).reshape(b, c * f**3, k // f, j // f, i // f)


def pixel_shuffle(x: Tensor, f: int) -> Tensor:
    """Undo `pixel_unshuffle`."""
    b, c, k, j, i = x.shape
    x = x.reshape(b, c // f**3, f, f, f, k, j, i)
    return x.permute(0, 1, 5, 2, 6, 3, 7, 4).reshape(b, c // f**3, k * f, j * f, i * f)
