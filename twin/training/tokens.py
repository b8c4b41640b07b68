"""A prompt as a trainer reads it: token ids, which of them are learned; and the same for eyes.

The prompt is `prompt.example`'s, the ids are the core's own, spelled as for chat, so that training, likeness and chat
read the same bytes. Knows no model: a tokenizer comes in as a function.
"""
from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import groupby

from twin.errors import PromptTooLong
from twin.prompt import ALONE, Tokenize, spell
from twin.text import printable
from twin.types import Prompt, Segment


@dataclass(frozen=True, repr=False)
class Encoded:
    """A prompt in token ids. `learned` tells for each token of the tail whether it is learned: those of the answer, and
    its end. `characters` (code points) are spelled by the learned ones; the end, a control token, spells none."""

    prefix: tuple[int, ...]
    tail: tuple[int, ...]
    learned: tuple[bool, ...]
    characters: int

    def __repr__(self) -> str:
        return f"Encoded({len(self.prefix)} + {len(self.tail)} tokens, {sum(self.learned)} learned)"


def encode(prompt: Prompt, tokenize: Tokenize, *, max_tokens: int | None = None) -> Encoded:
    """The ids of a prompt; of `fit`'s where there is a bound. `tokenize` as `Engine.tokenize`. Raises what `fit` does.
    """
    if max_tokens is not None:
        prompt = fit(prompt, tokenize, max_tokens)
    tail = [(token, segment.learned) for segment in prompt.tail for token in spell(segment, tokenize)]
    return Encoded(tuple(token for segment in prompt.prefix for token in spell(segment, tokenize)),
                   tuple(token for token, _ in tail), tuple(learned for _, learned in tail),
                   sum(len(segment.text) for segment in prompt.tail if segment.learned and not segment.special))


def opened(encoded: Encoded, opening: tuple[int, ...]) -> Encoded:
    """The same with all before the last `opening` that comes before the answer in the prefix: for an adapter that acts
    from these tokens on. The role's header is then read by the base, once, and nothing is learned through it."""
    first = encoded.learned.index(True) if True in encoded.learned else len(encoded.tail)
    at = next((at for at in range(first - len(opening), -1, -1) if encoded.tail[at:at + len(opening)] == opening), 0)
    return replace(encoded, prefix=encoded.prefix + encoded.tail[:at], tail=encoded.tail[at:],
                   learned=encoded.learned[at:])


def fit(prompt: Prompt, tokenize: Tokenize, max_tokens: int) -> Prompt:
    """The prompt in at most so many tokens: what was said before loses its beginning; where that is not enough the
    answer loses its end, and no end of it is learned. Cut between words where there is a gap.

    Raises PromptTooLong where the rest alone leaves no room for any of the answer.
    """
    def cost(segments: tuple[Segment, ...]) -> int:
        return sum(len(spell(segment, tokenize)) for segment in segments)

    whole = cost(prompt.prefix + prompt.tail)
    if whole <= max_tokens:
        return prompt
    prefix = tuple(replace(segment, text=_cut(segment.text, cost((segment,)) - whole + max_tokens, tokenize, end=True))
                   if _is_context(segment) else segment for segment in prompt.prefix)
    whole = cost(prefix + prompt.tail)
    if whole <= max_tokens:
        return replace(prompt, prefix=prefix)
    told = tuple(segment for segment in prompt.tail if not segment.learned)
    answer = next((segment for segment in prompt.tail if segment.learned), Segment("", ""))
    room = max_tokens - cost(prefix + told)
    kept = replace(answer, text=_cut(answer.text, room, tokenize, end=False))
    if not kept.text:
        raise PromptTooLong(f"What stands round an answer takes {max_tokens - room} of {max_tokens} tokens.",
                            f"Raise --max-tokens well above {max_tokens - room}, or shorten the role's instructions.")
    return replace(prompt, prefix=prefix, tail=(*told, kept))


def _is_context(segment: Segment) -> bool:
    return segment.part == "question" and not segment.special and segment.text != ALONE


def _cut(text: str, room: int, tokenize: Tokenize, *, end: bool) -> str:
    """The longest beginning (`end`: ending) of a text that takes at most `room` tokens; a word that would be broken is
    left out, as its part is spelled with other tokens."""
    def piece(n: int) -> str:
        return text[len(text) - n:] if end else text[:n]

    low, high = 0, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if len(tokenize(piece(middle))) <= room else (low, middle - 1)
    kept, broken = piece(low), piece(low + 1)
    if low < len(text) and not broken[0 if end else -1].isspace():
        words = kept.split(maxsplit=1) if end else kept.rsplit(maxsplit=1)
        kept = words[1 if end else 0] if len(words) == 2 else kept
    kept = kept.lstrip() if end else kept.rstrip()
    while kept and len(tokenize(kept)) > room:  # a few texts take more tokens than longer ones
        kept = kept[1:] if end else kept[:-1]
    return kept


# ---- for eyes ----------------------------------------------------------------------------------------------------

def show(prompt: Prompt) -> list[tuple[str, bool]]:
    """The prompt in pieces of printable text, each learned or not, for a face to colour. `fit` it first to see what is
    learned of a long one."""
    pieces = groupby(prompt.prefix + prompt.tail, key=lambda segment: segment.learned)
    return [(printable("".join(segment.text for segment in some)), learned) for learned, some in pieces]


def plain(prompt: Prompt) -> str:
    """The same without colours, as `prompt_view` draws it: what each part is, then ◆ before control tokens, │ before
    words; what is learned stands in [[ ]] under that name."""
    rows: list[str] = []
    for segment in prompt.prefix + prompt.tail:
        shown = printable(segment.text)
        shown = shown.replace("\n", "↵") if segment.special else shown
        kind, mark = "learned" if segment.learned else segment.part, "◆" if segment.special else "│"
        for number, line in enumerate(f"[[{shown}]]".split("\n") if segment.learned else shown.split("\n")):
            rows.append(f"{'' if number else kind:<12} {mark} {line}".rstrip())
    return "\n".join(rows)
