"""JSON Merge Patch: one JSON object laid over another. Source: RFC 7396."""

from collections.abc import Mapping
from typing import Any


def merged(target: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    """The target with the patch over it: objects are merged, None removes, all else replaces."""
    result = dict(target)
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        elif isinstance(value, Mapping):
            result[name] = merged(child(result, name), value)
        else:
            result[name] = value
    return result


def child(parent: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """The object at a name; an empty one where there is none or something else."""
    found = parent.get(name)
    return found if isinstance(found, Mapping) else {}
