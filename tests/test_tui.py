"""The terminal chat as a person uses it: keys into the real app, on a real Twin with a scripted core, text out."""
from __future__ import annotations

import html
import json
import re
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from textual.app import App
from textual.pilot import Pilot
from textual.screen import Screen
from textual.widgets import Markdown, Static

from tests.test_reflection_faults import operation, proven
from twin import roles
from twin.archive import Archive
from twin.catalog import Catalog
from twin.chat import Twin
from twin.engine.scripted import ScriptedEngine
from twin.home import Home
from twin.proposals import Proposal
from twin.reflecting import IDLE_S
from twin.reflection import TURNS, Due, Reflection
from twin.role_book import RoleBook
from twin.text import printable
from twin.tui.app import TwinApp
from twin.tui.composer import Composer
from twin.tui.council import weighing
from twin.tui.exchange import Exchange
from twin.tui.pages import Help, Picker, PromptPage, Rewrite
from twin.tui.style import HELP
from twin.types import Conversation, Message, Opinion, Piece, Prompt, Sampling, Verdict, never
from twin.watchdog import Alarm

WIDE = (100, 40)
OWN = Conversation("c1", (
    Message("m1", "user", "Барометр на крыше врёт на два гектопаскаля, сравни его с аэродромным."),
    Message("m2", "assistant", "Сравним."),
    Message("m3", "user", "I want the rooftop barometer compared with the airfield every morning."),
), title="Barometer")


CLAIMS = {"critic": "You keep your own seeds.", "mentor": "You keep your own seeds.", "scribe": "You buy 3 packets."}


def spoken(asked: Prompt) -> str:
    """Each role by its name; in a council a claim, of whoever is not in CLAIMS that it is unknown."""
    if "JSON" not in "".join(segment.text for segment in asked.tail):
        return f"{asked.role} says so."
    return json.dumps({"evidence": [], "claim": CLAIMS.get(asked.role, "Unknown."), "prediction": "They sprout in May.",
                       "falsifier": "", "unit": ""})


class Waiting(ScriptedEngine):
    """Says three words and then nothing more until it is told to stop."""

    def stream(self, prompt: Prompt, sampling: Sampling, *, schema: Mapping[str, Any] | None = None,
               cancel: Callable[[], bool] = never) -> Iterator[Piece]:
        for number, piece in enumerate(super().stream(prompt, sampling, schema=schema, cancel=cancel)):
            yield piece
            patience = time.monotonic() + 20
            while number == 2 and not cancel() and time.monotonic() < patience:
                time.sleep(0.01)


@pytest.fixture
def make(own_home: Path) -> Iterator[Callable[..., TwinApp]]:
    """Apps on twins of their own home, closed at the end."""
    opened: list[Twin] = []

    def app(*answers: str, engine: ScriptedEngine | None = None) -> TwinApp:
        core = engine or ScriptedEngine(answers)
        opened.append(Twin(Home(own_home), engine=core, catalog=Catalog(own_home / "no models")))
        return TwinApp(opened[-1])

    yield app
    for twin in opened:
        twin.close()


async def ask(pilot: Pilot[None], question: str) -> None:
    """Type, press Enter, wait for the turn to end."""
    app = pilot.app
    app.query_one(Composer).text = question
    await pilot.press("enter")
    await pilot.pause()
    await app.workers.wait_for_complete()
    await pilot.pause()


def screen(app: TwinApp) -> str:
    """What stands on the screen, row by row."""
    rows: dict[float, str] = {}
    for y, text in re.findall(r'<text [^>]*? y="([\d.]+)"[^>]*>(.*?)</text>', app.export_screenshot()):
        rows[float(y)] = rows.get(float(y), "") + html.unescape(text).replace("\xa0", " ")
    return "\n".join(rows[y] for y in sorted(rows))


def log(app: TwinApp) -> str:
    """Every plain text in the log, whole, also what the screen cuts."""
    return "\n".join(str(widget.content) for widget in app.query("#log Static").results(Static))


def answer(app: TwinApp) -> str:
    """The Markdown source of the last answer."""
    return app.query(Exchange).last().query_one(Markdown).source.strip()


async def until(pilot: Pilot[None], condition: Callable[[], bool]) -> None:
    """Wait, 20 s at most, for something that a thread brings."""
    patience = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < patience, "it did not come within 20 s"
        await pilot.pause(0.02)


async def test_enter_sends_and_the_answer_comes_with_its_role_and_reason(make: Callable[..., TwinApp]) -> None:
    app = make("Сначала сравните с эталоном.")
    async with app.run_test(size=WIDE) as pilot:
        await ask(pilot, "Почему мой барометр врёт?")
        shown = screen(app)
        assert "Почему мой барометр врёт?" in shown
        assert answer(app) == "Сначала сравните с эталоном."
        assert "Сначала сравните с эталоном." in shown
        route = app.query_one(Exchange).route
        assert route is not None
        assert f" {route.role} " in shown
        assert route.reason[:20] in shown
        assert re.search("[а-я]", route.reason), "a Russian question is routed in Russian words"
        assert app.query_one(Composer).text == ""
        assert len(app.twin.archive.turns()) == 1


async def test_an_english_question_and_a_second_one_stay_in_one_conversation(make: Callable[..., TwinApp]) -> None:
    app = make("First.", "Second.", "Third.")
    async with app.run_test(size=WIDE) as pilot:
        await ask(pilot, "How do I compare two barometers?")
        await ask(pilot, "And three?")
        await pilot.press("ctrl+n")
        assert not app.query(Exchange), "a new conversation begins on an empty screen"
        await ask(pilot, "Something else")
        stored = app.twin.archive.turns()
        assert [turn.answer for turn in stored] == ["First.", "Second.", "Third."]
        assert stored[0].conversation == stored[1].conversation != stored[2].conversation


@pytest.mark.parametrize("key", ["ctrl+j", "shift+enter", "alt+enter"])
async def test_a_newline_key_breaks_the_line_and_sends_nothing(make: Callable[..., TwinApp], key: str) -> None:
    app = make()
    async with app.run_test(size=WIDE) as pilot:
        await pilot.press("a", key, "б")
        assert app.query_one(Composer).text == "a\nб"
        assert not app.query(Exchange)


async def test_an_empty_line_is_not_sent(make: Callable[..., TwinApp]) -> None:
    app = make()
    async with app.run_test(size=WIDE) as pilot:
        await pilot.press("space", "enter")
        assert not app.query(Exchange)


async def test_esc_stops_the_answer_and_keeps_what_was_written(make: Callable[..., TwinApp]) -> None:
    app = make(engine=Waiting(["one two three four five", "next"]))
    async with app.run_test(size=WIDE) as pilot:
        app.query_one(Composer).text = "Count for me"
        await pilot.press("enter")
        await until(pilot, lambda: "three" in answer(app))
        app.query_one(Composer).text = "Too early"
        await pilot.press("enter")
        assert app.query_one(Composer).text == "Too early", "a question sent too early is not lost"
        await pilot.press("escape")
        await app.workers.wait_for_complete()
        await pilot.pause()
        assert answer(app) == "one two three"
        assert "stopped" in screen(app)
        assert [(turn.status, turn.answer) for turn in app.twin.archive.turns()] == [("interrupted", "one two three")]


# ---- roles and commands --------------------------------------------------------------------------------------------

async def test_role_pins_a_role_by_id_or_title_in_either_language_until_auto(make: Callable[..., TwinApp]) -> None:
    app = make("a", "b")
    async with app.run_test(size=WIDE) as pilot:
        critic = app.twin.role_map.role("critic")
        await ask(pilot, f"/role {critic.title.ru.upper()}")
        await ask(pilot, "Сколько градусов?")
        route = app.query(Exchange).last().route
        assert route is not None and route.role == "critic" and route.asked
        assert "critic" in screen(app)
        await ask(pilot, "/role auto")
        await ask(pilot, "And now?")
        route = app.query(Exchange).last().route
        assert route is not None and not route.asked


async def test_an_unknown_role_or_command_is_answered_with_the_known_ones(make: Callable[..., TwinApp]) -> None:
    app = make("slashes are fine")
    async with app.run_test(size=WIDE) as pilot:
        await ask(pilot, "/role wizard")
        assert "no role 'wizard'" in log(app) and "empiricist" in log(app)
        await ask(pilot, "/fly")
        assert "no command /fly" in log(app) and "/export" in log(app)
        assert not app.query(Exchange)
        await ask(pilot, "/etc/fstab, what is it?")
        assert answer(app) == "slashes are fine"


async def test_role_without_a_name_lists_the_roles(make: Callable[..., TwinApp]) -> None:
    app = make()
    async with app.run_test(size=WIDE) as pilot:
        await ask(pilot, "/role")
        assert all(role in log(app) for role in app.twin.role_map.ids)


async def test_why_gives_the_reason_and_the_memories_of_the_last_answer(make: Callable[..., TwinApp]) -> None:
    app = make("As you wrote [1], compare it with the airfield.")
    app.twin.add([OWN])
    async with app.run_test(size=WIDE) as pilot:
        await ask(pilot, "/why")
        assert "Nothing was asked" in log(app)
        await ask(pilot, "What did I want compared with the airfield, the rooftop barometer?")
        assert re.search(r"\[1\].*barometer", screen(app)), "memories stand below the answer"
        await ask(pilot, "/why")
        shown = log(app)
        assert "message m3" in shown
        assert "I want the rooftop barometer compared" in shown
        assert app.query_one(Exchange).route.reason in shown  # type: ignore[union-attr]
        assert "Core scripted" in shown


async def test_export_says_where_the_prompt_lies(make: Callable[..., TwinApp], own_home: Path) -> None:
    app = make()
    app.twin.add([OWN])
    async with app.run_test(size=WIDE) as pilot:
        await ask(pilot, "/export")
        assert str(own_home / "exports" / "prompt.md") in log(app)
        assert (own_home / "exports" / "prompt.md").stat().st_size > 0
        await ask(pilot, "/why")  # the app is free again


async def test_f1_and_help_show_the_keys_and_esc_goes_back(make: Callable[..., TwinApp]) -> None:
    app = make()
    async with app.run_test(size=WIDE) as pilot:
        for opening in ("f1", "enter"):
            app.query_one(Composer).text = "/help"
            await pilot.press(opening)
            await pilot.pause()
            assert isinstance(app.screen, Help)
            assert "ctrl+j" in screen(app)
            await pilot.press("escape")
            await pilot.pause()
            assert not isinstance(app.screen, Help)


# ---- whom it was for -----------------------------------------------------------------------------------------------

@pytest.mark.parametrize("question", ["Набело перепиши про грядки", "Write the beds up neatly"])
async def test_one_key_and_a_digit_tell_the_router_whom_it_was_for(make: Callable[..., TwinApp], question: str) -> None:
    app = make("a")
    async with app.run_test(size=WIDE) as pilot:
        await ask(pilot, question)
        turn = app.query_one(Exchange).turn
        assert turn is not None
        await pilot.press("ctrl+r")
        await pilot.pause()
        assert isinstance(app.screen, Picker)
        assert question in screen(app)
        assert "nobody" in screen(app)
        digit = 1 + app.twin.role_map.ids.index("critic")
        await pilot.press(str(digit))
        await app.workers.wait_for_complete()
        await pilot.pause()
        assert not isinstance(app.screen, Picker)
        assert "it was for critic" in log(app)
        said = app.twin.archive.corrections()
        assert [(one.turn, one.label) for one in said] == [(turn.id, "critic")]
        assert f"goes to {app.twin.route(question).role}" in log(app)


async def test_the_picker_is_closed_by_esc_and_chooses_by_enter(make: Callable[..., TwinApp]) -> None:
    app = make("a")
    async with app.run_test(size=WIDE) as pilot:
        await ask(pilot, "How warm is it?")
        await pilot.press("ctrl+r")
        await pilot.press("escape")
        await pilot.pause()
        assert not isinstance(app.screen, Picker)
        assert app.twin.archive.corrections() == []
        await pilot.press("ctrl+r")
        await pilot.press("down", "enter")
        await app.workers.wait_for_complete()
        assert [one.label for one in app.twin.archive.corrections()] == [app.twin.role_map.ids[1]]


@pytest.mark.parametrize(("word", "label"), [("critic", "critic"), ("КРИТИК", "critic"), ("nobody", "none"),
                                             ("никто", "none")])
async def test_for_takes_a_name_in_either_language_or_nobody(
        make: Callable[..., TwinApp], word: str, label: str) -> None:
    app = make("a")
    async with app.run_test(size=WIDE) as pilot:
        await ask(pilot, "How warm is it?")
        await ask(pilot, f"/for {word}")
        assert [one.label for one in app.twin.archive.corrections()] == [label]


async def test_before_any_answer_there_is_nothing_to_correct_fork_or_compare(make: Callable[..., TwinApp]) -> None:
    app = make()
    async with app.run_test(size=WIDE) as pilot:
        for command in ("/for critic", "/fork critic", "/council", "/prompt"):
            await ask(pilot, command)
        await pilot.press("ctrl+r", "ctrl+f")
        await pilot.pause()
        assert not isinstance(app.screen, Picker)
        assert log(app).count("Nothing was answered in this conversation yet. Ask first.") == 6
        await ask(pilot, "/compare")
        assert "This conversation has one line." in log(app)
        assert app.twin.lines.all() == []


async def test_a_broken_hand_edit_of_a_role_is_said_and_the_roles_before_it_stay(make: Callable[..., TwinApp]) -> None:
    app = make("a", "b")
    async with app.run_test(size=WIDE) as pilot:
        await ask(pilot, "How warm is it?")
        file = app.twin.home.roles / "critic.md"
        file.write_text("---\nid: [\n---\n", "utf-8")
        await ask(pilot, "And now?")
        assert "critic.md" in log(app)
        assert "the roles before that edit stay active" in log(app)
        assert "critic" in app.twin.role_map.ids
        assert answer(app) == "b"


# ---- what one makes of an answer -----------------------------------------------------------------------------------

@pytest.mark.parametrize(("key", "commands", "thumb"), [("f2", ("/good", "/хорошо"), 1),
                                                       ("f3", ("/bad", "/плохо"), -1)])
@pytest.mark.parametrize(("question", "said"), [("How warm is it?", "Noted: "), ("Сколько градусов?", "Отмечено: ")])
async def test_a_key_or_a_command_in_either_language_rates_the_last_answer(
        make: Callable[..., TwinApp], key: str, commands: tuple[str, ...], thumb: int, question: str,
        said: str) -> None:
    app = make("a", "b")
    async with app.run_test(size=WIDE) as pilot:
        await ask(pilot, "The first one")
        await ask(pilot, question)
        turn = app.answered()
        await pilot.press(key)
        await app.workers.wait_for_complete()
        await pilot.pause()
        assert said in log(app)
        for command in commands:
            await ask(pilot, command)
        assert log(app).count(said) == 3
        assert [(one.turn, one.kind, one.body) for one in app.twin.archive.signals()] == [(turn.id, "thumb", thumb)]


@pytest.mark.parametrize("again", ["f4", "/again", "/снова"])
async def test_again_asks_the_same_in_the_same_role_without_the_answer_before(
        make: Callable[..., TwinApp], again: str) -> None:
    engine = ScriptedEngine(["peas in May", "in April", "in March", "beans"])
    app = make(engine=engine)
    async with app.run_test(size=WIDE) as pilot:
        await ask(pilot, "/role scribe")
        await ask(pilot, "When do I sow peas?")
        await ask(pilot, "How deep?")
        await ask(pilot, "/role critic")
        first, trunk = app.answered(), app.conversation
        if again.startswith("/"):
            await ask(pilot, again)
        else:
            await pilot.press(again)
            await pilot.pause()
            await app.workers.wait_for_complete()
            await pilot.pause()
        turn = app.answered()
        assert (turn.question, turn.answer, turn.route.role) == ("How deep?", "in March", "scribe")
        assert "in April" not in engine.prompts[-1].text and "peas in May" in engine.prompts[-1].text
        assert [one.answer for one in app.twin.archive.turns(trunk)] == ["peas in May", "in April"]
        assert app.conversation == turn.conversation != trunk
        assert [(one.turn, one.kind) for one in app.twin.archive.signals()] == [(first.id, "regenerated")]
        assert "(/line trunk)" in log(app)
        await ask(pilot, "And beans?")
        assert app.answered().route.role == "critic", "the role picked here is not lost"


async def test_again_stays_with_the_role_that_answered_though_the_router_would_choose_another_by_now(
        make: Callable[..., TwinApp]) -> None:
    app = make(engine=ScriptedEngine(spoken))
    async with app.run_test(size=WIDE) as pilot:
        await ask(pilot, "Find the weak point of this plan")
        first = app.answered().route
        assert not first.asked
        await ask(pilot, f"/for {'scribe' if first.role != 'scribe' else 'critic'}")
        await begun(pilot)
        await ask(pilot, "/again")
        assert app.answered().route.role == first.role
        assert answer(app) == f"{first.role} says so."


async def test_again_on_a_line_keeps_what_is_set_on_it(make: Callable[..., TwinApp]) -> None:
    app = make(engine=ScriptedEngine(spoken))
    async with app.run_test(size=WIDE) as pilot:
        await ask(pilot, "When do I sow peas?")
        await ask(pilot, "/fork council")
        await ask(pilot, "/again")
        assert app.answered().verdict is not None
        assert app.line is not None and app.line.settings.council
        await ask(pilot, "/line trunk")
        await ask(pilot, "/fork critic")
        await ask(pilot, "/again")
        assert app.answered().route.role == "critic"
        assert [line.settings.role for line in app.twin.lines.all() if line.settings.role] == ["critic", "critic"]


@pytest.mark.parametrize("command", ["/edit", "/правка"])
async def test_the_own_version_of_an_answer_is_a_signal_and_the_answer_stays(
        make: Callable[..., TwinApp], command: str) -> None:
    app = make("Dear Sir or Madam")
    async with app.run_test(size=WIDE) as pilot:
        await ask(pilot, "Write to the airfield")
        turn = app.answered()
        await ask(pilot, f"{command} Привет, аэродром")
        await pilot.press("ctrl+o")
        await pilot.pause()
        assert isinstance(app.screen, Rewrite)
        assert "Dear Sir or Madam" in screen(app)
        await pilot.press("!", "enter")
        await app.workers.wait_for_complete()
        await pilot.pause()
        assert not isinstance(app.screen, Rewrite)
        bodies = [one.body for one in app.twin.archive.signals() if (one.turn, one.kind) == (turn.id, "edited")]
        assert bodies[-1] == "Dear Sir or Madam!"
        assert app.twin.archive.turns() == [turn], "what was said stays what was said"
        assert log(app).count("Your version is kept") == 2


async def test_esc_leaves_a_rewrite_and_an_unchanged_answer_is_no_signal(make: Callable[..., TwinApp]) -> None:
    app = make("a")
    async with app.run_test(size=WIDE) as pilot:
        await ask(pilot, "How warm is it?")
        await pilot.press("ctrl+o", "x", "escape")
        await pilot.pause()
        assert not isinstance(app.screen, Rewrite)
        await pilot.press("ctrl+o", "enter")
        await app.workers.wait_for_complete()
        await pilot.pause()
        assert "Your version says the same as the answer." in log(app)
        assert app.twin.archive.signals() == []


async def test_control_characters_that_a_rewrite_does_not_show_are_no_change(make: Callable[..., TwinApp]) -> None:
    app = make("a\x1b[31m red\x07 answer\u202e")
    async with app.run_test(size=WIDE) as pilot:
        await ask(pilot, "How warm is it?")
        await pilot.press("ctrl+o")
        await pilot.pause()
        await pilot.press("enter")
        await begun(pilot)
        assert "Your version says the same as the answer." in log(app)
        assert app.twin.archive.signals() == []


async def test_before_any_answer_there_is_nothing_to_make_of_one(make: Callable[..., TwinApp]) -> None:
    app = make()
    async with app.run_test(size=WIDE) as pilot:
        for key in ("f2", "f3", "f4", "ctrl+o"):
            await pilot.press(key)
            await pilot.pause()
        assert log(app).count("Nothing was answered in this conversation yet. Ask first.") == 4
        assert app.twin.lines.all() == []


async def test_the_keys_are_taken_by_nothing_else_and_the_help_names_them(make: Callable[..., TwinApp]) -> None:
    app = make()
    async with app.run_test(size=WIDE):
        ours = {"f1", "f2", "f3", "f4", "f8", "ctrl+o", "ctrl+r", "ctrl+f", "ctrl+n"}
        taken = {*app.query_one(Composer)._bindings.key_to_bindings, *App._merge_bindings().key_to_bindings,
                 *Screen._merge_bindings().key_to_bindings, App.COMMAND_PALETTE_BINDING}
        assert "ctrl+q" in taken and not ours & taken
        assert all(f"`{key}`" in HELP for key in ours - {"f1"})
        assert all(f"`/{name}`" in HELP or f"`/{name} " in HELP for name in app._commands.table)


# ---- what the twin thinks of its roles -----------------------------------------------------------------------------

def proposed(own_home: Path, verdict: str = "unproven") -> tuple[Reflection, Proposal]:
    """A proposal with a proof, shown, in the home of the app."""
    home = Home(own_home)
    archive = Archive(home)
    reflection = Reflection(home, archive, RoleBook(home, archive), lambda: ScriptedEngine([]))
    made = proven(reflection, operation("two files"), verdict)
    reflection.shown()
    return reflection, made


async def begun(pilot: Pilot[None]) -> None:
    await pilot.app.workers.wait_for_complete()
    await pilot.pause()


async def test_what_waits_runs_and_alarms_is_said_at_the_start_in_the_persons_language(
        make: Callable[..., TwinApp], own_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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
        assert "Proposals that wait for you: 1. See `twin proposals list`." in log(app)
        assert f"{made.id} is on trial until" in log(app) and "Take it back: /rollback, f8." in log(app)
        assert "20% of 12 ratings are good" in log(app)
        await ask(pilot, "Сколько градусов?")
    app = make("Десять.")
    async with app.run_test(size=WIDE) as pilot:
        await begun(pilot)
        assert "Предложений ждут вас: 1." in log(app) and f"{made.id} на пробе" in log(app)
        assert "хороших оценок 20%" in log(app)


@pytest.mark.parametrize("how", ["f8", "/rollback", "/вернуть", "/rollback {id}"])
async def test_a_trial_is_ended_by_one_key_or_a_command(
        make: Callable[..., TwinApp], own_home: Path, how: str) -> None:
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


async def test_proposals_lists_what_waits_and_how_to_decide(
        make: Callable[..., TwinApp], own_home: Path) -> None:
    app = make("Девять.")
    async with app.run_test(size=WIDE) as pilot:
        await ask(pilot, "/proposals")
        assert "Nothing waits for you." in log(app)
        _, made = proposed(own_home)
        await ask(pilot, "/proposals")
        assert f"{made.id}  unproven: {made.say()}" in log(app)
        assert "`twin proposals show ID`" in log(app)
        await ask(pilot, "Сколько градусов?")
        await ask(pilot, "/предложения")
        assert f"{made.id}  не доказано: {made.say('ru')}" in log(app)


async def test_when_it_is_due_the_twin_reflects_after_a_turn_and_says_what_is_new(
        make: Callable[..., TwinApp], own_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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


# ---- lines of thinking ---------------------------------------------------------------------------------------------

async def test_a_fork_asks_the_last_question_again_in_another_role_on_a_line_of_its_own(
        make: Callable[..., TwinApp]) -> None:
    app = make(engine=ScriptedEngine(spoken))
    async with app.run_test(size=WIDE) as pilot:
        await ask(pilot, "/role scribe")
        await ask(pilot, "When do I sow peas?")
        trunk = app.conversation
        await pilot.press("ctrl+f")
        await pilot.pause()
        assert isinstance(app.screen, Picker)
        assert "council" in screen(app)
        await pilot.press(str(1 + app.twin.role_map.ids.index("critic")))
        await pilot.pause()
        await app.workers.wait_for_complete()
        await pilot.pause()
        assert answer(app) == "critic says so."
        assert "line critic" in screen(app).splitlines()[-1]
        assert [turn.question for turn in app.twin.lines.history(app.conversation)] == ["When do I sow peas?"]
        await ask(pilot, "And beans?")
        assert answer(app) == "critic says so.", "the line goes on in its role, not in the one picked before it"
        assert len(app.twin.archive.turns(trunk)) == 1


async def test_lines_are_listed_and_gone_to_and_their_history_is_drawn_again(make: Callable[..., TwinApp]) -> None:
    app = make(engine=ScriptedEngine(spoken))
    async with app.run_test(size=WIDE) as pilot:
        await ask(pilot, "/role scribe")
        await ask(pilot, "When do I sow peas?")
        await ask(pilot, "How deep?")
        await ask(pilot, "/fork критик")
        await ask(pilot, "/lines")
        assert re.search(r"  1 trunk, 2 asked: How deep\?\n\*  2 {3}critic, 1 asked: How deep\?", log(app))
        await ask(pilot, "/line trunk")
        assert [exchange.question for exchange in app.query(Exchange)] == ["When do I sow peas?", "How deep?"]
        assert answer(app) == "scribe says so."
        assert "line" not in screen(app).splitlines()[-1]
        await ask(pilot, "/line 2")
        assert [exchange.question for exchange in app.query(Exchange)] == ["When do I sow peas?", "How deep?"]
        assert answer(app) == "critic says so."
        await ask(pilot, "/why")
        assert "critic" in log(app)
        await ask(pilot, "/line nowhere")
        assert "There is no line 'nowhere'." in log(app)


async def test_a_line_is_named_kept_and_dropped_and_the_trunk_is_not(make: Callable[..., TwinApp]) -> None:
    app = make(engine=ScriptedEngine(spoken))
    async with app.run_test(size=WIDE) as pilot:
        await ask(pilot, "When do I sow peas?")
        for command in ("/name x", "/keep", "/drop"):
            await ask(pilot, command)
        assert log(app).count("You are on the trunk") == 3
        trunk = app.conversation
        await ask(pilot, "/fork critic")
        await ask(pilot, "/name мой [b]спор[/b]")
        assert "line мой [b]спор[/b]" in screen(app).splitlines()[-1]
        await ask(pilot, "/keep")
        assert [line.state for line in app.twin.lines.all()] == ["kept"]
        await ask(pilot, "/drop")
        assert app.conversation == trunk
        assert "Dropped: мой [b]спор[/b]" in log(app)
        await ask(pilot, "/lines")
        assert "1 dropped" in log(app)
        await ask(pilot, "/lines all")
        assert "мой [b]спор[/b] [dropped]" in log(app)
        assert len(app.twin.archive.turns()) == 2, "nothing is deleted"


@pytest.mark.parametrize(("width", "beside"), [(100, True), (60, False)])
async def test_lines_are_compared_side_by_side_where_there_is_room(
        make: Callable[..., TwinApp], width: int, beside: bool) -> None:
    app = make(engine=ScriptedEngine(spoken))
    async with app.run_test(size=(width, 40)) as pilot:
        await ask(pilot, "/role scribe")
        await ask(pilot, "When do I sow peas?")
        await ask(pilot, "/fork critic")
        await ask(pilot, "/compare")
        one, two = app.query("Comparison > Static").results(Static)
        assert "scribe says so." in str(one.content) and "critic says so." in str(two.content)
        assert "67% of the words as in the first" in str(two.content)
        assert (one.region.y == two.region.y) is beside
        assert "critic says so." in screen(app)


async def test_a_new_conversation_stands_on_its_trunk(make: Callable[..., TwinApp]) -> None:
    app = make(engine=ScriptedEngine(spoken))
    async with app.run_test(size=WIDE) as pilot:
        await ask(pilot, "When do I sow peas?")
        await ask(pilot, "/fork critic")
        await pilot.press("ctrl+n")
        assert "line" not in screen(app).splitlines()[-1]
        await ask(pilot, "/lines")
        assert "trunk, 0 asked" in log(app)


# ---- a council -----------------------------------------------------------------------------------------------------

async def test_a_council_shows_claims_weights_dissent_and_votes_and_no_percentage_before_the_probe(
        make: Callable[..., TwinApp]) -> None:
    app = make(engine=ScriptedEngine(spoken))
    async with app.run_test(size=WIDE) as pilot:
        await ask(pilot, "/council Which tomato seeds do I buy?")
        turn = app.query_one(Exchange).turn
        assert turn is not None and turn.verdict is not None
        assert answer(app) == turn.answer
        claims = str(app.query_one(".claims", Static).content)
        assert all(f"{one.role}: {one.text}" in claims for one in turn.verdict.hypotheses)
        weighed = str(app.query_one(".weighed", Static).content)
        assert all(f"{one.weight:.2f}  " in weighed and one.text in weighed for one in turn.verdict.opinions)
        assert f"{turn.verdict.none:.2f}  none of these" in weighed
        assert weighed.count("dissent, ") == len(turn.verdict.dissent)
        assert f"count as {turn.verdict.votes:.1f} independent votes" in weighed
        assert "uncalibrated" in weighed and "%" not in weighed
        assert " council " in screen(app)
        await ask(pilot, "/why")
        assert "predicts: They sprout in May." in log(app)


def test_only_calibrated_weights_are_percentages() -> None:
    opinions = (Opinion("Peas.", .7, ("critic",), (.5, .8)), Opinion("Beans.", .2, ("scribe",)))
    verdict = Verdict((), opinions, .1, 1.5, calibrated=200, dissent=(1,))
    shown = str(weighing(verdict))
    assert "70% [50%, 80%]  critic: Peas." in shown
    assert "20%  dissent, scribe: Beans." in shown
    assert "10%  none of these" in shown
    assert "uncalibrated" not in shown


async def test_council_alone_asks_the_last_question_again_on_a_new_line(make: Callable[..., TwinApp]) -> None:
    app = make(engine=ScriptedEngine(spoken))
    async with app.run_test(size=WIDE) as pilot:
        await ask(pilot, "Which tomato seeds do I buy?")
        await ask(pilot, "/council")
        turns = app.twin.archive.turns()
        assert [turn.question for turn in turns] == ["Which tomato seeds do I buy?"] * 2
        assert [turn.verdict is None for turn in turns] == [True, False]
        assert turns[0].conversation != turns[1].conversation == app.conversation
        assert "line council" in screen(app).splitlines()[-1]
        await ask(pilot, "/line trunk")
        await ask(pilot, "/line council")
        assert str(app.query_one(".weighed", Static).content), "a council is drawn again from what was stored"
        assert answer(app) == turns[1].answer


async def test_esc_stops_a_council_that_has_said_nothing_yet(make: Callable[..., TwinApp]) -> None:
    engine = Waiting(spoken)
    app = make(engine=engine)
    async with app.run_test(size=WIDE) as pilot:
        app.query_one(Composer).text = "/council Which tomato seeds do I buy?"
        await pilot.press("enter")
        await until(pilot, lambda: bool(engine.prompts))
        await pilot.press("escape")
        await app.workers.wait_for_complete()
        await pilot.pause()
        assert "stopped" in screen(app)
        assert not app.query_one(".weighed").display
        assert [turn.status for turn in app.twin.archive.turns()] == ["interrupted"]


# ---- the prompt ----------------------------------------------------------------------------------------------------

async def test_prompt_shows_the_parts_of_a_prompt_and_asks_nothing(make: Callable[..., TwinApp]) -> None:
    app = make("a")
    async with app.run_test(size=WIDE) as pilot:
        await ask(pilot, "/prompt What about [red]tomatoes[/red]?")
        assert isinstance(app.screen, PromptPage)
        shown = str(app.screen.query_one(Static).content)
        assert "shared prefix" in shown and "role tail" in shown
        assert "What about [red]tomatoes[/red]?" in shown
        assert app.twin.archive.turns() == []
        await pilot.press("escape")
        await ask(pilot, "How warm is it?")
        await ask(pilot, "/prompt")
        assert "How warm is it?" in str(app.screen.query_one(Static).content)


async def test_an_answer_goes_on_behind_an_open_page(make: Callable[..., TwinApp]) -> None:
    app = make(engine=Waiting(["one two three four"]))
    async with app.run_test(size=WIDE) as pilot:
        app.query_one(Composer).text = "Count"
        await pilot.press("enter", "f1")
        await pilot.pause()
        assert isinstance(app.screen, Help)
        await until(pilot, lambda: "three" in answer(app))
        await pilot.press("ctrl+r", "ctrl+f")
        assert isinstance(app.screen, Help), "keys of the chat do nothing here"
        await pilot.press("escape", "escape")
        await app.workers.wait_for_complete()
        await pilot.pause()
        assert answer(app) == "one two three"


# ---- what can go wrong ---------------------------------------------------------------------------------------------

async def test_without_a_core_it_opens_says_so_and_tells_the_command_when_asked(own_home: Path) -> None:
    with Twin(Home(own_home), catalog=Catalog(own_home / "no models")) as twin:
        app = TwinApp(twin)
        async with app.run_test(size=WIDE) as pilot:
            await app.workers.wait_for_complete()
            await pilot.pause()
            assert "no core: twin models pull" in screen(app)
            await ask(pilot, "Anyone there?")
            assert "No core is on this machine yet. Fetch one with `twin models pull" in " ".join(log(app).split())
            assert app.is_running
            await ask(pilot, "/role critic")  # and it can be used on
            assert app.role == "critic"


async def test_an_error_of_a_turn_is_a_line_with_the_next_step_and_the_next_question_works(
        make: Callable[..., TwinApp]) -> None:
    app = make("only one")
    async with app.run_test(size=WIDE) as pilot:
        await ask(pilot, "first")
        await ask(pilot, "second")
        assert "Give ScriptedEngine more answers." in log(app)
        assert len(app.twin.archive.turns()) == 1
        await ask(pilot, "/why")
        assert app.is_running


async def test_quitting_in_the_middle_of_an_answer_ends_its_thread(make: Callable[..., TwinApp]) -> None:
    app = make(engine=Waiting(["one two three four five"]))
    async with app.run_test(size=WIDE) as pilot:
        app.query_one(Composer).text = "Count"
        await pilot.press("enter")
        await until(pilot, lambda: "three" in answer(app))
        await pilot.press("ctrl+q")
    await_end = time.monotonic() + 10
    while not app.twin.archive.turns():
        assert time.monotonic() < await_end
        time.sleep(0.02)
    assert app.twin.archive.turns()[0].status == "interrupted"


async def test_a_home_without_anything_of_the_person_says_how_to_bring_it(make: Callable[..., TwinApp]) -> None:
    app = make()
    async with app.run_test(size=WIDE) as pilot:
        await app.workers.wait_for_complete()
        await pilot.pause()
        assert "twin import" in screen(app)
    full = make()
    full.twin.add([OWN])
    async with full.run_test(size=WIDE) as pilot:
        await full.workers.wait_for_complete()
        await pilot.pause()
        assert "Your own messages here: 2" in screen(full)


# ---- text from outside is data -------------------------------------------------------------------------------------

HOSTILE = ["[/]", "[/red] [/some/path]", "[@click=app.quit]x[/]", "[link=file:///etc/passwd]x[/link]", "[$error]x",
           "[type=x, v={'a[0]'}]", "\x1b]0;title\x07\x1b[31mred", "<script>alert(1)</script><b>bold</b>",
           "[x](javascript:alert(1)) ![i](http://example.invalid/p.png)", "[x](a'); app.quit(')",
           "\u202egnp.exe", "\x00\x7f\x9b2J", "```\n[/]", "| a |\n|---|\n| [@click=app.quit]x |"]


@pytest.mark.parametrize("text", HOSTILE)
async def test_hostile_text_is_shown_as_text(make: Callable[..., TwinApp], text: str) -> None:
    """From the person, from memories and from the core alike: no crash, no action, no control byte on the screen."""
    app = make(f"Well: {text}")
    app.twin.add([Conversation("h", (Message("h1", "user", f"quick barometer note {text}"),))])
    async with app.run_test(size=WIDE) as pilot:
        await ask(pilot, f"quick barometer note {text}")
        await ask(pilot, "/why")
        await ask(pilot, "/lines")
        await pilot.press("ctrl+r", "escape")
        assert app.is_running
        shown = screen(app)
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", shown)
        actions = [str(segment.style.meta.get("@click")) for strip in app.screen._compositor.render_strips()
                   for segment in strip if segment.style and segment.style.meta.get("@click")]
        assert not [action for action in actions if "quit" in action and not action.startswith("link(")]


async def test_hostile_claims_and_names_are_shown_as_text_wherever_lines_and_councils_are(
        make: Callable[..., TwinApp]) -> None:
    hostile = "[/] [$error]x [@click=app.quit]y[/] \x1b[31m\u202e [link=file:///etc/passwd]z"

    def said(asked: Prompt) -> str:
        return json.dumps({"evidence": [], "claim": f"{asked.role} {hostile}", "prediction": hostile,
                           "falsifier": hostile, "unit": ""})

    app = make(engine=ScriptedEngine(said))
    async with app.run_test(size=WIDE) as pilot:
        await ask(pilot, f"/council {hostile}")
        await ask(pilot, "/fork council")
        await ask(pilot, f"/name {hostile}")
        for command in ("/lines", "/compare", "/why", "/line trunk", "/prompt"):
            await ask(pilot, command)
            shown = screen(app)
            assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", shown)
            assert not any("quit" in str(segment.style.meta.get("@click"))
                           for strip in app.screen._compositor.render_strips()
                           for segment in strip if segment.style and segment.style.meta.get("@click"))
        assert isinstance(app.screen, PromptPage)
        await pilot.press("escape")
        assert "[@click=app.quit]y[/]" in str(app.query_one(".claims", Static).content)


async def test_html_of_a_core_stays_readable(make: Callable[..., TwinApp]) -> None:
    """Markdown with HTML switched on would drop the tags, and with them what the core wrote."""
    app = make("Use <b>bold</b>\n\n<div>a block</div>")
    async with app.run_test(size=WIDE) as pilot:
        await ask(pilot, "html?")
        assert "Use <b>bold</b>" in screen(app) and "<div>a block</div>" in screen(app)


@pytest.mark.parametrize("href", ["http://example.invalid/?q=secret", "x');app.quit('y"])
async def test_a_link_is_shown_and_never_followed(
        make: Callable[..., TwinApp], monkeypatch: pytest.MonkeyPatch, href: str) -> None:
    app = make(f"[the manual](<{href}>)")
    opened: list[str] = []
    monkeypatch.setattr(app, "open_url", lambda url, **_: opened.append(url))
    async with app.run_test(size=WIDE) as pilot:
        await ask(pilot, "Where is the manual?")
        assert "the manual" in screen(app)
        await pilot.click(app.query_one(Exchange).query_one("MarkdownParagraph"), offset=(3, 0))
        await until(pilot, lambda: app.clipboard == href)
        assert not opened
        assert app.is_running


@given(st.text(alphabet=st.characters(codec=None), max_size=60))
@settings(deadline=None)
def test_printable_lets_no_control_character_through_and_keeps_all_others(text: str) -> None:
    kept = printable(text)
    assert all(letter in "\n\t" or letter.isprintable() or letter in "\u00ad\u200c\u200d" or letter.isspace()
               for letter in kept)
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u202a-\u202e\ud800-\udfff]", kept)
    assert printable(kept) == kept


def test_no_break_spaces_of_russian_typography_are_not_control_characters() -> None:
    assert printable("5\u00a0% и 10\u202f000") == "5\u00a0% и 10\u202f000"


# ---- shapes --------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("size", [(40, 12), (80, 24)])
async def test_a_small_terminal_shows_answer_input_and_status(
        make: Callable[..., TwinApp], size: tuple[int, int]) -> None:
    app = make("Короткий ответ.")
    async with app.run_test(size=size) as pilot:
        await ask(pilot, "Что делать, когда всё очень длинное и не помещается в одну строку?")
        shown = screen(app)
        assert "Короткий ответ." in shown, "the newest words are in sight"
        composer = app.query_one(Composer)
        assert composer.region.height >= 3 and composer.region.bottom <= size[1]
        assert "auto" in shown.splitlines()[-1]


@pytest.mark.parametrize("size", [(40, 12), (80, 24)])
async def test_the_picker_fits_a_small_terminal(make: Callable[..., TwinApp], size: tuple[int, int]) -> None:
    app = make("a")
    async with app.run_test(size=size) as pilot:
        await ask(pilot, "Which of the two barometers do I trust when the weather turns, and why that one?")
        await pilot.press("ctrl+r")
        await pilot.pause()
        shown = screen(app)
        assert all(f"{number} {role}" in shown for number, role in enumerate(app.twin.role_map.ids, 1))
        assert "7 nobody" in shown


async def test_a_long_answer_keeps_its_end_in_sight(make: Callable[..., TwinApp]) -> None:
    app = make("\n\n".join(f"Step {number}." for number in range(60)))
    async with app.run_test(size=(60, 20)) as pilot:
        await ask(pilot, "How?")
        assert "Step 59." in screen(app)


async def test_thinking_is_folded_away_and_not_part_of_the_answer(make: Callable[..., TwinApp]) -> None:
    app = make("<think>first the units, then the zero</think>Check the zero.")
    async with app.run_test(size=WIDE) as pilot:
        await ask(pilot, "Why is it off?")
        assert answer(app) == "Check the zero."
        assert "thinking" in screen(app)
        assert "first the units" not in screen(app)
        assert "first the units, then the zero" in log(app)


async def test_the_screen_says_when_a_core_ended_without_a_word(make: Callable[..., TwinApp]) -> None:
    app = make("")
    async with app.run_test(size=WIDE) as pilot:
        await ask(pilot, "Silence?")
        assert "ended without a word" in log(app)
