"""Evidence: the memories an answer saw, each whole, where it is from, why it was found, what was said around it, and
which claims of the profile rest on the same words."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.content import Content

from twin.errors import TwinError
from twin.text import one_line, printable
from twin.types import Conversation, Recalled
from twin.verification import Kept
from twin.words import Words, sentence

from .exchange import Exchange
from .pages import Picker
from .quotes import Quotes, authority, who
from .shelf import Shelf, both

BESIDE = 2    # messages before and after
LONG = 400    # characters of one of them
CLAIMS = 9


@dataclass(frozen=True, repr=False)
class Memory:
    """A memory of an answer: its number, whether the answer cites it, and, once it was looked up, where it stands."""

    number: int
    recalled: Recalled
    cited: bool
    talk: Conversation | None = None
    claims: tuple[Kept, ...] = ()


class Evidence(Shelf[Memory]):
    """What one answer saw. What the exchange holds is shown at once; the rest comes when the twin is free."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding(both("w"), "why", "Quotes of a claim", id="evidence.why")]

    def __init__(self, exchange: Exchange) -> None:
        super().__init__()
        self.exchange = exchange

    def heading(self) -> str:
        return self.words("What this answer saw")

    def nothing(self) -> str:
        return self.words("This answer saw no memories. Memories come from what you have imported and typed: press "
                          "esc, then /import brings more.")

    def on_mount(self) -> None:
        turn = self.exchange.turn
        cited = turn.cited if turn else ()
        self.note(Content.styled(one_line(self.exchange.question), "italic"))
        self.fill([Memory(number, one, number in cited) for number, one in enumerate(self.exchange.memories, 1)])
        if self.things and not self.face.background.busy:
            self.run_job(lambda *_: self._looked_up(), self.fill)
        elif self.things:
            self.tell(self.words("What stands around them comes once the answer is written: open this again then."))

    def _looked_up(self) -> list[Memory]:
        archive = self.twin.archive
        talks: dict[str, Conversation | None] = {}
        for one in self.things:
            name = one.recalled.conversation
            if name not in talks:
                try:
                    talks[name] = archive.conversation(name)
                except TwinError:  # forgotten since, or typed to the twin and not kept
                    talks[name] = None
        kept = [claim for version in archive.snapshots(1) for claim in version.claims]
        return [Memory(one.number, one.recalled, one.cited, talks[one.recalled.conversation],
                       _resting(kept, one.recalled)) for one in self.things]

    def row(self, thing: Memory) -> Content:
        one = thing.recalled
        day = f"{one.time:%Y-%m-%d}  " if one.time else ""
        return Content.assemble(("▪ " if thing.cited else "  ", "$text-primary"), (f"[{thing.number}] ", "bold"),
                                (day, "$text-muted"), one_line(one.text))

    def about(self, thing: Memory) -> Content:
        return about(thing, self.words)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action == "why":
            return self.chosen is not None and bool(self.chosen.claims)
        return super().check_action(action, parameters)

    def open(self) -> None:
        if self.chosen is not None and self.chosen.claims:
            self.action_why()

    def action_why(self) -> None:
        """The quotes of a claim that rests on this; which one is asked where there are several."""
        claims = self.chosen.claims[:CLAIMS] if self.chosen is not None else ()

        def chosen(name: str | None) -> None:
            if name:
                self.app.push_screen(Quotes(name))

        if len(claims) == 1:
            chosen(claims[0].id)
        elif claims:
            self.app.push_screen(Picker(self.words("Quotes of which claim?"),
                                        [(one.id, one.text) for one in claims]), chosen)


def _resting(claims: Sequence[Kept], memory: Recalled) -> tuple[Kept, ...]:
    """The claims that quote one of these messages."""
    there = {(memory.conversation, message) for message in memory.message_ids}
    return tuple(one for one in claims if any((mark.conversation, mark.message) in there for mark in one.quotes))


def about(thing: Memory, words: Words) -> Content:
    """A memory, whole, and what is known of it."""
    one, talk = thing.recalled, thing.talk
    facts = [*([f"{one.time.astimezone():%Y-%m-%d %H:%M}"] if one.time else []),
             *([one_line(talk.source)] if talk and talk.source else []),
             *([one_line(talk.title)] if talk and talk.title else []),
             words("cited in the answer") if thing.cited else words("not cited")]
    parts = [Content.styled(" · ".join(facts), "$text-muted"), Content(""), Content(printable(one.text)), Content(""),
             Content.styled(words("Found: {why}", why=one_line(sentence(one.why, words.language))), "$text-muted")]
    return Content("\n").join([*parts, *_around(thing, words), *_claims(thing, words)])


def _around(thing: Memory, words: Words) -> list[Content]:
    """What was said before and after it."""
    messages = thing.talk.messages if thing.talk else ()
    places = [place for place, message in enumerate(messages) if message.id in thing.recalled.message_ids]
    if not places:
        return []
    first, last = min(places), max(places)
    lines = [Content(""), Content.styled(words("Where it stands:"), "bold")]
    for place in range(max(0, first - BESIDE), min(len(messages), last + BESIDE + 1)):
        message = messages[place]
        cut = message.text[:LONG] + "…" * (len(message.text) > LONG)
        mark = "▌ " if place in places else "  "
        lines.append(Content.assemble((mark, "$primary"), (f"{who(message, words)}: ", "bold"),
                                      (one_line(cut), "" if place in places else "$text-muted")))
    return lines


def _claims(thing: Memory, words: Words) -> list[Content]:
    if not thing.claims:
        return []
    return [Content(""), Content.styled(words("Claims of your profile that rest on it:"), "bold"),
            *(Content.assemble("  ", one_line(claim.text),
                               (f"  {claim.confidence:.2f}, {authority(claim.authority, words)}", "$text-muted"))
              for claim in thing.claims[:CLAIMS])]
