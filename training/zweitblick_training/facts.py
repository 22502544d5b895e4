"""Facts: what only whoever trained a network can say of it, for its bundle and its card."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Self

import yaml
from pydantic import ConfigDict, TypeAdapter

from zweitblick_training.yaml_file import read_yaml

FACTS_FILE = "release.yaml"
"""Where a bundle keeps them."""


class FactsError(ValueError):
    """A file of facts that cannot be read; the message names each key and what is wrong with it."""


@dataclass(frozen=True)
class Facts:
    """What a bundle says of its version, data, population, limits and licence; nothing of it can be computed.

    Parameters
    ----------
    version
        Of the bundle; raised with each release.
    changelog
        What each version brought.
    authors
        Who trained it.
    population
        Whom the network was shown, and whom not; Markdown.
    data
        Where the training cases come from, with their sources; Markdown.
    data_source
        The same in a line.
    limits
        What a reader must not expect; Markdown.
    spdx
        SPDX identifier of the licence.
    licence
        Its text, or where it stands.
    """

    version: str = "0.0.0"
    changelog: Mapping[str, str] = field(default_factory=dict)
    authors: str = "not stated"
    population: str = "not stated."
    data: str = "not stated."
    data_source: str = "not stated"
    limits: str = "None were stated."
    spdx: str = "NOASSERTION"
    licence: str = "No licence was stated for the weights in this folder.\n"

    # Read by pydantic: a misspelt key must not pass for a default.
    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a YAML file; what it leaves out is not stated.

        Raises
        ------
        FactsError
            If a key is unknown, a value is no text, or the file is no YAML mapping.
        """
        return read_yaml(path, TypeAdapter(cls), FactsError)

    @property
    def text(self) -> str:
        """As YAML, which `read` reads again."""
        return yaml.safe_dump(TypeAdapter(Facts).dump_python(self), sort_keys=False, allow_unicode=True, width=120)


UNSTATED = Facts()
