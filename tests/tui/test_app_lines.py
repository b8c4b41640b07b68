"""Lines of thinking and councils in the terminal."""
from __future__ import annotations

import re

import pytest
from textual.widgets import Static

from tests.tui.conftest import WIDE, Make, Waiting, answer, ask, begun, log, screen, spoken, until
from twin.engine.scripted import ScriptedEngine
from twin.tui.composer import Composer
from twin.tui.council import weighing
from twin.tui.exchange import Exchange
from twin.tui.pages import Picker
from twin.types import Opinion, Verdict
from twin.words import Words

# ---- lines of thinking ----

async def test_a_fork_asks_the_last_question_again_in_another_role_on_a_line_of_its_own(
        make: Make) -> None:
    app = make(engine=ScriptedEngine(spoken))
    async with app.run_test(size=WIDE) as pilot:
        await ask(pilot, "/role scribe")
        await ask(pilot, "When do I sow peas?")
        trunk = app.chat.conversation
        await pilot.press("ctrl+f")
        await pilot.pause()
        assert isinstance(app.screen, Picker)
        assert "council" in screen(app)
        await pilot.press(str(1 + app.twin.role_map.ids.index("critic")))
        await begun(pilot)
        assert answer(app) == "critic says so."
        assert "line critic" in screen(app).splitlines()[-1]
        assert [turn.question for turn in app.twin.lines.history(app.chat.conversation)] == ["When do I sow peas?"]
        await ask(pilot, "And beans?")
        assert answer(app) == "critic says so.", "the line goes on in its role, not in the one picked before it"
        assert len(app.twin.archive.turns(trunk)) == 1


async def test_lines_are_listed_and_gone_to_and_their_history_is_drawn_again(make: Make) -> None:
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


async def test_a_line_is_named_kept_and_dropped_and_the_trunk_is_not(make: Make) -> None:
    app = make(engine=ScriptedEngine(spoken))
    async with app.run_test(size=WIDE) as pilot:
        await ask(pilot, "When do I sow peas?")
        for command in ("/name x", "/keep", "/drop"):
            await ask(pilot, command)
        assert log(app).count("You are on the trunk") == 3
        trunk = app.chat.conversation
        await ask(pilot, "/fork critic")
        await ask(pilot, "/name мой [b]спор[/b]")
        assert "line мой [b]спор[/b]" in screen(app).splitlines()[-1]
        await ask(pilot, "/keep")
        assert [line.state for line in app.twin.lines.all()] == ["kept"]
        await ask(pilot, "/drop")
        assert app.chat.conversation == trunk
        assert "Dropped: мой [b]спор[/b]" in log(app)
        await ask(pilot, "/lines")
        assert "1 dropped" in log(app)
        await ask(pilot, "/lines all")
        assert "мой [b]спор[/b] [dropped]" in log(app)
        assert len(app.twin.archive.turns()) == 2, "nothing is deleted"


@pytest.mark.parametrize(("width", "beside"), [(100, True), (60, False)])
async def test_lines_are_compared_side_by_side_where_there_is_room(
        make: Make, width: int, beside: bool) -> None:
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


async def test_a_new_conversation_stands_on_its_trunk(make: Make) -> None:
    app = make(engine=ScriptedEngine(spoken))
    async with app.run_test(size=WIDE) as pilot:
        await ask(pilot, "When do I sow peas?")
        await ask(pilot, "/fork critic")
        await pilot.press("ctrl+n")
        assert "line" not in screen(app).splitlines()[-1]
        await ask(pilot, "/lines")
        assert "trunk, 0 asked" in log(app)


# ---- a council ----

async def test_a_council_shows_claims_weights_dissent_and_votes_and_no_percentage_before_the_probe(
        make: Make) -> None:
    app = make(engine=ScriptedEngine(spoken))
    async with app.run_test(size=WIDE) as pilot:
        await ask(pilot, "/council Which tomato seeds do I buy?")
        turn = app.query_one(Exchange).turn
        assert turn is not None and turn.verdict is not None
        assert answer(app) == turn.answer
        claims = str(app.query_one(".claims", Static).content)
        assert all(f"{app.chat.titles[one.role]}: {one.text}" in claims for one in turn.verdict.hypotheses)
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
    shown = str(weighing(verdict, Words("twin.tui", "en"), {"critic": "Critic"}))
    assert "70% [50%, 80%]  Critic: Peas." in shown
    assert "20%  dissent, scribe: Beans." in shown
    assert "10%  none of these" in shown
    assert "uncalibrated" not in shown


async def test_council_alone_asks_the_last_question_again_on_a_new_line(make: Make) -> None:
    app = make(engine=ScriptedEngine(spoken))
    async with app.run_test(size=WIDE) as pilot:
        await ask(pilot, "Which tomato seeds do I buy?")
        await ask(pilot, "/council")
        turns = app.twin.archive.turns()
        assert [turn.question for turn in turns] == ["Which tomato seeds do I buy?"] * 2
        assert [turn.verdict is None for turn in turns] == [True, False]
        assert turns[0].conversation != turns[1].conversation == app.chat.conversation
        assert "line council" in screen(app).splitlines()[-1]
        await ask(pilot, "/line trunk")
        await ask(pilot, "/line council")
        assert str(app.query_one(".weighed", Static).content), "a council is drawn again from what was stored"
        assert answer(app) == turns[1].answer


async def test_esc_stops_a_council_that_has_said_nothing_yet(make: Make) -> None:
    engine = Waiting(spoken)
    app = make(engine=engine)
    async with app.run_test(size=WIDE) as pilot:
        app.query_one(Composer).text = "/council Which tomato seeds do I buy?"
        await pilot.press("enter")
        await until(pilot, lambda: bool(engine.prompts))
        await pilot.press("escape")
        await begun(pilot)
        assert "stopped" in screen(app)
        assert not app.query(".weighed")
        assert [turn.status for turn in app.twin.archive.turns()] == ["interrupted"]

