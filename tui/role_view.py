"""A role as the terminal shows it, what changes of one look like in words, and the file of a new one."""
from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from textual.content import Content

from twin.adapters import Kept
from twin.roles import Role
from twin.text import one_line, printable
from twin.types import Sampling
from twin.words import Words

_CHANGED = re.compile(r"(\[-.*?-\])|(\{\+.*?\+\})", re.DOTALL)
_SHOWN = 12  # examples


def row(role: Role, words: Words) -> Content:
    """A role on one line."""
    marks = words.count(len(role.examples), "{n} example", "{n} examples")
    adapter = f"  {words('adapter {n}', n=f'{role.adapter.scale:g}')}" if role.adapter else ""
    return Content.assemble((f"{one_line(role.id):<14} ", "bold"), f"{one_line(role.title.of(words.language)):<18} ",
                            (marks, "$text-muted"), (adapter, "$text-success"))


def about(role: Role, trained: Sequence[Kept], words: Words) -> Content:
    """All of a role: what it is for, its instructions, how it speaks, what teaches the router."""
    language = words.language
    chosen, other = (role.sections.ru, role.sections.en) if language == "ru" else (role.sections.en, role.sections.ru)
    lines = [Content.styled(printable(role.purpose.of(language)), "bold"), Content("")]
    lines += [Content(printable(text)) for text in (chosen.texts or other.texts)]
    lines += [Content(""), *_facts(role, words), *_adapters(role, trained, words)]
    if role.examples:
        lines += [Content(""), Content.styled(words("What teaches the router whom to ask:"), "bold")]
    lines += [Content.assemble(("▪ ", "$primary"), one_line(text)) for text in role.examples[:_SHOWN]]
    if (more := len(role.examples) - _SHOWN) > 0:
        lines.append(Content.styled(words("and {n} more", n=more), "$text-muted"))
    return Content("\n").join(lines)


def _facts(role: Role, words: Words) -> Iterable[Content]:
    plain = Sampling()
    drawn = ", ".join(f"{name} {value:g}" for name, value in vars(role.sampling).items()
                      if value is not None and value != getattr(plain, name))
    seen = ", ".join(role.memory.include) or words("everything")
    hidden = ", ".join(role.memory.exclude) or words("nothing")
    for name, said in ((words("Sampling"), drawn or words("as usual")), (words("Sees"), seen),
                       (words("Does not see"), hidden)):
        yield Content.assemble((f"{name}: ", "$text-muted"), one_line(said))


def _adapters(role: Role, trained: Sequence[Kept], words: Words) -> Iterable[Content]:
    if role.adapter:
        name = (role.adapter.sha256 or role.adapter.path or "")[:12]
        yield Content.assemble((f"{words('Adapter')}: ", "$text-muted"), words(
            "{name} acts with strength {n}; o switches it off, s changes the strength", name=one_line(name),
            n=f"{role.adapter.scale:g}"))
    elif trained:
        yield Content.assemble((f"{words('Adapter')}: ", "$text-muted"), words(
            "{name} is trained and off; o switches it on", name=trained[-1].sha256[:12]))
    else:
        yield Content.assemble((f"{words('Adapter')}: ", "$text-muted"), words(
            "none; `twin train {role}` trains one", role=one_line(role.id)))


def changes(lines: Iterable[str], words: Words) -> Content:
    """Changes in words; what is gone and what is new has its colour beside its brackets."""
    shown = [_coloured(one_line(line)) for line in lines]
    return Content("\n").join(shown) if shown else Content(words("Only layout and comments are different."))


def _coloured(line: str) -> Content:
    made, at = Content(""), 0
    for found in _CHANGED.finditer(line):
        made = made + Content(line[at:found.start()]) + Content.styled(
            found.group(), "$text-error" if found[1] else "$text-success")
        at = found.end()
    return made + Content(line[at:])


def blank(name: str, words: Words) -> str:
    """The file of a role that is to be written: it reads, and every line of it asks to be changed."""
    title = one_line(name).capitalize()
    purpose, stance = words("What this role is for, in one sentence."), words("Who you are in this role, and for whom.")
    example = words("A message that should go to this role.")
    language, heading = ("ru", "Позиция") if words.language == "ru" else ("en", "Stance")
    return (f"---\nid: {one_line(name)}\ntitle: {{{language}: {title}}}\npurpose:\n  {language}: {purpose}\n"
            f"examples:\n  - {example}\n---\n\n## {heading}\n\n{stance}\n")
