"""QIDO-RS (PS3.18 section 10.6): what is shown of studies, series and instances that match a query."""

from collections.abc import Iterable
from dataclasses import replace
from typing import NamedTuple

from zweitblick.catalogue.catalogue import Model
from zweitblick.catalogue.query import MODALITY, SERIES_UID, Query
from zweitblick.catalogue.search import COUNTED, OF_STUDIES, Search
from zweitblick.store.store import Store

STUDY_TAGS = (*OF_STUDIES, *COUNTED, "00080056")
SERIES_TAGS = (
    *("00080060", "00080201", "0008103E", "0020000E", "00200011", "00201209"),
    *("00400244", "00400245", "00400275"),
)
INSTANCE_TAGS = (
    *("00080016", "00080018", "00080056", "00080201", "00083002", "00200013"),
    *("00280008", "00280010", "00280011", "00280100"),
)
"""Attributes that are returned without being asked for (PS3.18 tables 10.6.3-3 to 10.6.3-5), and Study Description."""


class Page(NamedTuple):
    """What is returned of what matches.

    Parameters
    ----------
    models
        What is returned.
    has_more
        Whether more matches than this and what was passed over (PS3.18 section 8.3.4.4.1). How much more is not known:
        it would have to be looked into.
    """

    models: list[Model]
    has_more: bool


class Qido:
    """Answers searches.

    Parameters
    ----------
    store
        What is searched.
    root
        URL of the service.
    """

    def __init__(self, store: Store, root: str) -> None:
        self._search = Search(store)
        self._root = root

    def studies(self, query: Query) -> Page:
        """Return studies that match, the newest first unless they are searched for by identifiers."""
        asked = _one_more(query) if query.match else query
        models = [
            self._shown(one.attributes, STUDY_TAGS, query, f"studies/{one.uid}") for one in self._search.studies(asked)
        ]
        if query.match:
            return _page(models, query)
        return Page(models, self._search.has_more_studies(query))

    def series(self, query: Query, study_uid: str = "") -> Page:
        """Return series that match, of one study or of all.

        Raises
        ------
        UnknownStudyError
            If one study is asked for and not kept.
        """
        tags = (*OF_STUDIES, *COUNTED, *SERIES_TAGS)
        models = [
            self._shown(one.attributes, tags, query, f"studies/{one.study_uid}/series/{one.uid}")
            for one in self._search.series(_one_more(query), study_uid)
        ]
        return _page(models, query)

    def instances(self, query: Query, study_uid: str = "", series_uid: str = "") -> Page:
        """Return instances that match, of one series, one study or of all.

        Raises
        ------
        UnknownStudyError
            If one study is asked for and not kept.
        """
        tags = (*OF_STUDIES, *COUNTED, SERIES_UID, MODALITY, *INSTANCE_TAGS)
        models = [
            self._shown(one.attributes, tags, query, one.entry.path)
            for one in self._search.instances(_one_more(query), study_uid, series_uid)
        ]
        return _page(models, query)

    def _shown(self, attributes: Model, tags: Iterable[str], query: Query, path: str) -> Model:
        """Return what is asked for of what is known, in the order of tags, and where it can be retrieved."""
        wanted = None if query.include is None else {*tags, *query.include}
        shown = {tag: value for tag, value in attributes.items() if wanted is None or tag in wanted}
        url = {"vr": "UR", "Value": [f"{self._root}/{path}"]}
        return dict(sorted((shown | {"00081190": url}).items()))


def _one_more(query: Query) -> Query:
    return replace(query, limit=query.limit + 1)


def _page(models: list[Model], query: Query) -> Page:
    return Page(models[: query.limit], len(models) > query.limit)
