"""UCSF-PDGM as The Cancer Imaging Archive gives it: skull-stripped, co-registered, 1 mm (Calabrese 2022).

``*_bias.nii.gz`` are the same images after bias correction; they are not used, since serving meets images without.
Folders named ``UCSF-PDGM-0429_FU003d_nifti`` are follow-ups of the same patient.
"""

import re

from zweitblick.study import Sequence
from zweitblick_training.datasets.brats import UNTIL_2021
from zweitblick_training.datasets.folders import FolderLayout
from zweitblick_training.datasets.raw_case import Terms

UCSF_PDGM = FolderLayout(
    terms=Terms("ucsf-pdgm", UNTIL_2021),
    globs=("*",),
    pattern=re.compile(r"(?P<name>(?P<patient>UCSF-PDGM-\d{4})(_FU\w+?)?)_nifti"),
    images={
        sequence: f"{{name}}_nifti/{{name}}_{suffix}"
        for sequence, suffix in (
            (Sequence.T1, "T1"),
            (Sequence.T1C, "T1c"),
            (Sequence.T2, "T2"),
            (Sequence.FLAIR, "FLAIR"),
        )
    },
    outline="{name}_nifti/{name}_tumor_segmentation",
)
