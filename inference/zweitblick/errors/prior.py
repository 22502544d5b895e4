"""What goes wrong with an earlier reading that the present one is to be compared with."""

from zweitblick.errors.root import ZweitblickError


class PriorError(ZweitblickError):
    """An earlier reading cannot be used."""

    code = "prior"


class PriorDamagedError(PriorError):
    """Its findings or its segmentation are damaged, or none of ours."""

    code = "prior.damaged"


class PriorVersionError(PriorError):
    """Its findings have a form that this release does not know."""

    code = "prior.version"


class PriorMismatchError(PriorError):
    """Findings, segmentation and images are not of one study."""

    code = "prior.mismatched"


class PriorPartialError(PriorError):
    """Not all of its images are here."""

    code = "prior.partial"


class PriorPatientError(PriorError):
    """It may be another patient's."""

    code = "prior.other-patient"


class PriorOrderError(PriorError):
    """It is not earlier."""

    code = "prior.order"
