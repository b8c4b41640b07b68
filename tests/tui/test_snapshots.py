"""How the terminal looks, at 80x24 and at 120x40, in both languages: rows of text beside this file, read in review."""
from __future__ import annotations

from datetime import UTC, datetime

import pytest
from textual.pilot import Pilot

from tests.tui.conftest import LANGUAGES, SIZES, Make, begun, clean, name_of, screen, snapshot, until
from twin.tui.app import TwinApp
from twin.types import Hypothesis, Opinion, Recalled, Route, Turn, Usage, Verdict

TIME = datetime(2025, 3, 1, 9, 30, tzinfo=UTC)
ROUTE = Route("critic", {"critic": 0.71, "mentor": 0.29}, "“What is wrong with this plan?” is the nearest example")
MEMORIES = (
    Recalled(("m1",), "I want the rooftop barometer compared with the airfield every morning.", 0.4, "words: barometer",
             time=TIME),
    Recalled(("m2",), "Барометр на крыше врёт на два гектопаскаля.", 0.3, "meaning", time=TIME))
ANSWER = """Compare it **twice** [1]:

1. in the morning, with the airfield
2. in the evening, with itself

| day | reading |
|---|---|
| Monday | 1013 |

```python
offset = roof - airfield
```

See [the manual](https://example.invalid/manual)."""
TURNS = [
    Turn("t1", "talk", "Which of my two barometers do I trust?", ANSWER, ROUTE, "answered", "scripted", "0" * 8,
         memories=MEMORIES, cited=(1,), thinking="First the units.", time=TIME,
         usage=Usage(prompt_tokens=1234, generated=56)),
    Turn("t2", "talk", "Почему врёт тот, что на крыше?", "Он стоит на", ROUTE, "interrupted", "scripted", "0" * 8,
         time=TIME, dropped=("memory 2 left out",), usage=Usage(generated=4, finish="cancelled")),
]
VERDICT = Verdict(
    (Hypothesis("critic", "Neither: both drift.", "They differ in May.", "", "", (1,), 0, 0.5),
     Hypothesis("mentor", "The newer one.", "", "", "", (), 1, 0.3)),
    (Opinion("Neither: both drift.", 0.5, ("critic",)), Opinion("The newer one.", 0.3, ("mentor",))),
    none=0.2, votes=1.6, dissent=(1,), tokens=80, seconds=2.5)
COUNCIL = Turn("t3", "talk", "Which of my two barometers do I trust?", "Neither: both drift.", ROUTE, "answered",
               "scripted", "0" * 8, verdict=VERDICT, time=TIME, usage=Usage(generated=80))


async def talked(pilot: Pilot[None], turns: list[Turn]) -> TwinApp:
    app = pilot.app
    assert isinstance(app, TwinApp)
    app.twin.set_face("idle", "off")
    for turn in turns:
        app.twin.archive.save_turn(turn, own=False)
    await begun(pilot)
    app.chat.resume("talk")
    await begun(pilot)
    return app


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("language", LANGUAGES)
async def test_the_chat_looks_so(make: Make, size: tuple[int, int], language: str) -> None:
    async with make(language=language).run_test(size=size) as pilot:
        app = await talked(pilot, TURNS)
        assert clean(app)
        snapshot(app, name_of("chat", size, language))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("language", LANGUAGES)
async def test_a_council_looks_so(make: Make, size: tuple[int, int], language: str) -> None:
    async with make(language=language).run_test(size=size) as pilot:
        app = await talked(pilot, [COUNCIL])
        assert clean(app)
        snapshot(app, name_of("council", size, language))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("language", LANGUAGES)
async def test_the_first_words_look_so(make: Make, size: tuple[int, int], language: str) -> None:
    app = make(language=language, core=False)
    async with app.run_test(size=size) as pilot:
        await begun(pilot)
        snapshot(app, name_of("empty", size, language))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("language", LANGUAGES)
async def test_the_help_looks_so(make: Make, size: tuple[int, int], language: str) -> None:
    app = make(language=language)
    async with app.run_test(size=size) as pilot:
        await begun(pilot)
        await pilot.press("f1")
        await begun(pilot)
        snapshot(app, name_of("help", size, language))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("language", LANGUAGES)
async def test_the_palette_looks_so(make: Make, size: tuple[int, int], language: str) -> None:
    app = make(language=language)
    async with app.run_test(size=size) as pilot:
        await begun(pilot)
        await pilot.press("ctrl+p")
        await until(pilot, lambda: ("Беседы" if language == "ru" else "Conversations") in screen(app))
        await begun(pilot)
        snapshot(app, name_of("palette", size, language))
