"""Gemini Apps activity from Google Takeout (MyActivity.json): prompts with their times, and often the answers as HTML.

Takeout has no conversations and no ids. Activities less than half an hour apart are taken as one conversation, whose
id is that of its first prompt; a prompt's id is a hash of its time and text. Activities of one file must come in order
of time (either way), as they do; then one conversation is held at a time. Google translates the words before a prompt.
"""
from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from html.parser import HTMLParser

from twin.importers.dates import parse
from twin.importers.found import Context, Found, found, id_from, message, one_newline, trim
from twin.importers.jsonvalue import Node, as_dict, as_list, as_text
from twin.text import clean
from twin.types import Conversation, Message

SOURCE = "gemini"

_GAP = timedelta(minutes=30)
_LIMIT = 2_000  # activities of one conversation that are held at once; at one a minute it would last 33 hours
# English and German were seen in exports; the others are from memory. A title with none of them is kept whole when an
# answer shows that it was a prompt.
_PROMPT = re.compile(r"(?:Live Prompt:?|Prompted(?: with)?:?|Asked(?: (?:Gemini|Bard):)?|Said|Prompt:"
                     r"|Eingegebener Prompt:|Gesendeter Prompt:|Gefragt:|Запрос:|Отправлен запрос:|Введен запрос:"
                     r"|Вы спросили:|Petición:|Consulta:|Has preguntado:|Has escrito:|Requête\s*:|Prompt saisi\s*:"
                     r"|Prompt envoyé\s*:|Vous avez demandé\s*:)(?:\s+|$)")
_NO_PROMPT = re.compile(r"(?:Created|Used|Added|Gave|Selected|Shared|Deleted|Viewed|Visited|Searched|Edited|Pinned"
                        r"|Renamed|Exported|Updated)\s")
_ATTACHED = re.compile(r"\bAttached \d+ files?\.?$")


def recognises(value: object) -> bool:
    """True for an activity of Gemini or Bard; other products of Takeout have the same shape."""
    activity = as_dict(value)
    return {"title", "time"} <= activity.keys() and _is_gemini(activity)


def _is_gemini(activity: Node) -> bool:
    labels = [activity.get("header"), *as_list(activity.get("products"))]
    return any(name in as_text(label).casefold() for label in labels for name in ("gemini", "bard"))


def read(values: Iterable[object], context: Context) -> Iterator[Found]:
    """Conversations in the order of the file. What is no prompt is counted; nothing raises."""
    skipped: Counter[str] = Counter()
    held: list[tuple[datetime, list[Message]]] = []
    for value in values:
        said = _messages(value, context)
        if isinstance(said, str):
            skipped[said] += 1
            continue
        time = said[0].time
        if time is None:  # it stands alone: nothing tells what it belongs to
            yield _conversation(said, context)
            continue
        if held and (abs(time - held[-1][0]) > _GAP or len(held) >= _LIMIT):
            yield _conversation(_in_order(held), context)
            held = []
        held.append((time, said))
    if held:
        yield _conversation(_in_order(held), context)
    if skipped:
        yield Found(context.file, skipped=dict(skipped))


def _in_order(held: list[tuple[datetime, list[Message]]]) -> list[Message]:
    """Oldest first; of the same time, the later in a file that begins with the newest."""
    newest_first = held[0][0] > held[-1][0]
    ordered = sorted(reversed(held) if newest_first else held, key=lambda one: one[0])
    return [said for _, group in ordered for said in group]


def _conversation(messages: list[Message], context: Context) -> Found:
    return found(context.file, Conversation(f"conversation-{messages[0].id}", tuple(messages), None, SOURCE), Counter())


def _messages(value: object, context: Context) -> list[Message] | str:
    """The prompt of an activity and the answer, or the reason to skip it."""
    activity = as_dict(value)
    title = activity.get("title")
    if not isinstance(title, str):
        return "malformed activity"
    if not _is_gemini(activity):
        return "activity of another product"
    html = "\n".join(as_text(as_dict(item).get("html")) for item in as_list(activity.get("safeHtmlItem")))
    original = trim(one_newline(title))
    fixed = context.mended.text(original)
    prefix = _PROMPT.match(fixed)
    if prefix is None and (_NO_PROMPT.match(fixed) or not html.strip()):
        return "activity without a prompt"
    prompt = trim(_ATTACHED.sub("", fixed[prefix.end() if prefix else 0:]))
    attached = bool(as_list(activity.get("attachedFiles")) or activity.get("imageFile") or _ATTACHED.search(fixed))
    if not prompt.strip():
        return "attachment only" if attached else "empty"
    moment = parse(activity["time"], zone=context.zone) if isinstance(activity.get("time"), str) else None
    time = moment.time if moment else None
    when = time.isoformat() if time else clean(as_text(activity.get("time")))
    flags = [name for name, applies in (("attachment", attached),
                                        ("local_time", moment is not None and moment.local)) if applies]
    said = [message(id_from((when, prompt), SOURCE), "user", original, fixed, prompt, time=time, own=True, flags=flags)]
    if answer := plain(context.mended.text(html)):
        said.append(message(id_from((when, prompt, "answer"), SOURCE), "assistant", html, context.mended.text(html),
                            answer, time=time, own=False, flags=[name for name in flags if name == "local_time"]))
    return said


# ---- HTML to text ------------------------------------------------------------------------------------------------

def plain(html: str) -> str:
    """The words of an HTML text: blocks on lines of their own, list items with a dash, code as it stands."""
    reader = _Plain()
    try:
        reader.feed(html)
        reader.close()
    except AssertionError:  # the parser's own answer to a broken <![...]
        return trim(re.sub(r"<[^>]*>", " ", html))
    lines = "\n".join(line.rstrip(" \t") for line in "".join(reader.parts).split("\n"))
    return trim(re.sub(r"\n{3,}", "\n\n", lines))


class _Plain(HTMLParser):
    _BLOCKS = frozenset(("p", "div", "ul", "ol", "pre", "table", "blockquote", "hr",
                         "h1", "h2", "h3", "h4", "h5", "h6"))
    _LINES = frozenset(("br", "tr", "li"))

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self._preformatted = self._unseen = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: ARG002 - their signature
        self._preformatted += tag == "pre"
        self._unseen += tag in ("script", "style")
        self.parts.append("\n\n" if tag in self._BLOCKS else "\n" if tag in self._LINES else "")
        self.parts.append("- " if tag == "li" else " " if tag in ("td", "th") else "")

    def handle_endtag(self, tag: str) -> None:
        self._preformatted = max(0, self._preformatted - (tag == "pre"))
        self._unseen = max(0, self._unseen - (tag in ("script", "style")))
        self.parts.append("\n\n" if tag in self._BLOCKS else "")

    def handle_data(self, data: str) -> None:
        if self._unseen:
            return
        if not self._preformatted:
            data = re.sub(r"[ \t\r\n]+", " ", data)
            if "".join(self.parts[-2:]).endswith(("\n", "- ")) or not self.parts:
                data = data.lstrip(" ")
        self.parts.append(data)
