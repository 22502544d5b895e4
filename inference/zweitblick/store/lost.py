"""Lost: what says that a study, or an object of it, cannot be opened, so that a look at many passes over it.

That key holder or database are away is none of it, see `zweitblick.store.absence`.
"""

from zweitblick.errors import (
    KeyUnwrapError,
    SealBrokenError,
    SealVersionError,
    StoreDamagedError,
    StoreKeyError,
    UnknownKekError,
    UnknownObjectError,
    UnknownStudyError,
)

GONE = (UnknownStudyError, UnknownObjectError, StoreKeyError)
"""It was shredded: meanwhile, or before a backup of the data was restored, which brings rows back and no key."""
DAMAGED = (StoreDamagedError, SealVersionError, SealBrokenError, KeyUnwrapError, UnknownKekError)
"""Its bytes or its wrapped key are not what they were, or the key that wrapped it is not in the key holder."""
KEYLESS = (StoreKeyError, KeyUnwrapError, UnknownKekError)
"""Its key cannot be had, so that nothing of it can be sealed either."""
LOST = (*GONE, *DAMAGED)
