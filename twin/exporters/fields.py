"""Fields of web forms: ChatGPT's two custom instructions, and the instructions of a Claude project.

The forms count UTF-16 code units, and so does this.
"""
from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from twin.exporters import Exported, Material
from twin.exporters.escape import utf16
from twin.exporters.prompt import one_file
from twin.exporters.sheet import Sheet, fit, ranked
from twin.person import Claim

FIELD = 1500  # characters of each of ChatGPT's two fields


def chatgpt(material: Material, budget: int) -> Exported:
    """Two fields in one file, each to be copied, each of at most `budget` and never more than 1500 characters. What is
    known stands in the first, how to answer in the second, with the mark of the core. The limit is that of a field, so
    the file is longer. Raises UsageError when a frame does not fit."""
    about, cut = fit(_field(material, "me"), ranked(material.profile), budget, most=FIELD)
    answers, _ = fit(_field(material, "answers"), (), budget, most=FIELD)
    fields = [{"text": text, "count": utf16(text)} for text in (about, answers)]
    text = Sheet.of(material, "fields.jinja", "markdown", fields=fields, limit=min(budget, FIELD))()
    return replace(one_file(text, cut, "chatgpt"), characters=max(map(utf16, (about, answers))))


def claude(material: Material, budget: int) -> Exported:
    """Instructions of a Claude project. Raises UsageError when the frame does not fit."""
    return one_file(*fit(Sheet.of(material, "prompt.jinja", "markdown"), ranked(material.profile), budget), "claude")


def _field(material: Material, name: str) -> Callable[[Sequence[Claim], int], str]:
    """A field without white space around it: a form counts that too."""
    sheet = Sheet.of(material, "about.jinja", "plain", sheet=name)
    return lambda claims, left: sheet(claims, left).strip()
