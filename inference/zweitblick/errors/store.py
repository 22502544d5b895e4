"""What goes wrong while something is kept or looked for."""

from zweitblick.errors.root import ZweitblickError


class StoreError(ZweitblickError):
    """Something cannot be kept or found; messages name studies and objects by the store's own random ids."""

    code = "store"


class StoreFullError(StoreError):
    """No room is left where objects or rows are written; nothing of what was refused is kept."""

    code = "store.full"


class StoreUnavailableError(StoreError):
    """The database or the folder of objects cannot be reached, or the store is closed; try again later."""

    code = "store.unavailable"


class StoreVersionError(StoreError):
    """The database was brought to a version that this release does not know."""

    code = "store.version"


class StoreDamagedError(StoreError):
    """A file that a row names is gone or too short."""

    code = "store.damaged"


class StoreKeyError(StoreError):
    """A wrapped key is not where the store keeps them: the study was shredded, or the place is another store's."""

    code = "store.key-missing"


class UnknownStudyError(StoreError):
    """No such study is kept."""

    code = "store.study-unknown"


class UnknownRoundError(StoreError):
    """No such round of a study is kept."""

    code = "store.round-unknown"


class UnknownObjectError(StoreError):
    """No such object is kept."""

    code = "store.object-unknown"


class ResultChangedError(StoreError):
    """A result of the same name and other content was kept before."""

    code = "store.result-changed"


class EventError(StoreError):
    """An event cannot happen in the state that a study is in."""

    code = "store.event"


class ActorError(StoreError):
    """An event can happen, but not by this actor."""

    code = "store.actor"
