"""The second look: does a finished page, in Markdown, HTML or JSON, still name somebody?

It reads the bytes that leave, not the profile they came from. A shape or a name that is nothing else is a hit wherever
it stands; what only its surroundings tell is one after words of kin and employment. A name that is also a word, or that
no list has and no context tells, passes: the scan is a second look, no proof.
"""
from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

from twin.errors import NotPublic
from twin.public.contacts import contacts
from twin.public.fold import Folded, fold
from twin.public.gazetteer import bases
from twin.public.hit import Hit, apart
from twin.public.names import certain
from twin.public.organisations import organisations
from twin.public.owner import Owner
from twin.public.relatives import relatives

# Numbers that draw pictures, and the pictures themselves, have the shape of anything.
_DRAWN = re.compile(
    r"<style\b.*?</style>|data:[\w/+.-]+;base64,[\w+/=\s%]+|"
    r"\b(?:d|points|transform|viewBox|style|id|class|xmlns(?::\w+)?|clip-path|width|height|[xyr][12]?|c[xy])"
    r"=\"[^\"]*\"", re.S)
_WORD = re.compile(r"[^\W\d_]+")


def scan(text: str, *, keep: Iterable[str] = (), owner: Iterable[str] = ()) -> list[Hit]:
    """What still names or reaches somebody, in order of place; `keep` and `owner` as for public()."""
    blank = _DRAWN.sub(lambda drawn: "\n" * len(drawn.group()), text)
    folded = fold(blank, escapes=True)
    found = [*contacts(folded.text), *certain(folded.text), *relatives(folded.text), *organisations(folded.text),
             *Owner(owner).hits(folded.text, opening=False)]
    return unfolded(folded, found, Kept(keep))


def check(text: str, *, keep: Iterable[str] = (), owner: Iterable[str] = ()) -> None:
    """NotPublic if scan() finds anything; it tells kinds and counts, never words."""
    counts = Counter(hit.kind for hit in scan(text, keep=keep, owner=owner))
    if counts:
        listed = ", ".join(f"{kind}: {count}" for kind, count in sorted(counts.items()))
        raise NotPublic(f"The public text still names somebody or something ({listed}); nothing was written.",
                        "Reject or edit the claims that hold it, or name the words that may stay (keep).")


class Kept:
    """Words and phrases that may stay, in any of their forms."""

    def __init__(self, keep: Iterable[str]) -> None:
        self.phrases = {one.casefold().strip() for one in keep}
        self.words = {base for one in keep_words(self.phrases) for base in bases(one)}

    def allows(self, text: str) -> bool:
        """Is this one of the phrases, or made of their words alone?"""
        found = _WORD.findall(text.casefold())
        if text.casefold().strip() in self.phrases:
            return True
        return not re.search(r"[@\d]", text) and bool(found) and all(bases(one) & self.words for one in found)


def keep_words(phrases: Iterable[str]) -> list[str]:
    """The words of phrases in lower case."""
    return [word for phrase in phrases for word in _WORD.findall(phrase.casefold())]


def unfolded(folded: Folded, hits: Iterable[Hit], kept: Kept) -> list[Hit]:
    """Hits of folded text as hits of the original, without what may stay."""
    left = [hit for hit in hits if not kept.allows(folded.text[hit.start:hit.end])]
    return apart([Hit(hit.kind, *folded.original(hit.start, hit.end)) for hit in left])
