"""How the contrast of an image was made, from a classic or an enhanced MR header."""

from pydicom.dataset import Dataset

from zweitblick.dicom.frames import FrameHeader, image_type
from zweitblick.dicom.header import items, number, numbers, text, texts
from zweitblick.study import Physics

PHYSICS_KEYWORDS = (
    "RepetitionTime",
    "EchoTime",
    "InversionTime",
    "FlipAngle",
    "EchoTrainLength",
    "DiffusionBValue",
    "MagneticFieldStrength",
    "ScanningSequence",
    "SequenceVariant",
    "SequenceName",
    "PulseSequenceName",
    "ImageType",
    "ContrastBolusAgent",
    "ContrastBolusAgentSequence",
    "MRAcquisitionType",
    "EchoPulseSequence",
    "EchoPlanarPulseSequence",
    "InversionRecovery",
)
"""What `physics` reads of a data set, apart from functional groups and `VENDOR_B_VALUE_TAGS`."""

VENDOR_B_VALUE_TAGS = (0x00190010, 0x0019100C, 0x00430010, 0x00431039, 0x20010010, 0x20011003)
"""Private creators and b-values that Siemens, GE and Philips wrote before (0018,9087) was common."""

_VENDOR_B_VALUES = (
    ("SIEMENS MR HEADER", 0x00190010, 0x0019100C),
    ("GEMS_PARM_01", 0x00430010, 0x00431039),
    ("Philips Imaging DD 001", 0x20010010, 0x20011003),
)
_GE_B_VALUE_OFFSET = 1e9
"""GE adds a thousand millions to a b-value of several shells (seen in its data since software version DV25)."""

_SCANNING_SEQUENCE = {"SPIN": ("SE",), "GRADIENT": ("GR",), "BOTH": ("SE", "GR")}
"""Echo Pulse Sequence (0018,9008) of an enhanced image in terms of Scanning Sequence (0018,0020)."""


def physics(header: FrameHeader) -> Physics:
    """Physics of one frame (MR Image module, PS3.3 C.8.3.1; MR macros, C.8.13.5)."""
    image = header.image
    timing, modifier = "MRTimingAndRelatedParametersSequence", "MRModifierSequence"
    train = header.number(timing, "EchoTrainLength") or header.number(timing, "RFEchoTrainLength")
    return Physics(
        repetition_time_ms=header.number(timing, "RepetitionTime"),
        echo_time_ms=header.number("MREchoSequence", "EffectiveEchoTime") or number(image, "EchoTime"),
        inversion_time_ms=header.number(modifier, "InversionTimes") or header.number(modifier, "InversionTime"),
        flip_angle_deg=header.number(timing, "FlipAngle"),
        echo_train_length=None if train is None else int(train),
        b_value=_b_value(header),
        field_strength_t=number(image, "MagneticFieldStrength"),
        scanning_sequence=_scanning_sequence(header),
        sequence_variant=texts(image, "SequenceVariant"),
        sequence_name=text(image, "SequenceName") or text(image, "PulseSequenceName"),
        image_type=image_type(header),
        contrast_agent=_contrast_agent(image),
        acquisition_type=text(image, "MRAcquisitionType"),
    )


def _scanning_sequence(header: FrameHeader) -> tuple[str, ...]:
    """Return Scanning Sequence, or its words for what an enhanced header says (PS3.3 C.8.13.4)."""
    classic = texts(header.image, "ScanningSequence")
    if classic:
        return classic
    found = _SCANNING_SEQUENCE.get(text(header.image, "EchoPulseSequence"), ())
    if header.text("MRModifierSequence", "InversionRecovery") == "YES":
        found += ("IR",)
    if text(header.image, "EchoPlanarPulseSequence") == "YES":
        found += ("EP",)
    return found


def _contrast_agent(image: Dataset) -> str:
    agents = [text(agent, "CodeMeaning") for agent in items(image, "ContrastBolusAgentSequence")]
    return text(image, "ContrastBolusAgent") or ", ".join(filter(None, agents))


def _b_value(header: FrameHeader) -> float | None:
    standard = header.number("MRDiffusionSequence", "DiffusionBValue")
    return standard if standard is not None else _vendor_b_value(header.image)


def _vendor_b_value(image: Dataset) -> float | None:
    for creator, creator_tag, tag in _VENDOR_B_VALUES:
        if tag in image and creator_tag in image and text(image, creator_tag) == creator:
            found = numbers(image, tag)
            return found[0] % _GE_B_VALUE_OFFSET if found else None
    return None
