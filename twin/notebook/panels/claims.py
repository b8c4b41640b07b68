"""Claims: each statement about the person with how sure it is, its quotes folded, and the person's last word on it."""
from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

import ipywidgets as widgets

from twin.notebook.base import button, row
from twin.notebook.html import Html, folded, joined, piece
from twin.notebook.panels.frame import between, page, put
from twin.notebook.panels.pieces import bullets, faint, mark, quote, title
from twin.report.content import ClaimPart, Content
from twin.self_profile import Shown, Why
from twin.words import Words

if TYPE_CHECKING:
    from twin.notebook.panels.profile import ProfilePanel
    from twin.person import Profile

FIRST = 8      # claims of a part that are shown at once; each has seven widgets
_AROUND = 300  # characters of the message before and after a quote


class Claims:
    """The claims of a profile, as one column. `picture` is where the picture of them goes."""

    def __init__(self, panel: ProfilePanel) -> None:
        self._panel, self.words = panel, panel.words
        self._rows = widgets.VBox()
        self.picture = widgets.VBox()
        self.view = widgets.VBox([self._rows, self.picture])
        self._below: dict[str, widgets.VBox] = {}  # what unfolds under a claim
        self._shown: dict[str, int] = {}           # how many of each part

    def draw(self, profile: Profile, said: Content) -> None:
        """All parts, each up to where it was opened before."""
        own, parts = said.words, list[widgets.Widget]()
        self._below.clear()
        put(self.picture, [])
        for name, claims in ((own["claims"], said.shown), (own["said"], said.stated), (own["topics"], said.topical)):
            if claims:
                parts += self._part(name, claims, profile, said)
        for name, texts in ((own["asked_of_you"], said.asks), (own["others"], said.others),
                            (own["notes"], said.notes)):
            if texts:
                parts.append(page(folded(name, bullets(texts))))
        put(self._rows, parts or [page(faint(own["nothing"]))])

    def unfold(self, claim: str, found: Sequence[Html]) -> None:
        """Show something below a claim; what stood there goes."""
        if claim in self._below:
            put(self._below[claim], [page(*found)])

    def _part(self, name: str, claims: Sequence[ClaimPart], profile: Profile, said: Content) -> list[widgets.Widget]:
        shown = self._shown.get(name, FIRST)
        parts: list[widgets.Widget] = [page(title(f"{name} ({len(claims)})"))]
        parts += [self._row(one, profile, said) for one in claims[:shown]]
        if (left := len(claims) - shown) > 0:
            parts.append(row([button(self.words.count(left, "{n} more", "{n} more"),
                                     lambda: self._more(name, len(claims), profile, said), icon="chevron-down")]))
        return parts

    def _more(self, name: str, n: int, profile: Profile, said: Content) -> None:
        self._shown[name] = min(n, self._shown.get(name, FIRST) + 3 * FIRST)
        self.draw(profile, said)

    def _row(self, one: ClaimPart, profile: Profile, said: Content) -> widgets.Widget:
        """The statement, what it rests on, and small buttons."""
        claim = profile.claim(one.id)
        decided = claim.decided if claim else ""
        marks = joined([Html(" "), mark(self._decided(decided), "good")]) if decided else Html("")
        quotes = joined([*(quote(text) for text in ([one.contrast] if one.contrast else []) + list(one.quotes)),
                         *([faint(said.words["against"])] if one.counter else []), *map(quote, one.counter)])
        n = len(one.quotes) + len(one.counter) + bool(one.contrast)
        told = page(joined([piece(f"{one.number}. ", "opacity:.5"), piece(one.text, "font-weight:500"), marks]),
                    faint(" · ".join(filter(None, [*one.lines, one.conflict, one.same]))),
                    folded(self.words.count(n, "{n} quote", "{n} quotes"), quotes) if n else Html(""))
        below = self._below[one.id] = widgets.VBox(layout=widgets.Layout(width="100%"))
        return widgets.VBox([between(told, self._buttons(one, decided)), below], layout=widgets.Layout(
            width="100%", border_top="1px solid rgba(128,128,128,.2)", padding="4px 0"))

    def _buttons(self, one: ClaimPart, decided: str) -> list[widgets.Widget]:
        words, panel = self.words, self._panel
        made = [panel.small("comment-o", words("See the quotes in their context"), partial(panel.why, one.id)),
                panel.small("check", words("Yes, this is so"), partial(panel.approve, one.id)),
                panel.small("times", words("No; never say it again"), partial(panel.reject, one.id)),
                panel.small("thumb-tack", words("Always part of what leaves"), partial(panel.pin, one.id))]
        edit = button("", lambda: self._edit(one), icon="pencil", tooltip=words("Say it in your own words"))
        edit.layout.width = "2.6em"
        back = [panel.small("undo", words("Take your last decision back"), partial(panel.undo, one.id))]
        return [*made, edit, *(back if decided else [])]

    def _edit(self, one: ClaimPart) -> None:
        """A field below the claim; the same button puts it away."""
        below = self._below[one.id]
        if below.children:
            put(below, [])
            return
        field = widgets.Textarea(one.text, rows=2, layout=widgets.Layout(width="auto"))
        keep = self._panel.act(self.words("Keep it"), lambda: self._panel.edit(one.id, field.value), icon="check")
        put(below, [field, row([keep])])

    def _decided(self, decided: str) -> str:
        words = self.words
        said = {"approve": words("approved"), "pin": words("pinned"), "edit": words("in your words")}
        return ", ".join(said[one] for one in decided.split("+") if one in said)


def context(found: Why, words: Words) -> list[Html]:
    """The quotes of a claim where they stand: what was said before, the message, what was said after."""
    return [_context(one, words) for one in found.shown]


def _context(one: Shown, words: Words) -> Html:
    if one.message is None:
        return faint(words("The message is gone."))
    day = f"{one.mark.time:%Y-%m-%d} · " if one.mark.time else ""
    text, start, end = one.message.text, one.mark.start, one.mark.end
    around = joined([faint(_end(one.before.text))] if one.before else [])
    after = joined([faint(_begin(one.after.text))] if one.after else [])
    said = joined([piece(_end(text[:start]), "opacity:.75"), piece(one.quote or "…", "font-weight:600"),
                   piece(_begin(text[end:]), "opacity:.75")])
    return joined([around, Html('<div style="white-space:pre-wrap;border-left:2px solid rgba(128,128,128,.5);'
                                'padding-left:.7em;margin:.2em 0">'), said, Html("</div>"), after,
                   faint(f"{day}{one.mark.conversation} / {one.mark.message}")])


def _end(text: str) -> str:
    return text if len(text) <= _AROUND else f"… {text[-_AROUND:]}"


def _begin(text: str) -> str:
    return text if len(text) <= _AROUND else f"{text[:_AROUND]} …"
