"""Makes twin/reference.toml: how often each facet shows with other people, by rule. Numbers only, no words of theirs.

    DATA=.../data python -m tests.bench.reference          # writes the file
    DATA=.../data python -m tests.bench.reference --table  # prints the rates instead

To be run again whenever facets.toml, depth or what counts as one's own words changes.
"""
from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from twin.facets import facets
from twin.profile import by_rule, questions
from twin.types import Message

FILE = Path(__file__).parents[2] / "twin" / "reference.toml"
HEAD = """# Other people, to compare with: how often each facet of facets.toml shows in what they wrote, by rule.
# Numbers only. Made by `DATA=... python -m tests.bench.reference`; not to be written by hand.
# `kind`: chat - a help channel; dialogue - conversations written for a study; diary. `sentences` and `questions` are
# different ones of 12 to 300 characters, `depth` the mean depth of their questions.
"""
Said = list[tuple[str, Message]]


def everyone(data: Path) -> Iterator[tuple[str, str, Said]]:
    """(language, kind, messages) of each reference person; a day or a session is a conversation."""
    persona: dict[str, Any] = json.loads((data / "persona-dev.json").read_text("utf-8"))
    for rows in persona["chat"].values():
        yield "en", "chat", [(row["day"], Message(str(n), "user", row["text"])) for n, row in enumerate(rows)]
    for sample in json.loads((data / "locomo-dev.json").read_text("utf-8")):
        sessions = {key: turns for key, turns in sample["conversation"].items() if isinstance(turns, list)}
        for speaker in (sample["conversation"]["speaker_a"], sample["conversation"]["speaker_b"]):
            yield "en", "dialogue", [(session, Message(turn["dia_id"], "user", turn["text"]))
                                     for session, turns in sessions.items() for turn in turns
                                     if turn["speaker"] == speaker]
    yield "ru", "diary", [(row["date"], Message(str(n), "user", row["text"]))
                          for n, row in enumerate(persona["diary_ru"])]


def measured(name: str, language: str, kind: str, said: Said) -> str:
    """One person's table in TOML."""
    own = {(conversation, message.id): message for conversation, message in said}
    rules, levels = by_rule(own), [question.depth.level for question in questions(own)]
    lines = [f"[{name}]", f'language = "{language}"', f'kind = "{kind}"', f"sentences = {len(rules.sentences)}",
             f"questions = {len(rules.asking)}", f"depth = {sum(levels) / max(1, len(levels)):.2f}", f"[{name}.shown]"]
    return "\n".join([*lines, *(f"{key} = {rules.rate(facet)[0]}" for key, facet in facets().items()), ""])


def table() -> str:
    """Rates in percent of the file as it stands: a row a facet, a column a person."""
    from twin.comparison import everyone as people

    rows = [["", *(one.name for one in people())], ["sentences", *(str(one.sentences) for one in people())],
            ["questions", *(str(one.questions) for one in people())], ["depth", *(f"{p.depth:.2f}" for p in people())]]
    rows += [[key, *(f"{100 * one.rate(key):.2f}" for one in people())] for key in facets()]
    return "\n".join(f"{row[0]:24}" + "".join(f"{cell:>7}" for cell in row[1:]) for row in rows)


def main() -> None:
    if "--table" in sys.argv:
        print(table())
        return
    found = [measured(f"r{number}", *one) for number, one in enumerate(everyone(Path(os.environ["DATA"])), 1)]
    FILE.write_text("\n".join([HEAD, *found]), "utf-8")
    print(f"{len(found)} people in {FILE.name}")


if __name__ == "__main__":
    main()
