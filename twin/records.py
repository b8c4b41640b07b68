"""Records: the archive and the memory as one: what comes in, what is found again, what is forgotten.

Two stores cannot change in one transaction. The archive goes first and lists what the memory has not seen yet, so that
whatever dies half-way is finished by the next call, of any process. Knows no core and no roles.
"""
from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import replace
from datetime import datetime, tzinfo
from itertools import chain
from pathlib import Path
from time import monotonic, sleep
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from twin import forgetting, importers
from twin.archive import Archive
from twin.errors import DeviceLost, HomeBusy, UsageError, WhoIsMe
from twin.forgetting import Forgotten
from twin.home import Home
from twin.importers import Found
from twin.memory import Memory
from twin.person import Carried
from twin.types import Conversation, Embedder, ImportReport, Progress, Recalled, Scope, never

_DIGEST, _ME = "profile.digest", "me"  # settings in the archive
Take = Callable[[list[Carried]], tuple[int, int]]
MOST_RESULTS = 10_000
_PIECE_S = 1.0    # seconds of embedding under one lock: others wait two for it
_YIELD_S = 0.02   # between two pieces; whoever waits looks every 10 ms
_AT_ONCE = 64     # vectors that a recall makes itself: a third of a second; more of them wait for `embed`


class Records:
    """What one person wrote, in two stores. Errors are those of twin.errors."""

    def __init__(self, home: Home, embedder: Embedder | None) -> None:
        self.home = home
        self.archive = Archive(home)
        self.memory = Memory(home.memory, embedder)

    # ---- in ----------------------------------------------------------------------------------------------------

    @property
    def me(self) -> tuple[str, ...]:
        """Names, ids and mail addresses that the person said are theirs."""
        return tuple(json.loads(self.archive.setting(_ME) or "[]"))

    def import_path(self, path: Path, *, me: Iterable[str] | None = None, zone: str | None = None,
                    dry_run: bool = False, progress: Progress | None = None,
                    take: Take = lambda _: (0, 0)) -> ImportReport:
        """Read a file, zip or folder into both stores, vectors left out (`embed`). `take` gets the claims that exports
        of a twin carry, and says how many those are and how many of them now wait for the person.

        Raises WhoIsMe when chats of several people do not say which of them is the person and neither `me` nor an
        earlier answer does; `me=()` says that none of them is.
        """
        path = Path(path).expanduser()
        before, me = self.me, None if me is None else tuple(me)
        people = importers.people(path, (*before, *(me or ())))
        if people.strangers and (me is None or any(me)):
            raise _who_is_me(people, me or ())
        found = importers.read(path, me=people.me, zone=_zone(zone), progress=progress)
        claims: list[Carried] = []
        report = self.add(_noting(found, claims), root=_root(path), dry_run=dry_run, progress=progress)
        carried, waiting = (len(claims), 0) if dry_run else take(claims)
        report = replace(report, carried=carried, waiting=waiting)
        if not dry_run and set(before) != people.me:
            self.archive.set_setting(_ME, json.dumps(sorted(people.me), ensure_ascii=False))
        return report

    def add(self, found: Iterable[Any], *, root: str = "", dry_run: bool = False,
            progress: Progress | None = None) -> ImportReport:
        """Store what importers found (or plain conversations); recall by words is complete when it returns."""
        if dry_run:
            return self.archive.add(found, root=root, dry_run=True)[0]
        items, head = iter(found), []
        for item in items:  # what cannot be read fails here, before anything is written
            head.append(item)
            if isinstance(item, Conversation) or item.conversation is not None:
                break
        self.mend(progress)
        report, changed = self.archive.add(chain(head, items), root=root, progress=progress)
        if changed:
            self.archive.set_setting(_DIGEST, "")
        self._index(progress)
        return report

    def _index(self, progress: Progress | None, without: Collection[str] = ()) -> None:
        """Bring recall by words up to the archive, unless only these conversations are behind. What is listed twice, or
        was indexed before a kill, changes nothing."""
        waiting, mark = self.archive.unindexed(without=without)
        if waiting:
            with self.home.writing("index of new messages"):
                self.memory.add(self.archive.waiting(mark), progress, vectors=False)
            self.archive.seen(mark)

    def embed(self, progress: Progress | None = None, cancel: Callable[[], bool] = never) -> int:
        """Give every passage its vector; returns how many got one. Can be stopped at any time and called again; a
        lock for each piece lets other processes write in between, and recall goes on meanwhile."""
        self.mend(progress)
        left = total = self.memory.status().missing
        piece = _AT_ONCE
        while left > 0 and not cancel():
            if progress:
                progress("recall by meaning", total - left, total)
            start = monotonic()
            with self.home.writing("vectors of stored messages"):
                made = self.memory.embed_missing(limit=piece)
            left = left - made if made else 0
            piece = max(16, min(2048, round(piece * _PIECE_S / max(monotonic() - start, 0.01))))
            sleep(_YIELD_S)
        if progress and total and not left:
            progress("recall by meaning", total, total)
        return total - left

    # ---- out ---------------------------------------------------------------------------------------------------

    def recall(self, query: str, k: int = 10, *, own: bool | None = None, scope: Scope | None = None,
               now: datetime | None = None, progress: Progress | None = None) -> list[Recalled]:
        """The passages that fit a query, best first; `scope` says where to look. What waits in conversations that it
        excludes goes on waiting: in a chat that leaves out itself no turn waits 0.1 s for the index of the last. While
        the embedder is down words find."""
        if not 1 <= k <= MOST_RESULTS:
            raise UsageError(f"k is {k}; from 1 to {MOST_RESULTS} results can be asked for.", "Use k=10.")
        memory = self.memory
        try:
            self.mend(progress, without=scope.exclude if scope else ())
            if 0 < self.memory.status().missing <= _AT_ONCE:
                self.embed()
        except HomeBusy:  # another process is importing: it also mends
            if memory.outdated:  # and makes the vectors of a new embedder: words still find
                memory = self._by_words
        except DeviceLost:
            memory = self._by_words
        try:
            return memory.recall(query, k, own=own, scope=scope, now=now)
        except DeviceLost:
            return self._by_words.recall(query, k, own=own, scope=scope, now=now)

    @property
    def _by_words(self) -> Memory:
        return Memory(self.home.memory, None)

    def forget(self, target: str, *, progress: Progress | None = None) -> Forgotten:
        """Remove a source, a conversation, a message or a claim from everywhere, and prove it."""
        return forgetting.forget(self.home, self.archive, self.memory, target, progress=progress)

    # ---- in order ----------------------------------------------------------------------------------------------

    def mend(self, progress: Progress | None = None, *, without: Collection[str] = ()) -> None:
        """Finish what died half-way: a forgetting, an index behind the archive (but for some conversations); renew a
        store of an older version."""
        forgetting.finish(self.home, self.archive, self.memory)
        if self.memory.outdated:
            self.rebuild(progress, vectors=False)
        self._index(progress, without)

    def rebuild(self, progress: Progress | None = None, *, vectors: bool = True) -> int:
        """Build recall anew from the archive; returns the number of passages."""
        mark = self.archive.unindexed()[1]
        with self.home.writing("memory rebuild"):
            self.memory.rebuild(self.archive.messages(), progress, vectors=False)
        self.archive.seen(mark)
        if vectors:
            self.embed(progress)
        return self.memory.count()


def _noting(found: Iterable[Found], claims: list[Carried]) -> Iterator[Found]:
    """The same results; the claims among them are noted."""
    for one in found:
        claims += one.claims
        yield one


def _who_is_me(people: importers.People, given: tuple[str, ...]) -> WhoIsMe:
    shown = "; ".join(f"{source}: " + ", ".join(f"{name} ({count})" for name, count in met.most_common(8))
                      for source, met in sorted(people.strangers.items()))
    what = (f"None of the authors is called {' or '.join(given)}" if given
            else "These chats do not say which of their authors is you")
    return WhoIsMe(f"{what}. {shown}.", "Name yourself with --me NAME (me=[...] in Python; several may be given), "
                   "or say --me '' when none of them is you.", people=people.strangers)


def _root(path: Path) -> str:
    """What a source is called: its name behind its folder's. Every Telegram export is a result.json."""
    path = path.resolve()
    return f"{path.parent.name}/{path.name}" if path.parent.name else path.name


def _zone(name: str | None) -> tzinfo | None:
    try:
        return ZoneInfo(name) if name else None
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise UsageError(f"There is no time zone {name!r}.", "Use a name such as Europe/Moscow.") from error
