"""What goes wrong with what modalities tell of their work (Modality Performed Procedure Steps)."""

from zweitblick.errors.root import ZweitblickError


class ProcedureStepError(ZweitblickError):
    """What a modality tells of a procedure step is refused; messages name attributes, and tell nothing of a patient."""

    code = "step"


class StepUidError(ProcedureStepError):
    """The SOP Instance UID that a procedure step is to have is absent or no UID."""

    code = "step.uid"


class StepAttributeError(ProcedureStepError):
    """An attribute that a procedure step must have (PS3.4 Table F.7.2-1) is absent or empty."""

    code = "step.attribute"


class StepValueError(ProcedureStepError):
    """An attribute of a procedure step has a value that it may not have (PS3.4 Table F.7.2-1)."""

    code = "step.value"


class StepExistsError(ProcedureStepError):
    """A procedure step of this UID is known already."""

    code = "step.exists"


class UnknownStepError(ProcedureStepError):
    """No procedure step of this UID is known."""

    code = "step.unknown"


class StepEndedError(ProcedureStepError):
    """A procedure step that is completed or discontinued cannot be changed (PS3.4 section F.7.2.2.3)."""

    code = "step.ended"
