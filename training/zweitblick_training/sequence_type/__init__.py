"""Train the network that tells T1, T1c, T2 and FLAIR by the picture, score it on held-back heads, write its bundle."""

from zweitblick_training.sequence_type.evaluate import Look, held_back_looks, summary
from zweitblick_training.sequence_type.export import add_figures, export_sequence_type
from zweitblick_training.sequence_type.fit import fit_sequence_type
from zweitblick_training.sequence_type.heads import draw_masks
from zweitblick_training.sequence_type.recipe import SequenceTypeRecipe

__all__ = [
    "Look",
    "SequenceTypeRecipe",
    "add_figures",
    "draw_masks",
    "export_sequence_type",
    "fit_sequence_type",
    "held_back_looks",
    "summary",
]
