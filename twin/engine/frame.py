"""The chat form of a foreign core: which of our families its template is, or a Family learned from the template.

A template is a program from a file nobody vouches for. It is run on invented words only, in a sandbox and in the trial
process, which has a limit of time and memory (trial.py); what a person writes never goes through it. Knows no model,
no file and no prompt.
"""
from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from os.path import commonprefix
from typing import Any, Never

from twin.errors import ModelBroken
from twin.types import Family

Talk = Sequence[tuple[str, str]]  # (speaker, text)
Render = Callable[[Talk, bool], str]

LONGEST = 8000  # characters between two messages: Mistral's default system prompt has 2,500

# Two sets of invented words. The second has what templates escape, split at, or change by mistake.
_PLAIN = [f"Probe{letter}word" for letter in "ABCDEFGH"]
_ODD = [f"{letter}: что  <b>\"{{{{x}}}}\" & 'y'</b>\n\n- [1] é/\\n {{% z %}} end." for letter in "JKLMNOPQ"]
_TURNS = ("user", "assistant", "user", "assistant", "user")
_HEADED = ("system", "user", "system", "assistant", "user", "assistant", "user", "system")  # a role's header comes last


def known(template: str, arch: str) -> str | None:
    """The name of our own family (twin.prompt.FAMILIES) that a template is one of; by architecture where there is none.

    A core that can think or not opens an empty block of thoughts to answer at once, and a block when it is to think
    ("qwen3.5"; "qwen3" opens it itself); one that always thinks opens it.
    """
    if not template:
        return {"qwen2": "chatml", "qwen2moe": "chatml"}.get(arch) or ("qwen3" if arch.startswith("qwen3") else None)
    if "<|im_start|>" not in template or "<|im_end|>" not in template or "<|im_sep|>" in template:  # Phi-4's has a sep
        return None
    text = template.replace("\\n", "\n")
    if "<think>\n\n</think>" in text:
        return "qwen3.5" if re.search(r"<think>\n['\"]", text) else "qwen3"
    return "qwen3.5-thinking" if "assistant\n<think>\n" in text else "chatml"


def learn(template: str, *, name: str, bos: str = "", eos: str = "") -> Family:
    """The chat form a template writes, proved on a second conversation. Raises ModelBroken, with the reason.

    A system message keeps its own form only if the template lets it stand anywhere; else `system` is None. What a
    template says by itself before the first system message (a date, a default) is left out. Texts may be trimmed.
    """
    try:
        render = _renderer(template, bos, eos)
        family = _learned(render, name)
    except _Refused as refused:
        raise _broken(name, str(refused)) from None
    except Exception as error:  # a template can raise whatever it likes
        raise _broken(name, f"{type(error).__name__}: {error}"[:200]) from error
    return family


class _Refused(Exception):
    """Why no Family describes what a template writes."""


def _broken(name: str, reason: str) -> ModelBroken:
    return ModelBroken(f"The chat template of {name} cannot be used: {reason}.",
                       "Name the chat family it was trained with.")


def _renderer(template: str, bos: str, eos: str) -> Render:
    """The template as a function, with what Hugging Face gives to templates; thoughts are asked to be off."""
    from jinja2.sandbox import ImmutableSandboxedEnvironment  # deferred: only the trial process runs templates

    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True,
                                                extensions=["jinja2.ext.loopcontrols"])
    environment.globals.pop("lipsum")
    environment.filters["tojson"] = _to_json
    today = datetime.now(UTC)
    frame = {"bos_token": bos, "eos_token": eos, "raise_exception": _raise, "strftime_now": today.strftime,
             "tools": None, "documents": None, "enable_thinking": False, "thinking": False}
    program = environment.from_string(template)

    def render(talk: Talk, opening: bool) -> str:
        messages = [{"role": speaker, "content": text} for speaker, text in talk]
        return program.render(messages=messages, add_generation_prompt=opening, **frame)

    return render


def _raise(reason: str) -> Never:
    raise _Refused(f"it says {str(reason)[:150]!r}")


def _to_json(value: Any, indent: int | None = None, **_rest: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=indent)


# ---- learning ----------------------------------------------------------------------------------------------------

def _learned(render: Render, name: str) -> Family:
    family = _without_system(render, name)
    headed = _with_system(render, family)
    if headed is not None:
        return headed
    talk = list(zip(_TURNS, _ODD, strict=False))
    if render(talk, True) != _compose(family, talk, True):
        raise _Refused("it does more than put words before and after each message")
    return family


def _without_system(render: Render, name: str) -> Family:
    """The form of a talk of two. Where a message ends shows at the end of a talk; some templates add more there, so
    an end is what all places agree on."""
    talk = list(zip(_TURNS[:3], _PLAIN, strict=False))
    first, to_answer, to_user, last = _gaps(render(talk, False), talk)
    after_user = _gaps(render(talk, True), talk)[-1]
    after_answer = _gaps(render(talk[:2], False), talk[:2])[-1]
    user_end = _common(to_answer, after_user, last)
    answer_end = _common(to_user, after_answer)
    user = to_user[len(answer_end):]
    if not first.endswith(user):
        raise _Refused("the first message of a talk has another form than later ones")
    return Family(name, None, (user, user_end), (to_answer[len(user_end):], answer_end),
                  opening=after_user[len(user_end):], start=first[:len(first) - len(user)])


def _with_system(render: Render, family: Family) -> Family | None:
    """The same form with system messages; None if the template refuses, moves, drops or changes them."""
    talk = list(zip(("system", *_TURNS[:3], "system"), _PLAIN, strict=False))
    try:
        first, to_user, *_rest, to_system, _last = _gaps(render(talk, True), talk)
        opened = to_system.removeprefix(family.user[1])
        before, found, by_itself = first.partition(opened or "\0")
        if not found or not to_user.endswith(family.user[0]):
            return None
        form = Family(family.name, (opened, to_user[:len(to_user) - len(family.user[0])]), family.user,
                      family.assistant, family.opening, before)
        headed = list(zip(_HEADED, _ODD, strict=True))
        for odd in (headed, headed[:2], [*headed[:2], *headed[3:5]]):
            wanted = _compose(form, odd, True)
            if render(odd, True) != before + opened + by_itself + wanted[len(before + opened):]:
                return None
    except Exception:  # raised by the template: it knows no system message, or not there
        return None
    return form


def _gaps(text: str, talk: Talk) -> list[str]:
    """What stands before, between and after the messages, each of which must stand there once and in order."""
    gaps, rest = [], text
    for speaker, said in talk:
        before, found, rest = rest.partition(said)
        if not found or text.count(said) != 1:
            raise _Refused(f"it leaves out, changes, moves or repeats what the {speaker} says")
        gaps.append(before)
    gaps.append(rest)
    if max(map(len, gaps)) > LONGEST:
        raise _Refused(f"it puts more than {LONGEST:,} characters around a message")
    return gaps


def _common(*gaps: str) -> str:
    """The beginning the gaps share, cut before a control token that it would split: `<|end|>\\n<|` is `<|end|>\\n`."""
    shared = commonprefix(gaps)  # noqa: RUF071 - characters are what is compared
    if shared in gaps:
        return shared
    cut = max(shared.rfind("<"), shared.rfind("["))
    return shared[:cut] if cut > max(shared.rfind(">"), shared.rfind("]")) else shared


def _compose(family: Family, talk: Talk, opening: bool) -> str:
    """A talk in the form of a family, whose speakers all have one."""
    forms = {"system": family.system or ("", ""), "user": family.user, "assistant": family.assistant}
    said = "".join(forms[speaker][0] + text + forms[speaker][1] for speaker, text in talk)
    return family.start + said + (family.opening if opening else "")
