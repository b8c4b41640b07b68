"""Training: a role learns from own words - what that costs told before, a curve while it goes, and afterwards the
adapters, each with what was measured of it, on and off."""
from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import ipywidgets as widgets

from twin.adapters import Kept
from twin.notebook.base import foldable, row
from twin.notebook.html import Html, block, joined
from twin.notebook.pace import Pace
from twin.notebook.panels.adapters import AdapterList, likeness_page
from twin.notebook.panels.frame import Panel, page, put
from twin.notebook.panels.pieces import bullets, curve, faint, note, title

if TYPE_CHECKING:
    from twin.apprentice import Switched
    from twin.lessons import Lesson
    from twin.likening import Likeness
    from twin.training import Step

STEPS = 100  # of a training that nobody set: minutes on two processor cores
_GB = 1e9


class Training(Panel):
    """Own words into a role's adapter. `planned` is what was told last, `kept` what came of the last training."""

    name = "training"
    does: ClassVar[tuple[str, ...]] = ("lesson", "train", "switch", "likeness")
    planned: Lesson | None = None
    kept: Kept | None = None

    def title(self) -> tuple[str, str]:
        """What it is called, and what it is for."""
        return self.words("Training"), self.words("a role learns to sound like you; it stays off until you say so")

    def build(self) -> None:
        """What to learn, what it costs, the curve, the adapters."""
        words = self.words
        wide = widgets.Layout(width="22em")
        self._role = widgets.Dropdown(description=words("Role"), layout=widgets.Layout(width="14em"))
        self._source = widgets.Dropdown(description=words("From"), layout=wide, options=[
            (words("your messages"), "messages"), (words("messages this role may see"), "scope"),
            (words("claims you approved"), "claims"), (words("the core's answers with your claims in front"), "stance"),
            (words("the core's answers as this role"), "role")])
        self._steps = widgets.BoundedIntText(STEPS, min=1, max=100_000, description=words("Steps"),
                                             layout=widgets.Layout(width="9em"))
        self._compiled = widgets.Checkbox(description=words("learn without the role's instructions: the adapter stands "
                                                            "for them"), indent=False)
        self._fresh = widgets.Checkbox(description=words("begin anew instead of going on with a stopped run"),
                                       indent=False)
        self._kind = widgets.Dropdown(description=words("Kind"), layout=wide, options=[
            (words("alora: shares the conversation"), "alora"), (words("lora: acts on all of it"), "lora")])
        for field in (self._role, self._source, self._steps, self._kind):
            field.style.description_width, field.layout.margin = "initial", "2px 1em 2px 2px"
        go = self.act(words("Train"), self.train, icon="graduation-cap", primary=True)
        cost = self.act(words("What would it cost?"), self.lesson, icon="hourglass-o")
        more = foldable(words("More settings"), [self._kind, self._compiled, self._fresh])
        self._cost, self._result = widgets.VBox(), widgets.VBox()
        self._live = widgets.HTML()
        self.adapters = AdapterList(self)
        self.body.children = (row([self._role, self._source, self._steps]), row([cost, go]), more, self._cost,
                              self._live, self._result, self.adapters.view)

    def draw(self) -> None:
        """The roles and adapters as they are now."""
        language, chosen = self.words.language, self._role.value
        roles = self.twin.role_map.roles
        self._role.options = [(role.title.of(language), role.id) for role in roles]
        self._role.value = chosen if chosen in {role.id for role in roles} else roles[0].id
        self.adapters.draw()

    # ---- without clicking ----------------------------------------------------------------------------------------

    def lesson(self, role: str = "", **how: Any) -> Lesson | None:
        """`Twin.lesson`, told here: what would be learned and what that costs. Without arguments as the fields say;
        None where it was stopped."""
        self.planned = None
        with self.working(self.words("gathering what can be learned")) as busy:
            self.planned = self._planned(role, how, busy)
        return self.planned

    def train(self, role: str = "", *, fresh: bool | None = None, **how: Any) -> Kept | None:
        """`Twin.train`, with a curve while it goes. Stopped, it keeps the best so far and goes on from there the next
        time. Without arguments as the fields say; None where it was stopped before anything was learned."""
        self.kept = None
        with self.working(self.words("gathering what can be learned")) as busy:
            lesson = self._planned(role, how, busy)
            if not self.gate.stopping():
                put(self._result, [])
                watch = _Watch(self, lesson.settings.steps)
                self.kept = self.twin.train(lesson, fresh=self._fresh.value if fresh is None else fresh, progress=busy,
                                            watch=watch, cancel=self.gate.stopping)
                watch.end()
                put(self._result, [page(*self._trained(self.kept, stopped=self.gate.stopping()))])
            self.draw()
        return self.kept

    def switch(self, role: str, adapter: str = "", *, on: bool = True, anyway: bool = False) -> Switched:
        """`Twin.switch`: let a role speak through an adapter, or without."""
        with self.gate.alone():
            made = self.twin.switch(role, adapter, on=on, anyway=anyway)
            self.draw()
            self.tell(self.words("{role} speaks through the adapter {name} now.", role=role, name=made.adapter[:12])
                      if made.adapter else self.words("{role} speaks without an adapter now.", role=role), "good")
        return made

    def likeness(self, role: str, **how: Any) -> Likeness | None:
        """`Twin.likeness`: whether an adapter is more like you than another person's; what the gate lets on is on."""
        found: Likeness | None = None
        with self.working(self.words("measuring")) as busy:
            found = self.twin.likeness(role, progress=busy, cancel=self.gate.stopping, **how)
            put(self._result, [page(*likeness_page(found, self.words))])
            self.draw()
        return found

    # ---- before, and after ---------------------------------------------------------------------------------------

    def _planned(self, role: str, how: dict[str, Any], busy: Any) -> Lesson:
        """The lesson of these arguments, or of the fields; drawn with its cost."""
        if not role:
            role = str(self._role.value)
            how = {"source": self._source.value, "compiled": self._compiled.value, "steps": self._steps.value,
                   "kind": self._kind.value, **how}
        lesson = self.twin.lesson(role, progress=busy, cancel=self.gate.stopping, **how)
        put(self._cost, [page(*self._told(lesson))])
        return lesson

    def _told(self, lesson: Lesson) -> list[Html]:
        """What is learned, how, and what that takes."""
        words, plan, settings, shape = self.words, lesson.plan, lesson.settings, lesson.shape
        learned = words("{words} words in {n} samples to learn; {held} later ones tell when to stop.",
                        words=f"{lesson.words:,}", n=f"{len(lesson.learn):,}", held=f"{len(lesson.held):,}")
        how = words("{kind}, rank {rank}; at most {steps} steps of {batch} samples.", kind=shape.kind, rank=shape.rank,
                    steps=settings.steps, batch=settings.batch)
        takes = words("About {time} for all steps, at most {memory} GB of memory ({free} free now), {disk} MB on the "
                      "disk.", time=self.lasting(plan.seconds), memory=f"{plan.memory_bytes / _GB:.1f}",
                      free=f"{plan.free_bytes / _GB:.1f}", disk=f"{plan.disk_bytes / 1e6:.0f}")
        left = [words("left out, {reason}: {n}", reason=self.sentence(reason), n=n)
                for reason, n in sorted(lesson.split.dropped.items()) if n]
        return [title(takes), faint(f"{learned}\n{how}"), bullets(left) if left else Html("")]

    def _trained(self, kept: Kept, *, stopped: bool) -> list[Html]:
        words, gained = self.words, kept.before - kept.after
        parts = [title(words("Learned: {name}", name=kept.sha256[:12])),
                 faint(words("Words it had not seen: {before} → {after} bits a character ({gained} saved), in {steps} "
                             "steps.", before=f"{kept.before:.3f}", after=f"{kept.after:.3f}", gained=f"{gained:+.3f}",
                             steps=kept.steps))]
        if stopped:
            parts.append(note(words("Stopped; the best so far is kept. The same training goes on from here.")))
        if gained <= 0:
            parts.append(note(words("It learned nothing that helps with words it had not seen: more words or fewer "
                                    "steps may."), "bad"))
        return parts

    def lasting(self, seconds: float) -> str:
        """So many seconds, in words."""
        words = self.words
        if seconds < 100:
            return words("{n} s", n=f"{seconds:.0f}")
        return (words("{n} min", n=f"{seconds / 60:.0f}") if seconds < 6000 else
                words("{n} h", n=f"{seconds / 3600:.1f}"))

    def show(self, inner: Html) -> None:
        """The curve, as one value."""
        self._live.value = inner


class _Watch:
    """Sees every step of a training, and draws a few of them a second."""

    def __init__(self, panel: Training, steps: int) -> None:
        self._panel, self._steps = panel, steps
        self._loss, self._held = list[tuple[float, float]](), list[tuple[float, float]]()
        self._last: Step | None = None
        self._pace = Pace(panel.show)

    def __call__(self, step: Step) -> None:
        if step.loss is not None:
            self._loss.append((step.step, step.loss))
        if step.held_bits is not None:
            self._held.append((step.step, step.held_bits))
        self._last = step
        self._pace(self._drawn)

    def end(self) -> None:
        """The last state is always drawn."""
        if self._last is not None:
            self._pace.last(self._drawn())

    def _drawn(self) -> Html:
        words, step = self._panel.words, self._last
        if step is None:
            return Html("")
        said = [words("Step {n} of {steps}", n=step.step, steps=self._steps)]
        if self._held:
            said.append(words("words it does not learn from: {bits} bits a character", bits=f"{self._held[-1][1]:.3f}"))
        if step.left:
            said.append(words("at most {time} left", time=self._panel.lasting(step.left)))
        figures = [(words("Bits a character of words it does not learn from"), self._held),
                   (words("Loss of what it learns, nats a token"), self._loss)]
        drawn = [block(joined([faint(name), curve(points, until=self._steps, label=name)]), "flex:1 1 16em")
                 for name, points in figures if len(points) > 1]
        return joined([faint(" · ".join(said)),
                       block(joined(drawn), "display:flex;flex-wrap:wrap;gap:1em")])
