"""AGENTS.md: how the person thinks and wants to be answered, for agents that write code in a repository."""
from __future__ import annotations

from twin.exporters import Exported, Material
from twin.exporters.escape import utf16
from twin.exporters.prompt import one_file
from twin.exporters.sheet import Sheet, fit, ranked

LINES = 149          # fewer than 150: what is longer, agents skip over
BYTES = 32 * 1024    # Codex reads no more of all AGENTS.md files together


def agents(material: Material, budget: int) -> Exported:
    """AGENTS.md within the budget, 149 lines and 32 KiB. Raises UsageError when the frame does not fit."""
    def size(text: str) -> int:
        within = text.count("\n") <= LINES and len(text.encode()) <= BYTES
        return utf16(text) if within else max(utf16(text), BYTES + 1)

    sheet = Sheet.of(material, "agents.jinja", "markdown")
    return one_file(*fit(sheet, ranked(material.profile), budget, size, BYTES), "agents")
