"""Router: which role should answer a message - learned from examples of messages and their labels.

The roles' own routing examples, messages that no role should claim and the person's corrections are the examples;
twin.examples is the model over them, one for each language. The router abstains from what is like none of them, or
most like what nobody should claim. Knows nothing of prompts, memory or engines.
"""
from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping, Sequence, Set
from functools import lru_cache
from importlib import resources
from typing import Any, Literal

from twin import roles
from twin import text as plain
from twin.errors import UsageError
from twin.examples import Found, Labelled, Model, Reader
from twin.gloss import gloss
from twin.linear import Floats, spread_around
from twin.roles import Role, RoleMap
from twin.types import Embedder, Example, Route

NONE = "none"  # the label of messages that no role should claim
_SAID = 0.95  # shown for a text that the person gave a label
_ENDS = 1000  # characters read from each end of a long message: the request stands at one of them


class Router:
    """Routes messages to the roles of one map, or to any labels (`fit`). Slow parts (embedding the examples, the fit)
    run at the first message of each language; afterwards a message costs one embedding and a few milliseconds.

    `default` answers what no role claims; when the map has no such role, its first one does. `corrections` are
    (text, role) pairs the person gave; the label 'none' teaches to abstain.
    """

    role_map: RoleMap  # of a router that was made for a map

    def __init__(self, role_map: RoleMap, embedder: Embedder | None = None, *, default: str = "mentor",
                 corrections: Sequence[tuple[str, str]] = ()) -> None:
        self.role_map = role_map
        pairs = [(text, role.id) for role in role_map.roles for text in (*_labelled(role), *role.examples)]
        claimed = [text for text, _ in pairs]
        strange = [(text, NONE) for text in _nobodys(claimed, len(role_map.ids)) if text not in claimed]
        titles = {role.id: {language: role.title.of(language) for language in ("en", "ru")} for role in role_map.roles}
        self._begin(titles, [*strange, *pairs], embedder)
        self.default = default if default in role_map.ids else role_map.ids[0]
        for text, label in corrections:
            self.learn(text, label)

    @classmethod
    def fit(cls, examples: Iterable[tuple[str, str]], embedder: Embedder | Literal[False] | None = None) -> Router:
        """A router over any labels from (text, label) pairs; a label's name counts as an example where it says enough.

        `embedder` None: the ablest one of this machine, words alone where there is none; False: words alone. A message
        like no example, or most like those labelled 'none', is marked as abstained. A text given under several labels
        is shared by them. Raises UsageError without examples, and for what is no pair of a text and a label (both str).
        """
        pairs = _pairs(examples)
        router = cls.__new__(cls)
        router._begin({label: {} for label in sorted({label for _, label in pairs})}, pairs,
                      _default_embedder() if embedder is None else embedder or None)
        return router

    def _begin(self, titles: Mapping[str, Mapping[str, str]], pairs: Iterable[tuple[str, str]],
               embedder: Embedder | None) -> None:
        self.default = ""  # nobody, where there is no map
        self.labels = tuple(titles)
        self.embedder = embedder
        self._titles = titles
        self._examples: dict[str, dict[str, str]] = {}  # by request and label: the text
        for text, label in pairs:
            self._examples.setdefault(_request(text), {})[label] = text
        self._said: dict[str, str] = {}  # by request: what the person said
        self._kept: dict[str, Floats] = {}  # vectors of examples
        self._models: dict[str, Model] = {}

    def __repr__(self) -> str:
        return f"Router({len(self.labels)} labels, {self.embedder.id if self.embedder else 'no embedder'})"

    def learn(self, text: str, label: str) -> None:
        """Takes a correction: the next route fits anew and knows it. With 260 examples that takes 0.2 to 1.1 s of
        processor time, with 510 (Russian, with an embedder) 0.9 to 1.6 s. The last label of a text holds. UsageError
        when the label is neither 'none' nor one of this router's, and for what is no text."""
        if label not in self.labels and label != NONE:
            raise UsageError(f"There is no role {label!r}.", f"Roles: {', '.join((*self.labels, NONE))}.")
        text = cleaned(text)
        request = _request(text)
        self._examples[request] = {label: text}
        self._said[request] = label
        self._models.clear()

    def route(self, text: str, *, asked: str | None = None) -> Route:
        """The role for a message. `asked`, the role the person named, wins. Raises UsageError where there is no such
        role, and for what is no text."""
        text = cleaned(text)
        language = "ru" if plain.language(text) == "ru" else "en"
        if asked is not None:
            return self._asked(asked, language)
        if language not in self._models:
            self._models[language] = self._learned(language)
        request = _request(text)
        found = self._settled(request, self._models[language].read(request))
        shares = dict(zip(self.labels, found.shares.tolist(), strict=True))
        likeliest = max(shares, key=lambda name: shares[name])
        known = found.known and likeliest != NONE
        role = likeliest if known else self.default or likeliest
        told = _Told(role, shares, found.nearest, language, self._titles)
        reason = told.chosen() if known else told.strange(default=bool(self.default))
        return Route(role, shares, reason, found.nearest[:3], abstained=not known)

    def _asked(self, role: str, language: str) -> Route:
        if role not in self.labels:
            raise UsageError(f"There is no role {role!r}.", f"Roles: {', '.join(self.labels)}.")
        title = self._titles[role].get(language, role)
        reason = f"Роль «{title}» выбрали вы сами." if language == "ru" else f"You asked for {title}."
        return Route(role, {name: float(name == role) for name in self.labels}, reason, asked=True)

    def _settled(self, request: str, found: Found) -> Found:
        """What the person said of this very text holds."""
        label = self._said.get(request)
        if label is None:
            return found
        if label not in self.labels:
            return Found(found.shares, found.nearest, known=False)
        top = self.labels.index(label)
        return Found(spread_around(top, max(_SAID, float(found.shares[top])), found.shares), found.nearest, known=True)

    def _learned(self, language: str) -> Model:
        """The model for messages of one language: its own examples; those of another one for a label that has no
        own; for Russian all of them, where an embedder may read it through English."""
        own = {request for request in self._examples if plain.language(request) in (language, "und")}
        own = own or set(self._examples)
        has = {label for request in own for label in self._examples[request]}
        crosses = language == "ru" and self.embedder is not None
        rows = [Labelled(text, request, label, request in own) for request, said in self._examples.items()
                for label, text in said.items() if request in own or crosses or label not in has]
        glosses = [None, gloss] if crosses else [None]
        readers = [Reader(self.embedder, self._kept, each) for each in glosses] if self.embedder else []
        return Model(rows, self.labels, readers, named=not self.default)


class _Told:
    """A choice in words: the nearest examples, and what spoke for the runner-up and why it lost."""

    def __init__(self, role: str, shares: Mapping[str, float], nearest: Sequence[Example], language: str,
                 titles: Mapping[str, Mapping[str, str]]) -> None:
        self.role, self.shares, self.nearest, self.russian = role, shares, nearest, language == "ru"
        self.titles = {name: title.get(language, name) for name, title in titles.items()}

    def _quoted(self, examples: Sequence[Example]) -> str:
        return ", ".join(f"«{each.text}»" if self.russian else f'"{each.text}"' for each in examples)

    def strange(self, *, default: bool) -> str:
        """That nobody claims the message, who answers by default, and why."""
        said, title = [each for each in self.nearest[:1] if each.similarity > 0], self.titles[self.role]
        if self.russian:
            closest = f" (ближайший - {self._quoted(said)}, «{self.titles[said[0].role]}»)" if said else ""
            why = f"ни один пример не близок к сообщению{closest}."
            return (f"Ничьё, поэтому по умолчанию отвечает «{title}»: {why}" if default
                    else f"Ничьё: {why} Вероятнее прочих «{title}».")
        closest = f" (the nearest is {self._quoted(said)}, of {self.titles[said[0].role]})" if said else ""
        why = f"no example is near this message{closest}."
        return (f"Nobody's, so {title} answers by default: {why}" if default
                else f"Nobody's: {why} The likeliest is {title}.")

    def chosen(self) -> str:
        mine = [each for each in self.nearest if each.role == self.role][:2]
        title, share = self.titles[self.role], f"{self.shares[self.role]:.0%}"
        if self.russian:
            first = f"Ближе всего примеры роли «{title}» ({share}): {self._quoted(mine)}."
        else:
            first = f"Nearest are examples of {title} ({share}): {self._quoted(mine)}."
        return f"{first} {self._runner_up(mine)}".strip()

    def _runner_up(self, mine: Sequence[Example]) -> str:
        others = [name for name in self.shares if name != self.role]
        if not others:
            return ""
        second = max(others, key=lambda name: self.shares[name])
        title, share = self.titles[second], f"{self.shares[second]:.0%}"
        spoke = [each for each in self.nearest if each.role == second][:1]
        head = f"Следующая роль - «{title}» ({share})" if self.russian else f"Next would be {title} ({share})"
        if not spoke or spoke[0].similarity <= 0:
            return f"{head}: " + ("ни один её пример не близок." if self.russian else "none of its examples is near.")
        why = self._why_not(spoke[0], mine[0].similarity if mine else 0.0, second)
        if self.russian:
            return f"{head}: за неё {self._quoted(spoke)}, но {why}."
        return f"{head}: {self._quoted(spoke)} spoke for it, but {why}."

    def _why_not(self, spoke: Example, mine: float, second: str) -> str:
        """What decided against the runner-up: a farther example, fewer near ones, or all examples taken together."""
        if round(spoke.similarity, 2) < round(mine, 2):
            return (f"сходство меньше: {spoke.similarity:.2f} против {mine:.2f}" if self.russian
                    else f"it is less alike: {spoke.similarity:.2f} against {mine:.2f}")
        near = [each.role for each in self.nearest[:10]]
        theirs, ours = near.count(second), near.count(self.role)
        if theirs < ours:
            return (f"из десяти ближайших примеров её {theirs}, а выбранной роли {ours}" if self.russian
                    else f"of the ten nearest examples {theirs} are its, {ours} are of the chosen one")
        return ("все примеры вместе говорят за выбранную роль" if self.russian
                else "all examples together speak for the chosen one")


def _default_embedder() -> Embedder | None:
    from twin.catalog import Catalog  # here: only `fit` chooses for itself; a twin is given its embedder
    from twin.loading import embedder

    return embedder(Catalog())


def _nobodys(examples: Sequence[str], count: int) -> list[str]:
    """Messages that no role should claim, of the cold start: in each language twice as many as a role has examples."""
    found: list[str] = []
    for language, texts in _shelf("none.toml").items():
        own = sum(plain.language(text) == language for text in examples)
        known = [*_shelf("labelled.toml")[NONE][language][::2], *texts]
        found += known[:round(2 * own / count)] if count > 1 else []
    return found


def shipped_texts() -> frozenset[str]:
    """What is read of every example that comes with twin, of roles and of nobody; Russian ones by their gloss too."""
    shelf = _shelf("labelled.toml")
    texts = {text for role in _seed() for text in role.examples}
    texts.update(text for label in (*(role.id for role in _seed()), NONE) for said in shelf[label].values()
                 for text in said)
    texts.update(text for said in _shelf("none.toml").values() for text in said)
    read = {_request(text) for text in texts}
    return frozenset(read | {gloss(text) for text in read})


def _labelled(role: Role) -> list[str]:
    """What was labelled by the purpose of a seed role, where it still has that: the half that is not for measuring."""
    seed = next((one for one in _seed() if one.id == role.id), None)
    if seed is None or seed.purpose != role.purpose:
        return []
    return [text for texts in _shelf("labelled.toml")[role.id].values() for text in texts[::2]]


@lru_cache(maxsize=1)
def _seed() -> tuple[Role, ...]:
    return roles.seed().roles


@lru_cache(maxsize=2)
def _shelf(name: str) -> dict[str, Any]:
    table: dict[str, Any] = tomllib.loads(resources.files("twin").joinpath("seed", name).read_text("utf-8"))
    return table


def _pairs(examples: object) -> list[tuple[str, str]]:
    """The pairs to fit on, checked one by one; errors name their number, from 1, and no text."""
    pairs = []
    for number, one in enumerate(examples if isinstance(examples, Iterable) else (), 1):
        sequence = isinstance(one, Iterable) and not isinstance(one, str | bytes | Mapping | Set)
        pair = tuple(one) if sequence else ()
        if len(pair) != 2:
            raise UsageError(f"Example {number} is no pair of a text and a label.", "Give (text, label) pairs.")
        text, label = pair
        if not isinstance(text, str):
            raise UsageError(f"The text of example {number} is no str but a {type(text).__name__}.", "Give it as str.")
        if not isinstance(label, str):
            raise UsageError(f"The label {label!r} of example {number} is no str.", "Give labels as str.")
        if not text.strip():
            raise UsageError(f"The text of example {number} is empty.", "Leave it out.")
        pairs.append((plain.clean(text), label))
    if not pairs:
        raise UsageError("A router cannot be fitted on no examples.", "Give (text, label) pairs.")
    return pairs


def cleaned(text: str) -> str:
    """The text as it is compared and stored (text.clean). Raises UsageError for what is no text."""
    if not isinstance(text, str):
        raise UsageError(f"A {type(text).__name__} is no text.", "Give the message as str.")
    return plain.clean(text)


def _request(text: str) -> str:
    """What is routed: the writer's own words (or all, where there are none), the two ends of it where it is long."""
    own = " ".join(text[start:end] for start, end in plain.own_spans(text)) or text
    return own if len(own) <= 2 * _ENDS else f"{own[:_ENDS]} {own[-_ENDS:]}"
