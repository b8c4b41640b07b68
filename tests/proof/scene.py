"""Two roles, a person who said and kept things, and changes whose worth is known. No embedder, a scripted core."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from twin import roles
from twin.evidence import Evidence, Labelled, Rated, Said
from twin.role_parts import Bilingual, Instructions, RoleSampling, Sections
from twin.roles import Role, RoleMap

BEGAN = datetime(2026, 3, 1, 12, tzinfo=UTC)
BAKING = ("How long does the dough rest?", "Which flour makes a good loaf?", "At what heat do I bake the bread?",
          "Do I knead the dough by hand?", "How much yeast is in a loaf?", "Why is the bread crust pale?",
          "When is the dough ready to bake?", "Can the loaf rise overnight?")
OFFICE = ("Where do I sign the contract?", "Which invoice is still open?", "When is the tax form due?",
          "Who files the signed contract?", "How do I number an invoice?", "Is the tax office closed today?",
          "What belongs into the contract?", "Which form goes with the invoice?")
# As many words as make room for four more within 20 %, none of which anybody says here.
STANCE = " ".join(f"instruction{number}" for number in range(30))
USEFUL = "warm crisp golden slow"  # words of the answers this person keeps


def role(name: str, examples: Sequence[str], *, form: str = "", temperature: float = 0.7) -> Role:
    return Role(id=name, title=Bilingual(en=name), purpose=Bilingual(en=f"Answers as {name}."),
                sections=Sections(en=Instructions(stance=STANCE, format=form)), examples=tuple(examples),
                sampling=RoleSampling(temperature=temperature))


def a_map(*, baking: Sequence[str] = BAKING, office: Sequence[str] = OFFICE, form: str = "",
          temperature: float = 0.7) -> RoleMap:
    return RoleMap((role("baker", baking, form=form, temperature=temperature), role("clerk", office)))


def files(role_map: RoleMap) -> dict[str, bytes]:
    return roles.to_files(role_map)


def talk(number: int) -> str:
    return f"twin:talk-{number:03}"


def when(number: int) -> datetime:
    return BEGAN + timedelta(days=number)


def kept(number: int, text: str, *, name: str = "baker", place: int = 0) -> Said:
    question = f"And the bread number {number}?"
    return Said(talk(number), when(number), f"k{number}-{place}", question, text, "en", "kept", name, question)


def following(number: int, place: int, text: str) -> Said:
    return Said(talk(number), when(number), f"n{number}-{place}", "An answer stood here.", text, "en",
                asked=BAKING[place % len(BAKING)] if place % 2 else OFFICE[place % len(OFFICE)])


def answers(first: int, last: int, text: str = f"{USEFUL} done", each: int = 2) -> tuple[Said, ...]:
    """Kept answers of the baker, and messages of the person that hold none of the words at stake."""
    found = []
    for number in range(first, last):
        found += [kept(number, f"{text} {number}x{place}", place=place) for place in range(each)]
        found += [following(number, place, f"some plain words {number} {place}") for place in range(4)]
    return tuple(found)


def labels(first: int, last: int, texts: Sequence[str], label: str) -> tuple[Labelled, ...]:
    return tuple(Labelled(talk(number), when(number), f"t{number}", texts[number % len(texts)], label)
                 for number in range(first, last))


def ratings(good: int, bad: int, version: str, talks: int = 99) -> tuple[Rated, ...]:
    """Of the baker, in at most so many conversations."""
    return tuple(Rated(talk(number % talks), when(number), f"r{version[:4]}{number}", "baker", number < good, version)
                 for number in range(good + bad))


def evidence(said: Sequence[Said] = (), labelled: Sequence[Labelled] = (), rated: Sequence[Rated] = ()) -> Evidence:
    return Evidence(tuple(labelled), tuple(said), tuple(rated))


def noisy(items: Sequence[Said]) -> tuple[Said, ...]:
    """Every other kept answer says words that the useful ones replaced: as much is lost as is gained."""
    return tuple(replace(one, text="other words than those") if one.kind == "kept" and number % 4 < 2 else one
                 for number, one in enumerate(items))
