"""What the commands do with what is kept: remember, forget with a proof, export, the core that answers."""
from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from twin.errors import UsageError
from twin.exporters import FORMATS
from twin.home import expanded
from twin.text import one_line
from twin.types import Turn
from twin.words import Words, sentence

from .background import number
from .dialogs import Sure
from .pages import Picker

if TYPE_CHECKING:
    from twin.chat import Twin
    from twin.exporters import Exported
    from twin.forgetting import Forgotten

    from .app import TwinApp
    from .chat import ChatScreen

_PUBLIC = {"public", "публично"}
_ON, _OFF = {"on", "да", "вкл"}, {"off", "нет", "выкл"}


class Keeping:
    """A part of Commands."""

    def __init__(self, chat: ChatScreen) -> None:
        self.chat = chat

    @property
    def app(self) -> TwinApp:
        """The app, with its services."""
        return self.chat.face

    @property
    def twin(self) -> Twin:
        """Whose chat it is."""
        return self.chat.twin

    @property
    def words(self) -> Words:
        """The sentences of the terminal in the person's language."""
        return self.chat.words

    def answered(self) -> Turn:
        """The turn that is meant."""
        return self.chat.answered()

    # ---- remember --------------------------------------------------------------------------------------------------

    def _remember(self, said: str) -> None:
        words = self.words
        if not said:
            kept = self.twin.keeps_typed
            self.chat.say(words("What you type here is kept as your own words. /remember off ends that; /remember TEXT "
                                "keeps a text by itself.") if kept else
                          words("What you type here is not kept as your own words. /remember on begins that; "
                                "/remember TEXT keeps a text by itself."))
        elif said.casefold() in _ON | _OFF:
            on = said.casefold() in _ON
            self.chat.carry_out(lambda *_: self._keep_typed(on, words))
        else:
            self.chat.carry_out(lambda *_: self._noted(said, words))

    def _keep_typed(self, on: bool, words: Words) -> str:
        self.twin.keeps_typed = on
        return (words("What you type to your twin is kept as your own words.") if on else
                words("What you type to your twin is no longer kept as your own words; /forget twin takes back what "
                      "was."))

    def _noted(self, said: str, words: Words) -> str:
        note = self.twin.remember(said)
        return words("Remembered as your own words: “{text}”. /forget {id} takes it back.", text=one_line(said)[:100],
                     id=note.id)

    # ---- forget ------------------------------------------------------------------------------------------------------

    def _forget(self, target: str) -> None:
        if not target:
            self._choose_source()
            return
        words, chosen = self.words, self.twin.archive.select(target)  # raises where it names nothing, or several
        messages = words.count(len(chosen.keys), "{n} message", "{n} messages")
        turns = words.count(len(chosen.turns), "{n} exchange", "{n} exchanges")
        about = words("{messages}, {turns}. It goes from the archive, the memory, answers that repeat it, exports and "
                      "snapshots, and does not come back with the next import.", messages=messages, turns=turns)
        self.app.push_screen(
            Sure(words("Forget {target}?", target=one_line(target)[:200]), about, words("Go on"), words("Keep it"),
                 danger=True), partial(self._ask_again, target))

    def _choose_source(self) -> None:
        words, sources = self.words, self.twin.sources()
        if not sources:
            raise UsageError(words("Nothing of yours is here yet."), words("Write what to forget: /forget TARGET."))

        async def chosen(name: str | None) -> None:
            if name:
                await self.chat.action_obey("forget", name)

        choices = [(one.name, words.count(one.messages, "{n} message", "{n} messages")) for one in sources]
        self.app.push_screen(Picker(words("Forget what? A source, or name a message: /forget ID"), choices), chosen)

    def _ask_again(self, target: str, yes: bool | None) -> None:
        words = self.words
        if yes:
            self.app.push_screen(
                Sure(words("This cannot be undone."), words("Forget {target} for good?", target=one_line(target)[:200]),
                     words("Forget it for good"), words("Keep it"), danger=True), partial(self._gone, target))

    def _gone(self, target: str, yes: bool | None) -> None:
        if yes:
            words = self.words
            self.chat.carry_out(lambda progress, _: self.twin.forget(target, progress=progress),
                                lambda gone: self._tell_gone(gone, words))

    async def _tell_gone(self, gone: Forgotten, words: Words) -> None:
        """What went, and the proof; what is on the screen may repeat it, so it is drawn anew."""
        turns = self.twin.lines.history(self.chat.conversation)
        await self.chat.stand(self.chat.conversation, self.chat.line, turns)
        self.chat.say("\n".join(proof(gone, words)), error=not gone.clean)

    # ---- export, the core ------------------------------------------------------------------------------------------

    def _export(self, said: str) -> None:
        """[FORMAT] [public] [PATH]; a question mark lists the formats."""
        words = self.words
        if said.strip() == "?":
            self.app.push_screen(Picker(words("Export as what?"), [
                (one.name, sentence(one.about, words.language)) for one in FORMATS.values()]), self._exported_as)
            return
        first, _, rest = said.partition(" ")
        form, place = (first, rest.strip()) if first in FORMATS else ("prompt", said)
        head, _, rest = place.partition(" ")
        public = head.casefold() in _PUBLIC
        place = rest.strip() if public else place
        path = expanded(place) if place else None

        def told(made: Exported) -> None:
            cut = "".join("\n" + words("Cut to fit: {name}", name=name) for name in made.cut)
            more = "".join(f"\n{sentence(line, words.language)}" for line in made.notes)
            size = words.count(made.characters, "{n} character", "{n} characters") + "." if made.characters else ""
            self.chat.say(f"{made.path}\n{size}{cut}{more}")

        self.chat.carry_out(lambda *_: self.twin.export(form, path=path, level="public" if public else "private"), told)

    def _exported_as(self, name: str | None) -> None:
        if name:
            self._export(name)

    # ---- claims from outside ---------------------------------------------------------------------------------------

    def _claims(self, _: str) -> None:
        """Those that wait, to be answered one by one."""
        words, waiting = self.words, self.twin.waiting_claims()
        if not waiting:
            self.chat.say(words("No claim from outside waits for you."))
            return
        choices = [(str(one.number), one.claim.text) for one in waiting]
        self.app.push_screen(Picker(words("Claims about you that wait. Answer which?"), choices), self._answer_claim)

    def _answer_claim(self, number: str | None) -> None:
        one = next((one for one in self.twin.waiting_claims() if str(one.number) == number), None)
        if one is None:
            return
        words, claim = self.words, one.claim
        quote = f" «{claim.quote[:300]}»" if claim.quote else ""
        whence = f" ({claim.origin[:60]})" if claim.origin else ""
        self.app.push_screen(Picker(f"{claim.text[:300]}{quote}{whence}", [
            ("yes", words("so it is: it stands in your profile, as approved")),
            ("no", words("it is not so, or not yours: it is not asked about again"))]),
            partial(self._answered_claim, one.number))

    def _answered_claim(self, number: int, answered: str | None) -> None:
        words = self.words
        if answered is None:
            return

        def answer() -> str:
            if answered == "no":
                self.twin.refuse_claim(number)
                return words("Refused; it is not asked about again.")
            self.twin.accept_claim(number)
            return words("It stands in your profile now, as approved.")

        self.chat.carry_out(lambda *_: answer(), self.chat.say)

    def _model(self, name: str) -> None:
        if not name:
            self.app.open("cores")
            return
        words = self.words

        def use() -> str:
            self.twin.use(name)
            return words("{name} answers from the next question on.", name=name)

        self.chat.carry_out(lambda *_: use())


def proof(gone: Forgotten, words: Words) -> list[str]:
    """What became of a forgetting, in lines: what went, what is left to the person, where it was searched for."""
    lines = [words("Forgotten: {messages}, {passages}, {claims}; {turns} deleted or redacted.",
                   messages=words.count(gone.messages, "{n} message", "{n} messages"),
                   passages=words.count(gone.passages, "{n} passage", "{n} passages"),
                   claims=words.count(len(gone.claims), "{n} claim", "{n} claims"),
                   turns=words.count(gone.turns, "{n} exchange", "{n} exchanges"))]
    lines += ["  " + words("{n} of these messages had also come from {source}", n=count, source=one_line(source))
              for source, count in gone.also.items()]
    for what, named in ((words("lost its last evidence"), gone.claims), (words("removed"), gone.removed),
                        (words("stale until trained again or allowed"), gone.adapters),
                        (words("changed or moved since it was written, delete it yourself"), gone.carried_away)):
        lines += [f"  {what}: {one_line(name)}" for name in named]
    lines += ["  " + words("searched {where}, {size} {unit}: {before} traces before, {after} after",
                           where=check.where, size=number(words, check.searched),
                           unit=_unit(check.unit, words), before=check.before, after=check.after)
              for check in gone.proof]
    lines.append(words("SOMETHING IS LEFT: see the places above.") if not gone.clean else
                 words("Nothing of it is left: {n} runs of its text were searched for.", n=number(words, gone.runs))
                 if gone.runs else
                 words("It is deleted. Its text is too short, or stands too often in what remains, to be searched "
                       "for."))
    return lines


def _unit(unit: str, words: Words) -> str:
    return words("bytes") if unit == "bytes" else words("texts") if unit == "texts" else words("files")

