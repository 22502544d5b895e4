"""Relaxation of tissues and the signal that a pulse sequence makes of it."""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from zweitblick.study import Sequence
from zweitblick.volume import Float32

RELAXIVITY_PER_MM_S = 4.1
"""r1 of a macrocyclic gadolinium agent in plasma at 1.5 T (Rohrer 2005)."""


class Tissue(IntEnum):
    """What a voxel of the synthetic head is made of."""

    AIR = 0
    WHITE_MATTER = 1
    GREY_MATTER = 2
    CSF = 3
    OEDEMA = 4
    CORE = 5
    RIM = 6
    DURA = 7
    BONE = 8
    MARROW = 9
    FAT = 10
    MUSCLE = 11
    SKIN = 12
    VITREOUS = 13
    MUCOSA = 14
    VESSEL = 15
    CHOROID_PLEXUS = 16


@dataclass(frozen=True)
class Relaxation:
    """Relaxation times in ms, proton density relative to water, gadolinium some minutes after injection in mmol/l."""

    t1_ms: float
    t2_ms: float
    proton_density: float
    gadolinium_mmol_l: float = 0.0


RELAXATION = {
    Tissue.AIR: Relaxation(1000.0, 100.0, 0.0),
    Tissue.WHITE_MATTER: Relaxation(560.0, 78.0, 0.75),
    Tissue.GREY_MATTER: Relaxation(920.0, 88.0, 0.80),
    Tissue.CSF: Relaxation(4000.0, 900.0, 1.0),
    Tissue.OEDEMA: Relaxation(1150.0, 130.0, 0.86),
    Tissue.CORE: Relaxation(2000.0, 260.0, 0.95, 0.02),
    Tissue.RIM: Relaxation(1250.0, 125.0, 0.86, 0.5),
    Tissue.DURA: Relaxation(900.0, 50.0, 0.45, 0.4),
    Tissue.BONE: Relaxation(600.0, 20.0, 0.06),
    Tissue.MARROW: Relaxation(380.0, 60.0, 0.55, 0.05),
    Tissue.FAT: Relaxation(280.0, 85.0, 0.95),
    Tissue.MUSCLE: Relaxation(900.0, 47.0, 0.85, 0.1),
    Tissue.SKIN: Relaxation(800.0, 45.0, 0.7, 0.15),
    Tissue.VITREOUS: Relaxation(3800.0, 900.0, 1.0),
    Tissue.MUCOSA: Relaxation(1000.0, 120.0, 0.88, 0.45),
    Tissue.VESSEL: Relaxation(1400.0, 60.0, 0.2, 0.9),
    Tissue.CHOROID_PLEXUS: Relaxation(1300.0, 110.0, 0.85, 0.5),
}
"""At 1.5 T. Healthy tissue near BrainWeb's table (Collins 1998) and Stanisz 2005, tumour and oedema within the ranges
of Just and Thelen 1988; vessels have a low proton density in place of the flow void of spin echoes."""

FLOW_VOID_FILLED = 0.75
"""Apparent proton density of vessels after contrast, when T1 shortening outweighs the flow void."""


@dataclass(frozen=True)
class Protocol:
    """Timing of one of the four sequences; inversion time None for a plain spin echo.

    Times in ms, ``echo_train`` 1 for a conventional spin echo.
    """

    repetition_ms: float
    echo_ms: float
    inversion_ms: float | None
    echo_train: int
    contrast: bool


PROTOCOLS = {
    Sequence.T1: Protocol(520.0, 12.0, None, 1, contrast=False),
    Sequence.T1C: Protocol(520.0, 12.0, None, 1, contrast=True),
    Sequence.T2: Protocol(4600.0, 98.0, None, 15, contrast=False),
    Sequence.FLAIR: Protocol(9000.0, 120.0, 2370.0, 16, contrast=False),
}
"""A 1.5 T tumour protocol within the ranges of the consensus protocol (Ellingson 2015)."""


def signals(protocol: Protocol) -> Float32:
    """Signal of every tissue under a protocol, ``(len(Tissue),)`` float32, indexed by `Tissue`."""
    return np.array([_signal(tissue, protocol) for tissue in Tissue], np.float32)


def _signal(tissue: Tissue, protocol: Protocol) -> float:
    """Spin-echo or inversion-recovery magnitude (Bernstein, King and Zhou 2004, sections 14.2 and 14.3).

    ``PD (1 - exp(-TR/T1)) exp(-TE/T2)``, after an inversion ``PD |1 - 2 exp(-TI/T1) + exp(-TR/T1)| exp(-TE/T2)``.
    """
    own = RELAXATION[tissue]
    t1_ms, density = _with_contrast(tissue) if protocol.contrast else (own.t1_ms, own.proton_density)
    recovery = 1.0 - np.exp(-protocol.repetition_ms / t1_ms)
    if protocol.inversion_ms is not None:
        recovery += 2.0 * (np.exp(-protocol.repetition_ms / t1_ms) - np.exp(-protocol.inversion_ms / t1_ms))
    return float(density * abs(recovery) * np.exp(-protocol.echo_ms / own.t2_ms))


def _with_contrast(tissue: Tissue) -> tuple[float, float]:
    """T1 in ms after ``1/T1 = 1/T1(0) + r1 c``, and the apparent proton density."""
    own = RELAXATION[tissue]
    rate_per_s = 1000.0 / own.t1_ms + RELAXIVITY_PER_MM_S * own.gadolinium_mmol_l
    return 1000.0 / rate_per_s, FLOW_VOID_FILLED if tissue is Tissue.VESSEL else own.proton_density
