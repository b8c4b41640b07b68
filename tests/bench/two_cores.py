"""One role map on two cores: what stays and what changes. python -m tests.bench.two_cores [CORE CORE]

Stays: the version of the map, whom a message goes to (the router reads no core), what a role is told. Changes: how many
tokens that is, how far it is obeyed, the answers, and which adapters load. Obedience: four checkable instructions stand
after a role's own header, as the instruction of a line does; three roles, four questions, greedy, 60 tokens.
"""
from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from tests import tiny
from twin import prompt, roles
from twin.catalog import Catalog
from twin.engine.llama import LlamaEngine
from twin.errors import TwinError
from twin.loading import embedder
from twin.router import Router
from twin.text import language, one_line
from twin.types import Adapter, Sampling

QUESTIONS = ("Is it wise to sell my car before I move to the coast?",
             "How should the parts of a small bakery fit together?", "Стоит ли продавать машину до переезда?",
             "Как измерить, что новый рецепт лучше?")
TOLD: dict[str, tuple[str, Callable[[str], bool]]] = {
    "one sentence": ("Answer in exactly one sentence.", lambda said: said.strip().count(".") <= 1),
    "Russian only": ("Отвечай только по-русски.", lambda said: language(said) == "ru"),
    "ends with a question": ("End with a question.", lambda said: said.rstrip().endswith("?")),
    "at most 12 words": ("Use at most 12 words.", lambda said: len(said.split()) <= 12)}
GREEDY = Sampling(temperature=0.0, max_tokens=60)


def main(*names: str) -> None:
    catalog, role_map = Catalog(), roles.seed()
    router = Router(role_map, embedder(catalog))
    print(f"stays: map {role_map.version[:12]}, {len(role_map.ids)} roles; routes " + "; ".join(
        f"{router.route(question).role}" for question in QUESTIONS))
    with tempfile.TemporaryDirectory() as folder:
        lora = tiny.adapter(Path(folder) / "lora.gguf", catalog.path(names[0]), seed=1)
        for name in names:
            with closing(LlamaEngine(catalog.path(name), n_ctx=2048)) as engine:
                _shown(engine, role_map, name)
                try:
                    asked = prompt.render(family=engine.family, question="hello", header="Be brief.", budget=1000,
                                          count=lambda said: len(engine.tokenize(said)),
                                          adapters=(Adapter(str(lora)),))
                    "".join(piece.text for piece in engine.stream(asked, GREEDY))
                    print(f"  the adapter made for {names[0]} loads")
                except TwinError as error:
                    print(f"  the adapter made for {names[0]} is refused: {error.what}")


def _shown(engine: LlamaEngine, role_map: roles.RoleMap, name: str) -> None:
    def count(said: str) -> int:
        return len(engine.tokenize(said))

    tokens = {spoken: [count(roles.header(role, spoken)) for role in role_map.roles] for spoken in ("en", "ru")}
    print(f"\nchanges, {name}: tokens of the six headers, en {tokens['en']}, ru {tokens['ru']}")
    obeyed = dict.fromkeys(TOLD, 0)
    for told, (instruction, obeys) in TOLD.items():
        for question in QUESTIONS:
            for role in role_map.roles[:3]:
                header = f"{roles.header(role, language(question))}\n{instruction}"
                asked = prompt.render(family=engine.family, question=question, header=header, role=role.id, count=count,
                                      budget=1900)
                said = "".join(piece.text for piece in engine.stream(asked, GREEDY))
                obeyed[told] += obeys(said)
                if told == "one sentence" and question == QUESTIONS[0]:
                    print(f"  {role.id}: {one_line(said)[:100]}")
    print("  obeyed of 12: " + ", ".join(f"{told} {n}" for told, n in obeyed.items()))


if __name__ == "__main__":
    main(*(sys.argv[1:] or ("smollm2-135m", "qwen2.5-coder-1.5b")))
