"""Operations in one plain sentence, English or Russian. Knows the words of operations, not what they do to a map."""
from __future__ import annotations

from typing import Any

from twin import operation_schema as schema
from twin import text as plain
from twin.operation_schema import Op
from twin.role_file import HEADINGS, SECTIONS

_SHOWN = 200  # characters of a text: what is longer is cut, the diff shows all of it

_SECTIONS = {tongue: dict(zip(SECTIONS, names, strict=True)) for tongue, names in HEADINGS.items()}
_IN = {"en": {"en": "English", "ru": "Russian"}, "ru": {"en": "английских", "ru": "русских"}}
_FIELDS = {
    "en": {"temperature": "temperature", "top_p": "top_p (the share of likely words drawn from)",
           "min_p": "min_p (the least likelihood of a word)", "repeat_penalty": "penalty for repeating",
           "max_tokens": "longest answer in tokens"},
    "ru": {"temperature": "температуру", "top_p": "top_p (доля вероятных слов, из которых идёт выбор)",
           "min_p": "min_p (наименьшую вероятность слова)", "repeat_penalty": "штраф за повторы",
           "max_tokens": "предел длины ответа в токенах"},
}
_SAYS = {
    "add_routing_example": ("Teach the router that this message is for the role {role}: {text}.",
                            "Научить маршрутизатор тому, что это сообщение для роли {role}: {text}."),
    "remove_routing_example": ("No longer teach the router that this message is for the role {role}: {text}.",
                               "Больше не учить маршрутизатор тому, что это сообщение для роли {role}: {text}."),
    "relabel_routing_example": ("Teach the router that this message is for the role {to}, not for {role}: {text}.",
                                "Научить маршрутизатор тому, что это сообщение для роли {to}, а не для {role}: "
                                "{text}."),
    "edit_prompt_section": ("In the {tongue} instructions of the role {role}, section {section}, write: {text}.",
                            "В {tongue} указаниях роли {role}, в разделе «{section}», написать: {text}."),
    "empty_prompt_section": ("Take the section {section} out of the {tongue} instructions of the role {role}.",
                             "Убрать раздел «{section}» из {tongue} указаний роли {role}."),
    "add_prompt_rule": ("Add a sentence to the {tongue} instructions of the role {role}, section {section}: {text}.",
                        "Добавить предложение в раздел «{section}» {tongue} указаний роли {role}: {text}."),
    "remove_prompt_rule": ("Take a sentence out of the {tongue} instructions of the role {role}, section {section}: "
                           "{text}.", "Убрать предложение из раздела «{section}» {tongue} указаний роли {role}: "
                           "{text}."),
    "set_sampling": ("For the role {role}, set {field} to {value}.", "Для роли {role} поставить {field} на {value}."),
    "set_adapter": ("Let the role {role} answer through the adapter {sha256} at strength {scale}.",
                    "Пусть роль {role} отвечает через адаптер {sha256} с силой {scale}."),
    "control_vector": ("Let the role {role} answer through the control vector {sha256} at strength {scale}.",
                       "Пусть роль {role} отвечает через управляющий вектор {sha256} с силой {scale}."),
    "no_adapter": ("Let the role {role} answer without an adapter.", "Пусть роль {role} отвечает без адаптера."),
    "narrow_memory_scope": ("Hide memories with these tags from the role {role}: {tags}.",
                            "Скрыть от роли {role} воспоминания с метками: {tags}."),
    "widen_memory_scope": ("Let the role {role} see memories with these tags: {tags}.",
                           "Показывать роли {role} воспоминания с метками: {tags}."),
    "add_role": ("Add a role {id}, “{title}”, with {count} routing examples: {purpose}.",
                 "Добавить роль {id}, «{title}», примеров для маршрутизатора: {count}; {purpose}."),
    "split_role": ("Split the role {role}: a new role {id}, “{title}”, takes {count} of its routing examples: "
                   "{purpose}.", "Разделить роль {role}: новая роль {id}, «{title}», берёт её примеров: {count}; "
                   "{purpose}."),
    "merge_roles": ("Merge the role {role} into {into}: its messages go to {into}, its own instructions go.",
                    "Слить роль {role} с ролью {into}: её сообщения идут роли {into}, её указания уходят."),
    "retire_role": ("Retire the role {role}: nothing is sent to it any more; its file is kept aside.",
                    "Убрать роль {role} из работы: ей больше ничего не передаётся; её файл хранится рядом."),
    "set_placement": ("Run the role {role} with {parts}.", "Запускать роль {role} так: {parts}."),
    "set_council_policy": ("Let {members} sit in the council, at most {max_n} at a time; it is called {when}.",
                           "В совете участвуют {members}, не больше {max_n} сразу; он созывается {when}."),
    "open_hypothesis": ("Write this claim into the ledger, to be tested; no role changes: {text}.",
                        "Записать в журнал гипотез для проверки; роли не меняются: {text}."),
}


def say(op: Op, language: str = "en") -> str:
    """What an operation would change, in one sentence for a person, in 'ru' or else in English. Texts are quoted on one
    line, cut after 200 characters."""
    tongue = "ru" if language == "ru" else "en"
    return _SAYS[_wording(op)][tongue == "ru"].format(**_words(op, tongue))


def _wording(op: Op) -> str:
    """Which sentence says it."""
    if isinstance(op, schema.EditPromptSection) and not op.text:
        return "empty_prompt_section"
    if isinstance(op, schema.SetAdapter):
        return "no_adapter" if op.sha256 is None else "control_vector" if op.kind == "control" else op.op
    return op.op


def _words(op: Op, tongue: str) -> dict[str, Any]:
    """What its sentence is filled with."""
    fields = {name: getattr(op, name) for name in type(op).model_fields}
    made = {name: value for name, value in fields.items() if isinstance(value, str | int)}
    made |= {name: f"{value:g}" for name, value in fields.items() if isinstance(value, float)}
    if "section" in fields:
        made |= {"section": _SECTIONS[tongue][fields["section"]], "tongue": _IN[tongue][fields["language"]]}
    if isinstance(op, schema.SetSampling):
        made["field"] = _FIELDS[tongue][op.field]
    if isinstance(op, schema.SetAdapter):
        made["sha256"] = (op.sha256 or "")[:12]
    if isinstance(op, schema.AddRole | schema.SplitRole):
        made |= {"title": _shown(op.title.of(tongue)), "purpose": _shown(op.purpose.of(tongue)).rstrip(".!?…"),
                 "count": len(op.examples)}
    if "tags" in fields:
        made["tags"] = ", ".join(_quoted(tag, tongue) for tag in fields["tags"])
    if text := fields.get("text") or fields.get("claim"):
        made["text"] = _quoted(text, tongue)
    if isinstance(op, schema.SetPlacement):
        made["parts"] = ", ".join(f"{name} {fields[name]}" for name in ("device", "n_ctx", "n_gpu_layers")
                                  if fields[name] is not None)
    return made | (_council(op, tongue) if isinstance(op, schema.SetCouncilPolicy) else {})


def _council(op: schema.SetCouncilPolicy, tongue: str) -> dict[str, str]:
    english = tongue == "en"
    when = ["when you ask for it" if english else "по вашей просьбе"]
    if op.on == "policy" and op.depth is not None:
        when.append(f"by itself from depth {op.depth} up" if english else f"сам начиная с глубины {op.depth}")
    if op.on == "policy" and op.entropy is not None:
        when.append(f"by itself where the router is unsure (entropy {op.entropy:g} or more)" if english else
                    f"сам там, где маршрутизатор не уверен (энтропия от {op.entropy:g})")
    return {"members": ", ".join(op.members) or ("all roles" if english else "все роли"),
            "when": (" and " if english else " и ").join(when)}


def _quoted(text: str, tongue: str) -> str:
    shown = _shown(text).removesuffix(".")  # the sentence around it has one
    return f"“{shown}”" if tongue == "en" else f"«{shown}»"


def _shown(text: str) -> str:
    line = plain.one_line(text)
    return line if len(line) <= _SHOWN else line[:_SHOWN - 1].rstrip() + "…"
