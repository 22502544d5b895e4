"""Augment: a random patch of a case, as another scanner, another position and another brain mask might have shown it.

`patch` is the order of things; `geometry` says where the patch lies, `lesion` what the tumour looks like, `curves` what
intensities become, `resolution` how fine it was scanned and `brain_mask` what was taken for brain. Every number drawn
comes from the generator that is passed, so a sample can be made again.
"""

from zweitblick_training.augment.patch import Sample, sample

__all__ = ["Sample", "sample"]
