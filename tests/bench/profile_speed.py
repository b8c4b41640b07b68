"""How long a profile by rules takes: made-up messages, half Russian, half English, ten a conversation. Run it alone.

    python -m tests.bench.profile_speed [MESSAGES ...]     # 1000 and 10000 when none are given

The bar: 10,000 own messages in 60 s on two cores.
"""
from __future__ import annotations

import os
import resource
import sys
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import chain

from tests.bench.people import texts
from twin.profile import build, by_rule, questions
from twin.stated import stated
from twin.topics import subjects
from twin.types import Message

# Real openings before made-up words: without them no cue is met and no question is built like one.
OPENINGS = {
    "en": ["How do I keep", "Why does it", "If I move this to the wall, how does that change", "I measured",
           "I live in", "My guess is that", "What matters is", "I prefer", "First I try, then I look at",
           "Please send me"],
    "ru": ["Как убрать", "Почему тут", "Если перенести это к стене, как изменится", "Я измерила", "Я живу в",
           "Моя догадка:", "Главное -", "Мне нравится", "Сначала попробую, потом посмотрю на", "Пожалуйста, пришли"],
}


def messages(count: int) -> list[tuple[str, Message]]:
    """(conversation id, own message) pairs, one every six hours."""
    start = datetime(2018, 1, 1, tzinfo=UTC)
    both = [texts(count // 2, language) for language in OPENINGS]
    said = chain.from_iterable(zip(*both, strict=True))
    found = []
    for n, text in enumerate(said):
        opening = OPENINGS["en" if n % 2 == 0 else "ru"]
        words = f"{opening[n // 2 % len(opening)]} {text[0].lower()}{text[1:]}"
        found.append((f"talk{n // 10}", Message(str(n), "user", words, time=start + timedelta(hours=6 * n))))
    return found


def seconds(work: Callable[[], object]) -> tuple[float, float]:
    """Wall and processor time of one run: they differ where others use the machine."""
    start, used = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - start, time.process_time() - used


def main(counts: Iterable[int]) -> None:
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors")
    for count in counts:
        said = messages(count)
        own = {(conversation, message.id): message for conversation, message in said}
        wall, used = seconds(partial(build, said))
        parts: dict[str, Callable[[], object]] = {
            "facets": partial(by_rule, own), "questions": partial(list, questions(own)),
            "topics": partial(subjects, said), "stated": partial(stated, said, "en")}
        print(f"{count:>7} messages: {wall:6.1f} s, of the processor {used:.1f}; its parts: " + ", ".join(
            f"{name} {seconds(part)[1]:.1f}" for name, part in parts.items()))
    print(f"peak {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")


if __name__ == "__main__":
    main([int(one) for one in sys.argv[1:]] or [1000, 10_000])
