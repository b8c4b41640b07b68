"""Made-up people's chats of any size, in the formats of their programs: input for the benches. Nothing is anyone's.

Words follow Zipf's law (rank r is said 1/r as often as the first), half of the conversations are Russian, half English.
"""
from __future__ import annotations

import json
import random
from collections.abc import Iterator
from itertools import accumulate
from pathlib import Path
from typing import Any

_SYLLABLES = {"en": [c + v for c in "bdfgklmnprstv" for v in "aeiou"],
              "ru": [c + v for c in "бвгдзклмнпрст" for v in "аеиоу"]}
_START, _SECOND = 1_600_000_000, 97.0


def vocabulary(language: str, size: int = 20_000) -> list[str]:
    """Words of two to four syllables, all different."""
    draw, words = random.Random(language), dict[str, None]()  # noqa: S311 - a sample, not a secret
    while len(words) < size:
        words["".join(draw.choices(_SYLLABLES[language], k=draw.randint(2, 4)))] = None
    return list(words)


def texts(count: int, language: str, seed: int = 0) -> Iterator[str]:
    """Messages of 5 to 60 words, one in twenty of 300."""
    draw, words = random.Random(f"{language} {seed}"), vocabulary(language)  # noqa: S311
    weights = list(accumulate(1 / rank for rank in range(1, len(words) + 1)))
    for _ in range(count):
        said = draw.choices(words, cum_weights=weights, k=300 if draw.random() < 0.05 else draw.randint(5, 60))
        for at in range(8, len(said), 12):
            said[at] += "."
        yield " ".join(said).capitalize() + draw.choice([".", "?", "!"])


def chatgpt(path: Path, messages: int, *, each: int = 50) -> None:
    """Write conversations.json of that many messages, `each` a conversation, person and assistant in turn."""
    said = {language: texts(messages, language) for language in _SYLLABLES}
    with path.open("w", encoding="utf-8") as file:
        for number in range(messages // each):
            file.write(",\n" if number else "[")
            chat = _conversation(number, each, said[("en", "ru")[number % 2]])
            file.write(json.dumps(chat, ensure_ascii=number % 4 < 2))
        file.write("]")


def _conversation(number: int, each: int, said: Iterator[str]) -> dict[str, Any]:
    start, nodes, parent = _START + number * each * _SECOND, dict[str, Any](), None
    for place in range(each):
        key = f"{number:08d}-0000-4000-8000-{place:012d}"
        nodes[key] = {"id": key, "parent": parent, "children": [], "message": {
            "id": key, "author": {"role": ("user", "assistant")[place % 2], "name": None, "metadata": {}},
            "create_time": start + place * _SECOND, "update_time": None, "status": "finished_successfully",
            "content": {"content_type": "text", "parts": [next(said)]}, "end_turn": True, "weight": 1.0,
            "recipient": "all", "metadata": {"model_slug": "gpt-4", "finish_details": {"type": "stop"}}}}
        if parent:
            nodes[parent]["children"].append(key)
        parent = key
    return {"id": f"c{number:08d}", "conversation_id": f"c{number:08d}", "title": f"Chat {number}",
            "create_time": start, "update_time": start + each * _SECOND, "current_node": parent, "mapping": nodes}
