"""The chat of the terminal: keys, commands, what can go wrong, small terminals."""
from __future__ import annotations

import re
import time
from pathlib import Path

import pytest
from textual.widgets import Static

from tests.tui.conftest import WIDE, Make, Waiting, answer, ask, begun, log, screen, until
from twin.tui.composer import Composer
from twin.tui.exchange import Exchange
from twin.tui.pages import Help, Picker, PromptPage
from twin.types import Conversation, Message

OWN = Conversation("c1", (
    Message("m1", "user", "Барометр на крыше врёт на два гектопаскаля, сравни его с аэродромным."),
    Message("m2", "assistant", "Сравним."),
    Message("m3", "user", "I want the rooftop barometer compared with the airfield every morning."),
), title="Barometer")


async def test_enter_sends_and_the_answer_comes_with_its_role_and_reason(make: Make) -> None:
    app = make("Сначала сравните с эталоном.")
    async with app.run_test(size=WIDE) as pilot:
        await ask(pilot, "Почему мой барометр врёт?")
        shown = screen(app)
        assert "Почему мой барометр врёт?" in shown
        assert answer(app) == "Сначала сравните с эталоном."
        assert "Сначала сравните с эталоном." in shown
        route = app.query_one(Exchange).route
        assert route is not None
        assert f" {app.chat.titles[route.role]} " in shown, "a role is called by its title"
        assert route.reason[:20] in shown
        assert re.search("[а-я]", route.reason), "a Russian question is routed in Russian words"
        assert app.query_one(Composer).text == ""
        assert len(app.twin.archive.turns()) == 1


async def test_an_english_question_and_a_second_one_stay_in_one_conversation(make: Make) -> None:
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
async def test_a_newline_key_breaks_the_line_and_sends_nothing(make: Make, key: str) -> None:
    app = make()
    async with app.run_test(size=WIDE) as pilot:
        await pilot.press("a", key, "б")
        assert app.query_one(Composer).text == "a\nб"
        assert not app.query(Exchange)


async def test_an_empty_line_is_not_sent(make: Make) -> None:
    app = make()
    async with app.run_test(size=WIDE) as pilot:
        await pilot.press("space", "enter")
        assert not app.query(Exchange)


async def test_esc_stops_the_answer_and_keeps_what_was_written(make: Make) -> None:
    app = make(engine=Waiting(["one two three four five", "next"]))
    async with app.run_test(size=WIDE) as pilot:
        app.query_one(Composer).text = "Count for me"
        await pilot.press("enter")
        await until(pilot, lambda: "three" in answer(app))
        app.query_one(Composer).text = "Too early"
        await pilot.press("enter")
        assert app.query_one(Composer).text == "Too early", "a question sent too early is not lost"
        await pilot.press("escape")
        await begun(pilot)
        assert answer(app) == "one two three"
        assert "stopped" in screen(app)
        assert [(turn.status, turn.answer) for turn in app.twin.archive.turns()] == [("interrupted", "one two three")]


# ---- roles and commands ----

async def test_role_pins_a_role_by_id_or_title_in_either_language_until_auto(make: Make) -> None:
    app = make("a", "b")
    async with app.run_test(size=WIDE) as pilot:
        critic = app.twin.role_map.role("critic")
        await ask(pilot, f"/role {critic.title.ru.upper()}")
        await ask(pilot, "Сколько градусов?")
        route = app.query(Exchange).last().route
        assert route is not None and route.role == "critic" and route.asked
        assert "Critic  asked for" in screen(app)
        await ask(pilot, "/role auto")
        await ask(pilot, "And now?")
        route = app.query(Exchange).last().route
        assert route is not None and not route.asked


async def test_an_unknown_role_or_command_is_answered_with_the_known_ones(make: Make) -> None:
    app = make("slashes are fine")
    async with app.run_test(size=WIDE) as pilot:
        await ask(pilot, "/role wizard")
        assert "no role 'wizard'" in log(app) and "empiricist" in log(app)
        await ask(pilot, "/fly")
        assert "no command /fly" in log(app) and "/export" in log(app)
        assert not app.query(Exchange)
        await ask(pilot, "/etc/fstab, what is it?")
        assert answer(app) == "slashes are fine"


async def test_role_without_a_name_lists_the_roles(make: Make) -> None:
    app = make()
    async with app.run_test(size=WIDE) as pilot:
        await ask(pilot, "/role")
        assert all(role in log(app) for role in app.twin.role_map.ids)


async def test_why_gives_the_reason_and_the_memories_of_the_last_answer(make: Make) -> None:
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


async def test_export_says_where_the_prompt_lies(make: Make, own_home: Path) -> None:
    app = make()
    app.twin.add([OWN])
    async with app.run_test(size=WIDE) as pilot:
        await ask(pilot, "/export")
        assert str(own_home / "exports" / "prompt.md") in log(app)
        assert (own_home / "exports" / "prompt.md").stat().st_size > 0
        await ask(pilot, f"/export {own_home.parent / 'mine.md'}")
        assert (own_home.parent / "mine.md").read_bytes() == (own_home / "exports" / "prompt.md").read_bytes()
        await ask(pilot, "/export ~nobody-of-that-name/mine.md")
        assert "home folder of nobody" in log(app)
        await ask(pilot, "/why")  # the app is free again


async def test_f1_and_help_show_the_keys_and_esc_goes_back(make: Make) -> None:
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


# ---- whom it was for ----

@pytest.mark.parametrize("question", ["Набело перепиши про грядки", "Write the beds up neatly"])
async def test_one_key_and_a_digit_tell_the_router_whom_it_was_for(make: Make, question: str) -> None:
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
        await begun(pilot)
        assert not isinstance(app.screen, Picker)
        assert "it was for Critic" in log(app)
        said = app.twin.archive.corrections()
        assert [(one.turn, one.label) for one in said] == [(turn.id, "critic")]
        assert f"goes to {app.chat.titles[app.twin.route(question).role]}" in log(app)


async def test_the_picker_is_closed_by_esc_and_chooses_by_enter(make: Make) -> None:
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
        await begun(pilot)
        assert [one.label for one in app.twin.archive.corrections()] == [app.twin.role_map.ids[1]]


@pytest.mark.parametrize(("word", "label"), [("critic", "critic"), ("КРИТИК", "critic"), ("nobody", "none"),
                                             ("никто", "none")])
async def test_for_takes_a_name_in_either_language_or_nobody(
        make: Make, word: str, label: str) -> None:
    app = make("a")
    async with app.run_test(size=WIDE) as pilot:
        await ask(pilot, "How warm is it?")
        await ask(pilot, f"/for {word}")
        assert [one.label for one in app.twin.archive.corrections()] == [label]


async def test_before_any_answer_there_is_nothing_to_correct_fork_or_compare(make: Make) -> None:
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


async def test_a_broken_hand_edit_of_a_role_is_said_and_the_roles_before_it_stay(make: Make) -> None:
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


# ---- what can go wrong ----

async def test_without_a_core_it_opens_says_so_and_tells_the_command_when_asked(make: Make) -> None:
    app = make(core=False)
    async with app.run_test(size=WIDE) as pilot:
        await begun(pilot)
        assert "no core: /cores fetches" in screen(app)
        assert "/cores lists what fits this machine" in " ".join(log(app).split())
        await ask(pilot, "Anyone there?")
        assert "No core is on this machine yet. Fetch one with `twin models pull" in " ".join(log(app).split())
        assert app.is_running
        await ask(pilot, "/role critic")  # and it can be used on
        assert app.chat.role == "critic"


async def test_an_error_of_a_turn_is_a_line_with_the_next_step_and_the_next_question_works(
        make: Make) -> None:
    app = make("only one")
    async with app.run_test(size=WIDE) as pilot:
        await ask(pilot, "first")
        await ask(pilot, "second")
        assert "Give ScriptedEngine more answers." in log(app)
        assert len(app.twin.archive.turns()) == 1
        await ask(pilot, "/why")
        assert app.is_running


async def test_quitting_in_the_middle_of_an_answer_ends_its_thread(make: Make) -> None:
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


async def test_a_home_without_anything_of_the_person_says_how_to_bring_it(make: Make) -> None:
    app = make()
    async with app.run_test(size=WIDE) as pilot:
        await begun(pilot)
        assert "/import brings it" in screen(app)
    full = make()
    full.twin.add([OWN])
    async with full.run_test(size=WIDE) as pilot:
        await begun(pilot)
        assert "Your own messages here: 2" in screen(full)


# ---- shapes ----

@pytest.mark.parametrize("size", [(40, 12), (80, 24)])
async def test_a_small_terminal_shows_answer_input_and_status(
        make: Make, size: tuple[int, int]) -> None:
    app = make("Короткий ответ.")
    async with app.run_test(size=size) as pilot:
        await ask(pilot, "Что делать, когда всё очень длинное и не помещается в одну строку?")
        shown = screen(app)
        assert "Короткий ответ." in shown, "the newest words are in sight"
        composer = app.query_one(Composer)
        assert composer.region.height >= 3 and composer.region.bottom <= size[1]
        assert "auto" in shown.splitlines()[-1]


@pytest.mark.parametrize("size", [(40, 12), (80, 24)])
async def test_the_picker_fits_a_small_terminal(make: Make, size: tuple[int, int]) -> None:
    app = make("a")
    async with app.run_test(size=size) as pilot:
        await ask(pilot, "Which of the two barometers do I trust when the weather turns, and why that one?")
        await pilot.press("ctrl+r")
        await pilot.pause()
        shown = screen(app)
        assert all(f"{number} {role}" in shown for number, role in enumerate(app.twin.role_map.ids, 1))
        assert "7 nobody" in shown


async def test_a_long_answer_keeps_its_end_in_sight(make: Make) -> None:
    app = make("\n\n".join(f"Step {number}." for number in range(60)))
    async with app.run_test(size=(60, 20)) as pilot:
        await ask(pilot, "How?")
        assert "Step 59." in screen(app)


async def test_thinking_is_folded_away_and_not_part_of_the_answer(make: Make) -> None:
    app = make("<think>first the units, then the zero</think>Check the zero.")
    async with app.run_test(size=WIDE) as pilot:
        await ask(pilot, "Why is it off?")
        assert answer(app) == "Check the zero."
        assert "thinking" in screen(app)
        assert "first the units" not in screen(app)
        assert "first the units, then the zero" in log(app)


async def test_the_screen_says_when_a_core_ended_without_a_word(make: Make) -> None:
    app = make("")
    async with app.run_test(size=WIDE) as pilot:
        await ask(pilot, "Silence?")
        assert "ended without a word" in log(app)

# ---- the prompt ----

async def test_prompt_shows_the_parts_of_a_prompt_and_asks_nothing(make: Make) -> None:
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


async def test_an_answer_goes_on_behind_an_open_page(make: Make) -> None:
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
        await begun(pilot)
        assert answer(app) == "one two three"

