"""Background: what takes a while, in a thread, one job at a time: a twin is synchronous. Answers come through here too,
and idle work, which gives way at once. Nobody else in the terminal starts threads that touch a twin."""
from __future__ import annotations

from collections.abc import Callable
from functools import partial
from threading import Event as Flag
from threading import Lock
from time import monotonic
from typing import TYPE_CHECKING, Any, TypeVar

from textual._callback import invoke

from twin.errors import TwinError
from twin.types import Progress
from twin.words import Words, sentence

if TYPE_CHECKING:
    from .app import TwinApp

T = TypeVar("T")
Cancel = Callable[[], bool]
Told = Callable[[str, int, "int | None"], None]
TELL_S = 0.1  # between two words of progress about one stage


class Background:
    """The jobs of one app. Everything here is called on the app's thread, and so is every callback."""

    def __init__(self, app: TwinApp) -> None:
        self._app = app
        self._alone = Lock()  # whoever works on the twin holds it; idle work does until it has given way
        self._job: Flag | None = None
        self._idle = Flag()
        self._closed = False

    @property
    def busy(self) -> bool:
        """Whether a job is under way; idle work is none."""
        return self._job is not None

    @property
    def stopping(self) -> bool:
        """Whether the job under way was told to stop."""
        return self._job is not None and self._job.is_set()

    def stop(self) -> None:
        """Tell the job under way to stop: its `cancel()` is true from now on."""
        if self._job is not None:
            self._job.set()

    def run(self, job: Callable[[Progress, Cancel], T], done: Callable[[T], Any], failed: Callable[[TwinError], Any],
            told: Told | None = None) -> bool:
        """Do a job and hand its result to `done`, a TwinError to `failed`, its progress to `told` (ten times a second
        and at each new stage). False, and nothing is done but saying so, while another one is under way."""
        if self._closed:
            return False
        if self._job is not None:
            self._app.still_busy()
            return False
        self._idle.set()
        stop = self._job = Flag()
        self._app.work_changed()
        self._app.run_worker(partial(self._work, job, done, failed, told, stop), thread=True, group="twin",
                             exit_on_error=True)
        return True

    def idle(self, job: Callable[[Cancel], Callable[[], Any] | None], failed: Callable[[TwinError], Any]) -> None:
        """Do something nobody waits for: it is told to stop as soon as anything else begins, and what it returns is
        then called."""
        if self._closed or self._job is not None:
            return
        self._idle.set()
        stop = self._idle = Flag()
        self._app.run_worker(partial(self._rest, job, failed, stop), thread=True, group="idle", exit_on_error=True)

    def close(self) -> None:
        """Nothing begins any more, and what is under way is told to stop."""
        self._closed = True
        self._idle.set()
        self.stop()

    # ---- in a thread -------------------------------------------------------------------------------------------

    def _work(self, job: Callable[[Progress, Cancel], T], done: Callable[[T], Any], failed: Callable[[TwinError], Any],
              told: Told | None, stop: Flag) -> None:
        try:
            with self._alone:
                made = job(self._telling(told), stop.is_set)
        except TwinError as error:
            self._app.call_later(self._end, partial(failed, error))
        else:
            self._app.call_later(self._end, partial(done, made))

    def _rest(self, job: Callable[[Cancel], Callable[[], Any] | None], failed: Callable[[TwinError], Any],
              stop: Flag) -> None:
        try:
            with self._alone:
                after = None if stop.is_set() else job(stop.is_set)
        except TwinError as error:
            self._app.call_later(failed, error)
        else:
            if after is not None:
                self._app.call_later(after)

    def _telling(self, told: Told | None) -> Progress:
        last, since = "", 0.0

        def progress(stage: str, done: int, total: int | None) -> None:
            nonlocal last, since
            if told is None or (stage == last and monotonic() - since < TELL_S and done != total):
                return
            last, since = stage, monotonic()
            self._app.call_later(told, stage, done, total)

        return progress

    # ---- on the app's thread again -----------------------------------------------------------------------------

    async def _end(self, then: Callable[[], Any]) -> None:
        self._job = None
        self._app.work_changed()
        await invoke(then)


def under_way(words: Words, stage: str, done: int, total: int | None) -> str:
    """A line of progress: the stage in the person's language, and how far it is."""
    said = sentence(stage, words.language)
    if total:
        return words("{stage}: {done} of {total}", stage=said, done=number(words, done), total=number(words, total))
    return f"{said}: {number(words, done)}" if done else f"{said} …"


def number(words: Words, n: int) -> str:
    """A number with its thousands apart, as the language has it."""
    return f"{n:,}".replace(",", "\u00a0") if words.language == "ru" else f"{n:,}"
