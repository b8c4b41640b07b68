"""Ten deterministic miners look for what is wrong with a role map in what the person did, and propose typed changes.

M1 confusion and wrong examples, M2 messages of no role, or of two kinds in one, M3 twins, M4 the dead, M5 instructions
that do not fit what is kept, M6 edits, M7 sampling, M8 refuted rules, M9 placement, M10 the council. They see only what
a proof will not look at, decide nothing and change nothing.
"""
from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import datetime
from itertools import chain, islice

from twin.errors import UsageError
from twin.mining import routing, settings, wording
from twin.mining.finding import LEAST, Finding
from twin.mining.likeness import Stopped
from twin.mining.seen import Seen as Seen
from twin.mining.seen import SeenTurn as SeenTurn
from twin.mining.seen import look as look
from twin.mining.seen import seen_of as seen_of
from twin.operations import apply
from twin.proposals import Proposal
from twin.roles import RoleMap
from twin.types import never

MOST = 20    # proposals of one run
AGAIN = 0.5  # weight of each further one of a kind: five wordings of one idea are one idea


def mine(seen: Seen, role_map: RoleMap, *, made: datetime, most: int = MOST,
         stop: Callable[[], bool] = never) -> list[Proposal]:
    """What could be changed about this map, best first: the same for the same turns, on any machine. Each is valid for
    the map, rests on at least three turns, and tells why in both languages. `stop` is asked in between; what was found
    until then comes back."""
    found: list[Finding] = []
    with suppress(Stopped):
        for one in chain(wording.mine(seen, role_map), settings.mine(seen, role_map),
                         routing.mine(seen, role_map, stop)):
            found.append(one)
            if stop():
                break
    kept = islice((one for one in ranked(found) if _holds(one, role_map)), most)
    return [Proposal(one.operation, role_map.version, f"miner:{one.miner}", made, tuple(turn.id for turn in one.turns),
                     {one.metric: one.delta}, one.why) for one in kept]


def ranked(found: Iterable[Finding]) -> list[Finding]:
    """By weight, each operation once; of each kind (miner and operation) the second at half its weight, the third at a
    quarter ..."""
    kinds: Counter[tuple[str, str]] = Counter()
    weighed: dict[str, tuple[float, Finding]] = {}
    for one in sorted(found, key=lambda one: (-one.weight, one.operation.model_dump_json())):
        kind, name = (one.miner, one.operation.op), one.operation.model_dump_json()
        if name not in weighed:
            weighed[name] = (one.weight * AGAIN ** kinds[kind], one)
            kinds[kind] += 1
    return [one for _, one in sorted(weighed.values(), key=lambda pair: -pair[0])]


def _holds(one: Finding, role_map: RoleMap) -> bool:
    """Whether it rests on enough turns and the map admits it (which reads role files: some ms)."""
    if len({turn.id for turn in one.turns}) < LEAST:
        return False
    try:
        apply(one.operation, role_map)
    except UsageError:
        return False
    return True
