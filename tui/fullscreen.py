"""FullScreen: what the screens over the chat have in common. A title, the body, what is under way, the keys."""
from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar, cast

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import Screen
from textual.style import Style
from textual.widgets import Static

from twin import words
from twin.errors import TwinError
from twin.text import one_line, printable
from twin.types import Progress

from .background import Cancel, under_way

if TYPE_CHECKING:
    from twin.chat import Twin

    from .app import TwinApp

T = TypeVar("T")


class Foot(Static):
    """The keys of the screen it stands on, each with what it does, in the person's language; a click presses one."""

    ALLOW_SELECT = False

    def on_mount(self) -> None:
        self.screen.bindings_updated_signal.subscribe(self, lambda _: self.draw())
        self.draw()

    def draw(self) -> None:
        """Anew: keys can be mapped anew, and some come and go."""
        app = cast("TwinApp", self.app)
        shown: dict[str, Content] = {}
        for key, (node, binding, enabled, _) in self.screen.active_bindings.items():
            if binding.show and enabled and node is not app and binding.action not in shown:
                shown[binding.action] = Content.assemble(
                    (app.get_key_display(binding), "$footer-key-foreground bold"),
                    f" {app.words(binding.description)}").stylize(Style.from_meta({"@click": _press(key)}))
        own = list(dict.fromkeys(binding.action for _, binding in self.screen._bindings))
        order = sorted(shown, key=lambda action: (action == "back", own.index(action) if action in own else -1))
        self.update(Content("   ").join(shown[action] for action in order))


def _press(key: str) -> str:
    return f"app.simulate_key({key!r})"


class FullScreen(Screen[None]):
    """A screen over the chat. Esc stops the job of this screen, else goes back.

    A subclass gives `heading()` and `body()`. Its BINDINGS stand in the foot line by their descriptions: these are
    English sentences of the table (`words`), as everything that is said.
    """

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "back", "Back", id="back")]
    DEFAULT_CSS = """
    FullScreen > .heading {
        height: 1; padding: 0 2; text-style: bold; color: $primary; text-wrap: nowrap; text-overflow: ellipsis;
    }
    FullScreen > .body { height: 1fr; padding: 1 2 0 2; }
    FullScreen > .said { height: auto; max-height: 5; padding: 0 2; color: $text-muted; display: none; }
    FullScreen > .said.-there { display: block; }
    FullScreen > .said.error { color: $text-error; }
    FullScreen > Foot {
        height: auto; max-height: 2; padding: 0 2; color: $text-muted; link-style: none; link-color: $text-muted;
        link-background: transparent;
    }
    """

    def __init__(self) -> None:
        super().__init__()
        self._mine = False  # the job under way is this screen's
        self._told_to_stop = False

    # ---- what a subclass uses ----------------------------------------------------------------------------------

    @property
    def face(self) -> TwinApp:
        """The app, with its services: words, background, doors."""
        return cast("TwinApp", self.app)

    @property
    def twin(self) -> Twin:
        """Whose twin it is."""
        return self.face.twin

    @property
    def words(self) -> words.Words:
        """The sentences of the terminal in the person's language."""
        return self.face.words

    def heading(self) -> str:
        """The title line."""
        raise NotImplementedError

    def body(self) -> ComposeResult:
        """The widgets between the title and the foot."""
        raise NotImplementedError

    def run_job(self, job: Callable[[Progress, Cancel], T], done: Callable[[T], Any],
                failed: Callable[[TwinError], Any] | None = None, *, said: str = "") -> bool:
        """A job in the background, with a line of progress here that esc stops. `done` is only called while this screen
        is there; an error is a line here where `failed` is not given. False while another job is under way. `said`
        stands in the line until the first progress."""
        def over(then: Callable[[Any], Any], *made: Any) -> Any:
            self._mine = self._told_to_stop = False
            if self.is_attached:
                self.tell("")
                return then(*made)
            return None

        def lost(error: TwinError) -> Any:
            if not self.is_attached:
                self.face.notify(printable(words.error(error, self.words.language)), severity="error", markup=False)
            return over(failed or self.fail, error)

        begun = self.face.background.run(job, lambda made: over(done, made), lost, self._told)
        if begun:
            self._mine, self._told_to_stop = True, False
            self.tell(said or self.words("Working …"))
        return begun

    def tell(self, text: str, *, error: bool = False) -> None:
        """Say something in the line above the keys; '' takes it away."""
        line = self.query_one("#said", Static)
        line.update(Content(printable(text)))
        line.set_class(bool(text), "-there")
        line.set_class(error, "error")

    def fail(self, error: TwinError) -> None:
        """Say what cannot be done and what to do next."""
        self.tell(words.error(error, self.words.language), error=True)

    # ---- the frame ---------------------------------------------------------------------------------------------

    def compose(self) -> ComposeResult:
        yield Static(Content(one_line(self.heading())), classes="heading")
        with Vertical(classes="body"):
            yield from self.body()
        yield Static(id="said", classes="said")
        yield Foot()

    def redraw(self) -> None:
        """In another language: the frame. Whoever has more words overrides it."""
        self.query_one(".heading", Static).update(Content(one_line(self.heading())))
        self.query_one(Foot).draw()

    def action_back(self) -> None:
        """Stop what this screen does; go back where it does nothing, or was told to stop already."""
        if self._mine and not self._told_to_stop:
            self._told_to_stop = True
            self.face.background.stop()
            self.tell(self.words("Stopping … (esc again leaves this screen)"))
        else:
            self.dismiss()

    def _told(self, stage: str, done: int, total: int | None) -> None:
        if self.is_attached and self._mine and not self._told_to_stop:
            line = one_line(under_way(self.words, stage, done, total))
            self.tell(self.words("{progress} (esc stops)", progress=line))
