"""What is wrong with what a peer reports of storage commitment."""

from zweitblick.errors.root import ZweitblickError


class CommitmentError(ZweitblickError):
    """A storage commitment report is refused; of what it says otherwise only `DamagedInstanceError` is told."""

    code = "commitment"


class CommitmentInstanceError(CommitmentError):
    """It is not of the well-known SOP instance (PS3.4 section J.3.5)."""

    code = "commitment.instance"


class CommitmentEventError(CommitmentError):
    """Its event type is none of PS3.4 table J.3-2."""

    code = "commitment.event"
