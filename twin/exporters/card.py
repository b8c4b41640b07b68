"""Character cards, V2 and V3, as JSON and both in one picture.

What a card puts into a prompt is the description and the system prompt, and each of them keeps to the budget. The
claims stand beside them as they are, in the extensions and as a book. A dialogue is not invented: `mes_example` and
`first_mes` are empty.
"""
from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

from twin.exporters import FORMATS, Exported, Material
from twin.exporters.escape import plain, utf16
from twin.exporters.prompt import one_file
from twin.exporters.sheet import Sheet, called, fit, quote_of, ranked, said, spoken
from twin.person import Claim
from twin.stated import content
from twin.text import stem

KEYS = 8  # words that call an entry of the book


def v2(material: Material, budget: int) -> Exported:
    """A card of the version 2. Raises UsageError when the frame of the system prompt does not fit; so do the others."""
    card, cut = _card(material, budget)
    return replace(one_file(_file(_second(card)), cut, "card-v2"), characters=_limited(card))


def v3(material: Material, budget: int) -> Exported:
    """A card of the version 3."""
    card, cut = _card(material, budget)
    return replace(one_file(_file(card), cut, "card-v3"), characters=_limited(card))


def png(material: Material, budget: int) -> Exported:
    """A picture with both: readers of V3 prefer theirs. `text` and `spoken` are the cards as JSON."""
    from twin.exporters.png import drawn  # here: Pillow, for this form alone

    card, cut = _card(material, budget)
    older = _second(card)
    older["data"]["creator_notes"] += said(spoken(material))["backfill"]
    picture = drawn(material.levels, {"chara": _compact(older), "ccv3": _compact(card)})
    text = _file(card)
    return Exported(text, cut, _limited(card), files={FORMATS["card"].file: picture}, spoken=(text, _file(older)))


def _limited(card: dict[str, Any]) -> int:
    """Length of what keeps to the budget."""
    return max(utf16(card["data"][name]) for name in ("description", "system_prompt"))


def _card(material: Material, budget: int) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The card of version 3, and the claims its system prompt lost."""
    core, language, claims = material.firmware, spoken(material), ranked(material.profile)
    told = said(language)
    system, cut = fit(Sheet.of(material, "prompt.jinja", "plain"), claims, budget)
    description = told["card"] % (core.id, material.profile.own_messages, len(claims))
    fit(lambda *_: description, (), budget)  # refuses a budget below it
    made = 0 if material.level == "public" else int(core.made.timestamp())
    data = {
        "name": plain(called(material)) or "Twin", "description": description, "personality": "", "scenario": "",
        "first_mes": "", "mes_example": "", "creator_notes": told["card_notes"] % (core.id, material.level),
        "system_prompt": system, "post_history_instructions": "", "alternate_greetings": [], "tags": ["twin"],
        "creator": "twin", "character_version": core.id,
        "extensions": {"twin/core": {"id": core.id, "profile": core.profile, "roles": core.role_map[:12],
                                     "level": material.level, "language": language},
                       "twin/claims": [_kept(claim) for claim in claims]},
        "character_book": _book(material, claims), "group_only_greetings": [],
        "creation_date": made, "modification_date": made}
    return {"spec": "chara_card_v3", "spec_version": "3.0", "data": data}, cut


def _second(card: dict[str, Any]) -> dict[str, Any]:
    """The same without what version 2 does not know."""
    data: dict[str, Any] = json.loads(json.dumps(card["data"]))
    for name in ("group_only_greetings", "creation_date", "modification_date"):
        del data[name]
    for entry in data["character_book"]["entries"]:
        del entry["use_regex"]
    return {"spec": "chara_card_v2", "spec_version": "2.0", "data": data}


def _kept(claim: Claim) -> dict[str, Any]:
    return {"id": plain(claim.id), "kind": claim.kind, "text": plain(claim.text), "authority": claim.authority,
            "confidence": round(claim.confidence, 2), "quote": plain(quote_of(claim))}


def _book(material: Material, claims: list[Claim]) -> dict[str, Any]:
    """A lorebook with an entry a claim, called by the words that tell it from others."""
    sheet = Sheet.of(material, "reference.jinja", "plain", sheet="entry")
    entries = [{"keys": _keys(claim), "content": sheet([claim]), "extensions": {"twin/claim": plain(claim.id)},
                "enabled": True, "insertion_order": number, "case_sensitive": False, "use_regex": False,
                "constant": False, "selective": False, "secondary_keys": [], "position": "before_char",
                "name": plain(claim.id), "comment": plain(claim.id), "id": number, "priority": len(claims) - number}
               for number, claim in enumerate(claims)]
    return {"name": "twin", "description": said(spoken(material))["book"], "scan_depth": 4, "token_budget": 512,
            "recursive_scanning": False, "extensions": {}, "entries": entries}


def _keys(claim: Claim) -> list[str]:
    """Words without any mark, so that no program takes one for a pattern; the claim's id where it has none."""
    telling = content(claim.text)
    found = [word for word in re.findall(r"[^\W_]{4,}", claim.text.casefold())
             if stem(word.replace("ё", "е")) in telling]
    return list(dict.fromkeys(found))[:KEYS] or [plain(claim.id)]


def _file(card: dict[str, Any]) -> str:
    return json.dumps(card, ensure_ascii=False, indent=1) + "\n"


def _compact(card: dict[str, Any]) -> str:
    return json.dumps(card, ensure_ascii=False, separators=(",", ":"))
