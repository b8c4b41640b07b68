"""A core whose numbers come from another machine: what is asked is written down, what came back is answered.

    DATA=... python -m tests.bench.likeness questions           # those that the core makes, here
    DATA=... python -m tests.bench.likeness run --elsewhere FOLDER --out X   # writes FOLDER/ask.json.gz
    python -m tests.bench.on_card CORE FOLDER                   # there: trains, scores, replies; FOLDER/answers.json.gz
    DATA=... python -m tests.bench.likeness run --elsewhere FOLDER --out X   # the same again: with the answers

Token ids come from the core's own vocabulary here, so that both machines read the same. FOLDER holds people's words.
"""
from __future__ import annotations

import gzip
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tests.bench.own_words import Made, Words, told
from twin.engine.llama import LlamaEngine
from twin.home import write_atomically
from twin.prompt import spell
from twin.training.lora import Shape
from twin.training.steps import Settings
from twin.types import Piece, Prompt, Sampling, Score, digest

ASK, ANSWERS = "ask.json.gz", "answers.json.gz"


class Elsewhere:
    """The part of an engine that the bench uses. Without answers every score is one bit a token and every reply a
    stop: enough to find out what will be asked."""

    def __init__(self, core: LlamaEngine, folder: Path) -> None:
        self._core, self.folder = core, folder
        self.id, self.family, self.n_ctx = core.id, core.family, core.n_ctx
        self._prefixes: dict[str, list[int]] = {}
        self.scores: dict[str, dict[str, Any]] = {}
        self.replies: dict[str, dict[str, Any]] = {}
        file = folder / ANSWERS
        self.answers: dict[str, Any] = json.loads(gzip.decompress(file.read_bytes())) if file.is_file() else {}

    def made(self, name: str, how: Settings) -> Made:
        """The adapter of somebody, which lies there; here it is only a name."""
        return Made(self.folder / f"{name}.gguf", "alora", told(self.answers.get("facts", {}).get(name, {}), how))

    def score(self, prompt: Prompt, text: str) -> Score:
        job = {**self._job(prompt), "ids": self._core.tokenize(text)}
        key = self._key(self.scores, job)
        bits = self.answers["bits"][key] if self.answers else float(len(job["ids"]))
        return Score((bits,), len(text))

    def stream_many(self, prompts: Sequence[Prompt], samplings: Sequence[Sampling]) -> list[Iterator[Piece]]:
        made = []
        for prompt, how in zip(prompts, samplings, strict=True):
            key = self._key(self.replies, {**self._job(prompt), **asdict(how)})
            ids = self.answers["replies"][key] if self.answers else []
            made.append(iter([Piece(text=self._spelled(ids))]))
        return made

    def _job(self, prompt: Prompt) -> dict[str, Any]:
        prefix, tail = ([token for segment in part for token in spell(segment, self._core.tokenize)]
                        for part in (prompt.prefix, prompt.tail))
        place = digest(json.dumps(prefix))[:24]
        self._prefixes[place] = prefix
        return {"adapter": Path(prompt.adapters[0].path).stem if prompt.adapters else None, "prefix": place,
                "tail": tail}

    def _key(self, jobs: dict[str, dict[str, Any]], job: dict[str, Any]) -> str:
        key = digest(json.dumps(job))[:24]
        jobs.setdefault(key, {"key": key, **job})
        return key

    def _spelled(self, ids: Sequence[int]) -> str:
        return b"".join(self._core.weights.piece(token) for token in ids).decode("utf-8", "replace") or "."

    def write(self, words: Mapping[str, Words], settings: Mapping[str, Settings], shape: Shape) -> None:
        """Everything that was asked so far, and what the adapters learn."""
        people = {name: {"learn": [_plain(one) for one in own.learn], "look": [_plain(one) for one in own.look],
                         "settings": asdict(settings[name])} for name, own in words.items()}
        weights = self._core.weights
        asked = {"shape": asdict(shape), "people": people, "prefixes": self._prefixes,
                 "scores": list(self.scores.values()), "replies": list(self.replies.values()),
                 "ends": [token for token in range(weights.n_vocab) if weights.ends(token)]}
        write_atomically(self.folder / ASK, gzip.compress(json.dumps(asked).encode()))


def _plain(one: Any) -> list[Any]:
    return [one.prefix, one.tail, list(map(int, one.learned)), one.characters]
