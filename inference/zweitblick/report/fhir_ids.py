"""Resources of a bundle under ids of a server: as it gives them out, and as a transaction that puts them there."""

from collections.abc import Sequence
from typing import Any

from zweitblick.report.fhir_parts import Resource

_UUID = "urn:uuid:"


def with_ids(bundle: Resource, ids: Sequence[str]) -> list[Resource]:
    """Give a bundle's resources ids, and rewrite their references to each other so that the server follows them.

    Parameters
    ----------
    bundle
        As `zweitblick.report.fhir.fhir_bundle` writes it.
    ids
        One for each entry.
    """
    entries = bundle["entry"]
    places = {
        entry["fullUrl"]: f"{entry['resource']['resourceType']}/{resource_id}"
        for entry, resource_id in zip(entries, ids, strict=True)
    }
    return [
        {"resourceType": entry["resource"]["resourceType"], "id": resource_id} | _followed(entry["resource"], places)
        for entry, resource_id in zip(entries, ids, strict=True)
    ]


def transaction(bundle: Resource, base: str) -> Resource:
    """Return a transaction that puts a bundle's resources on a server (FHIR R4 section 3.1.0.11).

    Each is an update as create (section 3.1.0.4.1) under the UUID that the bundle has for it. So a transaction that is
    repeated, whatever became of the first, puts the same resources in the same places; a conditional create makes
    others where the server's search index lags behind. Servers need not allow that clients choose ids.

    Parameters
    ----------
    bundle
        As `zweitblick.report.fhir.fhir_bundle` writes it.
    base
        URL of the server's base.
    """
    resources = with_ids(bundle, [entry["fullUrl"].removeprefix(_UUID) for entry in bundle["entry"]])
    return bundle | {"type": "transaction", "entry": [_update(one, base.rstrip("/")) for one in resources]}


def _update(resource: Resource, base: str) -> Resource:
    place = f"{resource['resourceType']}/{resource['id']}"
    return {"fullUrl": f"{base}/{place}", "resource": resource, "request": {"method": "PUT", "url": place}}


def _followed(node: Any, places: dict[str, str]) -> Any:
    """Rewrite references at every depth."""
    if isinstance(node, dict):
        return {
            key: places.get(value, value) if key == "reference" else _followed(value, places)
            for key, value in node.items()
        }
    return [_followed(one, places) for one in node] if isinstance(node, list) else node
