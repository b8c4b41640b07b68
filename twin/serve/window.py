"""Window: what an assistant may see of a person through MCP, at a level, in sizes that fit a context.

At the public level every text went through the public copy and was looked at once more; what a second look still sees
somebody in is withheld and counted. Nothing here writes, but for a claim that is put before the person.
"""
from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, get_args

from twin.errors import UsageError
from twin.exporters import FORMATS, Level, Material
from twin.person import Claim, ClaimKind, Evidence
from twin.replying import Seen
from twin.text import clean
from twin.types import Scope

if TYPE_CHECKING:
    from twin.chat import Twin

KINDS: tuple[str, ...] = get_args(ClaimKind)
SECTIONS = ("all", *KINDS, "depth", "topics")
MOST_FOUND, MOST_QUOTES, MOST_TOPICS = 20, 20, 40
MOST_PROPOSED = 50      # in one session: the person reads each of them
QUERY, CLAIM, QUOTE = 2000, 500, 2000  # characters that are taken
PASSAGE = 2000          # characters of one that are given
PAGE = 24_000           # characters of claims that are given: about 6,000 tokens
_TOLD = {
    "en": "Think in the way of the person who is described here, and write in their tone.",
    "ru": "Думай так, как думает человек, который здесь описан, и пиши его тоном."}


class Window:
    """What is to be seen of one twin. `level` is the most it shows; a caller may ask for less."""

    def __init__(self, twin: Twin, level: Level = "public") -> None:
        self.twin, self.level = twin, level
        self._proposed = 0

    def at(self, level: str | None) -> Level:
        """The level a caller gets who asks for this one."""
        return "private" if self.level == "private" and level != "public" else "public"

    def search(self, query: str, k: int = 5, since: str | None = None, source: str | None = None) -> dict[str, Any]:
        """The person's own words that fit a query, best first; at the public level without ids and scores, and no name
        is looked for: which passage came first would tell whom it is of. UsageError where the query has no other word.
        """
        query = clean(query).strip()
        if not query:
            raise UsageError("There is nothing to look for.", "Give a query.")
        scope = Scope(since=_day(since) if since else None, tags=(clean(source),) if source else ())
        seen = self.twin.seen(self.level)
        if self.level == "public":
            query = _nameless(query[:QUERY], seen)
        found, withheld = list[dict[str, Any]](), 0
        for one in self.twin.recall(query[:QUERY], min(max(k, 1), MOST_FOUND), own=True, scope=scope):
            text = seen.published(one.text)
            if text is None:
                withheld += 1
                continue
            shown: dict[str, Any] = {"text": _short(text, PASSAGE), "date": _date(one.time)}
            if self.level == "private":
                shown |= {"score": round(one.score, 3), "conversation": one.conversation,
                          "messages": list(one.message_ids)}
            found.append(shown)
        return {"level": self.level, "found": found, "withheld": withheld}

    def profile(self, section: str = "all", level: str | None = None) -> dict[str, Any]:
        """The claims of a section, the depth of questions, topics; what there was no room for is counted."""
        if section not in SECTIONS:
            raise UsageError(f"The profile has no section {section!r}.", f"Known: {', '.join(SECTIONS)}.")
        seen = self.twin.seen(self.at(level))
        made = {"level": seen.level, "section": section, "own_messages": seen.profile.own_messages,
                "withheld": seen.withheld}
        if section not in ("depth", "topics"):
            made |= _page([one for one in seen.profile.claims if section in ("all", one.kind)])
        if section in ("all", "depth"):
            made["depth"] = {str(depth): count for depth, count in seen.levels.items()}
        if section in ("all", "topics"):
            made["topics"] = [{"name": one.name, "conversations": one.talks, "messages": one.messages}
                              for one in seen.profile.topics[:MOST_TOPICS]]
        return made

    def explain(self, claim: str) -> dict[str, Any]:
        """A claim with the quotes it rests on, and what speaks against it. By its id or the beginning of one."""
        seen = self.twin.seen(self.level)
        one = _claim(seen, claim)
        private = seen.level == "private"
        return {"level": seen.level, **_claimed(one), "origin": one.origin, "messages": one.messages,
                "conflicts": list(one.conflicts), "evidence": [_quote(each, private) for each in
                                                               one.evidence[:MOST_QUOTES]],
                "counter": [_quote(each, private) for each in one.counter[:MOST_QUOTES]],
                "left_out": max(0, len(one.evidence) - MOST_QUOTES) + max(0, len(one.counter) - MOST_QUOTES)}

    def propose(self, text: str, quote: str = "") -> dict[str, Any]:
        """Put a claim before the person. See Twin.propose_claim."""
        if self._proposed >= MOST_PROPOSED:
            raise UsageError(f"{MOST_PROPOSED} claims were proposed in this session.", "Wait for the person's answer.")
        number = self.twin.propose_claim(text, quote=quote, origin="mcp")
        self._proposed += 1
        if not number:
            return {"queued": None, "note": "This claim is known, waits already or was answered."}
        return {"queued": number, "note": "It waits for the person; it counts only once they say yes."}

    def spoken(self, level: str | None = None) -> str:
        """The system prompt that `twin export prompt` writes, of what is seen at this level."""
        seen = self.twin.seen(self.at(level))
        core = self.twin.core_of(self.twin.seen("private").profile)
        language = "ru" if seen.profile.language == "ru" else "en"
        told = f"{_TOLD[language]}\n\n"
        made = FORMATS["prompt"](Material(core, seen.profile, seen.levels, self.twin.role_map, seen.level, language,
                                          seen.published(core.constitution.strip()) or ""))
        return told + made.text


def _nameless(query: str, seen: Seen) -> str:
    """A query without names, in any case of letters."""
    words = re.sub(r"\[\w+\]", " ", seen.published(query) or "").split()
    left = [word for word in words if seen.published(word.title()) == word.title()]
    if not any(map(str.isalnum, "".join(left))):
        raise UsageError("At the public level no name is looked for, and the query has no other word.",
                         "Ask for a subject.")
    return " ".join(left)


# ---- a claim as it is shown ----------------------------------------------------------------------------------------

def _claim(seen: Seen, name: str) -> Claim:
    claims = seen.profile.claims
    found = [one for one in claims if one.id == name] or [one for one in claims if name and one.id.startswith(name)]
    if len(found) != 1:
        raise UsageError(f"{'Several claims begin' if found else 'No claim of the profile begins'} with {name!r}.",
                         "Ask for the profile: every claim in it has its id.")
    return found[0]


def _page(claims: list[Claim]) -> dict[str, Any]:
    """As many as have room, the first ones first."""
    shown, size = list[dict[str, Any]](), 0
    for one in claims:
        size += len(one.text) + 120
        if size > PAGE:
            break
        shown.append(_claimed(one))
    return {"claims": shown, "left_out": len(claims) - len(shown)}


def _claimed(one: Claim) -> dict[str, Any]:
    return {"id": one.id, "text": _short(one.text, PASSAGE), "kind": one.kind, "authority": one.authority,
            "confidence": round(one.confidence, 2), "quotes": len(one.evidence)}


def _quote(one: Evidence, private: bool) -> dict[str, Any]:
    whence = {"conversation": one.conversation, "message": one.message}
    return {"quote": _short(one.quote, PASSAGE), "date": _date(one.time), "confirmed": one.confirmed,
            **(whence | {"start": one.start, "end": one.end} if private else whence)}


def _short(text: str, most: int) -> str:
    return text if len(text) <= most else text[:most - 1] + "…"


def _date(time: datetime | None) -> str | None:
    return f"{time:%Y-%m-%d}" if time else None


def _day(since: str) -> datetime:
    try:
        day = datetime.fromisoformat(since.strip())
    except ValueError as error:
        raise UsageError(f"{since!r} is no date.", "Write it as 2025-06-30.") from error
    return day if day.tzinfo else day.replace(tzinfo=UTC)
