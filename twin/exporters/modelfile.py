"""A Modelfile for Ollama: the core's file, the system prompt, the role's sampling and its adapter."""
from __future__ import annotations

import re
from typing import TYPE_CHECKING

from twin import catalog
from twin.errors import UsageError
from twin.exporters import Content, Exported, Material
from twin.exporters.escape import plain, utf16
from twin.exporters.sheet import Sheet, fit, ranked, slug
from twin.role_parts import RoleSampling
from twin.roles import Role

if TYPE_CHECKING:
    from twin.adapters import Kept

FILE = "Modelfile"
_NAME = re.compile(r"[\w.+-]{1,200}", re.ASCII)


def modelfile(material: Material, budget: int) -> Exported:
    """A folder with the Modelfile, which keeps to the budget, and the adapter of its role, if there is one.
    Raises UsageError when the frame does not fit.

    An adapter that carries its role's header stands for it: the header is left out. The core itself is not copied; the
    notes say which file it is and where it belongs.
    """
    role = material.role_map.role(material.role) if material.role else None
    kept = material.adapters.get(role.id) if role else None
    base, gguf = base_of(kept), f"{role.id}.gguf" if role and kept else ""
    sheet = Sheet.of(material, "modelfile.jinja", "plain", role=kept is None or not kept.compiled, base=base,
                     adapter=gguf, parameters=parameters(role), licence=plain(kept.licence) if kept else "")
    text, cut = fit(sheet, ranked(material.profile), budget)
    files: dict[str, Content] = {FILE: text}
    notes = [f"Put the core's file {base} into this folder and run there: `ollama create {slug(material)} -f {FILE}`."]
    if kept:
        files[gguf] = kept.path
    if kept and kept.kind == "alora":
        notes.append("The adapter is an activated one: twin lets it act from its invocation on, Ollama from the "
                     "beginning, so its answers differ from those that were measured.")
    if material.adapters and not kept:
        notes.append("No adapter is in it: name the role whose adapter it is to carry.")
    return Exported(text, cut, utf16(text), files=files, notes=tuple(notes))


def parameters(role: Role | None) -> list[tuple[str, str]]:
    """Ollama's parameters for a role. Its own context of 4096 tokens would cut a full prompt, so that is always set."""
    asked = role.sampling if role else RoleSampling()
    window = (role.placement.n_ctx if role else None) or catalog.CONTEXT
    known = [("num_ctx", window), ("temperature", asked.temperature), ("top_p", asked.top_p), ("top_k", asked.top_k),
             ("min_p", asked.min_p), ("repeat_penalty", asked.repeat_penalty), ("num_predict", asked.max_tokens),
             ("seed", asked.seed)]
    return [(key, str(value)) for key, value in known if value is not None]


def base_of(kept: Kept | None) -> str:
    """The name of the core's file: by the catalogue, else as the adapter's manifest says; without one, of the first
    core that is known. Raises UsageError for a name that would be no file beside the Modelfile."""
    cores = [file for model in catalog.load_models() if model.kind == "core" for file in model.files[:1]]
    if kept is None:
        return cores[0].name
    known = next((file.name for file in cores if file.sha256 and file.sha256 == kept.base), kept.base_name)
    if not _NAME.fullmatch(known):
        raise UsageError(f"The adapter {kept.sha256[:12]} does not say what its core's file is called.",
                         "Export without a role: then no adapter comes along.")
    return known
