"""A tokenised role map: for one GGUF the token ids of what stands before any question and of every role's tail, and the
first of these as the core has read it, so that it is loaded instead of read.

    exported = FORMATS["tokens"](material)               # role_map.json and constant.kv: see token_file
    tokens.load(folder, engine)                          # the next question finds its constant part read
    tokens.install(folder, Snapshots(home.snapshots))    # and so does the first question of every later run

The renderer is the one that chat uses, so the ids are those of a real prompt. A role with a plain LoRA reads the
constant part by weights of its own and gains nothing by the state; one with an activated LoRA gains all of it.
"""
from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from twin import gguf_file, prompt, roles
from twin.adapters import Kept
from twin.engine import prefix
from twin.engine.prefix import Core, within
from twin.engine.snapshots import Snapshots
from twin.errors import UsageError
from twin.exporters import Exported, Material
from twin.exporters import token_file as file
from twin.exporters.sheet import LANGUAGES, spoken
from twin.exporters.token_file import TokenisedMap
from twin.roles import Role
from twin.types import Engine, Prompt, Segment, digest

__all__ = ["TokenisedMap", "constant", "install", "load", "tokens"]

Plain = dict[str, Any]


def tokens(material: Material, budget: int = 0) -> Exported:  # noqa: ARG001 - every exporter takes one
    """The map for the core that `material.engine` gives, with nothing cut.

    Raises UsageError where there is no core, CannotDo for one that is no GGUF on this machine, PromptTooLong,
    ContextFull, ModelBroken (an adapter).
    """
    if material.engine is None:
        raise UsageError("A tokenised role map is made for one core, and there is none here.",
                         "Fetch one with `twin models pull NAME`, or name one with --model.")
    engine, known = material.engine(), material.role_map.roles
    core: Core = within(engine, prefix.core)
    words, about = material.constitution or prompt.CONSTITUTION, prompt.digest(material.profile)
    ids = constant(engine, words, about)
    state, offset = within(engine, prefix.read, ids)
    adapters = {name: kept for name, kept in material.adapters.items() if kept.base == core.sha256}
    headers = {role.id: _headers(role, role.id in adapters) for role in known}
    made = TokenisedMap.model_validate({
        "format": "twin-tokens", "version": 1, "core": _marker(material),
        "base": {"id": core.id, "file": core.file, "sha256": core.sha256, "architecture": core.architecture,
                 "n_vocab": core.n_vocab, "family": core.family},
        "constant": {**_ids(ids), "sha256": file.hash_of(ids)}, "message": _message(engine),
        "roles": tuple(_role(engine, role, headers[role.id], adapters.get(role.id)) for role in known),
        "state": {"file": file.STATE, "sha256": hashlib.sha256(state).hexdigest(), "bytes": len(state),
                  "offset": offset, "key": dict(core.settings)}})
    text = made.to_json()
    said = dict.fromkeys([words, about, *(header for told in headers.values() for header in told.values())])
    return Exported(text, files={file.MAP: text, file.STATE: state}, spoken=tuple(said),
                    notes=tuple(_notes(material, core)))


def constant(engine: Engine, constitution: str, about: str) -> list[int]:
    """Token ids that every conversation with this core begins with: constitution and digest of the profile, as chat
    writes them. Raises PromptTooLong."""
    return _spelled(engine, (one for one in _rendered(engine, "", constitution=constitution, about=about).prefix
                             if one.part in ("start", "constitution")))


def load(folder: Path, engine: Engine) -> TokenisedMap:
    """Read a map back and put its state into the engine of its core, so that the next prompt that begins with the
    constant part finds it read. Load what you exported yourself: nobody can see in a state what it makes a core think.

    Raises UsageError where there is no map, or one for another core or for one that was opened otherwise (it says what
    differs), BrokenFile for bytes that are not those that were written, CannotDo for an engine without a GGUF.
    """
    made, path = file.read(folder), folder.absolute() / file.STATE
    core: Core = within(engine, prefix.core)
    _refuse_other(folder, made, core)
    within(engine, prefix.adopt, path, made.state.sha256, made.state.bytes, made.constant.ids)
    return made


def install(folder: Path, shelf: Snapshots) -> Path | None:
    """Keep the state of a map among the snapshots of a home, where every engine of its core finds it; None where it
    exceeds the shelf's budget. It goes with them: when something is forgotten, or when room is needed. Raises
    UsageError, BrokenFile, HomeFull."""
    made, path = file.read(folder), folder.absolute() / file.STATE
    packed = prefix.opened(path, made.state.sha256, made.state.bytes)
    prefix.refuse_other(packed, path, made.state.key, made.constant.ids)
    return shelf.save(packed.context, packed.tokens, packed.state)


def _refuse_other(folder: Path, made: TokenisedMap, core: Core) -> None:
    there = {**made.state.key, "n_vocab": str(made.base.n_vocab), "family": made.base.family}
    here = {**core.settings, "n_vocab": str(core.n_vocab), "family": core.family}
    differ = [f"{name} {there.get(name, '-')[:12]} / {here.get(name, '-')[:12]}" for name in {**here, **there}
              if there.get(name) != here.get(name)]
    if differ:
        raise UsageError(f"The tokens in {folder} are for {made.base.file}, opened in its own way; the core that runs "
                         f"differs (there / here): {', '.join(differ)}.",
                         "Export them again with this core (`twin export tokens`), or open the other one.")


# ---- what it is made of --------------------------------------------------------------------------------------------

def _marker(material: Material) -> Plain:
    core = material.firmware
    return {"id": core.id[:12], "profile": core.profile[:12], "roles": core.role_map[:12], "level": material.level,
            "language": spoken(material)}


def _headers(role: Role, adapted: bool) -> dict[str, str]:
    """The header of a role by language, as chat gives it: none where its adapter carries it."""
    compiled = adapted and role.adapter is not None and role.adapter.instead_of_header
    return {language: "" if compiled else roles.header(role, language) for language in LANGUAGES}


def _role(engine: Engine, role: Role, headers: Mapping[str, str], kept: Kept | None) -> Plain:
    rendered = {language: _rendered(engine, header, role=role) for language, header in headers.items()}
    opening = [one for one in rendered["en"].tail if one.part == "answer"]
    return {"id": role.id, "invocation": _ids((kept and _invocation(kept)) or _spelled(engine, opening)),
            "adapter": kept and kept.sha256,
            "tails": {language: {**_ids(_spelled(engine, made.tail)), "header_sha256": digest(headers[language])}
                      for language, made in rendered.items()}}


def _invocation(kept: Kept) -> list[int]:
    """From which ids an activated LoRA acts, as its file says; none for a plain one."""
    found = gguf_file.header(kept.path).values.get("adapter.alora.invocation_tokens", ())
    return [int(token) for token in found]


def _message(engine: Engine) -> Plain:
    """What chat puts around the person's own words."""
    said = [one for one in _rendered(engine, "").prefix if one.part == "question"]
    at = next(place for place, one in enumerate(said) if not one.special)
    return {"before": _ids(_spelled(engine, said[:at])), "after": _ids(_spelled(engine, said[at + 1:]))}


def _rendered(engine: Engine, header: str, *, role: Role | None = None, constitution: str = "",
              about: str = "") -> Prompt:
    """An empty question as chat renders it."""
    return prompt.render(family=engine.family, question="", header=header, budget=engine.n_ctx, about=about,
                         count=lambda piece: len(engine.tokenize(piece)), role=role.id if role else "",
                         constitution=constitution, thinking=role.thinking if role else "auto")


def _spelled(engine: Engine, segments: Iterable[Segment]) -> list[int]:
    return [token for one in segments for token in prompt.spell(one, engine.tokenize, engine.id)]


def _ids(ids: list[int]) -> Plain:
    return {"count": len(ids), "ids": tuple(ids)}


def _notes(material: Material, core: Core) -> Iterable[str]:
    """What the person has to know."""
    yield (f"{file.STATE} is for {core.file} alone, opened with {core.settings['n_ctx']} tokens of context by "
           f"llama-cpp-python {core.settings['llama-cpp-python']}; any other refuses it.")
    for role, kept in material.adapters.items():
        if kept.base != core.sha256:
            yield f"The adapter of {role} was trained on another core, so this map is without it."
        elif kept.kind == "lora":
            yield f"The adapter of {role} is a plain LoRA: that role reads the constant part itself."
