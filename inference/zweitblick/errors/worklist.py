"""What goes wrong with work items (Unified Procedure Steps)."""

from zweitblick.errors.root import ZweitblickError


class WorkitemError(ZweitblickError):
    """A request about a work item is refused; messages name attributes by keyword, and tell nothing of a patient."""

    code = "workitem"


class WorkitemContentError(WorkitemError):
    """A work item, or a change of one, is not as PS3.4 Table CC.2.5-3 asks, or as this service can take it."""

    code = "workitem.content"


class WorkitemQueryError(WorkitemError):
    """A search asks for something that is not searched for."""

    code = "workitem.query"


class UnknownWorkitemError(WorkitemError):
    """No such work item is kept, or no such subscription."""

    code = "workitem.unknown"


class WorkitemExistsError(WorkitemError):
    """A work item of this UID is kept already."""

    code = "workitem.exists"


class WorkitemStateError(WorkitemError):
    """What is asked cannot happen in the state that the work item is in (PS3.4 Table CC.1.1-2)."""

    code = "workitem.state"


class TransactionError(WorkitemError):
    """The Transaction UID is not that of whoever has claimed the work item."""

    code = "workitem.transaction"
