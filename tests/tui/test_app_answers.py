"""What one makes of an answer in the terminal, and what the twin says of its roles meanwhile."""
from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.test_reflection_faults import operation, proven
from tests.tui.conftest import WIDE, Make, answer, ask, begun, log, screen, spoken
from twin import roles
from twin.archive import Archive
from twin.chat import Twin
from twin.engine.scripted import ScriptedEngine
from twin.home import Home
from twin.proposals import Proposal
from twin.reflecting import IDLE_S
from twin.reflection import TURNS, Due, Reflection
from twin.role_book import RoleBook
from twin.tui.pages import Rewrite
from twin.watchdog import Alarm

# ---- what one makes of an answer ----

@pytest.mark.parametrize(("key", "commands", "thumb"), [("f2", ("/good", "/хорошо"), 1),
                                                       ("f3", ("/bad", "/плохо"), -1)])
@pytest.mark.parametrize(("language", "said"), [("en", "Noted: "), ("ru", "Отмечено: ")])
async def test_a_key_or_a_command_in_either_language_rates_the_last_answer(
        make: Make, key: str, commands: tuple[str, ...], thumb: int, language: str, said: str) -> None:
    app = make("a", "b", language=language)
    async with app.run_test(size=WIDE) as pilot:
        await ask(pilot, "The first one")
        await ask(pilot, "Сколько градусов?")
        turn = app.chat.answered()
        await pilot.press(key)
        await begun(pilot)
        assert said in log(app)
        for command in commands:
            await ask(pilot, command)
        assert log(app).count(said) == 3
        assert [(one.turn, one.kind, one.body) for one in app.twin.archive.signals()] == [(turn.id, "thumb", thumb)]


@pytest.mark.parametrize("again", ["f4", "/again", "/снова"])
async def test_again_asks_the_same_in_the_same_role_without_the_answer_before(
        make: Make, again: str) -> None:
    engine = ScriptedEngine(["peas in May", "in April", "in March", "beans"])
    app = make(engine=engine)
    async with app.run_test(size=WIDE) as pilot:
        await ask(pilot, "/role scribe")
        await ask(pilot, "When do I sow peas?")
        await ask(pilot, "How deep?")
        await ask(pilot, "/role critic")
        first, trunk = app.chat.answered(), app.chat.conversation
        if again.startswith("/"):
            await ask(pilot, again)
        else:
            await pilot.press(again)
            await begun(pilot)
        turn = app.chat.answered()
        assert (turn.question, turn.answer, turn.route.role) == ("How deep?", "in March", "scribe")
        assert "in April" not in engine.prompts[-1].text and "peas in May" in engine.prompts[-1].text
        assert [one.answer for one in app.twin.archive.turns(trunk)] == ["peas in May", "in April"]
        assert app.chat.conversation == turn.conversation != trunk
        assert [(one.turn, one.kind) for one in app.twin.archive.signals()] == [(first.id, "regenerated")]
        assert "(/line trunk)" in log(app)
        await ask(pilot, "And beans?")
        assert app.chat.answered().route.role == "critic", "the role picked here is not lost"


async def test_again_stays_with_the_role_that_answered_though_the_router_would_choose_another_by_now(
        make: Make) -> None:
    app = make(engine=ScriptedEngine(spoken))
    async with app.run_test(size=WIDE) as pilot:
        await ask(pilot, "Find the weak point of this plan")
        first = app.chat.answered().route
        assert not first.asked
        await ask(pilot, f"/for {'scribe' if first.role != 'scribe' else 'critic'}")
        await begun(pilot)
        await ask(pilot, "/again")
        assert app.chat.answered().route.role == first.role
        assert answer(app) == f"{first.role} says so."


async def test_again_on_a_line_keeps_what_is_set_on_it(make: Make) -> None:
    app = make(engine=ScriptedEngine(spoken))
    async with app.run_test(size=WIDE) as pilot:
        await ask(pilot, "When do I sow peas?")
        await ask(pilot, "/fork council")
        await ask(pilot, "/again")
        assert app.chat.answered().verdict is not None
        assert app.chat.line is not None and app.chat.line.settings.council
        await ask(pilot, "/line trunk")
        await ask(pilot, "/fork critic")
        await ask(pilot, "/again")
        assert app.chat.answered().route.role == "critic"
        assert [line.settings.role for line in app.twin.lines.all() if line.settings.role] == ["critic", "critic"]


@pytest.mark.parametrize("command", ["/edit", "/правка"])
async def test_the_own_version_of_an_answer_is_a_signal_and_the_answer_stays(
        make: Make, command: str) -> None:
    app = make("Dear Sir or Madam")
    async with app.run_test(size=WIDE) as pilot:
        await ask(pilot, "Write to the airfield")
        turn = app.chat.answered()
        await ask(pilot, f"{command} Привет, аэродром")
        await pilot.press("ctrl+o")
        await pilot.pause()
        assert isinstance(app.screen, Rewrite)
        assert "Dear Sir or Madam" in screen(app)
        await pilot.press("!", "enter")
        await begun(pilot)
        assert not isinstance(app.screen, Rewrite)
        bodies = [one.body for one in app.twin.archive.signals() if (one.turn, one.kind) == (turn.id, "edited")]
        assert bodies[-1] == "Dear Sir or Madam!"
        assert app.twin.archive.turns() == [turn], "what was said stays what was said"
        assert log(app).count("Your version is kept") == 2


async def test_esc_leaves_a_rewrite_and_an_unchanged_answer_is_no_signal(make: Make) -> None:
    app = make("a")
    async with app.run_test(size=WIDE) as pilot:
        await ask(pilot, "How warm is it?")
        await pilot.press("ctrl+o", "x", "escape")
        await pilot.pause()
        assert not isinstance(app.screen, Rewrite)
        await pilot.press("ctrl+o", "enter")
        await begun(pilot)
        assert "Your version says the same as the answer." in log(app)
        assert app.twin.archive.signals() == []


async def test_control_characters_that_a_rewrite_does_not_show_are_no_change(make: Make) -> None:
    app = make("a\x1b[31m red\x07 answer\u202e")
    async with app.run_test(size=WIDE) as pilot:
        await ask(pilot, "How warm is it?")
        await pilot.press("ctrl+o")
        await pilot.pause()
        await pilot.press("enter")
        await begun(pilot)
        assert "Your version says the same as the answer." in log(app)
        assert app.twin.archive.signals() == []


async def test_before_any_answer_there_is_nothing_to_make_of_one(make: Make) -> None:
    app = make()
    async with app.run_test(size=WIDE) as pilot:
        await begun(pilot)
        for key in ("f2", "f3", "f4", "ctrl+o"):
            await pilot.press(key)
            await pilot.pause()
        assert log(app).count("Nothing was answered in this conversation yet. Ask first.") == 4
        assert app.twin.lines.all() == []


# ---- what the twin thinks of its roles ----

def proposed(own_home: Path, verdict: str = "unproven") -> tuple[Reflection, Proposal]:
    """A proposal with a proof, shown, in the home of the app."""
    home = Home(own_home)
    archive = Archive(home)
    reflection = Reflection(home, archive, RoleBook(home, archive), lambda: ScriptedEngine([]))
    made = proven(reflection, operation("two files"), verdict)
    reflection.shown()
    return reflection, made


async def test_what_waits_runs_and_alarms_is_said_at_the_start_in_the_persons_language(
        make: Make, own_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = make("Девять.")
    async with app.run_test(size=WIDE) as pilot:
        await begun(pilot)
        assert "roposal" not in log(app)
        reflection, made = proposed(own_home)
    reflection.attempt(made.id)
    monkeypatch.setattr(Twin, "watch", lambda _: [Alarm(made.id, "feedback", 0.2, 0.8, 12)])
    monkeypatch.setattr(Twin, "proposals_waiting", lambda _: 1)
    app = make("Девять.")
    async with app.run_test(size=WIDE) as pilot:
        await begun(pilot)
        assert "Proposals that wait for you: 1. See /proposals." in log(app)
        assert f"{made.id} is on trial until" in log(app) and "Take it back: /rollback, f8." in log(app)
        assert "20% of 12 ratings are good" in log(app)
    app = make(language="ru")
    async with app.run_test(size=WIDE) as pilot:
        await begun(pilot)
        assert "Предложений ждут вас: 1." in log(app) and f"{made.id} на пробе" in log(app)
        assert "хороших оценок 20%" in log(app)


@pytest.mark.parametrize("how", ["f8", "/rollback", "/вернуть", "/rollback {id}"])
async def test_a_trial_is_ended_by_one_key_or_a_command(
        make: Make, own_home: Path, how: str) -> None:
    reflection, made = proposed(own_home)
    before = roles.on_disk(own_home / "roles")
    reflection.attempt(made.id)
    assert roles.on_disk(own_home / "roles") != before
    app = make()
    async with app.run_test(size=WIDE) as pilot:
        await ask(pilot, "/trial")
        assert f"{made.id} is on trial until" in log(app)
        await pilot.press(how) if how == "f8" else await ask(pilot, how.format(id=made.id))
        await begun(pilot)
        assert f"{made.id} is taken back" in log(app)
        assert roles.on_disk(own_home / "roles") == before
        for command in ("/trial", "/rollback", "/проба"):
            await ask(pilot, command)
        assert log(app).count("Nothing is on trial.") == 3


async def test_when_it_is_due_the_twin_reflects_after_a_turn_and_says_what_is_new(
        make: Make, own_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[float] = []

    def reflect(self: Reflection, budget: float, *, cancel: Callable[[], bool]) -> None:
        assert not self._busy() and not cancel()
        asked.append(budget)
        proposed(own_home)

    monkeypatch.setattr(Reflection, "reflect", reflect)
    app = make("a", "b")
    async with app.run_test(size=WIDE) as pilot:
        await ask(pilot, "The first one")
        assert asked == [], "one turn is not enough"
        monkeypatch.setattr(Reflection, "due", lambda _: Due(TURNS, 0))
        await ask(pilot, "The second one")
        await begun(pilot)
        assert asked == [IDLE_S]
        assert "Proposals that wait for you: 1." in log(app)

