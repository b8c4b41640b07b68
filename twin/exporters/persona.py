"""The person as a persona of SillyTavern: who {{user}} is, in the file that its "Restore" reads.

Restoring merges and skips the ids that are there, so each core's persona has an id of its own.
"""
from __future__ import annotations

import json
from dataclasses import replace

from twin.exporters import Exported, Material
from twin.exporters.escape import plain, utf16
from twin.exporters.prompt import one_file
from twin.exporters.sheet import Sheet, called, fit, ranked, slug

IN_PROMPT, SYSTEM = 0, 0  # where the description stands, and in whose name
DEPTH = 2


def persona(material: Material, budget: int) -> Exported:
    """personas.json; the description keeps to the budget. Raises UsageError when its frame does not fit."""
    sheet = Sheet.of(material, "about.jinja", "plain", sheet="persona")
    description, cut = fit(sheet, ranked(material.profile), budget)
    avatar = f"{material.firmware.id}-{slug(material)}.png"
    described = {"description": description, "position": IN_PROMPT, "depth": DEPTH, "role": SYSTEM, "lorebook": "",
                 "title": "", "connections": []}
    found = {"personas": {avatar: plain(called(material)) or "Twin"}, "persona_descriptions": {avatar: described},
             "default_persona": None}
    made = one_file(json.dumps(found, ensure_ascii=False, indent=1) + "\n", cut, "persona")
    return replace(made, characters=utf16(description))
