"""The watchdog: whether what the person does since a change is in force is worse than its proof let expect.

Routes are compared with whom messages were for, as far as that was said of them, under the map before and the map
after; answers by thumbs on the role the change is about, before and since. Messages that were corrected are those the
map in force got wrong, so they speak only where there are more of them than before. It only says so: taking back is
the person's decision. Knows no store.
"""
from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from twin import operations
from twin.proof import metrics, statistics

if TYPE_CHECKING:
    from twin.archive import Stored
    from twin.evidence import Evidence, Labelled, Rated
    from twin.roles import RoleMap
    from twin.types import Embedder

LEAST = 10     # labelled messages, or thumbs, from which something is said
LATEST = 50    # of them count: the newest
SURE = 0.95    # that it is worse


@dataclass(frozen=True)
class Alarm:
    """A change in force that does not do what it was let in for: `live` of the metric in `n` cases, where its proof
    expected at least `low` (ratings: the share of good ones before)."""

    proposal: str
    metric: Literal["router", "feedback"]
    live: float
    low: float
    n: int

    def say(self, language: str = "en") -> str:
        """The same in one sentence, with the command that takes it back."""
        back = f"`twin proposals rollback {self.proposal}`"
        if self.metric == "router":
            return (f"{self.proposal}: на {self.n} сообщениях доля верных маршрутов изменилась на {self.live:+.0%}, а "
                    f"проверка обещала не меньше {self.low:+.0%}. Вернуть как было: {back}." if language == "ru" else
                    f"{self.proposal}: over {self.n} messages the share of right routes changed by {self.live:+.0%}; "
                    f"its proof promised at least {self.low:+.0%}. To take it back: {back}.")
        return (f"{self.proposal}: хороших оценок {self.live:.0%} из {self.n}, раньше было {self.low:.0%}. Вернуть: "
                f"{back}." if language == "ru" else
                f"{self.proposal}: {self.live:.0%} of {self.n} ratings are good, {self.low:.0%} were before. To take "
                f"it back: {back}.")


def look(stored: Stored, evidence: Evidence, maps: tuple[RoleMap, RoleMap],
         embedder: Embedder | None = None, *, learned: Iterable[Labelled] = (),
         turns: tuple[int, int] | None = None) -> list[Alarm]:
    """What speaks against a proposal in force; `maps`: the one before and the one with it. `evidence` without answers
    that were kept under the second: what a map chose itself speaks for it. `learned`: the corrections that its proof
    gave the router, and others; `turns`: how many there were under other maps, and under this one."""
    since = stored.changed.timestamp()
    alarms = []
    gain = stored.proofs[-1].gain if stored.proofs else None
    if (operations.metric(stored.proposal.operation) == "router" and gain is not None and gain.low > 0
            and _oftener(evidence.labelled, since, turns)):
        known = [(one.text, one.label) for one in learned if one.kind == "correction" and not _is_since(one, since)]
        alarms += _routes(stored.proposal.id, [one for one in evidence.labelled if _is_since(one, since)][-LATEST:],
                          lambda one: metrics.Under(one, embedder, corrections=known), maps, gain.low)
    return alarms + _ratings(stored.proposal.id, evidence.rated, stored.proposal.target.removeprefix("role:"), since)


def _is_since(one: Labelled | Rated, when: float) -> bool:
    return one.time is not None and one.time.timestamp() >= when


def _oftener(items: Iterable[Labelled], since: float, turns: tuple[int, int] | None) -> bool:
    """Whether more of the messages are corrected than before."""
    if turns is None:
        return True
    then, now = 0, 0
    for one in items:
        if one.kind == "correction":
            now, then = (now + 1, then) if _is_since(one, since) else (now, then + 1)
    return statistics.better(max(turns[1] - now, 0), now, max(turns[0] - then, 0), then) < 1 - SURE


def _routes(name: str, items: Sequence[Labelled], under: Callable[[RoleMap], metrics.Under],
            maps: tuple[RoleMap, RoleMap], low: float) -> list[Alarm]:
    if len(items) < LEAST:
        return []
    before, after = map(under, maps)
    found = metrics.choices(before, after, items)
    worse = statistics.bootstrap_t([-one.gain for one in found], [one.item.conversation for one in found], level=SURE)
    if len(found) < LEAST or not -worse.low < low:  # the most that is credible is less than the least that was
        return []
    return [Alarm(name, "router", 0.0 - worse.mean, low, len(found))]


def _ratings(name: str, rated: Iterable[Rated], role: str, when: float) -> list[Alarm]:
    mine = [one for one in rated if one.role == role and one.time is not None]
    now = [one.good for one in mine if _is_since(one, when)][-LATEST:]
    then = [one.good for one in mine if not _is_since(one, when)]
    if len(now) < LEAST or len(then) < LEAST:
        return []
    better = statistics.better(sum(now), len(now) - sum(now), sum(then), len(then) - sum(then))
    return [Alarm(name, "feedback", sum(now) / len(now), sum(then) / len(then), len(now))] if better < 1 - SURE else []
