"""Where the store lies that the settings name."""

from zweitblick.settings import Settings
from zweitblick.store.places import StorePlaces


def store_places(settings: Settings) -> StorePlaces:
    """Return the places of the store; folders on SQLite are made.

    Raises
    ------
    StoreUnavailableError
        If they cannot be.
    """
    if settings.database is None or settings.keys_database is None:
        return StorePlaces.within(settings.data)
    return StorePlaces(settings.database, settings.keys_database, settings.data / "data" / "objects")
