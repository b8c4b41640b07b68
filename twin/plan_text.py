"""A plan in words: its lines, a table of its layouts and a picture of what lies where, in English and Russian."""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from twin.cards import Range
from twin.layouts import MEMBERS, Layout, Part, Plan

_WORDS: Mapping[str, Mapping[str, str]] = {
    "en": {
        "core": "{name}: {n} layers, {params} B parameters{active}, {gb} GB of weights",
        "active": " ({active} B active, {used} of {of} experts)",
        "exact": "Read from the header of its file.",
        "guessed": "Its file is not here: made from what is known of its architecture and the size of its file.",
        "kv": "Keys and values for {n} tokens in {kind}: {shared} GB, shared by {roles} roles; {apart} GB if each read "
              "the prompt with weights of its own (a plain LoRA).",
        "adapters": "Adapters of {roles} roles: {gb} GB; an activated LoRA shares keys and values, a plain one does "
                    "not.",
        "windows": "{n} of {of} layers look back {window} tokens only; their keys and values are kept whole here, "
                   "since a copy or a cut needs what a window forgets.",
        "none": "Nothing fits. Take a smaller core, or one device more.",
        "best": "First choice: {what}.",
        "with": "{what}, with {change}",
        "head": "layout|fits|missing|smallest change|writes, tok/s|council, tok/s|reads, tok/s",
        "yes": "yes", "no": "no", "nothing": "nothing helps",
        "flash": "flash attention", "kv_type": "keys and values in {kind}", "context": "{n} tokens of context",
        "roles": "adapters of {n} roles at most",
        "one": "whole core on one card", "layers": "layers over all cards", "rows": "rows of each layer over all cards",
        "utility": "core on {n} of {of} cards, helpers on the rest", "replicas": "{n} cores, the roles shared out",
        "processor": "all on the processor", "both": "last layers on cards, the first on the processor",
        "legend": "█ weights  ▓ keys and values  ▒ scratch space  ░ adapters  · free",
        "bar": "{used} of {room} GB", "over": "{used} GB, {over} more than there is room for",
        "own": "Measured here ({report}, {when}): writes {writes}, reads {reads} tok/s.",
        "reported": "Others report ({report}, {when}): writes {writes}, reads {reads} tok/s.",
        "speed": "Speeds are expected ones, from bandwidth and arithmetic: low - middle - high; a council of "
                 "{members}. `twin bench run` measures.",
    },
    "ru": {
        "core": "{name}: слоёв {n}, {params} млрд параметров{active}, весов {gb} ГБ",
        "active": " (работают {active} млрд, экспертов {used} из {of})",
        "exact": "Прочитано из заголовка файла.",
        "guessed": "Файла здесь нет: посчитано по известному устройству ядра и размеру файла.",
        "kv": "Ключи и значения на {n} токенов в {kind}: {shared} ГБ, общие для ролей ({roles}); {apart} ГБ, если "
              "каждая читает запрос своими весами (обычная LoRA).",
        "adapters": "Адаптеры ролей ({roles}): {gb} ГБ; активируемая LoRA делит ключи и значения, обычная - нет.",
        "windows": "Слоёв, которые видят лишь {window} токенов: {n} из {of}; здесь их ключи и значения хранятся "
                   "целиком: копии или обрезке нужно то, что окно забывает.",
        "none": "Ничего не помещается. Возьми ядро поменьше или ещё одно устройство.",
        "best": "Первый выбор: {what}.",
        "with": "{what}; {change}",
        "head": "раскладка|входит|не хватает|наименьшая правка|пишет, ток/с|совет, ток/с|читает, ток/с",
        "yes": "да", "no": "нет", "nothing": "ничто не поможет",
        "flash": "flash attention", "kv_type": "ключи и значения в {kind}", "context": "контекст {n} токенов",
        "roles": "адаптеры не больше чем для {n} ролей",
        "one": "всё ядро на одной карте", "layers": "слои по всем картам", "rows": "строки слоёв по всем картам",
        "utility": "ядро на картах: {n} из {of}, помощники на остальных", "replicas": "ядер: {n}, роли поделены",
        "processor": "всё на процессоре", "both": "последние слои на картах, первые на процессоре",
        "legend": "█ веса  ▓ ключи и значения  ▒ рабочее место  ░ адаптеры  · свободно",
        "bar": "{used} из {room} ГБ", "over": "{used} ГБ, на {over} больше, чем есть",
        "own": "Измерено здесь ({report}, {when}): пишет {writes}, читает {reads} ток/с.",
        "reported": "Сообщают другие ({report}, {when}): пишет {writes}, читает {reads} ток/с.",
        "speed": "Скорости ожидаемые, из пропускной способности и арифметики: низ - середина - верх; в совете "
                 "голосов: {members}. Измеряет `twin bench run`.",
    },
}
_BAR = 40  # characters


def gb(bytes: float) -> str:
    """GB (1e9) with one digit, more for less than one."""
    return f"{bytes / 1e9:.1f}" if bytes >= 1e9 else f"{bytes / 1e9:.2f}"


def span(one: Range) -> str:
    """A range as low - middle - high."""
    return " - ".join(f"{value:.1f}" if value < 10 else f"{float(f'{value:.2g}'):,.0f}"
                      for value in (one.low, one.value, one.high))


def name(layout: Layout, language: str = "en") -> str:
    """What a layout is called."""
    cards = [part for part in layout.parts if not part.card.processor]
    return _WORDS[language][layout.kind].format(
        n=layout.replicas if layout.kind == "replicas" else sum(not part.others for part in cards), of=len(cards))


def change(changed: Mapping[str, Any], language: str = "en") -> str:
    """A change of what was wanted, in words."""
    words, said = _WORDS[language], []
    if changed.get("flash"):
        said.append(words["flash"])
    if "kv" in changed:
        said.append(words["kv_type"].format(kind=changed["kv"]))
    if "roles" in changed:
        said.append(words["roles"].format(n=changed["roles"]))
    if "context" in changed:
        said.append(words["context"].format(n=f"{changed['context']:,}"))
    return ", ".join(said)


def lines(plan: Plan, language: str = "en") -> list[str]:
    """What holds for every layout, and the first choice."""
    words, shape, want = _WORDS[language], plan.shape, plan.want
    active = words["active"].format(active=f"{shape.active / 1e9:.1f}", used=shape.n_used, of=shape.n_expert) \
        if shape.n_expert else ""
    said = [words["core"].format(name=shape.name, n=len(shape.layers), params=f"{shape.parameters / 1e9:.3g}",
                                 active=active, gb=gb(shape.bytes)),
            words["exact" if shape.exact else "guessed"],
            words["kv"].format(n=f"{want.context:,}", kind=want.kv, shared=gb(plan.shared), apart=gb(plan.apart),
                               roles=want.roles)]
    windows = [layer.window for layer in shape.layers if layer.window]
    if windows:
        said.append(words["windows"].format(n=len(windows), of=len(shape.layers), window=f"{max(windows):,}"))
    if plan.adapter_bytes:
        said.append(words["adapters"].format(roles=want.roles, gb=gb(plan.adapter_bytes)))
    return [*said, chosen(plan, language), words["speed"].format(members=min(MEMBERS, want.roles))]


def chosen(plan: Plan, language: str = "en") -> str:
    """The first choice, with the change it needs."""
    words, best = _WORDS[language], plan.best
    if best is None:
        return words["none"]
    of = next(one for one in plan.layouts if best in (one, one.instead))
    what = name(best, language)
    return words["best"].format(
        what=words["with"].format(what=what, change=change(of.change, language)) if of.change else what)


def known(report: str, own: bool, when: str, decode: float | None, prefill: float | None, language: str = "en") -> str:
    """One line of what was measured of this core."""
    writes, reads = (f"{value:.3g}" if value else "-" for value in (decode, prefill))
    return _WORDS[language]["own" if own else "reported"].format(report=report, when=when, writes=writes, reads=reads)


def table(plan: Plan, language: str = "en") -> list[list[str]]:
    """The layouts side by side, a row each, under a head."""
    words = _WORDS[language]
    rows = [words["head"].split("|")]
    for one in plan.layouts:
        told = one.instead or one
        rows.append([name(told, language), words["yes" if one.fits else "no"],
                     "" if one.fits else f"{gb(one.missing)} GB" if language == "en" else f"{gb(one.missing)} ГБ",
                     "" if one.fits else change(one.change, language) or words["nothing"],
                     span(told.speed.decode), span(told.speed.council), span(told.speed.prefill)])
    return rows


def picture(layout: Layout, language: str = "en") -> list[str]:
    """What lies on each device, as bars of one scale."""
    words, parts = _WORDS[language], layout.parts
    most = max(max(part.bytes, part.card.room) for part in parts)
    width = max(len(_label(part)) for part in parts)
    return [f"{name(layout, language)}", *(f"  {_label(part):{width}} {_bar(part, most)} {_told(part, words)}"
                                           for part in parts), f"  {words['legend']}"]


def _label(part: Part) -> str:
    return f"{part.card.name}: {', '.join(part.others)}" if part.others else part.card.name


def _bar(part: Part, most: int) -> str:
    """Each kind of bytes as its share of the largest device, what is free as dots."""
    drawn, upto = "", 0.0
    for sign, more in (("█", part.load.weights), ("▓", part.load.kv), ("▒", part.load.compute), ("░", part.adapters)):
        upto += more
        drawn += sign * (round(upto / most * _BAR) - len(drawn))
    return (drawn + "·" * (round(part.card.room / most * _BAR) - len(drawn))).ljust(_BAR)


def _told(part: Part, words: Mapping[str, str]) -> str:
    if part.missing:
        return words["over"].format(used=gb(part.bytes), over=gb(part.missing))
    return words["bar"].format(used=gb(part.bytes), room=gb(part.card.room))


def bars(plan: Plan, language: str = "en") -> tuple[list[tuple[str, tuple[float, ...], float]], list[str], str]:
    """What plots.stacked draws of a plan: a row for each device of each layout (label, GB of each kind, room), the
    kinds, and what the axis says."""
    rows: list[tuple[str, tuple[float, ...], float]] = []
    for one in plan.layouts:
        told = one.instead or one
        title = _WORDS[language]["with"].format(what=name(told, language), change=change(one.change, language)) \
            if one.change else name(told, language)
        rows.append((title, (), 0.0))
        rows += [(f"  {_label(part)}", tuple(n / 1e9 for n in (part.load.weights, part.load.kv, part.load.compute,
                                                               part.adapters)), part.card.room / 1e9)
                 for part in told.parts]
    kinds = [kind[2:] for kind in _WORDS[language]["legend"].split("  ")[:4]]
    return rows, kinds, "GB" if language == "en" else "ГБ"


def markdown(plan: Plan, language: str = "en") -> str:
    """The plan as a page: lines, table, the picture of its first choice."""
    rows = table(plan, language)
    drawn = ["| " + " | ".join(row) + " |" for row in rows]
    drawn.insert(1, "|" + " --- |" * len(rows[0]))
    best = plan.best
    shown = ["", "```", *picture(best, language), "```"] if best else []
    return "\n".join([*(f"{line}  " for line in lines(plan, language)), "", *drawn, *shown])
