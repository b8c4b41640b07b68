"""Operations on a role map: read one from data, apply it, say it in words.

The schema is closed and stands in `operation_schema`; what an operation does to a map stands in `operation_apply`.
Nothing here asks whether a change is good, and nothing is written anywhere.
"""
from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Any, Literal, NoReturn

from pydantic import TypeAdapter, ValidationError

from twin import text as plain
from twin.errors import UsageError
from twin.operation_apply import changed
from twin.operation_schema import OPERATIONS as OPERATIONS
from twin.operation_schema import AddPromptRule as AddPromptRule
from twin.operation_schema import AddRole as AddRole
from twin.operation_schema import AddRoutingExample as AddRoutingExample
from twin.operation_schema import EditPromptSection as EditPromptSection
from twin.operation_schema import MergeRoles as MergeRoles
from twin.operation_schema import NarrowMemoryScope as NarrowMemoryScope
from twin.operation_schema import OpenHypothesis as OpenHypothesis
from twin.operation_schema import Operation as Operation
from twin.operation_schema import RelabelRoutingExample as RelabelRoutingExample
from twin.operation_schema import RemovePromptRule as RemovePromptRule
from twin.operation_schema import RemoveRoutingExample as RemoveRoutingExample
from twin.operation_schema import RetireRole as RetireRole
from twin.operation_schema import SetAdapter as SetAdapter
from twin.operation_schema import SetCouncilPolicy as SetCouncilPolicy
from twin.operation_schema import SetPlacement as SetPlacement
from twin.operation_schema import SetSampling as SetSampling
from twin.operation_schema import SplitRole as SplitRole
from twin.operation_schema import WidenMemoryScope as WidenMemoryScope
from twin.operation_words import say as say
from twin.roles import RoleMap

Metric = Literal["router", "bits", "feedback", "council", "placement", "none"]
LONGEST = 60_000  # characters of an operation as JSON: 160 examples of 300 letters, Russian ones not escaped
_ANY: TypeAdapter[Operation] = TypeAdapter(Operation)
_ROUTER = (AddRoutingExample, RemoveRoutingExample, RelabelRoutingExample, AddRole, SplitRole, MergeRoles, RetireRole)
_BITS = (EditPromptSection, AddPromptRule, RemovePromptRule, SetAdapter)
_HIGH = (WidenMemoryScope, AddRole, SplitRole, MergeRoles, RetireRole, SetPlacement)


def parse(data: Mapping[str, Any] | str) -> Operation:
    """An operation from its JSON or from plain data. Raises UsageError with the reason for what is not one: an unknown
    operation or field, a key that stands there twice, a value out of its limits, a text that the filter refuses."""
    try:
        read = _read(data) if isinstance(data, str) else data
        if not isinstance(read, Mapping):
            _refuse("it is not an object with a field 'op'")
        return _ANY.validate_python(dict(read))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        if not first["loc"]:
            _refuse("no known operation stands in its field 'op'")
        name = plain.one_line(".".join(str(part)[:40] for part in first["loc"][1:]))
        _refuse(f"{name}: {str(first['msg']).removeprefix('Value error, ')}".removeprefix(": "))
    except (ValueError, RecursionError) as error:
        _refuse(f"it is not JSON ({type(error).__name__})")


def apply(op: Operation, role_map: RoleMap, *, adapters: Collection[str] = ()) -> RoleMap:
    """The map after an operation; `adapters`: sha256 of those that are registered. Raises UsageError with the reason,
    as `parse` does, and for what does not fit this map: a role that is not there, a limit, a map as it was before."""
    if type(op) not in OPERATIONS.values():
        _refuse("it is none of the known operations")
    return changed(parse(op.model_dump()), role_map, adapters)  # once more: `model_construct` checks nothing


def target(op: Operation) -> str:
    """What it changes: 'role:NAME', 'council' or 'ledger'."""
    name = op.id if isinstance(op, AddRole) else getattr(op, "role", None)
    if name is not None:
        return f"role:{name}"
    return "council" if isinstance(op, SetCouncilPolicy) else "ledger"


def risk(op: Operation) -> Literal["low", "high"]:
    """'high' for what lets a role see more, brings weights in, moves it to another device, or makes and unmakes roles:
    such a change is approved by itself, never together with others."""
    return "high" if isinstance(op, _HIGH) or (isinstance(op, SetAdapter) and op.sha256 is not None) else "low"


def metric(op: Operation) -> Metric:
    """What its proof measures. Of sampling only the temperature shows in bits; the rest has to be lived with."""
    if isinstance(op, _ROUTER):
        return "router"
    if isinstance(op, _BITS) or (isinstance(op, SetSampling) and op.field == "temperature"):
        return "bits"
    if isinstance(op, SetSampling):
        return "feedback"
    if isinstance(op, SetCouncilPolicy):
        return "council"
    return "placement" if isinstance(op, SetPlacement) else "none"


def measurable(op: Operation) -> bool:
    """Whether a proof can say anything of it. What changes no answer is the person's to decide without one."""
    return metric(op) not in ("none", "placement")


def _read(source: str) -> Any:
    if len(source) > LONGEST:
        _refuse(f"it has more than {LONGEST} characters")
    return json.loads(source, object_pairs_hook=_once, parse_constant=_no_number)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        _refuse("a field stands there twice")
    return made


def _no_number(word: str) -> NoReturn:
    _refuse(f"{word} is no number")


def _refuse(reason: str) -> NoReturn:
    raise UsageError(f"This is not an operation on the role map: {reason}.",
                     f"Use one of: {', '.join(OPERATIONS)}.")
