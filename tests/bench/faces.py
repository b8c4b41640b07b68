"""What the faces cost, in one run: python -m tests.bench.faces [--runs N] [--core NAME ...]. Alone on the machine.

paint: seconds from the start of `twin chat` in a pseudo-terminal to the first letters on its screen, on a home with the
sample in it (median; the file cache is warm after the first).
rate: tokens a second between the first and the last piece an engine gave, in each face, over those of the bare engine
on the same prompt. `script` is a ScriptedEngine of 100 words a second, faster than a core on processors; a core's name
is that core. The cell and the chat run in a real kernel, the terminal in a pseudo-terminal that is read as fast as it
writes. Aim: .97.
updates: most messages that drew something in the notebook within one second, between an answer's first and last word
(both processes read one clock). Aim: 10.
long: seconds until a conversation of 2,000 turns stands on the screen (terminal at 120x40, the notebook's chat), and
the median of a page up at the beginning and after many. Aim: 1 s, and no growth.
"""
from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from statistics import median
from typing import Any
from unittest.mock import patch

from tests.bench.terminal import Terminal
from tests.browser.engines import Paced, numbered
from tests.conftest import SAMPLE
from twin import loading
from twin.catalog import Catalog
from twin.chat import Twin
from twin.home import Home
from twin.types import Piece, Prompt, Route, Sampling, Turn, never

SCRIPT, CORES = "script", ("smollm2-135m",)
WORDS, A_WORD_S = 600, 0.01
QUESTION, ROLE = "Write a long story about a lighthouse keeper, a storm and a letter.", "scribe"
TURNS, PAGES, ENDS = 2000, 120, 15
FACES = ("cell", "chat", "terminal")


class Timed:
    """An engine that notes when it gave each piece, and writes that to `out` when an answer is over."""

    def __init__(self, engine: Any, out: Path | None = None) -> None:
        self._engine, self._out = engine, out
        self.times: list[float] = []
        self.prompt: tuple[Prompt, Sampling] | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def stream(self, prompt: Prompt, sampling: Sampling, *, schema: Mapping[str, Any] | None = None,
               cancel: Callable[[], bool] = never) -> Iterator[Piece]:
        """The engine's own pieces."""
        self.prompt, self.times = (prompt, sampling), []
        for piece in self._engine.stream(prompt, sampling, schema=schema, cancel=cancel):
            if piece.text:
                self.times.append(time.perf_counter())
            yield piece
        if self._out is not None:
            spare = self._out.with_suffix(".part")
            spare.write_text(json.dumps(self.rate), "utf-8")
            spare.replace(self._out)

    @property
    def rate(self) -> float:
        """Tokens a second of the last answer."""
        return (len(self.times) - 1) / (self.times[-1] - self.times[0])


def twin_of(core: str, home: Path, out: Path | None = None) -> tuple[Twin, Timed]:
    """A twin in this home, and its engine."""
    place = Home(home)
    engine: Any = (Paced([numbered(WORDS)] * 99, a_word_s=A_WORD_S) if core == SCRIPT
                   else loading.engine(Catalog(), place, core, 8192, None))
    timed = Timed(engine, out)
    twin = Twin(place, engine=timed, catalog=Catalog(home / "no models"))
    twin.set_face("first", "seen")
    return twin, timed


# ---- in this process -------------------------------------------------------------------------------------------------

def bare_and_printed(core: str, runs: int) -> dict[str, list[float]]:
    """Rates of the engine alone, of draining `Twin.stream`, and of `twin ask`."""
    from click.testing import CliRunner

    from twin import cli

    found: dict[str, list[float]] = {"bare": [], "events": [], "twin ask": []}
    with tempfile.TemporaryDirectory() as folder:
        twin, engine = twin_of(core, Path(folder) / "home")
        for _ in range(runs):
            list(twin.stream(QUESTION, ROLE, conversation=f"c{time.time()}"))
            found["events"].append(engine.rate)
            assert engine.prompt is not None
            list(engine.stream(*engine.prompt))
            found["bare"].append(engine.rate)
            with patch.object(Twin, "open", lambda *_, twin=twin, **__: _Kept(twin)):
                ran = CliRunner().invoke(cli.main, ["ask", QUESTION, "--role", ROLE])
            assert ran.exit_code == 0, ran.output
            found["twin ask"].append(engine.rate)
        twin.close()
    return found


class _Kept:
    """A twin that the command line may leave, and that stays open."""

    def __init__(self, twin: Twin) -> None:
        self._twin = twin

    def __enter__(self) -> Twin:
        return self._twin

    def __exit__(self, *_: object) -> None:
        """Nothing is closed."""


# ---- in a kernel -----------------------------------------------------------------------------------------------------

class Kernel:
    """A real kernel; what it sends is taken at once, as a browser does."""

    def __init__(self) -> None:
        from jupyter_client.manager import start_new_kernel

        root = str(Path(__file__).parent.parent.parent)
        self._manager, self._client = start_new_kernel(kernel_name="python3", cwd=root)

    def run(self, source: str) -> tuple[str, list[float]]:
        """Run a cell: what it printed, and when each message that draws something came."""
        asked = self._client.execute(source)
        printed, drawn = "", list[float]()
        while True:
            message = self._client.get_iopub_msg(timeout=3600)
            kind, content = message["msg_type"], message["content"]
            if kind in ("update_display_data", "display_data") or (
                    kind == "comm_msg" and content["data"].get("method") == "update"):
                drawn.append(time.perf_counter())
            elif kind == "stream" and content["name"] == "stdout":
                printed += content["text"]
            elif kind == "error":
                raise RuntimeError("\n".join(content["traceback"]))
            elif (kind == "status" and content["execution_state"] == "idle"
                  and message["parent_header"].get("msg_id") == asked):
                return printed, drawn

    def close(self) -> None:
        """The kernel ends."""
        self._client.stop_channels()
        self._manager.shutdown_kernel(now=True)


def in_a_notebook(core: str, runs: int) -> tuple[dict[str, list[float]], dict[str, int]]:
    """Rates of a cell and of the chat, and the most updates within a second."""
    rates, updates = dict[str, list[float]](cell=[], chat=[]), dict[str, int](cell=0, chat=0)
    with tempfile.TemporaryDirectory() as folder:
        kernel = Kernel()
        kernel.run(f"from pathlib import Path\nfrom tests.bench.faces import QUESTION, ROLE, twin_of\n"
                   f"twin, engine = twin_of({core!r}, Path({folder!r}) / 'home')\nchat = twin.chat()\nchat")
        for _ in range(runs):
            for face, ask in (("cell", "twin.ask"), ("chat", "chat.send")):
                printed, drawn = kernel.run(f"{ask}(QUESTION, ROLE);\n"
                                            "print(engine.rate, engine.times[0], engine.times[-1])")
                rate, first, last = map(float, printed.split()[-3:])
                rates[face].append(rate)
                updates[face] = max(updates[face], crowd([one for one in drawn if first <= one <= last]))
        kernel.close()
    return rates, updates


def crowd(times: list[float]) -> int:
    """How many of these moments fell at most into one second."""
    return max((sum(first <= other < first + 1 for other in times) for first in times), default=0)


# ---- in a terminal ---------------------------------------------------------------------------------------------------

def terminal_child(core: str, home: Path, out: Path) -> None:
    """The terminal chat on such a twin, in this process, until ctrl+q."""
    from twin.tui.app import TwinApp

    twin, _ = twin_of(core, home, out)
    TwinApp(twin).run()
    twin.close()


def in_a_terminal(core: str, runs: int) -> list[float]:
    """Rates of the terminal chat."""
    rates = []
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "rate.json"
        with Terminal([sys.executable, "-m", "tests.bench.faces", "--child", core, folder, str(out)]) as terminal:
            terminal.until(terminal.painted)
            terminal.rest()
            for line in (f"/role {ROLE}", *[QUESTION] * runs):
                out.unlink(missing_ok=True)
                terminal.write(line + "\r")
                terminal.until(out.exists if line == QUESTION else terminal.quiet)
                terminal.rest()
                if line == QUESTION:
                    rates.append(float(json.loads(out.read_text("utf-8"))))
            terminal.write("\x11")
            terminal.until(lambda: terminal.ended)
    return rates


def paint(runs: int) -> list[float]:
    """Seconds to the first letters of `twin chat`."""
    took = []
    with tempfile.TemporaryDirectory() as folder:
        with Twin(Home(Path(folder)), catalog=Catalog(Path(folder) / "no models")) as twin:
            twin.import_path(SAMPLE)
            twin.set_face("first", "seen")
        program = Path(sys.executable).parent / "twin"
        for _ in range(runs):
            with Terminal([str(program), "chat", "--home", folder]) as terminal:
                terminal.until(terminal.painted)
                took.append(terminal.age)
                terminal.rest()
                terminal.write("\x11")
                terminal.until(lambda terminal=terminal: terminal.ended)
    return took


# ---- a long conversation ---------------------------------------------------------------------------------------------

def long_talk(twin: Twin) -> str:
    """A conversation of 2,000 turns; its id."""
    version = twin.role_book.ensure().version
    route = Route("mentor", {"mentor": 1.0}, "played")
    for number in range(TURNS):
        twin.archive.save_turn(Turn(
            f"t{number}", "long", f"Question {number}: what changes when I double the beds?",
            f"Answer {number}.\n\n- **more water**, about {number} litres\n- more shade\n\n{numbered(40)}", route,
            "answered", SCRIPT, version))
    return "long"


async def scrolled(twin: Twin, name: str) -> tuple[float, list[float]]:
    """Seconds until the terminal shows the conversation, and those of each page up."""
    from twin.tui.app import TwinApp
    from twin.tui.exchange import Exchange

    app = TwinApp(twin)
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.pause()
        while app.background.busy or not app.chat.ready:
            await pilot.pause()
        began = time.perf_counter()
        app.chat.resume(name)
        while app.background.busy or not app.query(Exchange):
            await pilot.pause()
        opened, pages = time.perf_counter() - began, []
        for _ in range(PAGES):
            began = time.perf_counter()
            await pilot.press("pageup")
            pages.append(time.perf_counter() - began)
    return opened, pages


def long_one() -> None:
    """Print what a long conversation costs."""
    with tempfile.TemporaryDirectory() as folder:
        twin, _ = twin_of(SCRIPT, Path(folder))
        name = long_talk(twin)
        opened, pages = asyncio.run(scrolled(twin, name))
        chat = twin.chat()
        began = time.perf_counter()
        chat.open(name)
        drawn = time.perf_counter() - began
        twin.close()
    print(f"long: {TURNS:,} turns in the terminal after {opened:.2f} s, in the notebook's chat after {drawn:.2f} s")
    print(f"long: a page up takes {1000 * median(pages[:ENDS]):.0f} ms at first, "
          f"{1000 * median(pages[-ENDS:]):.0f} ms after {PAGES - ENDS}")


# ---- all of it -------------------------------------------------------------------------------------------------------

def rated(core: str, runs: int) -> None:
    """Print the rates of all faces over those of the bare engine."""
    found = bare_and_printed(core, runs)
    notebook, updates = in_a_notebook(core, runs)
    found |= notebook | {"terminal": in_a_terminal(core, runs)}
    bare = median(found["bare"])
    for face, rates in found.items():
        share = f"  {median(rates) / bare:5.3f} of bare" if face != "bare" else ""
        print(f"rate: {core:14} {face:10} {median(rates):7.1f} tokens/s{share}")
    for face, most in updates.items():
        print(f"updates: {core:14} {face:10} at most {most} in one second")


def main() -> None:
    """Parse the command line and print everything."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--core", nargs="*", default=[SCRIPT, *CORES])
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    given = parser.parse_args()
    os.environ.setdefault("TWIN_LANG", "en")
    if given.child:
        core, home, out = given.child
        terminal_child(core, Path(home) / "home", Path(out))
        return
    took = paint(given.runs)
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    print(f"paint: {median(took):.2f} s from `twin chat` to the first letters ({min(took):.2f} to {max(took):.2f})")
    for core in given.core:
        rated(core, given.runs)
    long_one()


if __name__ == "__main__":
    main()
