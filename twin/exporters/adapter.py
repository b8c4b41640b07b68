"""A role's adapter for other programs: the GGUF for llama.cpp and Ollama, the folder for PEFT, what is known of it as
JSON, and a card that says how it is used. For the person alone: what an adapter learned cannot be taken out of it."""
from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import yaml

from twin import catalog, gguf_file, prompt, roles, words
from twin.adapters import Kept, refuse_control
from twin.errors import ModelBroken, UsageError
from twin.exporters import Content, Exported, Material
from twin.exporters.escape import neutral, one_line
from twin.exporters.sheet import LANGUAGES, Sheet, mark, spoken
from twin.home import sha256_of
from twin.roles import Role

CARD, MANIFEST = "README.md", "manifest.json"
PEFT = ("adapter_config.json", "adapter_model.safetensors")  # what `PeftModel.from_pretrained` reads
_FILE = re.compile(r"[\w.+-]{1,200}", re.ASCII)


def adapter(material: Material, budget: int = 0) -> Exported:  # noqa: ARG001 - every exporter takes one
    """The adapter of `material.role`, or of the only role that has one.

    Raises UsageError that lists the roles with adapters where it is not clear which is meant, for the public level and
    for an adapter of another person's words; ModelBroken for bytes that are not those that were measured.
    """
    role, kept = _chosen(material)
    gguf, peft = f"{role.id}.gguf", [kept.peft / name for name in PEFT]
    there = all(path.is_file() for path in peft)
    manifest = {**kept.manifest, **_use(material, role, kept, gguf)}
    card = _card(material, role, kept, gguf, there)
    files: dict[str, Content] = {CARD: card, gguf: kept.path,
                                 MANIFEST: json.dumps(manifest, ensure_ascii=False, indent=1, default=str) + "\n"}
    if there:
        files |= {**{f"peft/{path.name}": path for path in peft}, f"peft/{CARD}": card}
    return Exported(card, files=files, notes=tuple(_notes(kept, there)))


def _chosen(material: Material) -> tuple[Role, Kept]:
    """The role whose adapter is meant, and that adapter, whole and the person's own."""
    known = sorted(material.adapters)
    if material.level == "public":
        raise UsageError("An adapter does not leave for the public: what it learned cannot be taken out of it.",
                         "Export it at the private level.")
    wanted = material.role or (known[0] if len(known) == 1 else "")
    role = material.role_map.role(wanted) if wanted else None
    if not known or (role and role.id not in known):
        raise UsageError(f"No adapter in this core speaks for {role.id if role else 'any role'}.",
                         f"Choose a role with one: {', '.join(known)}." if known else
                         "Train one with `twin train ROLE`, and switch it on with `twin adapter on ROLE`.")
    if role is None:
        raise UsageError(f"{len(known)} roles have an adapter.", f"Name one with --role: {', '.join(known)}.")
    kept = material.adapters[role.id]
    refuse_control(kept)
    if not kept.path.is_file() or sha256_of(kept.path) != kept.sha256:
        raise ModelBroken(f"The adapter {kept.sha256[:12]} is damaged: its bytes are not those it was named after.",
                          "Train it again, or put the file back from a copy.")
    return role, kept


def _use(material: Material, role: Role, kept: Kept, gguf: str) -> dict[str, Any]:
    """What somebody else has to write before an answer of this role: the system prompt, and the header just before the
    answer (none where the adapter carries it); and from which token ids it acts, none named meaning from the first."""
    core = material.firmware
    called = gguf_file.header(kept.path).values.get("adapter.alora.invocation_tokens", ())
    headers = {language: "" if kept.compiled else roles.header(role, language) for language in LANGUAGES}
    return {"core": {"id": core.id, "profile": core.profile, "roles": core.role_map[:12], "level": material.level,
                     "language": spoken(material)},
            "use": {"file": gguf, "base": _base(kept), "role": role.id, "header": headers,
                    "system": material.constitution or prompt.CONSTITUTION,
                    "scale": role.adapter.scale if role.adapter else 1.0,
                    "invocation": {"count": len(called), "ids": [int(token) for token in called]}}}


def _card(material: Material, role: Role, kept: Kept, gguf: str, peft: bool) -> str:
    language = spoken(material)
    known = re.fullmatch(r"[a-z0-9.-]+", kept.licence.casefold())
    matter = {"license": known.group() if known else "other", "library_name": "peft",
              "tags": ["twin", kept.kind, "gguf"], "base_model": one_line(kept.base_name)}
    frame = {"language": language, "matter": yaml.safe_dump(matter, sort_keys=False, allow_unicode=True),
             "title": neutral(role.title.of(language)), "role": role.id, "gguf": gguf, "peft": peft,
             "sha256": neutral(kept.sha256), "kind": neutral(kept.kind), "compiled": kept.compiled,
             "base": neutral(kept.base_name), "base_sha256": neutral(kept.base), "file": _base(kept),
             "licence": neutral(kept.licence) or "?", "samples": kept.samples, "steps": kept.steps,
             "before": f"{kept.before:.3f}", "after": f"{kept.after:.3f}",
             "said": neutral(words.sentence(kept.reason, language)), "marker": mark(material)}
    return Sheet("adapter.jinja", "markdown", frame)() + "\n"


def _base(kept: Kept) -> str:
    """What the file of its core is called: by the catalogue, else by its manifest; a word in capitals where that would
    be no file's name."""
    files = [file for model in catalog.load_models() for file in model.files]
    known = next((file.name for file in files if file.sha256 and file.sha256 == kept.base), None)
    name = known or f"{kept.base_name.removesuffix('.gguf')}.gguf"
    return Path(name).name if _FILE.fullmatch(Path(name).name) else "CORE.gguf"


def _notes(kept: Kept, peft: bool) -> list[str]:
    notes = ["An adapter can give back what it learned: give it only to those who may read these messages."]
    if not peft:
        notes.append("Its folder for PEFT is missing, so the export has the GGUF alone; training again makes it.")
    if kept.kind == "alora":
        notes.append("It is an activated adapter: a program that does not know its invocation lets it act from the "
                     "first token, so that its answers differ from those that were measured.")
    return notes
