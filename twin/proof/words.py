"""The verdict in words, English and Russian: what was measured, on how much, and why it is not enough or is."""
from __future__ import annotations

from collections.abc import Mapping

_EN = {
    "accepted bits": "Better by {value:.3f} bits a token on {touched} of {n} texts of yours that it touches, and by at "
                     "least {low:.3f} with {level} certainty; nothing else got worse by more than the margin.",
    "accepted router": "{won} messages more go where you said, {lost} fewer, in {clusters} conversations (p = {p:.3f}) "
                       "and nothing else got worse by more than the margin.",
    "accepted feedback": "Answers are liked more than before with a probability of {value:.1%}, by {n} ratings in "
                         "{clusters} conversations; nothing else got worse by more than the margin.",
    "broken": "The map it makes cannot be read: {why}",
    "other map": "The map to be proven is not the one that the operation makes.",
    "worse first": "On {n} texts of the training part it is clearly worse ({value:.3f} bits a token).",
    "worse selected": "On {n} texts of the selection part it is worse ({value:.3f} bits a token); the proof set stays "
                      "closed.",
    "worse routes": "Of {n} messages of the selection part {lost} go wrong that went right, {won} the other way.",
    "few texts": "Too little to tell: it needs {items} texts in {talks} conversations to look at, of which it touches "
                 "{least} in {fewest}; there are {n} in {clusters}, touched {touched} in {where}.",
    "few labels": "Too little to tell: in {clusters} conversations of the proof set you said whom a message was for; "
                  "at least {least} are needed that differ.",
    "few changes": "Too little to tell: {changed} conversations show a difference; {least} all one way are needed.",
    "few ratings": "Too little to tell: {n} ratings of such answers since the change and {before} before it; {least} "
                   "of each, in {talks} conversations, are needed.",
    "no gain": "No gain: {value:.3f} bits a token on {touched} texts that it touches.",
    "no routes": "No gain: {won} messages more go where you said, {lost} fewer.",
    "small": "The gain of {value:.3f} bits a token is too small to be worth a change (at least {delta:.2f}).",
    "unsure": "Perhaps better, by {value:.3f} bits a token on {touched} texts, but it may be chance (lower bound "
              "{low:.3f} at {level}).",
    "unbounded": "Perhaps better, by {value:.3f} bits a token on {touched} texts, but in too few conversations "
                 "({where}) to be sure at {level}.",
    "unsure routes": "Perhaps better ({won} messages more, {lost} fewer), but it may be chance (p = {p:.3f}).",
    "unsure ratings": "Perhaps liked more, with a probability of {value:.1%} by {n} ratings in {clusters} "
                      "conversations; {level} are needed.",
    "placebo": "A neutral text of the same length does as well ({placebo:.3f} bits a token; this one {after:.3f}).",
    "others": "It costs too much elsewhere: {names}.",
    "no core": "It shows in what a core foresees, and there is no core here: fetch one, or try it out.",
    "no measure": "Nothing that was said before shows what it changes: try it out, and rate the answers.",
    "untouched": "Nothing you said or kept so far would be answered any differently: too little to tell.",
    "unsteady": "The core says another figure for the same text ({drift:.3f} bits apart): nothing can be proven by it.",
    "unchecked": "Not measured: {names}.",
    "router": "routes", "bits": "bits a token", "bits of next": "bits of your messages", "bits of kept":
    "bits of kept answers", "header tokens": "length of the instructions", "feedback": "ratings",
}
_RU = {
    "accepted bits": "Лучше на {value:.3f} бит на токен на {touched} из {n} ваших текстов, которые это затрагивает, и "
                     "не меньше чем на {low:.3f} с уверенностью {level}; остальное не стало хуже больше допустимого.",
    "accepted router": "Туда, куда вы сказали, идут на {won} сообщений больше и на {lost} меньше, разговоров: "
                       "{clusters} (p = {p:.3f}); остальное не стало хуже больше допустимого.",
    "accepted feedback": "Ответы нравятся больше, чем раньше, с вероятностью {value:.1%}; оценок: {n}, разговоров: "
                         "{clusters}; остальное не стало хуже больше допустимого.",
    "broken": "Карта, которая получается, не читается: {why}",
    "other map": "Проверяемая карта - не та, которую делает операция.",
    "worse first": "На {n} текстах обучающей части она явно хуже ({value:.3f} бит на токен).",
    "worse selected": "На {n} текстах отборочной части она хуже ({value:.3f} бит на токен); проверочная часть не "
                      "открывалась.",
    "worse routes": "Из {n} сообщений отборочной части {lost} пошли не туда, а раньше шли верно, {won} наоборот.",
    "few texts": "Данных мало: нужно {items} текстов в {talks} разговорах, из них затронутых {least} в {fewest}; есть "
                 "{n} в {clusters}, затронуто {touched} в {where}.",
    "few labels": "Данных мало: в проверочной части вы сказали, кому было сообщение, в разговорах числом {clusters}; "
                  "нужно не меньше {least}, и с различием.",
    "few changes": "Данных мало: разница видна в разговорах числом {changed}; нужно {least}, и все в одну сторону.",
    "few ratings": "Данных мало: таких оценок после изменения {n}, до него {before}; нужно тех и других не меньше "
                   "{least}, разговоров не меньше {talks}.",
    "no gain": "Выигрыша нет: {value:.3f} бит на токен на затронутых текстах числом {touched}.",
    "no routes": "Выигрыша нет: верных сообщений больше на {won}, меньше на {lost}.",
    "small": "Выигрыш {value:.3f} бит на токен мал, чтобы ради него менять карту (нужно не меньше {delta:.2f}).",
    "unsure": "Возможно, лучше: на {value:.3f} бит на токен на {touched} текстах, но это может быть случайность "
              "(нижняя граница {low:.3f} при {level}).",
    "unbounded": "Возможно, лучше: на {value:.3f} бит на токен на {touched} текстах, но разговоров слишком мало "
                 "({where}) для уверенности {level}.",
    "unsure routes": "Возможно, лучше (сообщений больше на {won}, меньше на {lost}), но это может быть случайность "
                     "(p = {p:.3f}).",
    "unsure ratings": "Возможно, нравится больше: с вероятностью {value:.1%}, оценок {n}, разговоров {clusters}; нужно "
                      "{level}.",
    "placebo": "Нейтральный текст той же длины не хуже ({placebo:.3f} бит на токен, этот {after:.3f}).",
    "others": "Слишком дорого обходится другое: {names}.",
    "no core": "Это видно по тому, что предсказывает ядро, а ядра здесь нет: загрузите его или попробуйте так.",
    "no measure": "По сказанному раньше не видно, что это меняет: попробуйте и оценивайте ответы.",
    "untouched": "Ничто из сказанного и оставленного вами не получило бы другого ответа: данных мало.",
    "unsteady": "Ядро даёт для одного текста разные числа (разница {drift:.3f} бит): этим ничего не доказать.",
    "unchecked": "Не измерено: {names}.",
    "router": "маршруты", "bits": "биты на токен", "bits of next": "биты ваших сообщений", "bits of kept":
    "биты оставленных ответов", "header tokens": "длина указаний", "feedback": "оценки",
}
WORDS: Mapping[str, Mapping[str, str]] = {"en": _EN, "ru": _RU}
_MORE = {"en": "It takes about {n} more messages of yours.", "ru": "Нужно ещё примерно столько ваших сообщений: {n}."}


def said(name: str, needed: int = 0, unchecked: tuple[str, ...] = (), **figures: object) -> dict[str, str]:
    """A reason by language. `names` among the figures are metrics, named in each language; `level` is a share."""
    if isinstance(level := figures.get("level"), float):
        figures["level"] = f"{100 * level:.6g}%"
    found = {}
    for tongue, words in WORDS.items():
        def named(metrics: object, words: Mapping[str, str] = words) -> str:
            return ", ".join(words[one] for one in metrics) if isinstance(metrics, tuple) else str(metrics)

        figured = {key: named(value) if key == "names" else value for key, value in figures.items()}
        parts = [words[name].format(**figured)]
        parts += [_MORE[tongue].format(n=needed)] if needed else []
        parts += [words["unchecked"].format(names=named(unchecked))] if unchecked else []
        found[tongue] = " ".join(parts)
    return found
