"""The router against messages that were labelled before it was tuned (router_labels.toml; the odd half reports)."""
from __future__ import annotations

import time
import tomllib
from collections.abc import Sequence
from pathlib import Path
from zlib import crc32

import numpy as np
import pytest

from twin import roles, text
from twin.errors import UsageError
from twin.roles import Role, RoleMap
from twin.router import Router

LABELS = tomllib.loads((Path(__file__).parent / "router_labels.toml").read_text("utf-8"))
MAJORITY = 1 / 6  # the labelled set holds as many messages of each role


class WordVectors:
    """A small real embedder: signed hashed stems, unit length. Counts what it is asked for."""

    id = "hashed-stems-64"
    dim = 64

    def __init__(self) -> None:
        self.asked: list[int] = []

    def embed(self, texts: Sequence[str]) -> list[list[float]]:
        self.asked.append(len(texts))
        rows = np.full((len(texts), self.dim), 1e-6)
        for row, each in zip(rows, texts, strict=True):
            for stem in text.stems(each):
                row[crc32(stem.encode()) % self.dim] += 1 if crc32(stem.encode()[::-1]) % 2 else -1
        unit: list[list[float]] = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).tolist()
        return unit


@pytest.fixture(scope="module")
def router() -> Router:
    return Router(roles.seed())


def held_back(language: str) -> list[tuple[str, str]]:
    return [(message, label) for label, said in LABELS.items() for message in said[language][1::2]]


@pytest.mark.parametrize("language", ["en", "ru"])
def test_without_any_model_most_held_back_messages_reach_their_role(router: Router, language: str) -> None:
    """Measured: 0.86 English, 0.83 Russian of 36 each; three messages may change hands before this fails."""
    meant = [(message, label) for message, label in held_back(language) if label != "none"]
    right = sum(router.route(message).role == label for message, label in meant) / len(meant)
    assert right > 0.74 > 4 * MAJORITY


@pytest.mark.parametrize(("language", "least"), [("en", 0.6), ("ru", 0.3)])
def test_what_no_role_claims_is_often_left_to_the_default(router: Router, language: str, least: float) -> None:
    """Measured without a model: of the messages meant for nobody 6 of 8 English and 3 of 8 Russian ones are seen as
    such, against 8 % and 3 % of the others. An embedder raises it to 8 and 6 of 8."""
    strange = [router.route(message).abstained for message, label in held_back(language) if label == "none"]
    claimed = [router.route(message).abstained for message, label in held_back(language) if label != "none"]
    assert sum(strange) / len(strange) > least
    assert sum(claimed) / len(claimed) < 0.15


@pytest.mark.parametrize("message", ["", "?!", "42", "zxqv wvzq", "ъьъ ыщъ"])
def test_a_message_like_nothing_known_goes_to_the_default_and_says_so(router: Router, message: str) -> None:
    route = router.route(message)
    assert router.route(message).abstained
    assert route.role == "mentor"
    assert ("по умолчанию" in route.reason) if text.language(message) == "ru" else ("default" in route.reason)


def test_probabilities_cover_all_roles_and_sum_to_one(router: Router) -> None:
    for message in ("Rewrite this letter", "Найди ошибку", "", "12"):
        shares = router.route(message).probabilities
        assert tuple(shares) == roles.seed().ids
        assert sum(shares.values()) == pytest.approx(1)
        assert min(shares.values()) >= 0


def test_the_reason_names_examples_and_the_runner_up_in_the_language_of_the_message(router: Router) -> None:
    english = router.route("Please rewrite my paragraph in simple English")
    russian = router.route("Перепиши, пожалуйста, мой абзац простым языком")
    assert english.role == russian.role == "scribe"
    assert "Rewrite this paragraph in plain English." in english.reason
    assert "Перепиши этот абзац простым языком." in russian.reason
    assert "Next would be" in english.reason
    assert "Следующая роль" in russian.reason
    assert len(english.nearest) == 3
    assert english.nearest[0].similarity >= english.nearest[1].similarity


def test_a_role_that_was_asked_for_answers(router: Router) -> None:
    route = router.route("Rewrite this paragraph", asked="critic")
    assert (route.role, route.asked, route.probability) == ("critic", True, 1.0)
    assert sum(route.probabilities.values()) == 1
    assert "Критик" in router.route("Перепиши это", asked="critic").reason
    with pytest.raises(UsageError, match="architect, critic"):
        router.route("hello", asked="poet")


def test_an_example_itself_is_routed_to_its_role(router: Router) -> None:
    """The person's own correction becomes an example; it has to win at once."""
    wrong = [text for role in roles.seed().roles for text in role.examples if router.route(text).role != role.id]
    assert wrong == []


def test_a_code_block_or_a_quotation_does_not_hide_the_request(router: Router) -> None:
    pasted = "```\n" + "def summarise(letter): return rewrite(letter)\n" * 200 + "```"
    assert router.route(f"Find the error in this code, what is wrong?\n{pasted}").role == "critic"
    assert router.route("> Напиши письмо хозяину квартиры\n\nНайди здесь самое слабое место").role == "critic"


def test_a_message_costs_less_than_five_milliseconds(router: Router) -> None:
    """Without the embedding. Measured 0.3 ms; the best of 20 keeps a busy machine out of it."""
    message = "How would you rewrite the architecture of this small archive so that it survives?"
    router.route(message)
    took = []
    for _ in range(20):
        start = time.perf_counter()
        router.route(message)
        took.append(time.perf_counter() - start)
    assert min(took) < 0.005


def test_the_embedder_is_asked_once_for_the_examples_and_once_a_message() -> None:
    embedder = WordVectors()
    router = Router(roles.seed(), embedder)
    assert embedder.asked == []
    router.route("Rewrite this letter for me")
    router.route("Find the weakest point of my plan")
    assert embedder.asked[0] == 120
    assert set(embedder.asked[1:]) <= {1}
    assert len(embedder.asked) <= 3


def test_an_embedder_that_knows_nothing_is_given_no_weight() -> None:
    """MiniLM reads no Russian; the fit has to find such things out by itself."""

    class Noise(WordVectors):
        def embed(self, texts: Sequence[str]) -> list[list[float]]:
            rows = np.array([np.random.default_rng(crc32(each.encode())).normal(size=self.dim) for each in texts])
            unit: list[list[float]] = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).tolist()
            return unit

    deaf, plain = Router(roles.seed(), Noise()), Router(roles.seed())
    messages = [message for message, _ in held_back("en")]
    assert [deaf.route(message).role for message in messages] == [plain.route(message).role for message in messages]


def test_minilm_helps_english_and_does_not_hurt_russian(router: Router) -> None:
    """Counted on all labelled messages by the likeliest role. Measured: English 65 against 61 of 72, Russian 59, 59."""
    from twin.embedder import MiniLM
    from twin.home import cache_dir

    fused = Router(roles.seed(), MiniLM(cache_dir() / "models" / "minilm"))
    right = {}
    for language in ("en", "ru"):
        for name, each in (("alone", router), ("fused", fused)):
            right[language, name] = sum(
                max(shares, key=lambda role: shares[role]) == label
                for label, said in LABELS.items() if label != "none"
                for shares in [each.route(message).probabilities for message in said[language]])
    assert right["en", "fused"] > right["en", "alone"]
    assert right["ru", "fused"] >= right["ru", "alone"] - 2


def test_any_map_can_be_routed() -> None:
    """One role, no examples, one language, another default: nothing of the six seed roles is assumed."""
    bare = {"title": {"en": "T"}, "purpose": {"en": "P"}, "sections": {"en": {"stance": "S"}}}
    lonely = Router(RoleMap((Role.model_validate({**bare, "id": "only"}),)))
    assert lonely.route("anything at all").role == "only"
    cook = Role.model_validate({**bare, "id": "cook", "examples": ["bake bread", "fry an egg"]})
    sailor = Role.model_validate({**bare, "id": "sailor", "examples": ["set the sails", "tie a knot"]})
    router = Router(RoleMap((cook, sailor)), default="sailor")
    assert router.route("bake some bread for me").role == "cook"
    assert router.route("испеки хлеб").role == "sailor"
    assert sum(router.route("tie that knot").probabilities.values()) == pytest.approx(1)


def test_labels_hold_enough_messages_of_each_role_and_language() -> None:
    assert set(LABELS) == {*roles.seed().ids, "none"}
    for label, said in LABELS.items():
        for language in ("en", "ru"):
            assert len(said[language]) >= (15 if label == "none" else 10)
            assert all(text.language(message) == language for message in said[language])
