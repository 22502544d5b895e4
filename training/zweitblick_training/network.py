"""The tumour network: MONAI's residual U-Net at half resolution."""

import torch
from monai.networks.nets.dynunet import DynUNet
from torch import Tensor, nn

from zweitblick.model.prepare import CHANNELS
from zweitblick.prediction import REGIONS

FACTOR = 2
"""Edge of the cube that is folded into channels."""


class HalfResolutionUNet(nn.Module):
    """A residual U-Net between a pixel unshuffle and a pixel shuffle (Shi 2016), three nested regions out.

    Everything runs at half resolution, an eighth of the voxels. BatchNorm, because it folds into the convolutions and
    does not make the output depend on the crop, as instance statistics do.

    Parameters
    ----------
    features
        Channels of each level, from half resolution down.
    """

    def __init__(self, features: tuple[int, ...]) -> None:
        super().__init__()
        cube = FACTOR**3
        levels = len(features)
        self.body = DynUNet(
            spatial_dims=3,
            in_channels=len(CHANNELS) * cube,
            out_channels=len(REGIONS) * cube,
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
        logits: Tensor = self.body(pixel_unshuffle(x))
        return pixel_shuffle(logits)


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


def pixel_unshuffle(x: Tensor) -> Tensor:
    """Fold each 2 x 2 x 2 cube into channels: ``(B, C, K, J, I)`` to ``(B, 8 C, K/2, J/2, I/2)``."""
    b, c, k, j, i = x.shape
    f = FACTOR
    x = x.reshape(b, c, k // f, f, j // f, f, i // f, f)
    return x.permute(0, 1, 3, 5, 7, 2, 4, 6).reshape(b, c * f**3, k // f, j // f, i // f)


def pixel_shuffle(x: Tensor) -> Tensor:
    """Undo `pixel_unshuffle`."""
    b, c, k, j, i = x.shape
    f = FACTOR
    x = x.reshape(b, c // f**3, f, f, f, k, j, i)
    return x.permute(0, 1, 5, 2, 6, 3, 7, 4).reshape(b, c // f**3, k * f, j * f, i * f)
