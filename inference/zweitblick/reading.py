"""Reading: one study read once; everything that a report may say comes from here."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from zweitblick.change import Change
from zweitblick.findings import Findings
from zweitblick.prediction import Prediction
from zweitblick.study import Sequence, Study
from zweitblick.volume import Float64, Volume

RESEARCH_USE = "Research use only, not a medical device, not for diagnosis."
POPULATION = "adult glioma before treatment"
"""What the model was trained on; every report says so."""

UID_ROOT = "2.25.298649289080942495299109555870077124952"
"""Of every object that zweitblick makes, by which it knows them again; drawn once by UUID (PS3.5 section B.2)."""


@dataclass(frozen=True)
class Choice:
    """The series chosen for a sequence and why.

    Parameters
    ----------
    series_uid, series_number
        The chosen series.
    reasons
        Human-readable votes, strongest first; they hold no free text from the header.
    passed_over
        Other candidates by Series Number, each with the reason why it lost.
    volume_keys
        Which volume of the series, where it holds several (echoes): every ``Frame.volume_key`` of the chosen frames.
    """

    series_uid: str = field(repr=False)
    series_number: int | None
    reasons: tuple[str, ...]
    passed_over: Mapping[str, str] = field(default_factory=dict)
    volume_keys: frozenset[tuple[str, ...]] = frozenset()


@dataclass(frozen=True, eq=False)
class Alignment:
    """How a series was brought onto the reference.

    Parameters
    ----------
    moving_from_reference_lps
        ``(4, 4)`` rigid map from the reference's LPS mm to the series' own.
    method
        ``identity`` (the reference itself), ``header`` (same frame of reference, checked) or ``rigid`` (registered).
    motion_mm
        Largest displacement of a brain point.
    """

    moving_from_reference_lps: Float64
    method: str
    motion_mm: float


@dataclass(frozen=True)
class ModelIdentity:
    """Which released bundle was used.

    Parameters
    ----------
    name, version, digest
        Bundle name, its version and the SHA-256 of its network file, hex.
    """

    name: str
    version: str
    digest: str


@dataclass(frozen=True)
class Notice:
    """Something that the reader of a report must know.

    Parameters
    ----------
    code
        Stable, e.g. ``missing-sequence``, ``outside-scope``, ``thick-slices``.
    text
        One sentence without patient data.
    """

    code: str
    text: str


@dataclass(frozen=True)
class Predecessor:
    """A document that was made of an earlier reading of the same study, and is superseded by that of this one.

    Parameters
    ----------
    series_uid, sop_class_uid, sop_instance_uid
        Of the instance.
    written_at
        Its content date and time, those of its reading, in the zone of the service.
    """

    series_uid: str = field(repr=False)
    sop_class_uid: str
    sop_instance_uid: str = field(repr=False)
    written_at: datetime


@dataclass(frozen=True)
class Stamp:
    """Everything that would otherwise come from clock or chance.

    Parameters
    ----------
    time
        Time of the reading, with its zone.
    seed
        For sampled registration metrics.
    """

    time: datetime
    seed: int = 0

    def uid(self, study_uid: str, name: str) -> str:
        """UID of an object of this reading: the same study, stamp and name give the same UID.

        `UID_ROOT` and 63 bits of a SHA-256, which just fit into 64 characters (PS3.5 section 9.1).
        """
        named = f"{study_uid}/{self.time.isoformat()}/{self.seed}/{name}"
        digest = hashlib.sha256(named.encode("utf-8", "surrogatepass")).digest()
        return f"{UID_ROOT}.{int.from_bytes(digest[:8], 'big') >> 1}"


def is_ours(uid: str) -> bool:
    """Whether a UID is of an object that zweitblick made, here or elsewhere."""
    return uid.startswith(f"{UID_ROOT}.")


@dataclass(frozen=True, eq=False)
class Reading:
    """A study, what was chosen from it, what the model saw and what was measured.

    Parameters
    ----------
    study
        As it came.
    choices
        Series taken for each sequence that was there.
    missing
        Sequences that were not there.
    reference
        Sequence whose series is the reference; SEG and secondary capture lie on its grid.
    reference_volume
        Its voxels as acquired, on its own grid.
    images
        The prepared sequences on the prediction's grid (normalised intensities, 0 outside the brain).
    alignments
        How each sequence came to the reference.
    prediction
        On the canonical 1 mm grid, in the reference's patient coordinates.
    findings
        Measured on the prediction.
    models
        The bundles used.
    notices
        What was missing, what is outside the model's scope, what may be unreliable.
    rejected
        Series that could not be a candidate, by Series Number, with the reason.
    stamp
        Time and seed.
    version
        Version of zweitblick.
    change
        Since an earlier reading; none where there is no such reading.
    predecessors
        Documents that those of this reading supersede, the newest first; none of a study that is read for the first
        time.
    """

    study: Study
    choices: Mapping[Sequence, Choice]
    missing: tuple[Sequence, ...]
    reference: Sequence
    reference_volume: Volume
    images: Mapping[Sequence, Volume]
    alignments: Mapping[Sequence, Alignment]
    prediction: Prediction
    findings: Findings
    models: tuple[ModelIdentity, ...]
    notices: tuple[Notice, ...]
    rejected: Mapping[str, str]
    stamp: Stamp
    version: str
    change: Change | None = None
    predecessors: tuple[Predecessor, ...] = ()

    def uid(self, name: str) -> str:
        """UID of one object of this reading; see `Stamp.uid`."""
        return self.stamp.uid(self.study.uid, name)

    def on_reference(self) -> Prediction:
        """Return the prediction resampled to the reference series' own grid."""
        return self.prediction.resampled(self.reference_volume.grid)
