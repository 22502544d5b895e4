"""QIDO-RS and WADO-RS as a user agent (PS3.18 sections 10.6 and 10.4): studies of a patient, and their series."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from zweitblick.errors import PeerAnswerError
from zweitblick.peers.archive import RemoteSeries, RemoteStudy, check_count, checked_uid
from zweitblick.peers.association import PATIENCE, Patience
from zweitblick.peers.destination import StowDestination
from zweitblick.peers.http import JSON, authorization, client, errors, read_answer, refused, values

_FILES = 'multipart/related; type="application/dicom"; transfer-syntax=*'
"""In whatever transfer syntax the archive keeps them (PS3.18 section 8.7.3.5.2)."""

_STUDY_UID, _SERIES_UID = "0020000D", "0020000E"
_DATE, _TIME, _MODALITIES = "00080020", "00080030", "00080061"
_PATIENT_ID, _BIRTH_DATE, _SEX = "00100020", "00100030", "00100040"
_MODALITY, _BODY_PART, _INSTANCES = "00080060", "00180015", "00201209"
_OK, _NOTHING = 200, 204


class WebArchive:
    """An archive that is asked over HTTP.

    Parameters
    ----------
    destination
        Where.
    patience
        How long it may take to answer, and between two pieces of an answer.
    """

    def __init__(self, destination: StowDestination, *, patience: Patience = PATIENCE) -> None:
        self._destination = destination
        self._patience = patience

    def studies(self, patient_id: str, *, until: str) -> list[RemoteStudy]:
        """Ask for the MR studies of a patient up to a day.

        Parameters
        ----------
        patient_id
            The exact Patient ID.
        until
            Day, as YYYYMMDD.

        Raises
        ------
        PeerError
            If there is no answer that can be used.
        """
        fields = ",".join((_TIME, _MODALITIES, _BIRTH_DATE, _SEX))
        keys = {"PatientID": patient_id, "ModalitiesInStudy": "MR", "StudyDate": f"-{until}", "includefield": fields}
        return [
            RemoteStudy(
                uid=checked_uid(_text(one, _STUDY_UID), name=self._destination.name),
                patient_id=_text(one, _PATIENT_ID),
                birth_date=_text(one, _BIRTH_DATE),
                sex=_text(one, _SEX),
                date=_text(one, _DATE),
                time=_text(one, _TIME),
                modalities=frozenset(map(str, values(one, _MODALITIES))),
            )
            for one in self._found("studies", keys)
        ]

    def series(self, study_uid: str) -> list[RemoteSeries]:
        """Ask for the series of a study.

        Raises
        ------
        PeerError
            If there is no answer that can be used.
        """
        fields = ",".join((_BODY_PART, _INSTANCES))
        return [
            RemoteSeries(
                uid=checked_uid(_text(one, _SERIES_UID), name=self._destination.name),
                modality=_text(one, _MODALITY),
                body_part=_text(one, _BODY_PART),
                instances=int(count) if (count := _text(one, _INSTANCES)).isdecimal() else 0,
            )
            for one in self._found(f"studies/{study_uid}/series", {"includefield": fields})
        ]

    @contextmanager
    def retrieved(self, path: str) -> Iterator[tuple[str, Iterator[bytes]]]:
        """Retrieve what lies at a path below the root, as DICOM files.

        Parameters
        ----------
        path
            As in ``studies/1.2/series/1.2.3``.

        Yields
        ------
        tuple
            Content-Type, and the body in pieces.

        Raises
        ------
        PeerError
            If there is no such answer; in the block, too.
        """
        headers = {"Accept": _FILES, "Accept-Encoding": "identity", **authorization(self._destination)}
        with (
            errors(self._destination.where),
            client(self._destination, self._patience) as web,
            web.stream("GET", self._destination.address(path), headers=headers) as response,
        ):
            if response.status_code != _OK:
                raise refused(response.status_code, name=self._destination.name)
            yield response.headers.get("content-type", ""), response.iter_bytes()

    def _found(self, path: str, keys: dict[str, str]) -> list[dict[str, Any]]:
        headers = {"Accept": JSON, **authorization(self._destination)}
        with (
            errors(self._destination.where),
            client(self._destination, self._patience) as web,
            web.stream("GET", self._destination.address(path), params=keys, headers=headers) as response,
        ):
            if response.status_code == _NOTHING:
                return []
            if response.status_code != _OK:
                raise refused(response.status_code, name=self._destination.name)
            found = _parsed(read_answer(response, self._destination.where), self._destination.name)
        check_count(len(found), name=self._destination.name)
        return found


def _parsed(content: bytes, name: str) -> list[dict[str, Any]]:
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise PeerAnswerError(f"{name} gave an answer to a search that is no list in DICOM JSON; see to it")
    return found


def _text(item: dict[str, Any], tag: str) -> str:
    """Return the first value of an attribute as text; empty if there is none."""
    return next((str(value).strip(" \0") for value in values(item, tag) if value is not None), "")
