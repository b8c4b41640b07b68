"""Training files: ShareGPT {"conversations": [{"from", "value"}]} and Alpaca {"instruction", "input", "output"}.

Neither has ids or times, so both ids are hashes of content with a counter for repetitions. Alpaca's `input` is what the
instruction works on: pasted, not said, so it stands in the text as quoted lines, which are no evidence.
"""
from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from twin.importers.found import Context, Found, found, message, one_newline, trim
from twin.importers.jsonvalue import Node, as_dict, as_list, as_text
from twin.importers.messages import conversation_of
from twin.types import Message

SOURCE = "sharegpt"

_PERSON = ("human", "user")
_MACHINE = ("gpt", "assistant", "chatgpt", "model", "bot", "bard", "bing")
_SKIPPED = {"system": "system", "function_call": "tool", "observation": "tool", "tool": "tool", "function": "tool"}


def recognises(value: object) -> bool:
    """True for one conversation of either form."""
    said = as_dict(value)
    return _is_alpaca(said) or any({"from", "value"} <= as_dict(one).keys()
                                   for one in as_list(said.get("conversations")))


def _is_alpaca(value: Node) -> bool:
    return "instruction" in value and "output" in value


def read(values: Iterable[object], context: Context) -> Iterator[Found]:
    """Each conversation. What cannot be read comes back as a failure that names it; nothing raises."""
    seen: Counter[str] = Counter()
    for number, value in enumerate(values, 1):
        whole = as_dict(value)
        if not _is_alpaca(whole) and not isinstance(whole.get("conversations"), list):
            yield Found(context.file, failure=f"conversation {number}: there is neither a list of 'conversations' nor "
                                              "an 'instruction' in it. Mend that line, or go on without it.")
            continue
        read = list(_alpaca(whole, context) if _is_alpaca(whole) else _sharegpt(whole["conversations"], context))
        skipped = Counter(one for one in read if isinstance(one, str))
        skipped["system"] += bool(as_text(whole.get("system")).strip())
        spoken = [one for one in read if isinstance(one, Message)]
        yield found(context.file, conversation_of(spoken, SOURCE, seen), +skipped)


def _sharegpt(said: list[Any], context: Context) -> Iterator[Message | str]:
    """Messages without ids, and reasons to skip the others."""
    for one in said:
        speaker = as_dict(one).get("from")
        if not isinstance(one, dict) or not isinstance(speaker, str) or not isinstance(one.get("value"), str):
            yield "malformed message"
        elif speaker in _PERSON or speaker in _MACHINE:
            yield _message(speaker in _PERSON, one["value"], context)
        else:
            yield _SKIPPED.get(speaker, "unknown speaker")


def _alpaca(value: Node, context: Context) -> Iterator[Message | str]:
    """The exchanges before, then the instruction with what it works on, then the answer."""
    for pair in as_list(value.get("history")):
        if isinstance(pair, list) and len(pair) == 2 and all(isinstance(one, str) for one in pair):
            yield _message(True, pair[0], context)
            yield _message(False, pair[1], context)
        else:
            yield "malformed message"
    asked, pasted, answered = (value.get(key) for key in ("instruction", "input", "output"))
    if isinstance(asked, str) and isinstance(pasted, str | None):
        yield _message(True, asked, context, pasted or "")
    else:
        yield "malformed message"
    yield _message(False, answered, context) if isinstance(answered, str) else "malformed message"


def _message(own: bool, said: str, context: Context, pasted: str = "") -> Message | str:
    original, pasted = trim(one_newline(said)), trim(one_newline(pasted))
    if not original.strip() and not pasted.strip():
        return "empty"
    fixed = context.mended.text(original)
    if not pasted:
        return message("", "user" if own else "assistant", original, fixed, own=own)
    mended = context.mended.text(pasted)
    quoted = "\n".join(f"> {line}".rstrip() for line in mended.split("\n"))
    text = f"{fixed}\n\n{quoted}".lstrip("\n")
    return message("", "user", f"{original}\n\n{pasted}", f"{fixed}\n\n{mended}", text, own=own, flags=("pasted",))
