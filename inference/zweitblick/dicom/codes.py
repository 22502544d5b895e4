"""Codes that zweitblick writes, each with its coding scheme (PS3.16 Annex D, SNOMED CT, NCI Thesaurus, UCUM).

They are pydicom's immutable codes: highdicom's own are data sets, and one object would be shared by all who use it.
"""

from dataclasses import dataclass

from highdicom.coding_schemes import CodingSchemeIdentificationItem
from pydicom.dataset import Dataset
from pydicom.sr.coding import Code

from zweitblick.findings import Side
from zweitblick.overlay import LABEL_NAMES
from zweitblick.prediction import CORE, ENHANCING, OEDEMA, Region

ABNORMAL_STRUCTURE = Code("49755003", "SCT", "Morphologically Abnormal Structure")
"""Segmentation property category (CID 7150)."""
LESION = Code("52988006", "SCT", "Lesion")
NEOPLASM = Code("108369006", "SCT", "Neoplasm")
OEDEMA_TYPE = Code("79654002", "SCT", "Edema")
ENHANCING_LESION = Code("C113842", "NCIt", "Enhancing Lesion")
NON_ENHANCING_LESION = Code("C81175", "NCIt", "Non-Enhancing Lesion")
"""Segmentation property types (CID 7151 and 7159)."""

TITLE = Code("126000", "DCM", "Imaging Measurement Report")
DEVICE = Code("121007", "DCM", "Device")
BRAIN = Code("12738006", "SCT", "Brain")
IMAGING_STUDY = Code("18748-4", "LN", "Diagnostic imaging study")
MR_OF_BRAIN = Code("816077007", "SCT", "Magnetic resonance imaging of brain")
ARTIFICIAL_INTELLIGENCE = Code("123110", "DCM", "Artificial Intelligence")

BASIC_CONFIDENTIALITY = Code("113100", "DCM", "Basic Application Confidentiality Profile")
"""De-identification Method (CID 7050)."""

VOLUME = Code("118565006", "SCT", "Volume")
LONG_AXIS = Code("103339001", "SCT", "Long axis")
SHORT_AXIS = Code("103340004", "SCT", "Short axis")
DIAMETER = Code("81827009", "SCT", "Diameter")
MAXIMUM = Code("56851009", "SCT", "Maximum")
FINDING = Code("121071", "DCM", "Finding")
COMMENT = Code("121106", "DCM", "Comment")
QUALITATIVE_EVALUATIONS = Code("C0034375", "UMLS", "Qualitative Evaluations")

PRIVATE_SCHEME = "99ZWEITBLICK"
AXES_PRODUCT = Code("axes-product", PRIVATE_SCHEME, "Product of long axis and short axis")
AXES_PRODUCT_SUM = Code("axes-product-sum", PRIVATE_SCHEME, "Sum of products of long axis and short axis")
MIDLINE_DISTANCE = Code("midline-distance", PRIVATE_SCHEME, "Distance of centre to midsagittal plane")
MEAN_PROBABILITY = Code("mean-probability", PRIVATE_SCHEME, "Mean probability of whole tumour")
"""Measurements for which no public scheme has a code: RANO's product and its sum, distance to the midline."""

MILLILITRE = Code("ml", "UCUM", "milliliter")
MILLIMETRE = Code("mm", "UCUM", "millimeter")
SQUARE_MILLIMETRE = Code("mm2", "UCUM", "square millimeter")
NO_UNITS = Code("1", "UCUM", "no units")
"""UCUM writes the litre as l and L; PS3.16 uses the lower case throughout (``ml/min`` in CID 7181)."""

SIDE = {
    Side.LEFT: Code("7771000", "SCT", "Left"),
    Side.RIGHT: Code("24028007", "SCT", "Right"),
    Side.MIDLINE: Code("261129000", "SCT", "Midline"),
}
"""Side of the patient (CID 244; the midline is of CID 5)."""

REGION_FINDING = {Region.ET: ENHANCING_LESION, Region.TC: NEOPLASM, Region.WT: LESION}
"""What a measurement group of a region is about: the whole may hold oedema, so it is a lesion, not all neoplasm."""


@dataclass(frozen=True)
class SegmentCode:
    """How a label of the label map is written as a segment.

    Parameters
    ----------
    label
        Its Segment Label.
    kind
        Segmented Property Type, SNOMED CT.
    modifier
        Segmented Property Type Modifier; None where the type says it all.
    """

    label: str
    kind: Code
    modifier: Code | None


SEGMENT_CODES = {
    CORE: SegmentCode(LABEL_NAMES[CORE], NEOPLASM, NON_ENHANCING_LESION),
    OEDEMA: SegmentCode(LABEL_NAMES[OEDEMA], OEDEMA_TYPE, None),
    ENHANCING: SegmentCode(LABEL_NAMES[ENHANCING], NEOPLASM, ENHANCING_LESION),
}
"""Not *Necrosis* for the core: in a glioma without contrast uptake the core is living, non-enhancing tumour."""


SEGMENT_FINDING = {CORE: NON_ENHANCING_LESION, OEDEMA: OEDEMA_TYPE, ENHANCING: ENHANCING_LESION}
"""What a measurement group of a segment is about, in one code."""


def private_scheme() -> CodingSchemeIdentificationItem:
    """Coding Scheme Identification of `PRIVATE_SCHEME` (PS3.3 C.12.1.1)."""
    return CodingSchemeIdentificationItem(
        designator=PRIVATE_SCHEME, name="zweitblick measurements", responsible_organization="The zweitblick authors"
    )


def item(code: Code) -> Dataset:
    """Code as an item of a code sequence (PS3.3 Table 8.8-1)."""
    dataset = Dataset()
    dataset.CodeValue, dataset.CodingSchemeDesignator, dataset.CodeMeaning = (
        code.value,
        code.scheme_designator,
        code.meaning,
    )
    return dataset
