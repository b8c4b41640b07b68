"""Roles: files a person edits by hand, and the values they become."""
from __future__ import annotations

import os
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twin import roles, text
from twin.errors import HomeFull, RoleError, UsageError
from twin.roles import ASKED, COUNCIL, SECTIONS, CouncilPolicy, Role, RoleMap, parse_council, parse_role
from twin.types import Sampling

SEED_IDS = ("architect", "critic", "empiricist", "evolutionist", "mentor", "scribe")
SMALL = """---
id: tiny
title: {en: Tiny}
purpose: {en: To be small.}
sampling:
  temperature: 0.2
examples:
  - say something small
---

## Stance

You are tiny.
"""

# Lines a person could write, with those that the format itself uses among them.
LINES = st.one_of(st.text(max_size=40), st.sampled_from([
    "## Stance", "\\## Do", "\\\\##\tx", "##", "### deeper", "---", "- a: b", "", "  ", "```", "a\x85b", "\u2028## Do",
    "\ufeff", "\x0c"]))
TEXTS = st.lists(LINES, max_size=5).map("\n".join).filter(lambda value: "<!--" not in value)
SAID = TEXTS.filter(lambda value: bool(text.clean(value).strip()))


@st.composite
def any_role(draw: st.DrawFn) -> Role:
    languages = {language: {key: draw(TEXTS) for key in SECTIONS} for language in ("en", "ru")}
    languages["en"]["stance"] = draw(SAID)
    examples = draw(st.lists(SAID.map(lambda value: text.clean(value).strip()), max_size=4, unique=True))
    return Role.model_validate({
        "id": draw(st.from_regex(r"[a-z][a-z0-9]{0,5}(-[a-z0-9]{1,5})?", fullmatch=True)),
        "title": {"en": draw(SAID), "ru": draw(TEXTS)}, "purpose": {"en": draw(TEXTS), "ru": draw(SAID)},
        "sections": languages, "examples": examples,
        "adapter": draw(st.sampled_from([None, {"path": "a.gguf"}, {"sha256": "0" * 64, "scale": 0.5}])),
        "sampling": {"temperature": draw(st.floats(0, 1.3)), "max_tokens": draw(st.integers(1, 4096)),
                     "seed": draw(st.none() | st.integers(0, 2**32 - 1))},
        "memory": {"include": draw(st.lists(TEXTS, max_size=2))},
        "placement": draw(st.sampled_from([{}, {"device": "CUDA0", "n_ctx": 4096, "n_gpu_layers": -1}])),
        "thinking": draw(st.sampled_from(["auto", "auto", "on", "off"])),
    })


@st.composite
def any_policy(draw: st.DrawFn, known: tuple[str, ...]) -> CouncilPolicy:
    depth, entropy = draw(st.none() | st.integers(1, 7)), draw(st.none() | st.floats(0, 3))
    on = draw(st.sampled_from(["asked", "policy"] if (depth, entropy) != (None, None) else ["asked"]))
    members = draw(st.lists(st.sampled_from(known), unique=True))
    return CouncilPolicy(members=tuple(members), max_n=draw(st.integers(1, 16)), depth=depth, entropy=entropy, on=on)


@st.composite
def any_map(draw: st.DrawFn) -> RoleMap:
    made = RoleMap(tuple(draw(st.lists(any_role(), min_size=1, max_size=2, unique_by=lambda role: role.id))))
    return replace(made, council=draw(st.just(ASKED) | any_policy(made.ids)))


def refused(source: str) -> str:
    with pytest.raises(RoleError) as caught:
        parse_role(source, "tiny.md")
    assert caught.value.next_step
    return caught.value.what


@given(any_role())
def test_a_role_written_and_read_again_is_the_same_role(role: Role) -> None:
    read = parse_role(role.to_markdown())
    assert read == role
    assert hash(read) == hash(role)


@given(role=any_role(), newline=st.sampled_from(["\n", "\r\n"]), mark=st.sampled_from(["", "\ufeff"]),
       note=st.sampled_from(["", "# a note\n"]))
def test_a_valid_file_comes_back_byte_for_byte(role: Role, newline: str, mark: str, note: str) -> None:
    """A person's comments, spacing, line ends and byte order mark are theirs; only the content is ours."""
    source = mark + role.to_markdown().replace("---\n", f"---\n{note}\n", 1).replace("\n", newline)
    read = parse_role(source)
    assert read.to_markdown() == source
    assert read == role


@given(any_map())
def test_a_map_written_and_read_again_is_the_same_map(role_map: RoleMap) -> None:
    read = roles.from_files(roles.to_files(role_map))
    assert read == role_map
    assert read.version == role_map.version
    assert (COUNCIL in roles.to_files(role_map)) == (role_map.council != ASKED)


@given(role_map=any_map(), newline=st.sampled_from(["\n", "\r\n"]), mark=st.sampled_from(["", "\ufeff"]),
       note=st.sampled_from(["", "# a note\n"]))
def test_the_files_of_a_map_come_back_byte_for_byte(role_map: RoleMap, newline: str, mark: str, note: str) -> None:
    files = roles.to_files(role_map) | {COUNCIL: role_map.council.to_yaml().encode()}
    edited = {name: (mark + note * (name == COUNCIL) + data.decode().replace("\n", newline)).encode()
              for name, data in files.items()}
    read = roles.from_files(edited)
    assert roles.to_files(read) == edited
    assert read == role_map


def test_comments_and_odd_spacing_survive_but_do_not_count() -> None:
    edited = SMALL.replace("id: tiny", "# mine\nid:    'tiny'   # short").replace("## Stance\n", "##   STANCE  \n\n")
    edited += "\n\n<!-- try:\n## Do\nmore -->\n"
    role = parse_role(edited)
    assert role.to_markdown() == edited
    assert role == parse_role(SMALL)
    assert RoleMap((role,)).version == RoleMap((parse_role(SMALL),)).version
    assert "try" not in roles.header(role, "en")


def test_a_changed_role_is_written_afresh() -> None:
    """The kept source must never hide a change, however the change was made."""
    role = parse_role(SMALL)
    changed = role.model_copy(update={"id": "smaller"})
    assert "id: smaller" in changed.to_markdown()
    assert parse_role(changed.to_markdown()) == changed != role
    assert role.to_markdown() == SMALL


@pytest.mark.parametrize(("old", "new", "line", "reason"), [
    ("id: tiny", "id: Tiny Role", 2, "id:"),
    ("id: tiny\n", "", 2, "id: Field required"),
    ("id: tiny", "id: tiny\nthinking: maybe", 3, "thinking:"),
    ("title: {en: Tiny}", "title: {de: Winzig}", 3, "title"),
    ("title: {en: Tiny}", "title: {}", 3, "'en' or 'ru'"),
    ("title: {en: Tiny}", "title: {en: Tiny", 4, "not YAML"),
    ("title: {en: Tiny}", "title: {en: 5}", 3, "valid string"),
    ("title: {en: Tiny}", "title: &a {en: Tiny, ru: *a}", 3, "references"),
    ("title: {en: Tiny}", "title: !!python/name:os.system {}", 3, "tags"),
    ("  temperature: 0.2", "  temperature: 9", 6, "sampling.temperature"),
    ("  temperature: 0.2", "  temperature: yes", 6, "sampling.temperature"),
    ("  temperature: 0.2", "  temperature: .nan", 6, "sampling.temperature"),
    ("  temperature: 0.2", "  heat: 0.2", 6, "sampling.heat"),
    ("  temperature: 0.2", "  top_k: 0x_", 2, "cannot be read"),
    ("  - say something small", "  - a\n  - b\n  - a", 7, "twice"),
    ("  - say something small", "  - a\n  - [b]", 9, "examples.1"),
    ("  - say something small", "  - a\nid: other", 9, "'id' stands there twice"),
    ("  - say something small", "  - a\nadapter: {scale: 1}", 9, "adapter"),
    ("  - say something small", "  - a\ncolour: red", 9, "colour"),
    ("  - say something small", "  - a\nsections: {}", 9, "headings"),
    ("## Stance", "## Mood", 11, "unknown section 'Mood'"),
    ("You are tiny.", "You.\n\n## stance\nAgain.", 15, "twice"),
    ("## Stance", "Hello.\n\n## Stance", 11, "before the first section"),
    ("You are tiny.", "", 11, "no section has any text"),
    ("You are tiny.", "You <!-- never closed", 11, "comment"),
    ("---\n", "", 1, "front matter"),
])
def test_a_broken_file_is_refused_with_line_and_reason(old: str, new: str, line: int, reason: str) -> None:
    said = refused(SMALL.replace(old, new))
    assert said.startswith(f"tiny.md, line {line}: ")
    assert reason in said


def test_on_and_off_are_words_as_a_person_writes_them() -> None:
    """YAML 1.1 reads them as true and false; the words of an example stay words as well."""
    role = parse_role(SMALL.replace("id: tiny", "id: tiny\nthinking: off").replace("- say something small", "- no"))
    assert role.thinking == "off"
    assert role.examples == ("no",)
    again = role.model_copy(update={"thinking": "on"})
    assert "thinking: on\n" in again.to_markdown()
    assert parse_role(again.to_markdown()) == again


POLICY = """# who sits together
members:
  - tiny
max_n: 3
depth: 5
on: policy
"""


def test_a_policy_says_who_sits_and_when() -> None:
    policy = parse_council(POLICY, known=("tiny",))
    assert policy == CouncilPolicy(members=("tiny",), max_n=3, depth=5, on="policy")
    assert policy.to_yaml() == POLICY
    assert "max_n: 2\n" in policy.model_copy(update={"max_n": 2}).to_yaml()
    assert (ASKED.on, ASKED.members, ASKED.max_n, ASKED.depth, ASKED.entropy) == ("asked", (), 4, None, None)


@pytest.mark.parametrize(("old", "new", "line", "reason"), [
    ("- tiny", "- tiny\n  - poet", 4, "no role 'poet'"),
    ("- tiny", "- tiny\n  - tiny", 2, "named twice"),
    ("max_n: 3", "max_n: 17", 4, "max_n: Input should be less than or equal to 16"),
    ("max_n: 3", "max_n: 0", 4, "max_n"),
    ("max_n: 3", "max_n: '3'", 4, "max_n"),
    ("depth: 5", "depth: 8", 5, "depth"),
    ("depth: 5", "depth: 5\nentropy: .nan", 6, "entropy"),
    ("depth: 5", "depth: 5\nentropy: -1", 6, "entropy"),
    ("depth: 5", "depth: 0x_", 1, "cannot be read"),
    ("depth: 5", "depth: [", 6, "not YAML"),
    ("max_n: 3", "most: 3", 4, "most: Extra inputs"),
    ("depth: 5\n", "", 5, "needs 'depth' or 'entropy'"),
    ("on: policy", "on: always", 6, "on: Input should be 'asked' or 'policy'"),
    ("on: policy", "on: policy\non: asked", 7, "'on' stands there twice"),
])
def test_a_broken_policy_is_refused_with_line_and_reason(old: str, new: str, line: int, reason: str) -> None:
    with pytest.raises(RoleError) as caught:
        roles.from_files({"tiny.md": SMALL.encode(), COUNCIL: POLICY.replace(old, new).encode()})
    assert caught.value.what.startswith(f"{COUNCIL}, line {line}: ")
    assert reason in caught.value.what


def test_a_policy_stands_beside_the_roles_and_goes_with_its_map(tmp_path: Path) -> None:
    alone = RoleMap((parse_role(SMALL),))
    roles.save(alone, tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["tiny.md"]
    (tmp_path / COUNCIL).write_bytes(POLICY.replace("\n", "\r\n").encode())
    assert roles.load(tmp_path).council == parse_council(POLICY)
    assert roles.load(tmp_path) != alone
    roles.save(alone, tmp_path)
    assert roles.load(tmp_path) == alone
    assert (tmp_path / f"{COUNCIL}.old").read_bytes() == POLICY.replace("\n", "\r\n").encode()


def test_a_council_of_roles_that_are_none_is_refused() -> None:
    with pytest.raises(RoleError, match="'poet' is no role"):
        RoleMap((parse_role(SMALL),), council=CouncilPolicy(members=("poet",)))


def test_maps_of_earlier_versions_keep_their_hash() -> None:
    """Stored turns name the map they were answered by: what a map did not say then must not count now."""
    assert parse_role(SMALL).content_hash == "ae0eeba7918897e44fe11c2fca44f1b8c36b8e73793501519e701b55e53ce928"
    alone = RoleMap((parse_role(SMALL),))
    assert alone.version == "26380433aa29cf624080eb6732b9813ffcfb251fb8effc5a56c048eb7bdfecfe"
    assert RoleMap(alone.roles, council=parse_council("# as ever\n")).version == alone.version
    assert RoleMap(alone.roles, council=CouncilPolicy(depth=5)).version != alone.version
    assert RoleMap((parse_role(SMALL).model_copy(update={"thinking": "on"}),)).version != alone.version


def test_deep_nesting_is_refused_and_not_a_crash() -> None:
    assert "not YAML" in refused(SMALL.replace("{en: Tiny}", "[" * 20000))


def test_the_seed_roles_speak_both_languages_and_have_enough_examples() -> None:
    seeds = roles.seed()
    assert seeds.ids == SEED_IDS
    for role in seeds.roles:
        languages = [text.language(example) for example in role.examples]
        assert languages.count("en") >= 14
        assert languages.count("ru") >= 14
        assert text.language(role.title.en + role.purpose.en) == "en"
        assert text.language(role.title.ru + role.purpose.ru) == "ru"
        assert len(role.sections.en.texts) == len(role.sections.ru.texts) == 5
        assert isinstance(role.sampling, Sampling)
        assert parse_role(role.model_copy(update={"purpose": role.title}).to_markdown()).sections == role.sections


def test_no_seed_example_stands_among_the_labelled_messages() -> None:
    """The labelled messages measure the router only while it has never seen them."""
    labels = tomllib.loads((Path(__file__).parent / "router_labels.toml").read_text("utf-8"))
    labelled = {" ".join(text.stems(message))
                for languages in labels.values() for said in languages.values() for message in said}
    examples = {" ".join(text.stems(example)) for role in roles.seed().roles for example in role.examples}
    assert not labelled & examples


def test_the_header_ends_with_the_language_and_stays_short() -> None:
    """A header is read before every answer: 60-76 tokens a second. 600 characters of English are about 120 tokens."""
    for role in roles.seed().roles:
        assert roles.header(role, "en").endswith("\nAnswer in English.")
        assert roles.header(role, "ru").endswith("\nОтвечай по-русски.")
        assert text.language(roles.header(role, "ru")) == "ru"
        assert roles.header(role, "und") == roles.header(role, "en")
        assert max(len(roles.header(role, language)) for language in ("en", "ru")) < 600


def test_a_role_of_one_language_still_answers_in_the_other() -> None:
    assert roles.header(parse_role(SMALL), "ru") == "You are tiny.\nОтвечай по-русски."
    assert parse_role(SMALL).title.of("ru") == "Tiny"


def test_the_version_follows_the_content_and_nothing_else() -> None:
    seeds = roles.seed()
    assert RoleMap(tuple(reversed(seeds.roles))).version == seeds.version
    rewritten = tuple(Role.model_validate(role.model_dump()) for role in seeds.roles)
    assert rewritten[0].to_markdown() != seeds.roles[0].to_markdown()
    assert RoleMap(rewritten).version == seeds.version
    assert RoleMap(seeds.roles[1:]).version != seeds.version
    cooler = seeds.roles[0].model_copy(update={"examples": ("one",)})
    assert RoleMap((cooler, *seeds.roles[1:])).version != seeds.version


def test_a_map_without_roles_or_with_one_id_twice_is_refused() -> None:
    with pytest.raises(RoleError, match="at least one"):
        RoleMap(())
    with pytest.raises(RoleError, match="'tiny' is used by 2 roles"):
        RoleMap((parse_role(SMALL), parse_role(SMALL)))


def test_an_unknown_role_is_answered_with_the_known_ones() -> None:
    assert roles.seed().role("critic").title.ru == "Критик"
    with pytest.raises(UsageError, match="architect, critic, empiricist"):
        roles.seed().role("poet")


def test_seeds_are_put_down_once_and_hand_edits_stay(tmp_path: Path) -> None:
    folder = tmp_path / "roles"
    assert roles.ensure(folder) == roles.seed()
    file = folder / "critic.md"
    file.write_text(file.read_text("utf-8").replace("title: {en: Critic,", "title:   {en: Sceptic,"), "utf-8")
    (folder / "mentor.md").unlink()
    edited = roles.ensure(folder)
    assert edited.role("critic").title.en == "Sceptic"
    assert "mentor" not in edited.ids


def test_saving_and_loading_keeps_bytes_and_loses_nothing(tmp_path: Path) -> None:
    """A role that left the map keeps its text beside the others, out of the way."""
    roles.ensure(tmp_path)
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    stamp = (tmp_path / "critic.md").stat().st_mtime_ns
    less = RoleMap(tuple(role for role in roles.load(tmp_path).roles if role.id != "scribe"))
    roles.save(less, tmp_path)
    assert roles.load(tmp_path) == less
    after = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    assert after == {("scribe.md.old" if name == "scribe.md" else name): data for name, data in before.items()}
    assert (tmp_path / "critic.md").stat().st_mtime_ns == stamp


def test_what_is_set_aside_twice_is_kept_twice(tmp_path: Path) -> None:
    for said in ("one", "two", "one", "three"):
        (tmp_path / "a.md").write_text(said, "utf-8")
        roles.set_aside(tmp_path / "a.md")
    kept = {file.name: file.read_text("utf-8") for file in tmp_path.iterdir()}
    assert kept == {"a.md.old": "one", "a.md.old2": "two", "a.md.old3": "three"}


def test_a_full_disk_while_saving_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    roles.ensure(tmp_path)
    changed = roles.seed().role("critic").model_copy(update={"examples": ("one",)})

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(HomeFull):
        roles.save(RoleMap((changed,)), tmp_path)
    monkeypatch.undo()
    assert roles.load(tmp_path) == roles.seed()


def test_files_on_disk_are_named_when_they_cannot_be_roles(tmp_path: Path) -> None:
    with pytest.raises(RoleError, match="no role files"):
        roles.load(tmp_path)
    (tmp_path / "other.md").write_text(SMALL, "utf-8")
    with pytest.raises(RoleError, match=r"other\.md: the role in it has the id 'tiny'"):
        roles.load(tmp_path)
    (tmp_path / "other.md").write_bytes("id:\nтема".encode("cp1251"))
    with pytest.raises(RoleError, match=r"other\.md, line 2: the file is not UTF-8"):
        roles.load(tmp_path)


def test_a_file_over_the_limit_is_refused_with_its_line_and_not_read_whole(tmp_path: Path) -> None:
    data = SMALL.encode() + b"so it goes on\n" * (roles.MAX_BYTES // 14)
    (tmp_path / "tiny.md").write_bytes(data * 4)
    line = data[:roles.MAX_BYTES].count(b"\n") + 1
    with pytest.raises(RoleError, match=rf"tiny.md, line {line}: .* 256 KiB"):
        roles.load(tmp_path)
    assert len(roles.on_disk(tmp_path)["tiny.md"]) == roles.MAX_BYTES + 1
    (tmp_path / "tiny.md").write_bytes(data[:roles.MAX_BYTES])
    assert roles.load(tmp_path).ids == ("tiny",)
    (tmp_path / roles.COUNCIL).write_bytes(b"max_n: 3\n" + b"#" * roles.MAX_BYTES)
    with pytest.raises(RoleError, match=r"council.yaml, line 2: .* 256 KiB"):
        roles.load(tmp_path)
