"""The shipped sample is what it says: read from the bytes with the standard library, never through our importers."""
from __future__ import annotations

import json
import re
import tomllib
import unicodedata
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from tests.conftest import SAMPLE

NOTES = sorted((SAMPLE / "nexus").glob("*.md"))
DAMAGED = SAMPLE / "nexus" / "August blackout.md"
SOUND = [path for path in NOTES if path != DAMAGED]
UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
HEADER = re.compile(
    r"^(?:>\[!nexus_(?P<kind>user|agent)\] \*\*(?P<who>.+?)\*\* - (?P<at>.+)"
    r"|#{3,4} (?P<old>User|Assistant), on (?P<old_at>.+);)$"
)
MARK = re.compile(rf"^<!-- UID: ({UUID}) -->$")
PRAISE = re.compile(r"brilliant|редчайшей глубины|mark of a true scientist|недоступном большинству")


class Said(NamedTuple):
    id: str
    own: bool
    text: str
    active: bool = True


def chats() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((SAMPLE / "chatgpt" / "conversations.json").read_text(encoding="utf-8"))
    return found


def path_to_root(chat: dict[str, Any]) -> list[dict[str, Any]]:
    """Nodes of the active branch, first to last."""
    nodes, key = [], chat["current_node"]
    while key is not None:
        nodes.append(chat["mapping"][key])
        key = nodes[-1]["parent"]
    return nodes[::-1]


def speech(node: dict[str, Any]) -> bool:
    message = node["message"]
    if message is None or message["author"]["role"] not in ("user", "assistant"):
        return False
    hidden = message["metadata"].get("is_visually_hidden_from_conversation", False)
    return message["content"]["content_type"] == "text" and not hidden


def said_in(chat: dict[str, Any]) -> Iterator[Said]:
    active = {node["id"] for node in path_to_root(chat)}
    for key, node in chat["mapping"].items():
        if speech(node):
            message = node["message"]
            yield Said(key, message["author"]["role"] == "user", "".join(message["content"]["parts"]), key in active)


def note_text(path: Path) -> str:
    text = path.read_text(encoding="utf-8")
    return text.encode("mac_roman").decode("utf-8") if path == DAMAGED else text


def said_in_note(path: Path) -> Iterator[Said]:
    own, lines, inside = False, list[str](), False
    quoting = r"^>>? ?" if "### User, on" in note_text(path) else r"^> ?"
    for line in note_text(path).split("\n"):
        if header := HEADER.match(line):
            own, lines, inside = (header["kind"] or header["old"]) in ("user", "User"), [], True
        elif mark := MARK.match(line):
            yield Said(mark[1], own, "\n".join(lines).strip("\n"))
            inside = False
        elif inside and line:
            assert line.startswith(">"), (path.name, line)
            lines.append(re.sub(quoting, "", line))


def everything() -> list[Said]:
    """Each message once: the conversation that is there twice has the same ids in both places."""
    found = [said for chat in chats() for said in said_in(chat)]
    found += [said for path in NOTES for said in said_in_note(path)]
    return list({said.id: said for said in found}.values())


def labels() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = tomllib.loads(
        (Path(__file__).parent / "sample_depths.toml").read_text(encoding="utf-8")
    )["questions"]
    return found


def russian(text: str) -> bool:
    return len(re.findall(r"[а-яё]", text, re.I)) > len(re.findall(r"[a-z]", text, re.I))


# ---- the files ---------------------------------------------------------------------------------------------------

def test_every_file_is_utf8_in_nfc_with_unix_lines_and_all_is_small() -> None:
    files = [path for path in SAMPLE.rglob("*") if path.is_file()]
    assert {path.suffix for path in files} == {".json", ".md"}
    for path in files:
        text = path.read_bytes().decode("utf-8")
        assert "\r" not in text and not text.startswith("\ufeff") and text.endswith("\n")
        assert text == unicodedata.normalize("NFC", text)
    assert sum(path.stat().st_size for path in files) < 250_000


def test_the_readme_names_every_file_and_says_all_is_invented() -> None:
    readme = (SAMPLE.parent / "README.md").read_text(encoding="utf-8")
    assert "Everything here is invented" in readme
    named = set(re.findall(r"`((?:nexus|chatgpt)/[^`]+)`", readme))
    assert named == {"chatgpt/conversations.json", *(f"nexus/{path.name}" for path in NOTES)}
    assert f"{len(chats())} conversations" in readme
    assert f"depth of {len(labels())} of her questions" in readme


def test_nobody_can_be_called_written_to_or_visited() -> None:
    """A sample goes everywhere; the only address in it is the link the notes' own format puts into their head."""
    for path in SAMPLE.rglob("*.*"):
        text = note_text(path)
        if path in SOUND:
            own_link = re.search(rf"^conversation_id: ({UUID})$", text, re.M)
            assert own_link
            text, count = re.subn(rf"^Chat URL: https://chatgpt\.com/c/{own_link[1]}$", "", text, flags=re.M)
            assert count == 1
        assert not re.search(r"https?:|www\.|\w@\w|\b[\w-]+\.(?:com|org|net|io|ru|fi|de|dev)\b", text), path.name
    for said in everything():
        undated = re.sub(r"\d\d\.\d\d\.\d{4} \d\d:\d\d", "", said.text)
        assert not re.search(r"\+\d|\d(?:[ ()-]?\d){6,}", undated), said.text


# ---- the ChatGPT export ------------------------------------------------------------------------------------------

def test_every_mapping_is_a_tree_with_one_empty_root() -> None:
    for chat in chats():
        mapping = chat["mapping"]
        assert chat["id"] == chat["conversation_id"]
        assert chat["current_node"] in mapping
        assert not mapping[chat["current_node"]]["children"]
        roots = [node for node in mapping.values() if node["parent"] is None]
        assert len(roots) == 1 and roots[0]["message"] is None
        assert path_to_root(chat)[0] is roots[0]
        for key, node in mapping.items():
            assert node["id"] == key and (node["message"] is None or node["message"]["id"] == key)
            assert all(mapping[child]["parent"] == key for child in node["children"])
            assert node["parent"] is None or key in mapping[node["parent"]]["children"]


def test_ids_are_unique_over_the_whole_export_and_the_notes() -> None:
    nodes = [key for chat in chats() for key in chat["mapping"]]
    assert len(nodes) == len(set(nodes))
    conversations = [chat["id"] for chat in chats()]
    assert len(conversations) == len(set(conversations)) >= 12
    in_notes = [said.id for path in NOTES for said in said_in_note(path)]
    assert len(in_notes) == len(set(in_notes))
    assert not set(nodes) & set(conversations)


def test_times_are_floats_that_rise_along_the_branch_through_one_year() -> None:
    starts = []
    for chat in chats():
        times = [node["message"]["create_time"] for node in path_to_root(chat) if node["message"]]
        told = [time for time in times if time is not None]
        assert all(isinstance(time, float) for time in told)
        assert told == sorted(set(told))
        assert chat["create_time"] <= told[0] and told[-1] <= chat["update_time"]
        starts.append(chat["create_time"])
    assert starts == sorted(starts, reverse=True), "an export lists the newest first"
    year = 1735682400.0, 1767218400.0  # 1 January 2025 and 2026 in Helsinki
    assert year[0] <= starts[-1] and starts[0] < year[1]
    assert starts[0] - starts[-1] > 300 * 86400


def test_the_rare_shapes_of_an_export_are_all_there_once() -> None:
    found: Counter[str] = Counter()
    for chat in chats():
        found["no title"] += chat["title"] is None
        found["edited prompt"] += sum(len(node["children"]) > 1 for node in chat["mapping"].values())
        for node in path_to_root(chat)[1:]:
            message = node["message"]
            found[message["content"]["content_type"]] += 1
            found["role " + message["author"]["role"]] += 1
            if message["content"]["content_type"] == "user_editable_context":
                assert message["metadata"]["is_visually_hidden_from_conversation"]
                assert message["content"]["user_profile"] and message["content"]["user_instructions"]
        assert path_to_root(chat)[1]["message"]["author"]["role"] == "system"
        assert path_to_root(chat)[1]["message"]["metadata"]["is_visually_hidden_from_conversation"]
    for shape in ("no title", "edited prompt", "thoughts", "user_editable_context", "role tool"):
        assert found[shape] == 1, shape


def test_the_prompt_that_was_edited_stays_on_a_branch_left_behind() -> None:
    left = [said for chat in chats() for said in said_in(chat) if not said.active]
    assert [said.own for said in left] == [True, False]
    assert left[0].text == "Сделай Сове роли."


# ---- the notes ---------------------------------------------------------------------------------------------------

def test_the_notes_cover_four_eras_of_the_format() -> None:
    eras = Counter[str]()
    for path in SOUND:
        head = re.match(r"---\n(.*?)\n---\n", note_text(path), re.S)
        assert head
        keys = dict(line.split(": ", 1) for line in head[1].split("\n") if ": " in line)
        assert keys["nexus"] == "nexus-ai-chat-importer" and keys["provider"] == "chatgpt"
        assert re.fullmatch(UUID, keys["conversation_id"])
        era = keys["plugin_version"].strip('"')[:3]
        eras[era] += 1
        stamp = r"\d\d\.\d\d\.2025 at \d\d:\d\d" if era < "1.3" else r"2025-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"
        assert re.fullmatch(stamp, keys["create_time"])
        assert ("· gpt" in note_text(path)) == (era == "1.6")
        assert ("### User, on" in note_text(path)) == (era == "1.1")
    assert eras == {"1.1": 2, "1.2": 1, "1.3": 2, "1.6": 2}


def test_speakers_take_turns_in_every_note() -> None:
    for path in NOTES:
        said = list(said_in_note(path))
        assert len(said) >= 6 and [one.own for one in said] == [True, False] * (len(said) // 2)
        assert all(one.text for one in said)


def test_the_damaged_note_round_trips_strictly_through_mac_roman() -> None:
    stored = DAMAGED.read_bytes()
    seen = stored.decode("utf-8")
    assert not re.search(r"[а-яё]", seen, re.I), "what is on the disk shows no Russian letter at all"
    assert not seen.startswith("---") and "conversation_id" not in seen
    mended = seen.encode("mac_roman").decode("utf-8")
    assert mended.encode("utf-8").decode("mac_roman").encode("utf-8") == stored
    assert "Что было на самом деле" in mended and "🔋" in mended and "\uf8ff" in seen


def test_nothing_else_is_damaged() -> None:
    """Mac Roman shows the lead bytes of Cyrillic and emoji as two dashes and an apple: none stands elsewhere."""
    for path in [*SOUND, SAMPLE / "chatgpt" / "conversations.json"]:
        assert not set(b"\xd0\xd1\xf0".decode("mac_roman")) & set(path.read_text(encoding="utf-8")), path.name


def test_one_conversation_is_there_twice_word_for_word() -> None:
    """So a second import, in either order, has something to call unchanged."""
    by_id = {chat["id"]: chat for chat in chats()}
    twice = []
    for path in SOUND:
        conversation = re.search(rf"^conversation_id: ({UUID})$", note_text(path), re.M)
        assert conversation
        if conversation[1] in by_id:
            twice.append(path.name)
            assert list(said_in_note(path)) == list(said_in(by_id[conversation[1]]))
    assert twice == ["Итоги осени.md"]


# ---- the voice ---------------------------------------------------------------------------------------------------

def test_there_is_enough_of_her_to_be_known() -> None:
    own = [said for said in everything() if said.own]
    assert len(own) >= 60
    assert sum("?" in said.text for said in own) >= 45
    assert min(sum(russian(said.text) for said in own), sum(not russian(said.text) for said in own)) >= 45
    assert len({said.text for said in own}) == len(own)
    told = [said for said in own if "?" not in said.text]
    assert len(told) >= 25, "preferences, facts, decisions and results, not questions only"


def test_foreign_words_stand_inside_her_messages_three_ways() -> None:
    own = [said.text for said in everything() if said.own]
    assert sum("```" in text for text in own) == 1
    assert sum(text.startswith("> ") for text in own) == 1
    assert sum(bool(re.search(r"^Костя с курса, \[\d\d\.\d\d\.\d{4} \d\d:\d\d\]$", text, re.M)) for text in own) == 1


def test_praise_comes_from_the_assistant_only() -> None:
    """A profile that repeats it has taken flattery for evidence."""
    praised = [said.own for said in everything() if PRAISE.search(said.text)]
    assert praised == [False] * 4


def test_answers_are_short() -> None:
    assert max(len(re.findall(r"[.!?](?:\s|$)", said.text)) for said in everything() if not said.own) <= 4


# ---- the yardstick of depth --------------------------------------------------------------------------------------

def test_every_labelled_question_is_one_own_message_verbatim() -> None:
    own = Counter(said.text for said in everything() if said.own and said.active)
    questions = [label["question"] for label in labels()]
    assert len(set(questions)) == len(questions)
    for question in questions:
        assert own[question] == 1, question
        assert question.rstrip('."»').endswith("?") or "?" in question or "чьи-нибудь замеры" in question
        assert not re.search(r"```|^>", question, re.M)


def test_every_depth_and_both_languages_are_there() -> None:
    levels = Counter((label["level"], russian(label["question"])) for label in labels())
    assert {level for level, _ in levels} == set(range(1, 8))
    assert min(levels.values()) >= 4, "at least four of every depth in each language"
    assert min(sum(n for (_, ru), n in levels.items() if ru is side) for side in (True, False)) >= 20


def ranks(values: list[int]) -> list[float]:
    ordered = sorted(values)
    return [ordered.index(value) + (ordered.count(value) - 1) / 2 for value in values]


def test_length_alone_does_not_give_the_depth() -> None:
    """Length is the obvious cheat. Spearman of length and level is .47 here; a rule has to do visibly better."""
    x, y = ranks([len(label["question"]) for label in labels()]), ranks([label["level"] for label in labels()])
    middle = (len(x) - 1) / 2
    top = sum((a - middle) * (b - middle) for a, b in zip(x, y, strict=True))
    spearman = top / (sum((a - middle) ** 2 for a in x) * sum((b - middle) ** 2 for b in y)) ** 0.5
    assert 0.2 < spearman < 0.55
