"""A RAG pack: a dataset folder as the Hugging Face hub lays one out, for any program that searches or trains.

Four tables: the person's messages (passages), what is claimed of them, the quotes that bear the claims, and vectors of
an embedder. Everything is made in memory: 100,000 messages of 40 words come to 45 MB of files and take 0.5 GB while
they are made (50 s); their vectors are 170 MB more.
"""
from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from itertools import islice
from typing import Any

import yaml

from twin import text as texts
from twin.exporters import Exported, Material
from twin.exporters.prompt import neutral
from twin.memory import parquet, windows
from twin.person import Claim, Evidence
from twin.types import Embedder, Message

# All four are Parquet, since `datasets` (seen in 5.2) reads every config of a folder in the format of the first one.
# What is read back into a home stands in a file beside them: it needs more of a message than a passage has (its flags,
# its author), and untrusted Parquet is no input for an importer. At the public level nothing is read back.
BACK, TAG, VERSION = "twin.jsonl", "twin-pack", 1
_DATA = "data/{}-00000-of-00001.parquet"
_AT_ONCE = 256  # windows whose vectors are made together

_PASSAGES: Mapping[str, parquet.Kind] = {
    "id": "text", "text": "text", "role": "text", "source_kind": "text", "conv_id": "text", "created_at": "time",
    "lang": "text", "claim_ids": "texts", "sensitivity": "text"}
_CLAIMS: Mapping[str, parquet.Kind] = {
    "id": "text", "kind": "text", "text": "text", "authority": "text", "confidence": "share", "language": "text",
    "origin": "text"}
_EVIDENCE: Mapping[str, parquet.Kind] = {
    "claim_id": "text", "passage_id": "text", "supports": "flag", "start": "number", "end": "number", "quote": "text",
    "hash": "text"}
_EMBEDDINGS: Mapping[str, parquet.Kind] = {"passage_id": "text", "start": "number", "end": "number"}


def pack(material: Material, budget: int) -> Exported:  # noqa: ARG001 - a pack has no limit
    """The folder. Vectors are made here, minutes for many messages; without an embedder they are left out, and a note
    says so. A quote that does not stand in its passage any more has neither passage nor offsets."""
    said = _Said.of(material)
    claims = [_claim(one, material) for one in material.profile.claims]
    evidence = list(_evidence(material.profile.claims, said))
    tables = {"passages": parquet.table(_PASSAGES, said.rows), "claims": parquet.table(_CLAIMS, claims),
              "evidence": parquet.table(_EVIDENCE, evidence)}
    notes: tuple[str, ...] = ()
    if material.embedder is None:
        notes = ("The pack has no vectors: there is no embedder on this machine.",)
    else:
        tables["embeddings"] = _embeddings(material.embedder, said.rows)
    readme = _readme(material, {"passages": len(said.rows), "claims": len(claims), "evidence": len(evidence)})
    files: dict[str, str | bytes] = {"README.md": readme}
    files |= {_DATA.format(name): content for name, content in tables.items()}
    if material.level == "private":
        files[BACK] = "".join(f"{json.dumps(line, ensure_ascii=False)}\n" for line in _back(material, said.messages))
    spoken = [row["text"] for row in (*said.rows, *claims)] + [row["quote"] for row in evidence]
    return Exported(readme, files=files, notes=notes, spoken=tuple(spoken))


# ---- tables ----------------------------------------------------------------------------------------------------------

@dataclass
class _Said:
    """The messages, their rows, and the id and text of each passage by the names the export calls it by."""

    messages: list[tuple[str, Message]] = field(default_factory=list)
    rows: list[dict[str, Any]] = field(default_factory=list)
    passages: dict[tuple[str, str], tuple[str, str]] = field(default_factory=dict)

    @classmethod
    def of(cls, material: Material) -> _Said:
        made, bearing, taken = cls(), _bearing(material.profile.claims), set[str]()
        for conversation, message in material.said():
            place = material.place(conversation, message.id)
            name, words = "/".join(place), material.hide(message.text)
            while name in taken:  # "a/b" + "c" and "a" + "b/c"
                name += "~"
            taken.add(name)
            made.messages.append((conversation, message))
            made.passages[place] = name, words
            made.rows.append({
                "id": name, "text": words, "role": message.role, "source_kind": message.source or "",
                "conv_id": place[0], "created_at": message.time, "lang": texts.language(words),
                "claim_ids": bearing.get(place, []), "sensitivity": material.level})
        return made


def _bearing(claims: Iterable[Claim]) -> dict[tuple[str, str], list[str]]:
    """The claims that each message bears."""
    found: dict[tuple[str, str], dict[str, None]] = defaultdict(dict)
    for claim in claims:
        for one in claim.evidence:
            found[one.conversation, one.message][claim.id] = None
    return {place: list(ids) for place, ids in found.items()}


def _claim(claim: Claim, material: Material) -> dict[str, Any]:
    return {"id": claim.id, "kind": claim.kind, "text": claim.text, "authority": claim.authority,
            "confidence": claim.confidence, "language": material.profile.language, "origin": claim.origin}


def _evidence(claims: Iterable[Claim], said: _Said) -> Iterator[dict[str, Any]]:
    for claim in claims:
        for one, supports in [*((one, True) for one in claim.evidence), *((one, False) for one in claim.counter)]:
            name, start = _found(one, said)
            yield {"claim_id": claim.id, "passage_id": name, "supports": supports, "start": start,
                   "end": None if start is None else start + len(one.quote), "quote": one.quote, "hash": one.hash}


def _found(one: Evidence, said: _Said) -> tuple[str | None, int | None]:
    """The passage of a quote and where it begins there: where it was kept, or where a hidden text has it now."""
    name, words = said.passages.get((one.conversation, one.message), (None, ""))
    start = one.start if words[one.start:one.end] == one.quote else words.find(one.quote)
    return (None, None) if name is None or start < 0 else (name, start)


def _embeddings(embedder: Embedder, rows: Sequence[Mapping[str, Any]]) -> bytes:
    """A vector for each piece of a passage, cut as the memory cuts it: an embedder reads some 200 words at once."""
    def pieces() -> Iterator[tuple[dict[str, Any], str]]:
        for row in rows:
            end = 0
            for piece in windows(row["text"]):
                start = row["text"].index(piece, end)
                end = start + len(piece)
                yield {"passage_id": row["id"], "start": start, "end": end}, piece

    def embedded() -> Iterator[tuple[dict[str, Any], list[float]]]:
        left = pieces()
        while group := list(islice(left, _AT_ONCE)):
            yield from zip((row for row, _ in group), embedder.embed([piece for _, piece in group]), strict=True)

    return parquet.vectors(_EMBEDDINGS, embedded(), embedder.dim,
                           {"embedder": embedder.id, "dim": str(embedder.dim), "normalised": "true"})


# ---- what is read back -----------------------------------------------------------------------------------------------

def _back(material: Material, said: Iterable[tuple[str, Message]]) -> Iterator[dict[str, Any]]:
    """Lines for our own importer: messages as they are stored, and the claims that rules do not find in them again.
    Flags that the text itself gives are left out: the archive adds them, and its hash of a message is without them."""
    core = material.firmware
    yield {"twin": "pack", "version": VERSION, "core": core.id, "profile": core.profile, "level": material.level}
    for conversation, message in said:
        found = texts.foreign_kinds(message.text)
        yield {"twin": "message", "conversation": conversation, "id": message.id, "role": message.role,
               "time": message.time and message.time.isoformat(), "author": message.author, "source": message.source,
               "flags": [flag for flag in message.flags if flag not in found], "text": message.text}
    for claim in material.profile.claims:
        if claim.origin != "rule":
            yield {"twin": "claim", "id": claim.id, "kind": claim.kind, "text": claim.text,
                   "language": material.profile.language, "quote": claim.evidence[0].quote}


# ---- what is read first ----------------------------------------------------------------------------------------------

def _readme(material: Material, counts: Mapping[str, int]) -> str:
    from jinja2 import StrictUndefined  # only exporters need jinja2
    from jinja2.sandbox import SandboxedEnvironment

    core, embedder = material.firmware, material.embedder
    names = [*counts, *(["embeddings"] if embedder else [])]
    configs = [{"config_name": name, **({"default": True} if name == names[0] else {}),
                "data_files": [{"split": "train", "path": _DATA.format(name)}]} for name in names]
    matter = {"configs": configs, "license": "other", "tags": [TAG]}
    environment = SandboxedEnvironment(undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
                                       keep_trailing_newline=True)
    template = environment.from_string(resources.files("twin.exporters").joinpath("pack.jinja").read_text("utf-8"))
    return template.render(
        matter=yaml.safe_dump(matter, sort_keys=False), language=material.language, name=neutral(material.name),
        level=material.level, counts=counts, data={name: _DATA.format(name) for name in (*counts, "embeddings")},
        embedder=neutral(embedder.id) if embedder else "", dim=embedder.dim if embedder else 0,
        back=BACK if material.level == "private" else "",
        marker=f"twin-core id={core.id} profile={core.profile} roles={core.role_map[:12]} level={material.level} "
               f"language={material.language}")
