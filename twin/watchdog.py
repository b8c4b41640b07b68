"""The watchdog: whether what the person does since a change is in force is worse than its proof let expect.

Routes are compared with whom messages were for, under the map before and the map after; answers by thumbs on the role
the change is about, before and since. It only says so: taking back is the person's decision. Knows no store.
"""
from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
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
            return (f"{self.proposal}: на {self.n} сообщениях верных маршрутов стало больше на {self.live:+.0%}, а "
                    f"проверка обещала не меньше {self.low:+.0%}. Вернуть как было: {back}." if language == "ru" else
                    f"{self.proposal}: over {self.n} messages right routes changed by {self.live:+.0%}, its proof let "
                    f"expect at least {self.low:+.0%}. To take it back: {back}.")
        return (f"{self.proposal}: хороших оценок {self.live:.0%} из {self.n}, раньше было {self.low:.0%}. Вернуть: "
                f"{back}." if language == "ru" else
                f"{self.proposal}: {self.live:.0%} of {self.n} ratings are good, {self.low:.0%} were before. To take "
                f"it back: {back}.")


def look(stored: Stored, evidence: Evidence, maps: tuple[RoleMap, RoleMap],
         embedder: Embedder | None = None) -> list[Alarm]:
    """What speaks against a proposal in force; `maps`: the one before and the one with it."""
    since = stored.changed
    alarms = []
    gain = stored.proofs[-1].gain if stored.proofs else None
    if operations.metric(stored.proposal.operation) == "router" and gain is not None and gain.low > 0:
        alarms += _routes(stored.proposal.id, _since(evidence.labelled, since), maps, gain.low, embedder)
    return alarms + _ratings(stored.proposal.id, evidence.rated, stored.proposal.target.removeprefix("role:"), since)


def _since(items: Iterable[Labelled], when: datetime) -> list[Labelled]:
    return [one for one in items if one.time is not None and one.time >= when][-LATEST:]


def _routes(name: str, items: Sequence[Labelled], maps: tuple[RoleMap, RoleMap], low: float,
            embedder: Embedder | None) -> list[Alarm]:
    if len(items) < LEAST:
        return []
    before, after = (metrics.Under(one, embedder) for one in maps)
    found = metrics.choices(before, after, items)
    worse = statistics.bootstrap_t([-one.gain for one in found], [one.item.conversation for one in found], level=SURE)
    if len(found) < LEAST or not -worse.low < low:  # the most that is credible is less than the least that was
        return []
    return [Alarm(name, "router", -worse.mean, low, len(found))]


def _ratings(name: str, rated: Iterable[Rated], role: str, when: datetime) -> list[Alarm]:
    mine = [one for one in rated if one.role == role and one.time is not None]
    now = [one.good for one in mine if one.time is not None and one.time >= when][-LATEST:]
    then = [one.good for one in mine if one.time is not None and one.time < when]
    if len(now) < LEAST or len(then) < LEAST:
        return []
    better = statistics.better(sum(now), len(now) - sum(now), sum(then), len(then) - sum(then))
    return [Alarm(name, "feedback", sum(now) / len(now), sum(then) / len(then), len(now))] if better < 1 - SURE else []
