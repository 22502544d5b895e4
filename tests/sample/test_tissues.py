"""Signal equations against textbook limits."""

import numpy as np
import pytest

from zweitblick.sample.tissues import PROTOCOLS, RELAXATION, Protocol, Tissue, signals
from zweitblick.study import Sequence


def test_long_repetition_and_short_echo_leave_the_proton_density() -> None:
    values = signals(Protocol(1e6, 0.0, None, 1, contrast=False))
    assert values == pytest.approx([RELAXATION[t].proton_density for t in Tissue], abs=1e-4)


def test_inversion_nulls_the_tissue_whose_t1_it_is_made_for() -> None:
    """Null at TI = T1 ln 2 for a long repetition time."""
    t1 = RELAXATION[Tissue.FAT].t1_ms
    values = signals(Protocol(1e6, 10.0, t1 * np.log(2.0), 1, contrast=False))
    assert values[Tissue.FAT] == pytest.approx(0.0, abs=1e-6)
    assert values[Tissue.CSF] > 0.5


def test_order_of_tissues_in_each_sequence() -> None:
    t1, t1c, t2, flair = (signals(PROTOCOLS[s]) for s in Sequence)
    assert t1[Tissue.FAT] > t1[Tissue.WHITE_MATTER] > t1[Tissue.GREY_MATTER] > t1[Tissue.CSF]
    assert t2[Tissue.CSF] > t2[Tissue.OEDEMA] > t2[Tissue.GREY_MATTER] > t2[Tissue.WHITE_MATTER]
    assert flair[Tissue.OEDEMA] > flair[Tissue.GREY_MATTER] > flair[Tissue.WHITE_MATTER] > 20 * flair[Tissue.CSF]
    assert t1c[Tissue.RIM] > t1c[Tissue.WHITE_MATTER] > t1[Tissue.RIM] > 0
    assert t1c[Tissue.WHITE_MATTER] == pytest.approx(t1[Tissue.WHITE_MATTER])


def test_gadolinium_shortens_t1_by_its_relaxivity() -> None:
    """1/1250 ms + 4.1/(mmol/l s) x 0.5 mmol/l = 2.85/s, saturation recovery at 520 ms, transverse decay at 12 ms."""
    expected = 0.86 * (1 - np.exp(-0.520 * 2.85)) * np.exp(-12 / 125)
    assert signals(PROTOCOLS[Sequence.T1C])[Tissue.RIM] == pytest.approx(expected, rel=1e-5)
