"""An Agent Skill: SKILL.md with what an agent reads first, and references with all claims, the ladder and the roles."""
from __future__ import annotations

import json

from twin.exporters import Content, Exported, Material
from twin.exporters.escape import ESCAPES, utf16
from twin.exporters.sheet import Sheet, fit, ranked, role_of, said, slug, spoken

__all__ = ["skill", "slug"]

FILE = "SKILL.md"
LINES = 500    # of its body: what the makers of the format recommend at most
LONG = 20_000  # characters: about the 5,000 tokens that they recommend beside it


def skill(material: Material, budget: int) -> Exported:
    """SKILL.md within the budget and 500 lines of body, and its references, which have no limit. The folder must be
    called `slug(material)`. Raises UsageError when the frame does not fit."""
    language, called, core = spoken(material), slug(material), material.firmware
    claims, escape = ranked(material.profile), ESCAPES["markdown"]
    told = {role.id: role_of(role, language, escape) for role in material.role_map.roles}
    front = {"name": called, "description": said(language)["description"] % len(claims)}
    metadata = {"twin-core": core.id, "profile": core.profile, "roles": core.role_map[:12], "level": material.level,
                "language": language}
    sheet = Sheet.of(material, "skill.jinja", "markdown", front=_scalars(front), metadata=_scalars(metadata),
                     roles={name: role["title"] for name, role in told.items()})

    def size(text: str) -> int:
        body = text.split("\n---\n", 1)[1]
        return utf16(text) if body.count("\n") <= LINES else max(utf16(text), LONG + 1)

    text, cut = fit(sheet, claims, budget, size, LONG)
    files: dict[str, Content] = {FILE: text}
    sheets = {"claims": Sheet.of(material, "reference.jinja", "markdown", quotes=None, sheet="claims"),
              "depth": Sheet.of(material, "reference.jinja", "markdown", sheet="depth")}
    sheets |= {f"roles/{key}": Sheet.of(material, "reference.jinja", "markdown", sheet="role", role_told=role)
               for key, role in told.items()}
    files |= {f"references/{key}.md": one(claims) for key, one in sheets.items()}
    return Exported(text, cut, utf16(text), files=files,
                    notes=(f"The folder of a skill is called as the skill is: {called}.",))


def _scalars(values: dict[str, str]) -> dict[str, str]:
    """Each as a string in double quotes: JSON's are YAML's too, and no reader takes '123456789e12' for a number."""
    return {key: json.dumps(value, ensure_ascii=False) for key, value in values.items()}
