"""Two role maps that come from one, merged field by field: the side that changed a field has it.

Knows the fields of a map, not who changed them or why.
"""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from twin.errors import RoleError
from twin.roles import CouncilPolicy, Role, RoleMap

_ABSENT: Any = object()
_WHOLE = {"adapter", "placement"}  # parts that mean something only together: a scale belongs to its file


def merged(base: RoleMap, one: RoleMap, other: RoleMap) -> RoleMap | None:
    """What both made of `base`: a field that one side changed is as that side has it, of entries in a list (examples,
    tags, members) each side's additions and removals hold. Where both changed a field, `one` has it. None where that
    is no valid map."""
    roles = _fields(*({role.id: role.content for role in side.roles} for side in (base, one, other)))
    council = _fields(*(side.council.content for side in (base, one, other)))
    known = {role.content_hash: role for side in (other, one, base) for role in side.roles}
    try:
        made = [Role.model_validate(content) for content in roles.values()]
        kept = tuple(known.get(role.content_hash, role) for role in made)  # with the layout of its file
        return RoleMap(kept, one.schema_version, CouncilPolicy.model_validate(council))
    except (ValidationError, RoleError):  # a text that both moved to one place, a member whose role the other retired
        return None


def _merge(name: str, base: Any, one: Any, other: Any) -> Any:
    if one == other or other == base:
        return one
    if one == base:
        return other
    sides = (base, one, other)
    if name not in _WHOLE and all(isinstance(side, Mapping) for side in sides):
        return _fields(base, one, other)
    if all(isinstance(side, Sequence) and not isinstance(side, str) for side in sides):
        return _entries(base, one, other)
    return one


def _fields(base: Mapping[str, Any], one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    found = {name: _merge(name, *(side.get(name, _ABSENT) for side in (base, one, other)))
             for name in dict.fromkeys([*one, *other])}
    return {name: value for name, value in found.items() if value is not _ABSENT}


def _entries(base: Sequence[Any], one: Sequence[Any], other: Sequence[Any]) -> list[Any]:
    kept = [entry for entry in one if entry in other or entry not in base]
    return [*kept, *(entry for entry in other if entry not in base and entry not in kept)]
