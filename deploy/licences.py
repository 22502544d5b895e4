"""Licence report of a CycloneDX bill of materials; an error where something may not be shipped.

    python deploy/licences.py sbom.cdx.json licences.md

Permissive licences, the MPL and the LGPL may: what has the LGPL is a package of its own, which anybody can replace.
GPL, AGPL, SSPL and whatever names no licence may not.
"""

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

BANNED = re.compile(r"\b(A?GPL|SSPL)|(?<!Lesser )(?<!Library )General Public License", re.IGNORECASE)
"""Of names and of identifiers of SPDX; the LGPL's own names hold these words too."""


LOOKED_UP = {"protobuf": "BSD-3-Clause"}
"""By name, what the licence file of a component says whose metadata name none that cyclonedx-bom knows."""


class Part(NamedTuple):
    """A component: its name, version, and licences as it declares them."""

    name: str
    version: str
    licences: tuple[str, ...]


def parts_of(sbom: dict[str, Any]) -> list[Part]:
    """Return the components of a bill of materials, by name."""
    components = sbom.get("components", [])
    found = [Part(one["name"], one.get("version", ""), tuple(_licences(one))) for one in components]
    return sorted(found, key=lambda part: part.name.lower())


def faults(parts: list[Part]) -> list[str]:
    """Return what may not be shipped, and why; of a choice (OR) one that may is enough."""
    found = [f"{part.name}: no licence is declared" for part in parts if not part.licences]
    return found + [
        f"{part.name}: {licence}"
        for part in parts
        for licence in part.licences
        if all(BANNED.search(choice) for choice in re.split(r"\bOR\b", licence))
    ]


def report(parts: list[Part]) -> str:
    """Return a table in Markdown."""
    rows = [f"| {part.name} | {part.version} | {'; '.join(part.licences)} |" for part in parts]
    return "\n".join(["| component | version | licence |", "|---|---|---|", *rows, ""])


def _licences(component: dict[str, Any]) -> Iterator[str]:
    if "licenses" not in component and component["name"] in LOOKED_UP:
        yield LOOKED_UP[component["name"]]
    for one in component.get("licenses", []):
        licence = one.get("license", {})
        named = one.get("expression") or licence.get("id") or licence.get("name", "")
        if named and "\n" not in named:  # some write the whole text there, beside a classifier
            yield named


def main() -> int:
    """Write the report; 1 if something may not be shipped."""
    source, target = map(Path, sys.argv[1:])
    parts = parts_of(json.loads(source.read_text(encoding="utf-8")))
    target.write_text(report(parts), encoding="utf-8")
    for fault in faults(parts):
        print(fault, file=sys.stderr)
    return 1 if faults(parts) else 0


if __name__ == "__main__":
    sys.exit(main())
