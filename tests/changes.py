"""Changes as a follow-up may find them, for the reports."""

from dataclasses import replace

import numpy as np

from readings import lesion
from zweitblick.change import (
    Category,
    Change,
    Fate,
    LesionChange,
    Matching,
    NoProposal,
    Proposal,
    Unmatched,
    VolumeChange,
)
from zweitblick.prediction import Region
from zweitblick.reading import Reading
from zweitblick.study import Sequence

EARLIER_UID = "1.2.826.0.1.3680043.8.498.2001"

PROPOSAL = Proposal(
    Category.PROGRESSION, "the sum of products is at least 25 % over the nadir (Wen 2010)", 1, 400.0, 250.0, 375.0
)
UNMATCHED = Unmatched("the earlier images are not at hand")


def changed(reading: Reading, *, proposal: Proposal | NoProposal = PROPOSAL, matched: bool = True) -> Reading:
    """The phantom's lesion has grown from half its volume, one is new, one has vanished."""
    first = reading.findings.lesions[0] if reading.findings.lesions else lesion(1, enhancing=True)
    half = replace(first, volume_ml={region: volume / 2 for region, volume in first.volume_ml.items()})
    gone = replace(lesion(2, enhancing=False), number=2)
    lesions = (
        LesionChange(Fate.MATCHED, (half,), (first,)),
        LesionChange(Fate.NEW, (), (replace(first, number=2),)),
        LesionChange(Fate.VANISHED, (gone,), ()),
    )
    move = np.eye(4)
    move[:3, 3] = (3.5, -2.0, 1e-9)
    change = Change(
        EARLIER_UID,
        (87,),
        {region: VolumeChange(half.volume_ml[region], first.volume_ml[region]) for region in Region},
        Matching(Sequence.FLAIR, move, 4.25, lesions) if matched else UNMATCHED,
        proposal,
    )
    return replace(reading, change=change)
