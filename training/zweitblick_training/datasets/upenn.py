"""UPENN-GBM as The Cancer Imaging Archive gives it: skull-stripped, co-registered, 1 mm SRI24 grid (Bakas 2022).

The folder is the one that holds ``images_structural`` and ``images_segm``. Only cases with an outline corrected by
experts (``images_segm``, 147 of 671 scans) are listed; ``automated_segm`` is a program's and teaches that program's
errors.
"""

import re

from zweitblick.study import Sequence
from zweitblick_training.datasets.brats import UNTIL_2021
from zweitblick_training.datasets.folders import FolderLayout
from zweitblick_training.datasets.raw_case import Terms

UPENN_GBM = FolderLayout(
    terms=Terms("upenn-gbm", UNTIL_2021),
    globs=("images_segm/*",),
    pattern=re.compile(r"(?P<name>(?P<patient>UPENN-GBM-\d{5})_\d{2})_segm\.nii(\.gz)?"),
    images={
        sequence: f"../images_structural/{{name}}/{{name}}_{suffix}"
        for sequence, suffix in (
            (Sequence.T1, "T1"),
            (Sequence.T1C, "T1GD"),
            (Sequence.T2, "T2"),
            (Sequence.FLAIR, "FLAIR"),
        )
    },
    outline="{name}_segm",
)
