"""What each operation makes of a role map, and what it may not make of it. A map comes in, another one goes out.

A role that changes keeps the layout and the comments of its file where they can be told from the rest.
"""
from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import replace
from typing import Any, NoReturn

from pydantic import ValidationError

from twin import operation_schema as schema
from twin import roles
from twin import text as plain
from twin.errors import RoleError, UsageError
from twin.operation_schema import EXAMPLES, FEWEST, GROWTH, GROWTH_CHARACTERS, INSTRUCTIONS, ROLES, RULES, SECTION, Op
from twin.role_edit import with_section, with_value
from twin.role_parts import Instructions, MemoryScope, RoleAdapter, RoleSampling, Sections
from twin.roles import MAX_BYTES, SECTIONS, CouncilPolicy, Role, RoleMap


def changed(op: Op, role_map: RoleMap, adapters: Collection[str] = ()) -> RoleMap:
    """The map after an operation. Raises UsageError with the reason: a role that is not there, an adapter that is not
    among `adapters` (sha256 of those registered), a limit, or a map that would be as it was."""
    try:
        after = _DOES[type(op)](op, role_map, adapters)
        if after == role_map and not isinstance(op, schema.OpenHypothesis):
            refuse("the map would be as it is")
        _within_limits(role_map, after)
    except ValidationError as error:  # a part that cannot be, as a role without a word of instructions
        refuse(str(error.errors(include_url=False, include_input=False)[0]["msg"]).removeprefix("Value error, "))
    return after


def refuse(reason: str) -> NoReturn:
    """Raise the error of an operation that is not applied."""
    raise UsageError(f"This change is refused: {reason}.", "Nothing was changed; ask for another one.")


# ---- one a kind ------------------------------------------------------------------------------------------------

def _add_example(op: schema.AddRoutingExample, role_map: RoleMap, _: Collection[str]) -> RoleMap:
    _nobodys(role_map, (op.text,))
    role = role_map.role(op.role)
    return _with(role_map, role, examples=(*role.examples, op.text))


def _remove_example(op: schema.RemoveRoutingExample, role_map: RoleMap, _: Collection[str]) -> RoleMap:
    role = role_map.role(op.role)
    return _with(role_map, role, examples=_without(role, (op.text,)))


def _relabel_example(op: schema.RelabelRoutingExample, role_map: RoleMap, _: Collection[str]) -> RoleMap:
    role, to = role_map.role(op.role), role_map.role(op.to)
    if role is to:
        refuse("the example is that role's already")
    rest = _without(role, (op.text,))
    there = to.examples if op.text in to.examples else (*to.examples, op.text)
    return _with(_with(role_map, role, examples=rest), to, examples=there)


def _nobodys(role_map: RoleMap, texts: Collection[str]) -> None:
    """Refuse examples that a role has: the router would learn two truths."""
    for role in role_map.roles:
        if not set(texts).isdisjoint(role.examples):
            refuse(f"the role {role.id} has such an example already")


def _without(role: Role, texts: Collection[str]) -> tuple[str, ...]:
    """The role's examples less some of them, which must be there; one has to stay."""
    if not set(texts) <= set(role.examples):
        refuse(f"the role {role.id} has no such example")
    rest = tuple(text for text in role.examples if text not in texts)
    if not rest:
        refuse(f"the role {role.id} would have no example left")
    return rest


def _edit_section(op: schema.EditPromptSection, role_map: RoleMap, _: Collection[str]) -> RoleMap:
    return _with_section(role_map, op.role, op.language, op.section, op.text)


def _add_rule(op: schema.AddPromptRule, role_map: RoleMap, _: Collection[str]) -> RoleMap:
    text = _section(role_map.role(op.role), op.language, op.section)
    rules = [text[start:end] for start, end in plain.sentences(text)]
    if op.text in rules:
        refuse("that rule stands there already")
    if len(rules) >= RULES:
        refuse(f"the section has {RULES} sentences already")
    # On a line of its own where lines are the sections' way, or where the two would read as one sentence.
    in_line = "\n" not in text and len(plain.sentences(f"{text} {op.text}")) > len(rules)
    apart = (" " if in_line else "\n") if text else ""
    return _with_section(role_map, op.role, op.language, op.section, text + apart + op.text)


def _remove_rule(op: schema.RemovePromptRule, role_map: RoleMap, _: Collection[str]) -> RoleMap:
    text = _section(role_map.role(op.role), op.language, op.section)
    spans = [(start, end) for start, end in plain.sentences(text) if text[start:end] == op.text]
    if not spans:
        refuse("the section has no such sentence")
    before, after = text[:spans[0][0]], text[spans[0][1]:]
    # What parted it from the next sentence goes with it, or at the end what parted it from the one before.
    rest = before + after.lstrip() if after.strip() else before.rstrip()
    return _with_section(role_map, op.role, op.language, op.section, rest)


def _set_sampling(op: schema.SetSampling, role_map: RoleMap, _: Collection[str]) -> RoleMap:
    role = role_map.role(op.role)
    value = int(op.value) if isinstance(getattr(role.sampling, op.field), int) else op.value
    return _with(role_map, role, sampling=RoleSampling(**{**role.sampling.__dict__, op.field: value}))


def _set_adapter(op: schema.SetAdapter, role_map: RoleMap, adapters: Collection[str]) -> RoleMap:
    role = role_map.role(op.role)
    if op.sha256 is None:
        return _with(role_map, role, adapter=None)
    if op.sha256 not in adapters:
        refuse(f"no adapter {op.sha256[:12]} is registered here")
    same = role.adapter is not None and role.adapter.sha256 == op.sha256
    compiled = role.adapter.compiled if same and role.adapter else False
    return _with(role_map, role, adapter=RoleAdapter(sha256=op.sha256, scale=op.scale, kind=op.kind, compiled=compiled))


def _narrow(op: schema.NarrowMemoryScope, role_map: RoleMap, _: Collection[str]) -> RoleMap:
    role = role_map.role(op.role)
    exclude = tuple(dict.fromkeys((*role.memory.exclude, *op.tags)))
    return _with(role_map, role, memory=MemoryScope(include=role.memory.include, exclude=exclude))


def _widen(op: schema.WidenMemoryScope, role_map: RoleMap, _: Collection[str]) -> RoleMap:
    role = role_map.role(op.role)
    include = tuple(dict.fromkeys((*role.memory.include, *op.tags))) if role.memory.include else ()
    exclude = tuple(tag for tag in role.memory.exclude if tag not in op.tags)
    return _with(role_map, role, memory=MemoryScope(include=include, exclude=exclude))


def _add_role(op: schema.AddRole, role_map: RoleMap, _: Collection[str]) -> RoleMap:
    _nobodys(role_map, op.examples)
    return _plus(role_map, Role(id=op.id, title=op.title, purpose=op.purpose, sections=op.sections,
                                examples=op.examples))


def _split_role(op: schema.SplitRole, role_map: RoleMap, _: Collection[str]) -> RoleMap:
    role = role_map.role(op.role)
    rest = _without(role, op.examples)
    if len(rest) < FEWEST:
        refuse(f"the role {role.id} would have fewer than {FEWEST} examples left")
    # Memory scope and placement come along: a split must not let anybody see more than before.
    made = Role(id=op.id, title=op.title, purpose=op.purpose, sections=op.sections, examples=op.examples,
                sampling=role.sampling, memory=role.memory, placement=role.placement, thinking=role.thinking)
    return _plus(_with(role_map, role, examples=rest), made)


def _plus(role_map: RoleMap, role: Role) -> RoleMap:
    if role.id in role_map.ids:
        refuse(f"there is a role {role.id} already")
    return replace(role_map, roles=(*role_map.roles, _reads_back(role)))


def _merge_roles(op: schema.MergeRoles, role_map: RoleMap, _: Collection[str]) -> RoleMap:
    role, into = role_map.role(op.role), role_map.role(op.into)
    if role is into:
        refuse("a role cannot be merged into itself")
    room = {russian: EXAMPLES - len(_in(into, russian)) for russian in (True, False)}
    come = []
    for text in role.examples:
        if text not in into.examples and room[_is_russian(text)] > 0:
            room[_is_russian(text)] -= 1
            come.append(text)
    members = dict.fromkeys(op.into if name == op.role else name for name in role_map.council.members)
    without = _minus(role_map, role, tuple(members))
    return _with(without, into, examples=(*into.examples, *come)) if come else without


def _retire_role(op: schema.RetireRole, role_map: RoleMap, _: Collection[str]) -> RoleMap:
    members = tuple(name for name in role_map.council.members if name != op.role)
    if role_map.council.members and not members:
        refuse(f"the council has no member but {op.role}")
    return _minus(role_map, role_map.role(op.role), members)


def _minus(role_map: RoleMap, role: Role, members: tuple[str, ...]) -> RoleMap:
    if len(role_map.roles) == 1:
        refuse("it is the only role")
    council = _of_council(role_map.council, role_map.council.model_copy(update={"members": members}))
    return replace(role_map, roles=tuple(one for one in role_map.roles if one is not role), council=council)


def _set_placement(op: schema.SetPlacement, role_map: RoleMap, _: Collection[str]) -> RoleMap:
    role = role_map.role(op.role)
    asked = op.model_dump(exclude={"op", "role"}, exclude_none=True)
    return _with(role_map, role, placement=role.placement.model_copy(update=asked))


def _set_council(op: schema.SetCouncilPolicy, role_map: RoleMap, _: Collection[str]) -> RoleMap:
    for name in op.members:
        role_map.role(name)
    return replace(role_map, council=_of_council(role_map.council, op.policy()))


def _open_hypothesis(_: schema.OpenHypothesis, role_map: RoleMap, __: Collection[str]) -> RoleMap:
    return role_map


_DOES: dict[type[Op], Callable[[Any, RoleMap, Collection[str]], RoleMap]] = {
    schema.AddRoutingExample: _add_example, schema.RemoveRoutingExample: _remove_example,
    schema.RelabelRoutingExample: _relabel_example, schema.EditPromptSection: _edit_section,
    schema.AddPromptRule: _add_rule, schema.RemovePromptRule: _remove_rule, schema.SetSampling: _set_sampling,
    schema.SetAdapter: _set_adapter, schema.NarrowMemoryScope: _narrow, schema.WidenMemoryScope: _widen,
    schema.AddRole: _add_role, schema.SplitRole: _split_role, schema.MergeRoles: _merge_roles,
    schema.RetireRole: _retire_role, schema.SetPlacement: _set_placement, schema.SetCouncilPolicy: _set_council,
    schema.OpenHypothesis: _open_hypothesis,
}


# ---- limits of what comes out ----------------------------------------------------------------------------------

def _within_limits(before: RoleMap, after: RoleMap) -> None:
    """Refuse what is over a limit, unless it was so before and is not more now: a person's own files may be larger."""
    if len(after.roles) > max(ROLES, len(before.roles)):
        refuse(f"a map has at most {ROLES} roles")
    old = {role.id: role for role in before.roles}
    for role in after.roles:
        if role is not old.get(role.id):
            _role_within_limits(old.get(role.id), role)


def _role_within_limits(before: Role | None, after: Role) -> None:
    for russian in (True, False):
        if len(_in(after, russian)) > max(EXAMPLES, len(_in(before, russian)) if before else 0):
            refuse(f"the role {after.id} would have more than {EXAMPLES} examples "
                   f"{'in Russian' if russian else 'in English'}")
    if before is None or before.sections == after.sections:
        return
    if _total(after) > max(INSTRUCTIONS, _total(before)):
        refuse(f"the instructions of the role {after.id} would have more than {INSTRUCTIONS} characters")
    for old, new in ((before.sections.en, after.sections.en), (before.sections.ru, after.sections.ru)):
        _growth_within_limits(old, new)


def _growth_within_limits(before: Instructions, after: Instructions) -> None:
    """A section at most so long, and no jump of the whole: what a person agreed to bit by bit stays what it was."""
    pairs = [(getattr(before, key), getattr(after, key)) for key in SECTIONS]
    for old, new in pairs:
        if len(new) > max(SECTION, len(old)):
            refuse(f"a section has at most {SECTION} characters")
    written = sum(len(old) for old, _ in pairs)
    moved = abs(sum(len(new) - len(old) for old, new in pairs if old))  # what was empty may be filled
    if moved > max(GROWTH * written, GROWTH_CHARACTERS):
        refuse(f"the instructions would change their length by {moved} characters at once; {GROWTH:.0%} or "
               f"{GROWTH_CHARACTERS} are the most")


def _total(role: Role) -> int:
    return sum(len(text) for part in (role.sections.en, role.sections.ru) for text in part.texts)


def _is_russian(text: str) -> bool:
    return plain.language(text) == "ru"


def _in(role: Role, russian: bool) -> list[str]:
    return [text for text in role.examples if _is_russian(text) == russian]


def _section(role: Role, language: str, key: str) -> str:
    return str(getattr(getattr(role.sections, language), key))


# ---- a role with its file --------------------------------------------------------------------------------------

def _with_section(role_map: RoleMap, name: str, language: str, key: str, text: str) -> RoleMap:
    role = role_map.role(name)
    content = role.sections.model_dump()
    content[language][key] = text
    return _with(role_map, role, sections=Sections.model_validate(content))


def _with(role_map: RoleMap, role: Role, **parts: Any) -> RoleMap:
    """The map with parts of a role replaced."""
    after = role.model_copy(update=parts)
    made = role if after == role else _laid_out(role, after) or _reads_back(after)
    return replace(role_map, roles=tuple(made if one.id == role.id else one for one in role_map.roles))


def _laid_out(before: Role, after: Role) -> Role | None:
    """The role after a change, with its file as it was but for that; None where the file's layout is beyond that."""
    text, old, new = before.to_markdown(), before.content, after.content
    for language in ("en", "ru"):
        for key in SECTIONS:
            if (wanted := _section(after, language, key)) != _section(before, language, key):
                text = with_section(text, language, key, wanted)
    for where, value in _moved(old, new):
        text = with_value(text, where, value)
    try:
        made = roles.parse_role(text)
    except RoleError:
        return None
    return made if made == after and len(text.encode("utf-8", "surrogatepass")) <= MAX_BYTES else None


def _moved(old: dict[str, Any], new: dict[str, Any]) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Paths into the front matter that change, with what comes there; None for what goes."""
    if old["examples"] != new["examples"]:
        yield ("examples",), new["examples"] or None
    for key in ("sampling", "adapter", "memory", "placement"):
        one, other = old[key] or {}, new[key] or {}
        if one and not other:
            yield (key,), None
        else:
            yield from (((key, name), None if other[name] == [] else other[name])
                        for name in other if one.get(name) != other[name])


def _reads_back(role: Role) -> Role:
    """The role in the canonical form, which has to come back as it is."""
    text = role.to_markdown()
    made = roles.parse_role(text)
    if made != role or len(text.encode("utf-8", "surrogatepass")) > MAX_BYTES:
        refuse(f"the file of the role {role.id} would be too long or not come back as it is")
    return made


def _of_council(before: CouncilPolicy, after: CouncilPolicy) -> CouncilPolicy:
    """The policy after a change, its file as it was but for that where its layout allows it."""
    if before == after:
        return before
    text = before.to_yaml()
    for name, value in after.content.items():
        if before.content[name] != value:
            text = with_value(text, (name,), None if value == [] else value, fenced=False)
    try:
        made = roles.parse_council(text)
    except RoleError:
        return after
    return made if made == after else after
