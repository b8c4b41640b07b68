"""What the slash commands and keys of the terminal chat do: roles, signals, councils, lines of thinking, exports.

Each is a method from the words after its name to nothing; what may not be is a TwinError.
"""
from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from textual.containers import VerticalScroll

from twin import feedback
from twin import text as plain_text
from twin.archive import NOBODY, NOBODYS_NAMES
from twin.errors import UsageError
from twin.lines import TRUNK, Line
from twin.text import one_line
from twin.types import Turn

from . import tree
from .exchange import why
from .pages import Picker, Rewrite

if TYPE_CHECKING:
    from .app import TwinApp

ENDS = "/rollback, f8"  # a trial
MEANWHILE = {"role", "why", "help", "lines"}  # those that do not wait for an answer
_COUNCIL = {"council", "совет"}
_RUSSIAN = {"хорошо": "good", "плохо": "bad", "снова": "again", "правка": "edit",
            "предложения": "proposals", "проба": "trial", "вернуть": "rollback"}
_DRAWN = 40  # exchanges of a line that are drawn when one goes to it; older ones are still read by the core


class Commands:
    """The commands of one app; `table` has them by name."""

    def __init__(self, app: TwinApp) -> None:
        self.app, self.twin = app, app.twin
        self.table: dict[str, Callable[[str], Awaitable[None] | None]] = {
            "role": self._switch, "for": self._correct, "why": self._why, "prompt": self._prompt,
            "council": self._council, "fork": self._fork, "lines": self._lines, "line": self._go,
            "compare": self._compare, "name": self._rename, "keep": self._keep, "drop": self._drop,
            "good": lambda _: self._rate(good=True), "bad": lambda _: self._rate(good=False),
            "again": self._again, "edit": self._edit,
            "proposals": self._proposals, "trial": self._trial, "rollback": self._rollback,
            "export": self._export, "help": lambda _: app.action_help()}
        self.table |= {russian: self.table[name] for russian, name in _RUSSIAN.items()}

    async def do(self, name: str, argument: str) -> None:
        """Obey one. Raises UsageError where there is none of that name."""
        if name not in self.table:
            known = ", ".join(f"/{each}" for each in self.table)
            raise UsageError(f"There is no command /{name}.",
                             f"Known: {known}. To send it as a question, put a space before the slash.")
        if (done := self.table[name](argument)) is not None:
            await done

    # ---- roles -------------------------------------------------------------------------------------------------

    def _switch(self, name: str) -> None:
        if not name:
            listed = "\n".join(f"  {role:14} {purpose}" for role, purpose in self._roles())
            self.app.say(f"{listed}\n  {'auto':14} the line decides, or the router for each question "
                         f"(now: {self.app.answers()})")
        else:
            self.app.role = None if name.casefold() == "auto" else self._named(name, "auto")
        self.app.draw_status()

    def _roles(self) -> list[tuple[str, str]]:
        language = plain_text.language(self.app.last.question) if self.app.last else "en"
        return [(role.id, role.purpose.of(language)) for role in self.twin.role_map.roles]

    def _named(self, name: str, *others: str) -> str:
        """A role by its id or title, in either language."""
        for role in self.twin.role_map.roles:
            if name.casefold() in (word.casefold() for word in (role.id, role.title.en, role.title.ru) if word):
                return role.id
        raise UsageError(f"There is no role {name!r}.", f"Known: {', '.join((*self.twin.role_map.ids, *others))}.")

    def _pick(self, command: str, title: str, other: tuple[str, str]) -> None:
        """Let one of the roles, or `other`, be chosen for a command."""
        async def chosen(name: str | None) -> None:
            if name:
                await self.app.action_obey(command, name)

        self.app.push_screen(Picker(title, [*self._roles(), other]), chosen)

    def _correct(self, name: str) -> None:
        turn = self.app.answered()
        if not name:
            self._pick("for", f"This was for ... “{turn.question}”", ("nobody", "no role should have claimed it"))
            return
        label = NOBODY if name.casefold() in NOBODYS_NAMES else self._named(name, "nobody")
        self.app.carry_out(lambda: self._learned(turn, label))

    def _learned(self, turn: Turn, label: str) -> str:
        said = self.twin.correct(turn, label)
        again = self.twin.route(said.text)
        goes = "nobody in particular" if again.abstained else f"{again.role} ({again.probability:.0%})"
        return (f"Learned: it was for {'nobody' if label == NOBODY else label}. "
                f"Such a message goes to {goes} now: “{one_line(said.text)[:100]}”")

    def _why(self, _: str) -> None:
        self.app.say(why(self.app.last) if self.app.last else "Nothing was asked in this conversation yet.")

    def _prompt(self, question: str) -> None:
        question = question or self.app.answered().question
        role, conversation = self.app.role, self.app.conversation
        self.app.carry_out(lambda: self.twin.show_prompt(question, role, conversation=conversation))

    def _export(self, _: str) -> None:
        self.app.carry_out(self._exported)

    def _exported(self) -> str:
        made = self.twin.export("prompt")
        cut = "".join(f"\nCut to fit: {name}" for name in made.cut)
        return f"{made.path}\n{made.characters:,} characters.{cut}"

    # ---- what one makes of an answer ---------------------------------------------------------------------------

    def _rate(self, *, good: bool) -> None:
        turn = self.app.answered()
        self.app.carry_out(lambda: feedback.rate(self.twin, turn, good=good))

    def _edit(self, own: str) -> None:
        turn = self.app.answered()

        def written(own: str | None) -> None:
            if own is not None:
                self.app.carry_out(lambda: feedback.edit(self.twin, turn, own))

        if own:
            written(own)
        else:
            self.app.push_screen(Rewrite(f"Your version of the answer to “{turn.question}”", turn.answer), written)

    async def _again(self, _: str) -> None:
        turn, back, role = self.app.answered(), self.app.line.title if self.app.line else TRUNK, self.app.role
        line, said = feedback.again(self.twin, turn)
        self.app.say(f"{said} (/line {back})")
        self._stand(line)
        self.app.role = role
        await self.app.ask(turn.question, feedback.in_role(self.twin, turn), council=turn.verdict is not None)

    # ---- what the twin thinks of its roles ---------------------------------------------------------------------

    def _proposals(self, _: str) -> None:
        self.app.carry_out(lambda: feedback.proposals(self.twin, ENDS))

    def _trial(self, _: str) -> None:
        self.app.carry_out(lambda: "\n".join(feedback.on_trial(self.twin, ENDS)) or feedback.no_trial(self.twin))

    def _rollback(self, proposal: str) -> None:
        self.app.carry_out(lambda: feedback.take_back(self.twin, proposal))

    # ---- lines of thinking -------------------------------------------------------------------------------------

    async def _council(self, question: str) -> None:
        if question:
            await self.app.ask(question, council=True)
        else:
            await self._fork("council")

    async def _fork(self, name: str) -> None:
        turn = self.app.answered()
        if not name:
            self._pick("fork", f"Ask again as ... “{turn.question}”", ("council", "several roles, weighed"))
            return
        council = name.casefold() in _COUNCIL
        line, asked = self.twin.fork(turn, role=None if council else self._named(name, "council"), council=council)
        back = self.app.line.title if self.app.line else TRUNK
        self.app.say(f"A new line of thinking from here: {line.title}. /lines lists them, /compare shows what "
                     f"they came to, /line {back} goes back.")
        self._stand(line)
        await self.app.ask(asked.question)

    def _stand(self, line: Line) -> None:
        """From now on it is this line that is gone on with, in its role."""
        self.app.conversation, self.app.line, self.app.role = line.id, line if line.parent else None, None
        self.app.draw_status()

    def _lines(self, which: str) -> None:
        self.app.say(tree.tree(self.twin, self.app.conversation, dropped=which.casefold() == "all"))

    async def _go(self, name: str) -> None:
        if not name:
            self._lines("")
            return
        self._stand(tree.find(self.twin, self.app.conversation, name))
        turns = self.twin.lines.history(self.app.conversation)
        self.app.last = None
        await self.app.query_one("#log").remove_children()
        if len(turns) > _DRAWN:
            self.app.say(f"{len(turns) - _DRAWN} earlier exchanges are not drawn.")
        for turn in turns[-_DRAWN:]:
            exchange = await self.app.shown(turn.question)
            for event in tree.replay(turn):
                await exchange.take(event)
        self.app.draw_status()

    async def _compare(self, _: str) -> None:
        lines = [line.id for line in self.twin.lines.all(self.app.conversation) if line.state != "dropped"]
        if len(lines) < 2:
            raise UsageError("This conversation has one line.", "Make another: /fork NAME.")
        log = self.app.query_one("#log", VerticalScroll)
        await log.mount(tree.Comparison(self.twin.lines.compare(lines), self.app.size.width))
        log.anchor()

    def _here(self) -> Line:
        if self.app.line is None:
            raise UsageError("You are on the trunk of this conversation.",
                             "Go to a line first: /lines lists them, /fork NAME makes one.")
        return self.app.line

    def _rename(self, name: str) -> None:
        if not name:
            raise UsageError("A line needs a name.", "Write it after the command: /name TEXT.")
        self.app.line = self.twin.lines.change(self._here().id, title=one_line(name))
        self.app.draw_status()

    def _keep(self, _: str) -> None:
        self.app.line = self.twin.lines.change(self._here().id, state="kept")
        self.app.say(f"Kept: {self.app.line.title}.")

    async def _drop(self, _: str) -> None:
        gone = self.twin.lines.change(self._here().id, state="dropped")
        await self._go(gone.parent)
        self.app.say(f"Dropped: {gone.title}; nothing of it is deleted. /lines all lists it.")
