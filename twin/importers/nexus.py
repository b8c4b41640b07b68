"""Obsidian notes written by the plugin 'Nexus AI Chat Importer', versions 1.0 to 1.8: callouts, or headings before 1.2.

Callout headers and UID lines suffice; front matter may be missing or rewritten. Ids are the chat provider's own, so a
note and the export of the same chat agree. Text outside the callouts is the person's own annotation.
"""
from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import tzinfo

from twin.errors import BrokenFile
from twin.importers.dates import Moment, day_order, parse
from twin.importers.encoding import Decoded
from twin.importers.found import Context, Found, found, id_from, message, trim
from twin.importers.frontmatter import front_matter
from twin.text import clean
from twin.types import Conversation, Message, Speaker

SOURCE = "nexus"

_CALLOUT = re.compile(r"^>\s?\[!nexus_(user|agent|prompt)\][+-]?\s+\*\*(.+?)\*\*(?:\s+-\s+(.+?))?\s*$")
_HEADING = re.compile(r"^#{3,4}\s+(User|Assistant|ChatGPT), on (.+?);\s*$")
_UID = re.compile(r"^\s*<!--\s*UID:\s*(.*?)\s*-->\s*$")
# Attachments of 1.2 stand one quote deep behind an empty line, those of 1.3 two deep; before, they were bold lines.
_NESTED = re.compile(r"^(?:>\s?)+(?:\[!nexus_(?:attachment|artifact|canvas|prompt)\]|"
                     r"\*\*\U0001f4ce (?:Missing )?Attachment:)")
_DEPTH = re.compile(r"^(?:>\s?)*")
_URL = re.compile(r"^Chat URL:\s*https?://\S*/([\w-]{16,})/?\s*$")
_PREAMBLE = re.compile(r"^(?:# Title:|Created:|Last Updated:|Chat URL:)")
_TITLE = re.compile(r"^# Title:\s*(.+?)\s*$")
_REPORT = re.compile(r"^#{1,3} .*Nexus AI Chat Importer.*Report", re.MULTILINE | re.IGNORECASE)
_RULE = re.compile(r"^\s*-{3,}\s*$")
_RELATED = re.compile(r"^## Related Queries\s*$")
_EMPTY = ("[No content found]", "[No content]", "[No text content]")

Pair = tuple[str, str]


def recognises(name: str, text: str) -> bool:  # noqa: ARG001 - the content alone tells
    """True for a chat note of any era, and for the plugin's artifact notes and reports, which are not the person's."""
    lines = text.split("\n")
    matter, _ = front_matter(lines)
    if "nexus" in matter or "artifact_id" in matter or _REPORT.search(text):
        return True
    return (any(_CALLOUT.match(line) for line in lines)
            or (any(_HEADING.match(line) for line in lines) and any(_UID.match(line) for line in lines)))


@dataclass
class _Block:
    """One callout with the lines of its body, or (without kind) lines of the person between callouts."""

    kind: str = ""
    author: str = ""
    stamp: str | None = None
    uid: str = ""
    quote: str = ">"
    body: list[Pair] = field(default_factory=list)


def read(name: str, context: Context, decoded: Decoded) -> Iterator[Found]:  # noqa: ARG001 - names may change
    """The chat of one note. Raises BrokenFile for callouts without a single UID: nothing could be told apart later."""
    pairs = decoded.lines
    matter, taken = front_matter([fixed for _, fixed in pairs])
    blocks = _blocks(pairs[taken:])
    callouts = [block for block in blocks if block.kind]
    if not callouts:
        reason = "artifact note" if "artifact_id" in matter else (
            "empty conversation" if matter.get("conversation_id") else "import report")
        yield Found(context.file, skipped={reason: 1})
        return
    uids = [block.uid for block in callouts if block.uid]
    if not uids:
        raise BrokenFile(f"{context.file} has {len(callouts)} Nexus callouts but no UID line, so a second import could "
                         "not tell its messages apart.",
                         "Let the Nexus plugin write the note again, or import the chat provider's own export.")
    skipped: Counter[str] = Counter()
    messages = _Reader(uids[0], _order(callouts, matter), context.zone).messages(blocks, skipped)
    ident = _conversation_id(matter, pairs) or id_from(uids, "uids")
    yield found(context.file, Conversation(ident, tuple(messages), _title(matter, pairs), SOURCE), skipped)


def _conversation_id(matter: dict[str, object], pairs: list[Pair]) -> str:
    """The provider's id, by front matter or, where its key was renamed, by the address of the chat."""
    if given := matter.get("conversation_id"):
        return clean(str(given))
    return next((match.group(1) for _, line in pairs[:40] if (match := _URL.match(line))), "")


def _blocks(pairs: list[Pair]) -> list[_Block]:
    blocks: list[_Block] = []
    outside: list[Pair] = []
    at = 0
    while at < len(pairs):
        block = _header(pairs[at][1])
        if block is None:
            outside.append(pairs[at])
            at += 1
            continue
        blocks += [_Block(body=outside), block]
        outside = []
        at = _fill(block, pairs, at + 1)
    return [*blocks, _Block(body=outside)]


def _header(line: str) -> _Block | None:
    if match := _CALLOUT.match(line):
        return _Block(match.group(1), match.group(2), match.group(3))
    if match := _HEADING.match(line):
        user = match.group(1) == "User"
        return _Block("user" if user else "agent", match.group(1), match.group(2), quote=">" if user else ">>")
    return None


def _fill(block: _Block, pairs: list[Pair], start: int) -> int:
    """Take the body up to the UID line; without one, up to the first line that is not quoted. Returns where it ends."""
    end = start
    while end < len(pairs) and _header(pairs[end][1]) is None:
        if match := _UID.match(pairs[end][1]):
            block.uid = "" if match.group(1) in ("", "unknown") else match.group(1)
            block.body = pairs[start:end]
            return end + 1
        end += 1
    stop = next((i for i in range(start, end) if (line := pairs[i][1].strip()) and not line.startswith(">")), end)
    block.body = pairs[start:stop]
    return stop


@dataclass(frozen=True)
class _Reader:
    """Blocks of one note to messages. `chat` makes ids by content differ from those of another chat: its first UID."""

    chat: str
    order: str
    zone: tzinfo | None

    def messages(self, blocks: list[_Block], skipped: Counter[str]) -> list[Message]:
        """What was said in order; the rest is counted."""
        messages: list[Message] = []
        for number, block in enumerate(blocks):
            said = self._speech(block) if block.kind else self._note(block, preamble=number == 0)
            if isinstance(said, Message):
                messages.append(said)
            elif said:
                skipped[said] += 1
        return messages

    def _speech(self, block: _Block) -> Message | str:
        """A callout as a message, or the reason to skip it."""
        if block.kind == "prompt":
            return "prompt"
        body, attached = _without_nested(block.body)
        lines = [_unquoted(pair, block.quote) for pair in body]
        original = trim("\n".join(line for line, _ in lines))
        mended = trim(clean("\n".join(line for _, line in lines)))
        if not mended.strip() or mended in _EMPTY:
            return "attachment only" if attached else "empty"
        role: Speaker = "user" if block.kind == "user" else "assistant"
        moment = parse(block.stamp, self.order, self.zone) if block.stamp else None
        flags = (("attachment",) if attached else ()) + (("local_time",) if moment and moment.local else ())
        # A user who edits the note may lose a UID; the text then has to stand for it.
        ident = block.uid or id_from((self.chat, role, mended), "text")
        return message(ident, role, original, mended, author=clean(block.author), own=role == "user", flags=flags,
                       time=moment.time if moment else None)

    def _note(self, block: _Block, *, preamble: bool) -> Message | None:
        """What the person wrote between the callouts; None for the plugin's own lines."""
        own: list[Pair] = []
        related = False
        for original, fixed in block.body:
            related = _RELATED.match(fixed) is not None or (related and (not fixed.strip() or fixed.startswith("- ")))
            if not (related or (preamble and _PREAMBLE.match(fixed)) or _RULE.match(fixed) or _UID.match(fixed)):
                own.append((original, fixed))
        text = trim(clean("\n".join(fixed for _, fixed in own)))
        if not text.strip():
            return None
        return message(id_from((self.chat, text), "note"), "user", trim("\n".join(line for line, _ in own)), text,
                       own=True, flags=("note",))


def _unquoted(pair: Pair, quote: str) -> Pair:
    """A body line without its quoting: the same ASCII characters before and after the repair."""
    width = next((len(mark) for mark in (f"{quote} ", quote, "> ", ">") if pair[1].startswith(mark)), 0)
    return pair[0][width:], pair[1][width:]


def _without_nested(body: list[Pair]) -> tuple[list[Pair], bool]:
    """Body lines without blocks for attachments, artifacts and the like, and whether there were any. Such a block ends
    where the quote is less deep."""
    kept: list[Pair] = []
    deep = 0
    attached = False
    for pair in body:
        depth = _depth(pair[1])
        if _NESTED.match(pair[1]):
            deep, attached = depth, True
        elif depth < deep:
            deep = 0
        if not deep:
            kept.append(pair)
    return kept, attached


def _depth(line: str) -> int:
    match = _DEPTH.match(line)
    return match.group().count(">") if match else 0


def _order(callouts: list[_Block], matter: dict[str, object]) -> str:
    stamps: list[object] = [block.stamp for block in callouts]
    bounds = [parse(matter[key]) if key in matter else None for key in ("create_time", "update_time")]
    return day_order(stamps, _sure(bounds))


def _sure(bounds: list[Moment | None]) -> tuple[Moment | None, Moment | None]:
    """The bounds only when they were written with a zone (ISO 8601, since 1.3): older ones share the ambiguity."""
    low, high = bounds
    if low is None or high is None or low.local or high.local:
        return None, None
    return low, high


def _title(matter: dict[str, object], pairs: list[Pair]) -> str | None:
    alias = matter.get("aliases")
    if isinstance(alias, list):
        alias = alias[0] if alias else None
    if alias:
        return clean(str(alias))
    return next((clean(match.group(1)) for _, line in pairs[:40] if (match := _TITLE.match(line))), None)
