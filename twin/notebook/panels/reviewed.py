"""A review of one proposal as a page: the sentence, what changes, what the proof found, items before and after."""
from __future__ import annotations

import math
from collections.abc import Iterator

from twin.notebook.html import Html, folded, piece
from twin.notebook.panels.pieces import changed, faint, grid, note, number, title
from twin.proposals import Gain, Proof
from twin.review import Review, state
from twin.text import one_line
from twin.words import Words

_SHOWN = 240  # characters of an item


def drawn(one: Review, words: Words) -> Iterator[Html]:
    """All of it, the most important first; every number is in the text that is folded below."""
    spoken = words.language
    yield piece(one.says[spoken], "font-weight:600;font-size:105%")
    why = one.why.get(spoken, "")
    yield faint(f"{one.id} · {state(one.state, spoken)}" + (f" · {why}" if why else ""))
    if one.trial:
        yield note(one.trial.say(spoken), "now")
    if one.risk == "high":
        yield note(words("High risk: it lets a role see more, or makes and unmakes roles. Look at it twice."), "bad")
    if one.broken:
        yield note(words("It does not fit the map in force: {what}", what=one.broken), "bad")
    elif not one.fits:
        yield note(words("It was made for an earlier map; proving it makes it again for the one in force."))
    yield title(words("What changes"))
    yield changed(one.diff[spoken]) if one.diff[spoken] else faint(words("Nothing in the map."))
    if one.proof:
        yield from _proof(one, one.proof, words)
    yield folded(words("All numbers"), faint(one.text(spoken)))


def _proof(one: Review, proof: Proof, words: Words) -> Iterator[Html]:
    tone = "good" if proof.verdict == "accepted" else "bad" if proof.verdict == "rejected" else "now"
    yield title(words("What the proof found"))
    yield note(proof.reason.get(words.language, proof.verdict), tone)  # type: ignore[arg-type]
    rows = [_gain(each, words) for each in ([proof.gain] if proof.gain else []) + list(one.worse)]
    yield grid([words("measure"), words("gain"), words("at least"), words("over")], rows, ready=(1,))
    if not one.worse:
        yield faint(words("Nothing that was measured got worse."))
    if proof.needed:
        yield faint(words.count(proof.needed, "About {n} more message is needed to tell.",
                                "About {n} more messages are needed to tell."))
    if one.samples:
        yield title(words("Before and after"))
        yield grid([words("message"), words("before"), words("after")],
                    [tuple(map(_short, (each.about, each.before, each.after))) for each in one.samples])
    yield faint(_cost(proof, words))


def _gain(one: Gain, words: Words) -> tuple[str, Html, str, str]:
    """Name, value (what got worse in red), its lower bound, over how much."""
    names = {"router": words("right routes"), "bits": words("bits a token saved"),
             "bits of next": words("bits a token saved, your messages"),
             "bits of kept": words("bits a token saved, answers you kept"), "feedback": words("good ratings"),
             "header tokens": words("tokens of the instructions saved (share)")}
    value = "" if math.isnan(one.value) else f"{one.value:+.3f}"
    low = "" if math.isnan(one.low) else words("{low} with {level} % certainty", low=f"{one.low:+.3f}",
                                               level=f"{100 * one.level:.6g}")
    n = words.count(one.n, "{n} item", "{n} items")
    talks = words.count(one.clusters, "{n} conversation", "{n} conversations")
    told = number(value, "bad" if one.value < 0 else "good" if one.value > 0 else "")
    return names.get(one.metric, one.metric), told, low, f"{n}, {talks}"


def _cost(proof: Proof, words: Words) -> str:
    """What the change costs each turn, and what proving it took."""
    before, after = (proof.cost.get(name, math.nan) for name in ("header before", "header after"))
    parts = []
    if math.isfinite(before) and math.isfinite(after):
        parts.append(words("Cost: {before} → {after} tokens of instructions.", before=f"{before:.0f}",
                           after=f"{after:.0f}"))
    if math.isfinite(seconds := proof.cost.get("seconds", math.nan)):
        parts.append(words("The proof took {seconds} s.", seconds=f"{seconds:.0f}"))
    return " ".join(parts)


def _short(said: str) -> str:
    flat = one_line(said)
    return flat if len(flat) <= _SHOWN else f"{flat[:_SHOWN - 1]}…"


