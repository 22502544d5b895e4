"""Distil the brain-mask network from a teacher, check it on held-back heads, and write its bundle."""

from zweitblick_training.brain_mask.evaluate import Scan, Score, evaluate_brain_mask, held_back_scans
from zweitblick_training.brain_mask.export import export_brain_mask
from zweitblick_training.brain_mask.fit import fit_brain_mask
from zweitblick_training.brain_mask.recipe import BrainMaskRecipe

__all__ = [
    "BrainMaskRecipe",
    "Scan",
    "Score",
    "evaluate_brain_mask",
    "export_brain_mask",
    "fit_brain_mask",
    "held_back_scans",
]
