"""Public data sets as zweitblick Volumes: one module per layout, each a declaration of labels and sequences.

Nothing is detected: who trains names the layout, and a value that the layout does not declare is an error.
"""

from collections.abc import Mapping

from zweitblick_training.datasets.bids import BidsLayout
from zweitblick_training.datasets.brats import (
    BRATS_2018,
    BRATS_2019,
    BRATS_2020,
    BRATS_2021,
    BRATS_2023,
    BRATS_2024,
)
from zweitblick_training.datasets.decathlon import DecathlonLayout
from zweitblick_training.datasets.packed import PackedLayout
from zweitblick_training.datasets.raw_case import DataSetError, Fault, Layout, Listing, RawCase, drawn_on
from zweitblick_training.datasets.ucsf import UCSF_PDGM
from zweitblick_training.datasets.upenn import UPENN_GBM

__all__ = ["LAYOUTS", "DataSetError", "Fault", "Layout", "Listing", "RawCase", "drawn_on"]

LAYOUTS: Mapping[str, Layout] = {
    "packed": PackedLayout(),
    "brats2018": BRATS_2018,
    "brats2019": BRATS_2019,
    "brats2020": BRATS_2020,
    "brats2021": BRATS_2021,
    "brats2023": BRATS_2023,
    "brats2024": BRATS_2024,
    "decathlon": DecathlonLayout(),
    "upenn-gbm": UPENN_GBM,
    "ucsf-pdgm": UCSF_PDGM,
    "bids": BidsLayout(),
}
"""Reader of each layout by the name that a researcher gives."""
