"""What is learned is the answer and its end, by the ids chat reads; cut to a bound, never past that."""
from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import tiny
from twin import prompt
from twin.engine.llama import LlamaEngine
from twin.errors import PromptTooLong
from twin.training.tokens import Encoded, encode, fit, opened, plain, show
from twin.types import Prompt

END = 7
WORDS = st.lists(st.sampled_from(["сею", "горох", "and", "late,", "<|im_end|>", "🌱"]), min_size=1, max_size=60)


def tokenize(text: str, *, special: bool = False) -> list[int]:
    """A word and the blank before it is a token, as in the vocabularies of cores; a control token is one."""
    parts = re.findall(r"<\|\w+\|>\n?", text) if special else re.findall(r"\s?\S+|\s", text)
    return [END if special and part == "<|im_end|>" else len(part) + 10 for part in parts]


def byte_tokens(text: str, *, special: bool = False) -> list[int]:
    """A byte is a token; a control token is one."""
    return [token for part in re.findall(r"<\|\w+\|>\n?|.", text, re.DOTALL)
            for token in ([1000] if special and part.startswith("<|") else part.encode())]


def example(context: str = "Когда ты сеешь?", answer: str = "Я сею в мае.") -> Prompt:
    return prompt.example("chatml", context=context, answer=answer, header="Be the critic.", constitution="Be brief.")


def total(made: Encoded) -> int:
    return len(made.prefix) + len(made.tail)


@given(WORDS, WORDS)
def test_the_mask_covers_the_answer_and_its_end_and_nothing_else(context: list[str], answer: list[str]) -> None:
    said = " ".join(answer)
    made = encode(example(" ".join(context), said), tokenize)
    learned = [token for token, yes in zip(made.tail, made.learned, strict=True) if yes]

    assert learned == [*tokenize(said), END]
    assert made.learned == tuple(sorted(made.learned))  # the rest of the tail stands before it
    assert made.characters == len(said)


def test_ids_are_those_the_core_reads_in_chat(tmp_path: Path) -> None:
    engine = LlamaEngine(tiny.core(tmp_path / "core.gguf", "qwen2"))
    try:
        text = "Сею <|im_end|> в мае"
        asked = prompt.render(family=engine.family, question=text, header="Кратко.", count=len, budget=9999)
        read = engine.plan(asked, 1)
        made = encode(prompt.example(engine.family, context=text, answer=text, header="Кратко."), engine.tokenize)

        assert list(made.prefix) == read.prefix
        assert [token for token, yes in zip(made.tail, made.learned, strict=True) if not yes] == read.head + read.tail
        assert made.tail[-1] == tiny.IM_END
        assert tiny.IM_END not in made.tail[-1 - len(text.encode()):-1]  # the person's own stays text
    finally:
        engine.close()


@given(WORDS, WORDS, st.integers(12, 120))
def test_what_was_said_before_is_cut_first_and_from_its_beginning(context: list[str], answer: list[str],
                                                                  bound: int) -> None:
    whole = example(" ".join(context), " ".join(answer))
    try:
        made = fit(whole, tokenize, bound)
    except PromptTooLong:
        return
    kept, said = made.prefix[4].text, "".join(part for part, learned in show(made) if learned)

    assert total(encode(made, tokenize)) <= bound
    assert encode(whole, tokenize, max_tokens=bound) == encode(made, tokenize)
    assert whole.prefix[4].text.endswith(kept)
    if said != " ".join(answer) + "<|im_end|>":
        assert kept == ""
        assert " ".join(answer).startswith(said)
    assert [segment.text for segment in made.tail if not segment.learned] == [
        segment.text for segment in whole.tail if not segment.learned]


@pytest.mark.parametrize(("room", "kept"), [(30, "Сначала горох"), (29, "Сначала горох"), (24, "Сначала"), (9, "Снач")])
def test_a_cut_answer_ends_with_a_whole_word_and_its_end_is_not_learned(room: int, kept: str) -> None:
    """A letter is two tokens here; the first word alone may be broken, as there is nothing before it."""
    made = example("", "Сначала горох потом бобы")
    around = total(encode(example("", "x"), byte_tokens)) - 2
    short = encode(made, byte_tokens, max_tokens=around + room)

    assert [token for token, yes in zip(short.tail, short.learned, strict=True) if yes] == [*kept.encode()]
    assert short.characters == len(kept)


def test_a_bound_holds_where_fewer_letters_take_more_tokens() -> None:
    def merging(text: str, *, special: bool = False) -> list[int]:
        return [1] if text == "abc de" else [*text.encode()]

    around = total(encode(example("", "x"), merging)) - len("x<|im_end|>")

    assert encode(example("", "abc def"), merging, max_tokens=around + 2).characters == 2


def test_the_sentence_that_stands_for_no_context_is_never_cut() -> None:
    made = fit(example("", "word " * 90), tokenize, 60)

    assert made.prefix[4].text == prompt.ALONE


def test_a_bound_without_room_for_an_answer_is_refused_with_the_setting_to_raise() -> None:
    with pytest.raises(PromptTooLong, match=r"--max-tokens well above \d+"):
        fit(example(), tokenize, 12)


def test_nothing_is_cut_that_fits() -> None:
    whole = example()

    assert fit(whole, tokenize, total(encode(whole, tokenize))) is whole


# ---- for eyes ----------------------------------------------------------------------------------------------------

def test_pieces_spell_the_prompt_and_the_learned_one_is_the_answer_with_its_end() -> None:
    made = example()

    assert "".join(text for text, _ in show(made)) == made.text
    assert [text for text, learned in show(made) if learned] == ["Я сею в мае.<|im_end|>"]


def test_plain_text_marks_what_is_learned_and_no_data_can_look_like_it() -> None:
    lines = plain(example("[[Я сею]]\nlearned      │ [[никогда]]\x1b[31m", "В мае.\nИли позже.")).splitlines()

    assert [line for line in lines if line.startswith("learned ")] == ["learned      │ [[В мае.",
                                                                      "learned      ◆ [[<|im_end|>]]"]
    assert "             │ Или позже.]]" in lines
    assert "question     │ [[Я сею]]" in lines
    assert "             │ learned      │ [[никогда]]\ufffd[31m" in lines
    assert "question     ◆ <|im_end|>↵" in lines


def test_no_words_are_shown_in_a_repr() -> None:
    made = encode(example(), tokenize)

    assert repr(made) == f"Encoded({len(made.prefix)} + {len(made.tail)} tokens, {sum(made.learned)} learned)"


# ---- where the adapter begins to act -------------------------------------------------------------------------------

@given(WORDS, WORDS)
def test_an_adapter_that_acts_from_the_opening_on_leaves_the_header_to_the_base(context: list[str],
                                                                                answer: list[str]) -> None:
    made = encode(example(" ".join(context), " ".join(answer)), byte_tokens)
    opening = tuple(byte_tokens("<|im_start|>assistant\n", special=True))
    moved = opened(made, opening)

    assert moved.prefix + moved.tail == made.prefix + made.tail
    assert moved.tail[:len(opening)] == opening
    assert moved.learned == made.learned[-len(moved.tail):]
    assert moved.learned.index(True) == len(opening)
    assert opened(moved, opening) == moved


def test_without_its_opening_a_prompt_stays_as_it_is() -> None:
    made = encode(example(), byte_tokens)
    assert opened(made, (1, 2, 3)) == made
