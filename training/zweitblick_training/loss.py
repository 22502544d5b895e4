"""Loss: what the tumour network is trained to make small."""

from monai.losses.dice import DiceLoss
from torch import Tensor
from torch.nn import functional

DICE = DiceLoss(batch=True, reduction="none", smooth_nr=1.0, smooth_dr=1.0)
"""Over the batch, so that a patch without any of a region does not count as a miss of its own (Isensee 2021)."""


def region_loss(logits: Tensor, target: Tensor, labelled: Tensor) -> Tensor:
    """Soft Dice over the batch plus cross-entropy, on the regions that were labelled (Milletari 2016; Isensee 2021).

    Parameters
    ----------
    logits, target
        ``(B, 3, K, J, I)``: ET, TC, WT.
    labelled
        ``(B, 3)``, 1 where an expert drew the region; the others add nothing.
    """
    entropy = functional.binary_cross_entropy_with_logits(logits, target, reduction="none").mean((2, 3, 4))
    weight = labelled[:, :, None, None, None]
    dice = DICE(logits.sigmoid() * weight, target * weight).flatten()
    drawn = labelled.amax(0)
    loss: Tensor = (dice * drawn).sum() / drawn.sum() + (entropy * labelled).sum() / labelled.sum()
    return loss
