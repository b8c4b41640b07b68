"""The tree of a question: verbatim pieces, conditions, changes, effects, parts, resources, further questions."""
from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twin.person import SubQuestion
from twin.subquestions import tree

EXPERTS = [
    "If I turn thinking up to 16 experts, how does that affect the council and the weighting of hypotheses "
    "with a 300k context on 8 GPUs?",
    "Если поднять мышление до 16 экспертов, как это отразится на совете и на взвешивании гипотез при контексте "
    "300k на 8 GPU?"]


def nodes(root: SubQuestion) -> Iterator[SubQuestion]:
    yield root
    for part in root.parts:
        yield from nodes(part)


def kinds(text: str) -> Counter[str]:
    return Counter(node.kind for node in nodes(tree(text)))


@pytest.mark.parametrize("question", EXPERTS)
def test_a_change_with_two_effects_and_its_resources_has_a_tree(question: str) -> None:
    found = tree(question)
    assert found.size >= 6
    assert found.text == question
    assert kinds(question)["change"] == 1
    assert kinds(question)["effect"] == 2
    assert kinds(question)["resource"] >= 2


@pytest.mark.parametrize("question", ["how do I install it", "Как это установить?", "How do I connect a LoRA?"])
def test_a_first_step_is_one_node(question: str) -> None:
    assert tree(question).size == 1


@pytest.mark.parametrize(("question", "kind", "piece"), [
    ("How do I make RAG and LoRA work together?", "part", "LoRA"),
    ("Как заставить хор и оркестр звучать вместе?", "part", "оркестр"),
    ("How do I run Qwen3 on 1 GPU?", "resource", "1 GPU"),
    ("Как запустить модель на двух видеокартах?", "resource", "двух видеокартах"),
    ("How do I bake bread when the oven is broken?", "condition", "when the oven is broken"),
    ("Как испечь хлеб, если печь сломана?", "condition", "если печь сломана"),
    ("How does a pump work, and why does it leak?", "question", "and why does it leak"),
    ("Как работает насос и почему он течёт?", "question", "и почему он течёт"),
    ("Suppose the bridge is closed. What becomes of the market?", "change", "Suppose the bridge is closed."),
    ("Допустим, мост закрыт. Что станет с рынком?", "change", "Допустим, мост закрыт."),
    ("Does salt affect the crust and the crumb?", "effect", "the crumb"),
])
def test_a_piece_is_a_node_of_its_kind(question: str, kind: str, piece: str) -> None:
    assert (kind, piece) in [(node.kind, node.text) for node in nodes(tree(question))]


def test_several_questions_are_children_of_the_text() -> None:
    found = tree("Who grows melons here? Did they ripen?")
    assert [part.text for part in found.parts] == ["Who grows melons here?", "Did they ripen?"]


def test_a_story_is_no_node() -> None:
    text = "We moved in March. The stove is new. How do I light it?"
    assert not any("March" in node.text for node in nodes(tree(text)) if node.text != text)


@given(st.text(max_size=300))
def test_every_node_is_a_verbatim_piece_and_the_tree_is_always_the_same(text: str) -> None:
    found = tree(text)
    assert all(node.text in text for node in nodes(found))
    assert found == tree(text)


@given(st.lists(st.sampled_from(["if", "если", "and", "и", "how", "как", ",", "?", "16", "experts", "affect", "влияет",
                                 "the", "ẞ", "İ", "What if", "."]), max_size=40).map(" ".join))
def test_words_that_build_questions_never_break_it(text: str) -> None:
    assert all(node.text in text for node in nodes(tree(text)))
