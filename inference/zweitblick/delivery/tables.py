"""Routes from the settings' tables of destinations; each fault is told by its key."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from zweitblick.delivery.route import DICOM_RESULTS, Route
from zweitblick.delivery.seal import Form, Seal, Signing
from zweitblick.peers.destination import (
    Destination,
    FhirDestination,
    FolderDestination,
    JweDestination,
    StoreDestination,
    StowDestination,
    Trust,
)
from zweitblick.store.results import FHIR_BUNDLE

Reader = Callable[[object], Any]
"""Returns a value, or raises ValueError that says what to give."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,31}")
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?|[0-9A-Fa-f:.]+")
_CODE = re.compile(r"[A-Z0-9_ ]{1,16}")
"""A code string (PS3.5 section 6.2)."""
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_ENCRYPTED_RESULTS = ("sr",)
"""What can have encrypted attributes: see `zweitblick.dicom.encrypted.encrypted_instance`."""
_DICOM_FORMS = (Form.ENCRYPTED_ATTRIBUTES, Form.SEALED_FILE)
"""A FHIR bundle has the one that is left."""


class Readers(NamedTuple):
    """How the settings read what is not special to destinations."""

    path: Reader
    port: Reader
    title: Reader
    titles: Reader
    url: Reader


def routes(tables: object, faults: list[str], readers: Readers, *, signing: Signing | None = None) -> tuple[Route, ...]:
    """Read tables of destinations; one with a fault is left out, and the fault noted.

    Parameters
    ----------
    tables
        As TOML has them.
    faults
        To which faults are added.
    readers
        For paths, ports, AE titles and URLs.
    signing
        Signs what is sealed; None if the settings have none, and nothing may be sealed.
    """
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        faults.append("destinations: give each as a table [[destinations]]")
        return ()
    found: dict[str, Route] = {}
    for number, table in enumerate(tables, start=1):
        name = table.get("name")
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            faults.append(f"destinations.{number}.name: give 1 to 32 letters, digits, dots, dashes or underscores")
        elif name in found:
            faults.append(f"destinations.{name}.name: there are two of this name; give each its own")
        elif (route := _route(table, faults, readers, signing)) is not None:
            found[name] = route
    return tuple(found.values())


def _route(table: Mapping[str, Any], faults: list[str], readers: Readers, signing: Signing | None) -> Route | None:
    known = _readers(table, readers)
    values: dict[str, Any] = {}
    wrong = []
    for key, raw in table.items():
        if key not in known:
            wrong.append(f"{key} is no setting of such a destination; known: {', '.join(known)}")
            continue
        try:
            values[key] = known[key](raw)
        except ValueError as error:
            wrong.append(f"{key}: {error}")
    wrong += _unfit(table)
    seal = _seal(values, signing, wrong)
    faults += [f"destinations.{table['name']}.{fault}" for fault in wrong]
    return None if wrong else _composed(values, seal)


def _readers(table: Mapping[str, Any], readers: Readers) -> dict[str, Reader]:
    """Return how the keys are read that a table of its kind has."""
    common: dict[str, Reader] = {
        "name": str,
        "inside": _truth,
        "recipients": lambda raw: _paths(raw, readers.path),
        "senders": readers.titles,
        "modalities": _codes,
        "body_parts": _codes,
    }
    dicom: dict[str, Reader] = {"form": _form, "results": _results}
    if "folder" in table:
        return common | dicom | {"folder": readers.path}
    common |= {"ca": readers.path, "certificate": readers.path, "key": readers.path}
    secrets = {"token_file": readers.path, "password_file": readers.path}
    if "fhir" in table:
        return common | secrets | {"fhir": readers.url}
    common |= dicom | {"inputs": _truth, "priors": _truth}
    if "url" in table:
        return common | secrets | {"url": readers.url}
    return common | {
        "host": _host,
        "port": readers.port,
        "called_ae_title": readers.title,
        "calling_ae_title": readers.title,
        "tls": _truth,
        "storage_commitment": _truth,
    }


def _unfit(table: Mapping[str, Any]) -> list[str]:
    """Faults of values together."""
    faults = []
    if not {"url", "fhir", "folder"} & table.keys():
        needed = ("host", "port", "called_ae_title")
        faults += [f"{key} must be set, or url for STOW-RS, or fhir, or folder" for key in needed if key not in table]
        if table.get("port") == 0:
            faults.append("port: 0 is nobody's; give 1 to 65535")
    if ("certificate" in table) != ("key" in table):
        faults.append("certificate and key go together; set both or none")
    if not _has_tls(table):
        faults += [f"{key} needs TLS; set tls, or https" for key in ("ca", "certificate") if key in table]
        secrets = [key for key in ("token_file", "password_file") if key in table]
        if urlsplit(_url(table)).hostname not in _LOOPBACK:
            faults += [f"{key} would be sent in clear; use https" for key in secrets]
    if table.get("results") == [] and True not in (table.get("priors"), table.get("inputs")):
        faults.append("results: nothing would go there or come from there; name some, or set priors or inputs")
    if "token_file" in table and "password_file" in table:
        faults.append("password_file: set this or token_file, not both")
    return faults


def _seal(values: Mapping[str, Any], signing: Signing | None, wrong: list[str]) -> Seal | None:
    """Return how results are sealed, None for a destination inside; where there is a fault, note it and return None."""
    if values.get("inside"):
        unused = [key for key in ("form", "recipients") if key in values]
        wrong += [f"{key} is for destinations outside, and inside is true; leave one of them out" for key in unused]
        return None
    form = values.get("form") or _usual_form(values)
    wrong += _unfit_form(form, values)
    if "recipients" not in values:
        wrong.append(
            "recipients must be set, since what leaves the hospital is sealed: files with certificates of those who "
            "may open it; or inside = true"
        )
        return None
    if signing is None:
        wrong.append("recipients: what is sealed is signed too; set sealing.certificate, and sealing.key or hsm_key")
        return None
    return Seal(form, values["recipients"], signing)


def _usual_form(values: Mapping[str, Any]) -> Form:
    if "fhir" in values:
        return Form.JWE
    return Form.SEALED_FILE if "folder" in values else Form.ENCRYPTED_ATTRIBUTES


def _unfit_form(form: Form, values: Mapping[str, Any]) -> list[str]:
    if form is Form.SEALED_FILE:
        return [] if "folder" in values else [f"form: a {form} is no DICOM object; give a folder for it"]
    others = [one for one in values.get("results", ()) if one not in _ENCRYPTED_RESULTS]
    return [
        f"results: {one} cannot have {form}; leave it out, or give a folder for a {Form.SEALED_FILE}" for one in others
    ]


def _has_tls(table: Mapping[str, Any]) -> bool:
    return table.get("tls") is True or _url(table).startswith("https:")


def _url(table: Mapping[str, Any]) -> str:
    """Return the URL of a server, whatever it is asked for; that of no server if there is none."""
    return str(table.get("url", table.get("fhir")))


def _composed(values: Mapping[str, Any], seal: Seal | None) -> Route:
    conditions = _picked(values, "results", "senders", "modalities", "body_parts", "priors", "inputs")
    if seal is not None and seal.form is Form.ENCRYPTED_ATTRIBUTES:
        conditions["results"] = _ENCRYPTED_RESULTS
    if "fhir" in values:
        conditions["results"] = (FHIR_BUNDLE,)
    return Route(_destination(values), seal=seal, **conditions)


def _destination(values: Mapping[str, Any]) -> Destination:
    if "folder" in values:
        return FolderDestination(**_picked(values, "name", "folder"))
    trust = Trust(values.get("ca"), values.get("certificate"), values.get("key"))
    web = _picked(values, "name", "token_file", "password_file") | {"trust": trust}
    if "fhir" in values and values.get("inside"):
        return FhirDestination(url=values["fhir"], **web)
    if "fhir" in values:
        return JweDestination(url=values["fhir"], **web)
    if "url" in values:
        return StowDestination(url=values["url"], **web)
    where = _picked(values, "name", "host", "port", "called_ae_title", "calling_ae_title", "storage_commitment")
    return StoreDestination(trust=trust if values.get("tls") else None, **where)


def _picked(values: Mapping[str, Any], *keys: str) -> dict[str, Any]:
    return {key: values[key] for key in keys if key in values}


def _host(raw: object) -> str:
    if not isinstance(raw, str) or not _HOST.fullmatch(raw):
        raise ValueError(f"{raw!r} is no name or IP address of a host")
    return raw


def _truth(raw: object) -> bool:
    if not isinstance(raw, bool):
        raise ValueError(f"{raw!r} is neither true nor false")  # noqa: TRY004 -- one error for all faults
    return raw


def _form(raw: object) -> Form:
    if raw not in _DICOM_FORMS:
        raise ValueError(f"{raw!r} is no form; give {' or '.join(_DICOM_FORMS)}")
    return Form(str(raw))


def _paths(raw: object, path: Reader) -> tuple[Path, ...]:
    if not isinstance(raw, list) or not raw:
        raise ValueError(f"{raw!r} is no list of files")
    return tuple(path(one) for one in raw)


def _results(raw: object) -> tuple[str, ...]:
    if not isinstance(raw, list) or any(one not in DICOM_RESULTS for one in raw):
        raise ValueError(f"{raw!r} is no list of results; known: {', '.join(DICOM_RESULTS)}")
    return tuple(name for name in DICOM_RESULTS if name in raw)


def _codes(raw: object) -> frozenset[str]:
    if not isinstance(raw, list) or not all(isinstance(one, str) and _CODE.fullmatch(one) for one in raw):
        raise ValueError(f"{raw!r} is no list of codes such as MR or BRAIN, of at most 16 capitals each")
    return frozenset(raw)
