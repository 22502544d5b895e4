"""BraTS folders of 2018 to 2024: skull-stripped, co-registered, 1 mm SRI24 grid (Menze 2015; Bakas 2017; Baid 2021).

From 2021 on, BraTS gives patients a number and keeps it; so ``BraTS2021_00005``, ``BraTS-GLI-00005-000`` and
``BraTS-GLI-00005-100`` count as one patient. Numbers of 2020 say nothing of the identities in 2018 and 2019, nor do
those of 2021 on of UPENN-GBM's and UCSF-PDGM's, many of which they contain: train on one of them only, or give
`zweitblick_training.splits.draw` the groups.
"""

import re

from zweitblick.prediction import CORE, ENHANCING, OEDEMA
from zweitblick.study import Sequence
from zweitblick_training.datasets.folders import FolderLayout
from zweitblick_training.datasets.raw_case import Terms

UNTIL_2021 = {1: CORE, 2: OEDEMA, 4: ENHANCING}
"""Necrotic and non-enhancing core, oedema, enhancing tumour; 3 was given up in 2017 (Bakas 2018)."""

FROM_2023 = {1: CORE, 2: OEDEMA, 3: ENHANCING}
"""NCR, ED, ET."""

POST_TREATMENT = {1: CORE, 2: OEDEMA, 3: ENHANCING, 4: 0}
"""NETC, SNFH, ET and the resection cavity (de Verdier 2024). The cavity is no tumour, so it is taken as background."""

_DEPTHS = ("*", "*/*")
"""2018 and 2019 keep their cases under HGG and LGG."""


def _layout(terms: Terms, pattern: str, *, joint: str, names: tuple[str, str, str, str]) -> FolderLayout:
    sequences = (Sequence.T1, Sequence.T1C, Sequence.T2, Sequence.FLAIR)
    images = {sequence: f"{{name}}/{{name}}{joint}{name}" for sequence, name in zip(sequences, names, strict=True)}
    return FolderLayout(terms, _DEPTHS, re.compile(pattern), images, f"{{name}}/{{name}}{joint}seg")


_OLD_NAMES = ("t1", "t1ce", "t2", "flair")
_NEW_NAMES = ("t1n", "t1c", "t2w", "t2f")
_GLI = r"(?P<name>BraTS-GLI-(?P<patient>\d{5})-\d{3})"

BRATS_2018 = _layout(
    Terms("brats2018", UNTIL_2021),
    r"(?P<name>Brats18_(?P<patient>(?P<site>[^_]+)_[^_]+)_\d+)",
    joint="_",
    names=_OLD_NAMES,
)
BRATS_2019 = _layout(
    Terms("brats2019", UNTIL_2021),
    r"(?P<name>BraTS19_(?P<patient>(?P<site>[^_]+)_[^_]+)_\d+)",
    joint="_",
    names=_OLD_NAMES,
)
BRATS_2020 = _layout(
    Terms("brats2020", UNTIL_2021),
    r"(?P<name>(?P<patient>BraTS20_Training_\d{3}))",
    joint="_",
    names=_OLD_NAMES,
)
BRATS_2021 = _layout(
    Terms("brats2021", UNTIL_2021), r"(?P<name>BraTS2021_(?P<patient>\d{5}))", joint="_", names=_OLD_NAMES
)
BRATS_2023 = _layout(Terms("brats2023", FROM_2023), _GLI, joint="-", names=_NEW_NAMES)
BRATS_2024 = _layout(Terms("brats2024", POST_TREATMENT), _GLI, joint="-", names=_NEW_NAMES)
