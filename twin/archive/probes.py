"""What a core answered to the probe: kept question by question, so that a run that was stopped goes on.

Nothing of the person is in it; it goes with the home.
"""
from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from twin.archive.file import File
from twin.archive.ready import utf8


class Probes(File):
    """Answers to the probe by core (`Engine.id`), what of the role map they depend on (`probe.version`), question."""

    def save_probe(self, core: str, role_map: str, question: str, body: Mapping[str, Any]) -> None:
        """Keep what was answered to one question, in the place of what was there."""
        with self._writing("answer to the probe", wait_s=60.0) as db:  # it took half a minute to write
            db.execute("INSERT OR REPLACE INTO probes VALUES (?, ?, ?, ?, ?)", (
                core, role_map, question, utf8(json.dumps(dict(body), ensure_ascii=False)),
                datetime.now(UTC).isoformat()))

    def probes(self, core: str, role_map: str) -> dict[str, dict[str, Any]]:
        """What this core with this map has answered until now, by question, in the order in which it did."""
        with self._reading() as db:
            return {question: json.loads(body) for question, body in db.execute(
                "SELECT question, body FROM probes WHERE core = ? AND role_map = ? ORDER BY made, question",
                (core, role_map))}
