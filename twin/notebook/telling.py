"""Telling: what a chat and a cell say of one turn - who answers and why, what was remembered, what a council weighed,
what it cost - as markup and in words, the same in both."""
from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from twin import words
from twin.notebook.html import FAINT, SMALL, Html, badge, bar, block, escaped, folded, joined, piece, unfolding
from twin.notebook.markdown import markdown
from twin.text import one_line
from twin.types import Hypothesis, Recalled, Route, Turn, Verdict
from twin.verdict_text import remarks, rows, sources
from twin.words import Words

if TYPE_CHECKING:
    from twin.chat import Twin

_WAIT = "opacity:.6"
BRIEF = 80  # characters of a reason that stand beside the name


@dataclass(frozen=True)
class Telling:
    """The words of one language and what the roles are called in it."""

    words: Words
    titles: Mapping[str, str] = field(default_factory=dict)

    def title(self, role: str) -> str:
        """What a role is called; its id where there is no such role any more."""
        return self.titles.get(role, role)

    def sure(self, route: Route) -> str:
        """How a role was chosen: asked for, by default, or its probability."""
        return (self.words("asked for") if route.asked else self.words("by default") if route.abstained
                else route.sure)

    def who(self, route: Route, *, council: bool = False) -> str:
        """Who answers, in plain text: 'Critic, 73%'."""
        named = f"{self.title(route.role)}, {self.sure(route)}"
        return f"{self.words('Council')} ({named})" if council else named

    def head(self, route: Route, *, council: bool = False, line: str = "") -> Html:
        """Who answers, how sure the router is, and why, folded where it is long; `line` where it is no trunk."""
        name = self.title(route.role)
        sure = "" if route.asked else self.sure(route)  # then the reason says it
        told = [", ".join(filter(None, [name, sure])) if council else sure]
        if line:
            told.insert(0, self.words("line {name}", name=line))
        brief = len(route.reason) <= BRIEF
        told.append(route.reason if brief else self.words("why"))
        said = joined([badge(self.words("Council") if council else name),
                       piece(f" {' · '.join(filter(None, told))}", FAINT)])
        style = "margin:.2em 0;line-height:1.5"
        return block(said, style) if brief else block(unfolding(said, escaped(route.reason, FAINT)), style)

    def waiting(self, stage: str) -> Html:
        """What is done before the first word comes."""
        return escaped(f"{stage} …", _WAIT)

    def thoughts(self, thinking: str) -> Html:
        """What a core thought before it answered, folded."""
        return folded(self.words("Thinking"), escaped(thinking, FAINT)) if thinking.strip() else Html("")

    def memories(self, seen: Sequence[Recalled], cited: Iterable[int] = ()) -> Html:
        """The memories an answer saw, folded, those it used marked: what they say, when, and why they were found."""
        if not seen:
            return Html("")
        used = set(cited)
        title = self.words.count(len(seen), "{n} memory", "{n} memories")
        if used:
            title += self.words(", {n} used", n=len(used))
        return folded(title, joined(self._memory(number, one, number in used) for number, one in enumerate(seen, 1)))

    def _memory(self, number: int, memory: Recalled, used: bool) -> Html:
        day = f"{memory.time:%Y-%m-%d} " if memory.time else ""
        mark = f"{self.words('(used)')} " if used else ""
        why = words.sentence(memory.why, self.words.language)
        origin = self.words("{why}; message {ids}", why=why, ids=", ".join(memory.message_ids))
        edge = "border-left:3px solid " + ("#3a9d5d" if used else "rgba(128,128,128,.3)")
        return block(joined([escaped(f"[{number}] {day}{mark}{memory.text}"), escaped(origin, FAINT)]),
                     f"{edge};padding-left:.6em;margin:.3em 0")

    def claims(self, heard: Iterable[Hypothesis]) -> Html:
        """What each role said, with the numbers of the memories it leans on."""
        return joined(escaped(f"{self.title(one.role)}: {one.text}{sources(one)}", SMALL) for one in heard)

    def weighing(self, verdict: Verdict) -> Html:
        """Opinions, heaviest first, each under a bar; what each role said, folded; what the numbers are worth."""
        drawn = [block(joined([bar(row.value), escaped(
            f"{row.weight} {self._held(row.who)}{f': {row.what}' if row.what else ''}")]), "margin:.35em 0")
            for row in rows(verdict)]
        said = [one_line(words.sentence(one, self.words.language)) for one in remarks(verdict)]
        count = self.words.count(len(verdict.hypotheses), "{n} hypothesis", "{n} hypotheses")
        return joined([*drawn, folded(count, self.claims(verdict.hypotheses)),
                       folded(self.words("What the numbers are worth"), escaped("\n".join(said), FAINT))])

    def _held(self, who: str) -> str:
        """Who holds an opinion: titles for ids, the rest in the person's language."""
        if not who:
            return ""
        dissent, ids = who.startswith("dissent, "), who.removeprefix("dissent, ")
        named = [words.sentence(one, self.words.language) if one not in self.titles else self.title(one)
                 for one in ids.split(", ")]
        return f"{self.words('dissent')}, {', '.join(named)}" if dissent else ", ".join(named)

    def answer(self, turn: Turn) -> Html:
        """What was answered, with the council's verdict before it."""
        verdict = turn.verdict
        weighed = self.weighing(verdict) if verdict and verdict.opinions else Html("")
        return joined([weighed, markdown(turn.answer)])

    def foot(self, turn: Turn, more: Iterable[str] = ()) -> Html:
        """Memories, thoughts, remarks, what it cost, and what else there is to say."""
        return joined([self.memories(turn.memories, turn.cited), self.thoughts(turn.thinking),
                       escaped("\n".join([*self.remarks(turn), self.cost(turn), *more]), FAINT)])

    def remarks(self, turn: Turn) -> list[str]:
        """What one must know of how an answer came to be."""
        said = [self.words("left out, the context is full: {what}", what=words.sentence(one, self.words.language))
                for one in turn.dropped]
        if turn.usage.finish == "length":
            said.append(self.words("cut at {n} tokens; the role allows no more", n=turn.usage.generated))
        if turn.status == "interrupted":
            said.append(self.words("stopped; what was written is kept"))
        elif not turn.answer:
            said.append(self.words("The core ended without a word. Ask again, or in other words."))
        return said

    def cost(self, turn: Turn) -> str:
        """Core, tokens, seconds."""
        return self.words("{core} · {read} tokens read, {written} written, {seconds} s", core=turn.model,
                          read=f"{turn.usage.prompt_tokens:,}", written=f"{turn.usage.generated:,}",
                          seconds=f"{turn.usage.total_s:.1f}")

    def told(self, turn: Turn) -> str:
        """A whole turn in plain text, for where nothing else can be shown."""
        return "\n".join([turn.answer, *(f"({one})" for one in self.remarks(turn))])


def telling(twin: Twin) -> Telling:
    """How this twin's turns are told now."""
    language = twin.language
    return Telling(Words("twin.notebook", language),
                   {one.id: one.title.of(language) for one in twin.role_map.roles})


def state(twin: Twin, language: str) -> list[str]:
    """What the core does otherwise than asked, and a hand edit of a role that cannot be read."""
    said = [words.sentence(note, language) for note in twin.notes]
    if refusal := twin.role_book.refusal:
        said.append(f"{words.sentence(refusal.what, language)} " + Words("twin.notebook", language)(
            "Correct it; until then the roles before that edit stay active."))
    return said
