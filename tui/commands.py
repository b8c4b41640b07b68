"""What the slash commands and keys of the terminal chat do: roles, signals, councils, lines of thinking. What is kept
and forgotten: keeping.py.

Each is a method from the words after its name to nothing; what may not be is a TwinError.
"""
from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from twin import feedback
from twin.archive import NOBODY, NOBODYS_NAMES
from twin.errors import UsageError
from twin.lines import Line
from twin.text import one_line, printable
from twin.types import Turn
from twin.words import Words

from . import names, tree
from .keeping import Keeping
from .pages import Picker, PromptPage, Rewrite
from .why import why

if TYPE_CHECKING:
    from .chat import ChatScreen
    from .exchange import Exchange

_COUNCIL = {"council", "совет"}
_AUTO = {"auto", "авто"}
_ALL = {"all", "все"}
_MEANWHILE = {"role", "why", "help", "lines", "copy", "evidence", "settings", "chats", "profile", "roles", "proposals",
              "import", "cores", "first", "quit"}  # those that do not wait for an answer


class Commands(Keeping):
    """The commands of one chat; `table` has them by their English names. `about`: the exchange that is meant instead of
    the last one."""

    def __init__(self, chat: ChatScreen) -> None:
        super().__init__(chat)
        self.about: Exchange | None = None
        self.table: dict[str, Callable[[str], Awaitable[None] | None]] = {
            "role": self._switch, "for": self._correct, "why": self._why, "prompt": self._prompt,
            "council": self._council, "fork": self._fork, "lines": self._lines, "line": self._go,
            "compare": self._compare, "name": self._rename, "keep": self._keep, "drop": self._drop,
            "good": lambda _: self._rate(good=True), "bad": lambda _: self._rate(good=False),
            "again": self._again, "edit": self._edit, "copy": self._copy, "evidence": self._evidence,
            "trial": self._trial, "rollback": self._rollback, "new": lambda _: self.chat.action_new(),
            "remember": self._remember, "forget": self._forget, "model": self._model, "export": self._export,
            "claims": self._claims,
            "quit": lambda _: self.app.action_quit(),
            **{name: self._opening(name) for name in ("cores", "import", "profile", "roles", "proposals", "chats",
                                                      "settings", "first", "help")}}

    def waits(self, name: str) -> bool:
        """Whether a command waits until what is under way has ended; what is no command is answered at once."""
        return name in self.table and name not in _MEANWHILE

    async def do(self, name: str, argument: str) -> None:
        """Obey one. Raises UsageError where there is none of that name."""
        if name not in self.table:
            known = ", ".join(f"/{names.called(each, self.words.language)}" for each in self.table)
            raise UsageError(self.words("There is no command /{name}.", name=name), self.words(
                "Known: {known}. To send it as a question, put a space before the slash.", known=known))
        if (done := self.table[name](argument)) is not None:
            await done

    def _opening(self, name: str) -> Callable[[str], None]:
        return lambda _: self.app.open(name)

    # ---- roles -------------------------------------------------------------------------------------------------

    def _switch(self, name: str) -> None:
        words = self.words
        if not name:
            listed = "\n".join(f"  {role:14} {purpose}" for role, purpose in self._roles())
            auto = words("the line decides, or the router for each question (now: {who})", who=self.chat.answers())
            self.chat.say(f"{listed}\n  {words('auto'):14} {auto}")
        else:
            self.chat.role = None if name.casefold() in _AUTO else self._named(name, "auto")
        self.chat.draw_status()

    def _roles(self) -> list[tuple[str, str]]:
        language = self.words.language
        return [(role.id, f"{role.title.of(language)}: {role.purpose.of(language)}")
                for role in self.twin.role_map.roles]

    def _named(self, name: str, *others: str) -> str:
        """A role by its id or title, in either language."""
        for role in self.twin.role_map.roles:
            if name.casefold() in (word.casefold() for word in (role.id, role.title.en, role.title.ru) if word):
                return role.id
        raise UsageError(self.words("There is no role '{name}'.", name=name),
                         self.words("Known: {known}.", known=", ".join((*self.twin.role_map.ids, *others))))

    def _pick(self, command: str, title: str, other: tuple[str, str]) -> None:
        """Let one of the roles, or `other`, be chosen for a command."""
        about = self.about

        async def chosen(name: str | None) -> None:
            if name:
                self.about = about
                await self.chat.action_obey(command, name)
                self.about = None

        self.app.push_screen(Picker(title, [*self._roles(), other]), chosen)

    def _correct(self, name: str) -> None:
        turn, words = self.answered(), self.words
        if not name:
            self._pick("for", words("This was for … “{question}”", question=turn.question),
                       ("nobody", words("no role should have claimed it")))
            return
        label = NOBODY if name.casefold() in NOBODYS_NAMES else self._named(name, "nobody")
        self.chat.carry_out(lambda *_: self._learned(turn, label, words))

    def _learned(self, turn: Turn, label: str, words: Words) -> str:
        said = self.twin.correct(turn, label)
        again, titles = self.twin.route(said.text), self.chat.titles
        goes = (words("nobody in particular") if again.abstained
                else f"{titles.get(again.role, again.role)} ({again.probability:.0%})")
        return words("Learned: it was for {who}. Such a message goes to {goes} now: “{message}”",
                     who=words("nobody") if label == NOBODY else titles.get(label, label), goes=goes,
                     message=one_line(said.text)[:100])

    def _why(self, _: str) -> None:
        exchange = self.about or self.chat.last
        self.chat.say(why(exchange, self.words, self.chat.titles) if exchange
                      else self.words("Nothing was asked in this conversation yet."))

    def _evidence(self, _: str) -> None:
        self.answered()
        self.app.open("evidence", self.about or self.chat.last)

    def _copy(self, _: str) -> None:
        turn = self.answered()
        self.app.copy(printable(turn.answer), self.words("Answer copied"))

    def _prompt(self, question: str) -> None:
        question = question or self.answered().question
        role, conversation = self.chat.role, self.chat.conversation
        self.chat.carry_out(lambda *_: self.twin.show_prompt(question, role, conversation=conversation),
                            lambda view: self.app.push_screen(PromptPage(view)) and None)

    # ---- what one makes of an answer ---------------------------------------------------------------------------

    def _rate(self, *, good: bool) -> None:
        turn = self.answered()
        self.chat.carry_out(lambda *_: feedback.rate(self.twin, turn, good=good))

    def _edit(self, own: str) -> None:
        turn, words = self.answered(), self.words

        def written(own: str | None) -> None:
            if own is not None:
                self.chat.carry_out(lambda *_: feedback.edit(self.twin, turn, own))

        if own:
            written(own)
        else:
            self.app.push_screen(Rewrite(words("Your version of the answer to “{question}”", question=turn.question),
                                         turn.answer, words), written)

    async def _again(self, _: str) -> None:
        turn, back, role = self.answered(), self._back(), self.chat.role
        line, said = feedback.again(self.twin, turn)
        self.chat.say(f"{said} ({back})")
        self._stand(line)
        self.chat.role = role
        await self.chat.ask(turn.question, feedback.in_role(self.twin, turn), council=turn.verdict is not None)

    # ---- what the twin thinks of its roles ---------------------------------------------------------------------

    def _ends(self) -> str:
        """How a trial is ended here."""
        return f"/{names.called('rollback', self.words.language)}, {self.app.key_of('rollback')}"

    def news(self) -> list[str]:
        """What waits, what is on trial, what does worse than promised: a few quiet lines."""
        return feedback.news(self.twin, self._ends(), see=self._slash("proposals"))

    def _trial(self, _: str) -> None:
        self.chat.carry_out(lambda *_: "\n".join(feedback.on_trial(self.twin, self._ends()))
                            or feedback.no_trial(self.twin))

    def _rollback(self, proposal: str) -> None:
        self.chat.carry_out(lambda *_: feedback.take_back(self.twin, proposal))

    # ---- lines of thinking -------------------------------------------------------------------------------------

    async def _council(self, question: str) -> None:
        if question:
            await self.chat.ask(question, council=True)
        else:
            await self._fork("council")

    async def _fork(self, name: str) -> None:
        turn, words = self.answered(), self.words
        if not name:
            self._pick("fork", words("Ask again as … “{question}”", question=turn.question),
                       ("council", words("several roles, weighed")))
            return
        council = name.casefold() in _COUNCIL
        line, asked = self.twin.fork(turn, role=None if council else self._named(name, "council"), council=council)
        self.chat.say(words("A new line of thinking from here: {title}. {lines} lists them, {compare} shows what they "
                            "came to, {back} goes back.", title=tree.titled(line, words), lines=self._slash("lines"),
                            compare=self._slash("compare"), back=self._back()))
        self._stand(line)
        await self.chat.ask(asked.question)

    def _slash(self, name: str) -> str:
        return f"/{names.called(name, self.words.language)}"

    def _back(self) -> str:
        """The command that goes back to where one is now."""
        return f"{self._slash('line')} {tree.titled(self.chat.line, self.words)}"

    def _stand(self, line: Line) -> None:
        """From now on it is this line that is gone on with, in its role."""
        self.chat.conversation, self.chat.line, self.chat.role = line.id, line if line.parent else None, None
        self.chat.draw_status()

    def _lines(self, which: str) -> None:
        self.chat.say(tree.tree(self.twin, self.chat.conversation, self.words, dropped=which.casefold() in _ALL))

    async def _go(self, name: str) -> None:
        if not name:
            self._lines("")
        else:
            await self._stand_on(tree.find(self.twin, self.chat.conversation, name))

    async def _stand_on(self, line: Line) -> None:
        turns = self.twin.lines.history(line.id)
        await self.chat.stand(line.id, line if line.parent else None, turns)

    async def _compare(self, _: str) -> None:
        lines = [line.id for line in self.twin.lines.all(self.chat.conversation) if line.state != "dropped"]
        if len(lines) < 2:
            raise UsageError(self.words("This conversation has one line."),
                             self.words("Make another: /fork NAME."))
        await self.chat.log_.add(tree.Comparison(self.twin.lines.compare(lines), self.app.size.width, self.words))

    def _here(self) -> Line:
        if self.chat.line is None:
            raise UsageError(self.words("You are on the trunk of this conversation."),
                             self.words("Go to a line first: /lines lists them, /fork NAME makes one."))
        return self.chat.line

    def _rename(self, name: str) -> None:
        if not name:
            raise UsageError(self.words("A line needs a name."),
                             self.words("Write it after the command: /name TEXT."))
        self.chat.line = self.twin.lines.change(self._here().id, title=one_line(name))
        self.chat.draw_status()

    def _keep(self, _: str) -> None:
        self.chat.line = self.twin.lines.change(self._here().id, state="kept")
        self.chat.say(self.words("Kept: {title}.", title=tree.titled(self.chat.line, self.words)))

    async def _drop(self, _: str) -> None:
        gone = self.twin.lines.change(self._here().id, state="dropped")
        await self._stand_on(self.twin.lines.get(gone.parent))
        lines = f"{self._slash('lines')} {self.words('all')}"
        self.chat.say(self.words("Dropped: {title}; nothing of it is deleted. {lines} lists it.",
                                 title=tree.titled(gone, self.words), lines=lines))
