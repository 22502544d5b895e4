"""Headers: what is asked of objects again and again, kept beside them, sealed, so that they need not be opened.

A header is made when it is first asked for. `docs/adr/0007-store.md` says what that costs.
"""

import logging
import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import BinaryIO

from sqlalchemy import delete, insert, select
from sqlalchemy.exc import IntegrityError

from zweitblick.store.objects import Objects
from zweitblick.store.rooms import Rooms
from zweitblick.store.schema import headers
from zweitblick.vault.envelope import opened, sealed

log = logging.getLogger(__name__)

VERSION = 1
"""Of what headers hold; a change of it has all of them made anew."""

AT_ONCE = 100
"""So many are read or written in one transaction."""

_LEVEL = 1
"""Headers in JSON shrink to a fifth in no time worth naming."""


class Headers:
    """Headers of objects; for several threads at once.

    Parameters
    ----------
    rooms
        Of the store.
    objects
        What headers are made of.
    """

    def __init__(self, rooms: Rooms, objects: Objects) -> None:
        self._database = rooms.database
        self._keyring = rooms.keyring
        self._objects = objects

    def of(self, study: str, ids: Sequence[str], make: Callable[[BinaryIO], bytes]) -> Iterator[bytes]:
        """Yield the headers of some objects of a study; see `zweitblick.store.store.Store.headers`."""
        for start in range(0, len(ids), AT_ONCE):
            some = ids[start : start + AT_ONCE]
            kept = self._kept(study, some)
            missing = [one for one in some if one not in kept]
            if missing:
                made = {one: self._made(one, make) for one in missing}
                self._keep(study, made)
                kept |= made
            yield from (kept[one] for one in some)

    def _kept(self, study: str, ids: Sequence[str]) -> dict[str, bytes]:
        query = select(headers.c.object, headers.c.header).where(
            headers.c.object.in_(ids), headers.c.version == VERSION
        )
        with self._database.reading() as transaction:
            rows = transaction.execute(query).all()
        key = self._keyring.key(study)
        return {
            row.object: zlib.decompress(opened(row.header, key, study=study, name=_name(row.object))) for row in rows
        }

    def _made(self, object_id: str, make: Callable[[BinaryIO], bytes]) -> bytes:
        with self._objects.open(object_id) as file:
            return make(file)

    def _keep(self, study: str, made: dict[str, bytes]) -> None:
        key = self._keyring.key(study)
        rows = [
            {
                "object": one,
                "version": VERSION,
                "header": sealed(zlib.compress(header, _LEVEL), key, study=study, name=_name(one)),
            }
            for one, header in made.items()
        ]
        try:
            with self._database.writing() as transaction:
                transaction.execute(delete(headers).where(headers.c.object.in_(made)))
                transaction.execute(insert(headers), rows)
        except IntegrityError:
            # another thread was faster, or the study is gone; the next who asks makes what is missing
            log.debug("%d headers were kept by another", len(rows))


def _name(object_id: str) -> str:
    return f"{object_id}/header"
