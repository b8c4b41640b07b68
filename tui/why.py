"""Why an answer is what it is: everything that produced it, in plain lines."""
from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from twin.text import one_line
from twin.words import Words, sentence

from .exchange import sureness

if TYPE_CHECKING:
    from .exchange import Exchange


def why(exchange: Exchange, words: Words, titles: Mapping[str, str]) -> str:
    """Route, memories, council, core."""
    route = exchange.route
    if route is None:
        return words("The last question failed before it had a role.")

    def title(role: str) -> str:
        return titles.get(role, role)

    lines = [f"{title(route.role)} ({sureness(route, words)}): {route.reason}", ""]
    by_share = sorted(route.probabilities.items(), key=lambda item: -item[1])
    lines += [f"  {share:4.0%}  {title(role)}" for role, share in by_share]
    lines += ["  " + words("nearest: “{text}” ({role}, {similarity})", text=one_line(near.text), role=title(near.role),
                           similarity=f"{near.similarity:.2f}") for near in route.nearest]
    lines += ["", words("Memories it saw:") if exchange.memories else words("It saw no memories.")]
    for number, memory in enumerate(exchange.memories, 1):
        day = f"{memory.time:%Y-%m-%d}, " if memory.time else ""
        lines.append(f"[{number}] {day}{one_line(memory.text)}\n    {one_line(sentence(memory.why, words.language))}; "
                     + words("message {ids}", ids=", ".join(memory.message_ids)))
    if turn := exchange.turn:
        if turn.verdict:
            from . import council

            lines += council.told(turn.verdict, words, titles)
        lines += [words("left out, the context is full: {what}", what=one_line(sentence(dropped, words.language)))
                  for dropped in turn.dropped]
        lines.append(words("Core {core}, role map {version}", core=turn.model, version=turn.role_map[:8]))
    return "\n".join(lines)
