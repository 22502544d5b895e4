"""YAML files: read into frozen dataclasses, every wrong key named at once."""

from pathlib import Path
from typing import TypeVar

import yaml
from pydantic import TypeAdapter, ValidationError

Read = TypeVar("Read")


def read_yaml(path: Path, adapter: TypeAdapter[Read], fault: type[ValueError]) -> Read:
    """Read a file; keys left out have their default.

    Parameters
    ----------
    path
        The file.
    adapter
        Of what it holds.
    fault
        Raised, with a message that names the file and each key, if a key is unknown, a value has the wrong type or
        range, or the file is no YAML mapping.
    """
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
        return adapter.validate_python({} if values is None else values)
    except yaml.YAMLError as error:
        raise fault(f"{path.name} is not YAML: {error}") from error
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, one['loc'])) or 'file'}: {one['msg']}" for one in error.errors())
        raise fault(f"{path.name}: {faults}") from error
