"""The catalogue of facets and what one sentence shows: each cue list is held to sentences it must and must not take."""
from __future__ import annotations

import re

import pytest

from twin.facets import facets, read, shown

PRAISE = re.compile(r"brilliant|gifted|rare|exceptional|genius|impressive|гениальн|редк|выдающ|блестящ|талант", re.I)
KINDS = {"thinking", "style", "values", "language"}

# A plain opposite of every facet that has one, English and Russian: it must speak against the facet.
OPPOSITES = {
    "iterates_variants": ("There is only one way to plant garlic.", "Есть только один способ сажать чеснок."),
    "looks_for_core": ("I want every detail of the fence.", "Мне нужны все подробности о заборе."),
    "wants_measurements": ("I salt the cabbage by feel.", "Соль в капусту кладу на глаз."),
    "plans_steps": ("I never plan the beds.", "Грядки я разобью без плана."),
    "doubts_self": ("I know I am right about the roses.", "Уверена, что я права насчёт роз."),
    "cares_for_simplicity": ("I want the pump with every feature there is.", "Хочу насос со всеми функциями."),
    "works_under_constraints": ("There is no hurry with the shed.", "С сараем я не спешу."),
    "asks_for_form": ("Send me the dates in any form.", "Пришли сроки в любом виде."),
    "guesses_first": ("I have no idea why the tap drips.", "Понятия не имею, почему капает кран."),
    "asks_for_criticism": ("Just agree that the fence is straight.", "Не критикуй мой забор."),
    "tries_first": ("I want to read up on grafting.", "Про прививку я сначала почитаю."),
    "keeps_records": ("I keep it in my head when I sowed.", "Сроки посева держу в голове."),
    "values_honesty": ("A white lie about the jam hurts nobody.", "Пусть не знают, что варенье покупное."),
    "values_independence": ("I would hire someone to paint the gate.", "Красить ворота проще нанять маляра."),
    "values_craft": ("The gate hangs crooked, good enough.", "Ворота висят криво, и так сойдёт."),
    "counts_money": ("For the well, money is no object.", "Для колодца цена не важна."),
    "polite": ("Shut up about the slugs.", "Заткнись про слизней."),
    "terse": (f"Which of the {'old ' * 25}pumps is quieter?", f"Какой из {'старых ' * 25}насосов тише?"),
    "hedges": ("It is definitely the float.", "Это однозначно поплавок."),
}


@pytest.mark.parametrize("facet", facets())
def test_every_cue_set_takes_its_supporting_sentences_and_leaves_the_others(facet: str) -> None:
    one = facets()[facet]
    for language in ("en", "ru"):
        assert len(one.supports[language]) >= 2
        assert len(one.rejects[language]) >= 2
        assert [s for s in one.supports[language] if facet not in shown(s)] == []
        assert [s for s in one.rejects[language] if facet in shown(s)] == []


def test_the_catalogue_speaks_to_the_person_in_both_languages_and_never_praises() -> None:
    assert 28 <= len(facets()) <= 36
    assert {one.kind for one in facets().values()} == KINDS
    for one in facets().values():
        assert one.text["en"].startswith("You ")
        assert re.match("Ты |Тебе ", one.text["ru"])
        assert not PRAISE.search(" ".join(one.text.values()))
        assert re.match(r"[a-z]+s ", one.definition), "finishes 'the writer ...'"


def test_every_facet_with_an_opposite_has_it_tried_here() -> None:
    assert {one.id for one in facets().values() if one.counter} == set(OPPOSITES)


@pytest.mark.parametrize(("facet", "said"), [(facet, said) for facet, both in OPPOSITES.items() for said in both])
def test_the_plain_opposite_speaks_against_a_facet_and_does_not_show_it(facet: str, said: str) -> None:
    found, against = read(said)
    assert facet in against
    assert facet not in found


@pytest.mark.parametrize("facet", facets())
def test_no_supporting_sentence_speaks_against_its_facet(facet: str) -> None:
    assert not [s for said in facets()[facet].supports.values() for s in said if facet in read(s)[1]]


def test_an_opposite_with_the_words_of_the_facet_still_speaks_against_it() -> None:
    assert "wants_measurements" in shown("I measured the soil.")
    assert read("There is no need to measure the soil.") == ([], ["wants_measurements"])


@pytest.mark.parametrize("sentence", [
    "My neighbour says the main thing is to plant early.", "Сосед говорит, что главное - сажать рано.",
    "«Главное - сажать рано.»", "According to the leaflet, what matters is water."])
def test_the_words_of_others_show_nothing_about_the_person(sentence: str) -> None:
    assert read(sentence) == ([], [])


def test_a_phrase_is_found_by_any_of_its_words() -> None:
    """Phrases are looked for where their longest word begins: stems, short words and hyphens too."""
    assert "doubts_self" in shown("Здесь я ошибался насчёт полива.")
    assert "works_under_constraints" in shown("It must cost no more than that.")
    assert "asks_what_happened" in shown("Кто-нибудь из вас пробовал солому?")
    assert "wants_measurements" in shown("Three benchmarks of the pump.")


@pytest.mark.parametrize(("facet", "sentence"), [
    ("polite", "They have never once tried to please me."), ("polite", "Благодаря дождю всё выросло."),
    ("polite", "Thanks to the rain it all grew."),
    ("wants_measurements", "I never measure."), ("wants_measurements", "Nobody measured anything."),
    ("wants_measurements", "Никто ничего не измерял."), ("wants_measurements", "Я никогда не замеряю."),
    ("parts_as_roles", "Он служит в армии."), ("parts_as_roles", "He acts as if the shed were his."),
    ("looks_for_core", "Главное управление закрыто."), ("looks_for_core", "По сути, я опоздала."),
    ("follows_conditions", "He asked me what if it rains."), ("asks_why", "Почему-то листья жёлтые."),
    ("keeps_records", "I never write anything down."), ("counts_money", "На огород любо-дорого смотреть."),
    ("mixes_languages", "Їжак живе в моєму саду."), ("mixes_languages", "Мій сад має новий design паркану."),
    ("mixes_languages", "Моя мати варила борщ.")])
def test_a_word_alone_is_no_habit(facet: str, sentence: str) -> None:
    """Negated forms, other senses of the word and other Slavic languages show nothing."""
    assert facet not in shown(sentence)


def test_mixing_languages_takes_words_of_both() -> None:
    assert "mixes_languages" in shown("Пришли мне draft письма про забор.")
    assert "mixes_languages" in shown("Bring the лопата to the garden in the morning, we start at nine.")


@pytest.mark.parametrize(("facet", "sentence"), [
    ("iterates_variants", "It was the variant Omicron."), ("iterates_variants", "Это вариант «Омикрон»."),
    ("plans_steps", "My plan B is a shop."), ("plans_steps", "Мой план Б - лавка."),
    ("doubts_self", "Mother says I may be wrong about her."), ("doubts_self", "Neighbours tell me I was wrong."),
    ("doubts_self", "Nobody was wrong about the roses."), ("doubts_self", "Мама говорит, что я ошибаюсь."),
    ("tells_experience", "Can a thing I built teach me to listen?"), ("tells_experience", "Nobody planted anything."),
    ("tells_experience", "Может ли вещь, которую я построила, научить меня слушать?"),
    ("states_preferences", "Mother loves old roses."), ("states_preferences", "Сестра не любит розы."),
    ("values_craft", "Nobody did it well here."), ("values_independence", "She fixed it herself."),
    ("values_independence", "Он починил сам."), ("works_under_constraints", "Nobody has a budget here."),
    ("asks_for_criticism", "The critics tore the film apart."), ("asks_what_happened", "Why did the pump stop?"),
    ("asks_for_form", "Nobody asked for a table."), ("hedges", "What sort of pump is it?"),
    ("hedges", "Этого не может быть."), ("jokes", "Это не шутка."), ("jokes", "См. схему (лист 2 (вид сбоку))."),
])
def test_what_others_do_and_words_in_another_sense_do_not_show_the_habit_of_the_writer(facet: str,
                                                                                       sentence: str) -> None:
    assert facet not in shown(sentence)
