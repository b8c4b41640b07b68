"""What plain text compression gains from the person's own words: the bar an adapter has to reach. LZMA, no model.

A compressor that has just read the person's earlier words writes their later ones shorter than one that has read
another's (compression as likelihood: Benedetto, Caglioti and Loreto 2002). Sizes of raw LZMA2 streams, without headers.
"""
from __future__ import annotations

import lzma
import math
from collections.abc import Callable, Sequence

from twin.likeness.intervals import Estimate, pooled
from twin.types import Progress, never

# The later words come in blocks, since a compressor also learns from what it has just written, which an adapter does
# not: the longer the block, the less the earlier words matter. Mean over persona-dev's four chat people, against the
# other three: blocks of 500 characters 0.27 bits a character, 2,000 0.24, 5,000 0.20, 10,000 0.18, all in one 0.13.
BLOCK = 10_000
LEARN = 1 << 20  # bytes of earlier words at most, the newest: they are read again for each block (1 s for 1 MB)
BLOCKS = 24      # at most, spread evenly


def gain(own: Sequence[str], others: Sequence[Sequence[str]], held: Sequence[str], *, block: int = BLOCK,
         progress: Progress | None = None, cancel: Callable[[], bool] = never) -> Estimate:
    """Bits a character of `held` saved by knowing `own` messages instead of another's: mean over `others`.

    Messages in order of time, joined by line breaks; of two people's words the newest are taken, as many bytes of one
    as of the other. For others who write another language the figure says that and little else. The interval is over
    blocks. NaN where there is nothing to compare, or it was cancelled.
    """
    blocks = _blocks(held, block)
    pairs = [pair for pair in (_equal("\n".join(own), "\n".join(other)) for other in others) if all(pair)]
    saved: list[float] = []
    sizes = {known: _size(known) for pair in pairs for known in pair}
    for number, one in enumerate(blocks if pairs else []):
        if cancel():
            return Estimate(math.nan)
        new = {known: _size(known + b"\n" + one.encode()) - size for known, size in sizes.items()}
        saved.append(8 * sum(new[other] - new[mine] for mine, other in pairs) / len(pairs))
        if progress:
            progress("blocks compressed", number + 1, len(blocks))
    return pooled(saved, range(len(saved)), [len(one) for one in blocks[:len(saved)]])


def _blocks(held: Sequence[str], size: int) -> list[str]:
    """Whole messages in blocks of about equal length, of `size` characters or less each; a longer message is one."""
    whole = sum(len(message) + 1 for message in held)
    count = max(1, math.ceil(whole / size))
    found: list[list[str]] = [[] for _ in range(count)]
    before = 0
    for message in held:
        middle = before + (len(message) + 1) / 2
        found[int(count * middle / whole)].append(message)
        before += len(message) + 1
    joined = [one for one in map("\n".join, found) if one.strip()]
    kept = min(len(joined), BLOCKS)
    return [joined[place * len(joined) // kept] for place in range(kept)]


def _equal(own: str, other: str) -> tuple[bytes, bytes]:
    """The newest bytes of both, equally many: a letter cut in half costs both a byte or three."""
    size = min(len(own.encode()), len(other.encode()), LEARN)
    return (own.encode()[-size:], other.encode()[-size:]) if size else (b"", b"")


def _size(data: bytes) -> int:
    """Bytes of the raw stream. The dictionary holds everything and no more: the preset's 64 MB are slow to clear."""
    room = max(4096, 1 << len(data).bit_length())
    return len(lzma.compress(data, lzma.FORMAT_RAW, filters=[
        {"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME, "dict_size": room}]))
