"""Which words of a text ask: is it a question, which sentences, which clauses. Russian and English, by form alone.

Knows cues and sentences; what a question is worth is depth.py's business.
"""
from __future__ import annotations

import re

from twin.cues import plain
from twin.text import own_spans, sentences

Span = tuple[int, int]  # code points, end exclusive

_GREETING = re.compile(
    r"^(?:(?:hi|hello|hey|ok|okay|so|well|and|but|please|now|then|thanks|quick question|question|привет|здравствуйте|"
    r"добрый день|скажи(?:те)?|пожалуйста|а|и|ну|но|так|вот|теперь|кстати|слушай(?:те)?|вопрос|короче|ладно|хорошо)"
    r"(?: (?:everyone|all|there|всем|все))?(?:[ ,.!:-]+|$))+")
_AUX = "(?:do|does|did|is|are|was|were|can|could|should|shall|would|will|has|have|had|am|may|might|must|to)"
_ENGLISH = (
    rf"(?:how|why|what|when|where|who|which|whose) (?:\w+ )?{_AUX}\b|how (?:many|much|long|often|come|far|about)\b|"
    r"what(?:'s| if| about| kind| time| happen\w+| came| really)\b|why not\b|"
    r"(?:can|could|would|will) (?:you|someone|anyone|we|i)\b|has anyone\b|is (?:it|there)\b|"
    r"(?:explain|describe|tell me|show me|help me|give me|compare|define|list|discuss|evaluate|analy[sz]e|"
    r"summari[sz]e|suggest|recommend|propose|advise|outline|clarify|design|translate|calculate|identify|assess|judge|"
    r"justify|formulate|devise)\b|"
    r"i (?:wonder|want to (?:know|understand)|would like to know|need to know)\b|any (?:ideas|tips)\b")
_RUSSIAN = (
    r"(?:почему|зачем|отчего|сколько|куда|откуда|где|кто-нибудь|во сколько|насколько|что такое|что будет|что,? если|"
    r"а если|что лучше|что делать|что нужно|что значит|чем (?:лучше|отлича\w*)|в чем (?:разниц|смысл|причин|отлич)\w*|"
    r"из чего|за счет чего|каким образом|есть ли|[\w-]+ ли)\b|"
    r"как (?:[\w-]+ ){0,2}?[\w-]+(?:ть|ти|чь|ться|тись)\b|как (?:работа|устро|называ|действу)\w*|"
    r"как(?:ой|ая|ое|ие|ого|им|ую|ими|их) (?:\w+ ){0,2}?(?:лучше|должн|выбрать|нужн|бывают)\w*|"
    r"(?:подскаж|объясн|поясн|опиш|расскаж|покаж|помог|посовету|сравн|оцен|проанализир|перечисл|предлож|назов|"
    r"спроектиру|разбер|перевед|посчита|уточн|да)(?:и|ите|й|йте)\b|"
    r"(?:хочу|хотел[аи]? бы) (?:понять|узнать|спросить)\b|интересно,? (?:как|почему|что|есть)\b")
_START = re.compile(f"(?:{_ENGLISH}|{_RUSSIAN})")
_MARK = re.compile(r"\?+(?=[\s\"'»”)\]!?*_]|$)")  # a question mark inside an address asks nothing

_RESUME = re.compile(  # the story ends here and the question begins
    r"(?:\bany(?:way|how)|\bmy question(?: is)?|\bin short|\bthe question is|\bкороче(?: говоря)?|\bв общем|\bтак вот|"
    r"\bвопрос (?:такой|вот в чем|в том)|\bсобственно|\bподскажите(?:,? пожалуйста)?)[ ,:-]+")
_OPEN = re.compile(  # a clause that asks, or the condition that belongs to it
    rf"(?:^|[,;:(-] ?)(?:but |and |so |а |и |но |то )?(?:{_START.pattern}|if\b|если\b|when\b)|"
    r": (?:in |at |to |в |на |по |с |к |о )?"
    r"(?:which|what|who|where|how|why|что|чем|как|как(?:ой|ая|ое|ую|им|ом|ие)|где|кто|кому)\b")
_BACK = re.compile(r"\b(?:this|that|these|those|them|it|its|это|этим|этого|этому|этой|этот|эти|их|ими|такое|тогда)\b")
_STORY = 12    # a longer run of words before the asking clause is a story; a shorter one may be its condition
_CONTEXT = 40  # a longer previous sentence is not what "this" points back to


def is_question(text: str) -> bool:
    """True for a text that asks: a question mark in the writer's own words, or an interrogative or request start."""
    return any(asks(text[a + b:a + c]) for a, d in own_spans(text) for b, c in sentences(text[a:d]))


def asks(sentence: str) -> bool:
    """The same for one sentence."""
    return bool(_MARK.search(sentence) or _START.match(_GREETING.sub("", plain(sentence).lstrip("-•>. "))))


def asked(text: str) -> tuple[list[Span], list[Span]]:
    """Spans of the own sentences that ask, and of all others.

    A question that points back ('how does this change ...') also comes together with the sentence before it.
    """
    questions: list[Span] = []
    statements: list[Span] = []
    for left, right in own_spans(text):
        before: int | None = None
        for a, b in sentences(text[left:right]):
            start, end = left + a, left + b
            sentence = text[start:end]
            if asks(sentence):
                if before is not None and _BACK.search(plain(sentence)[:80]):
                    questions.append((before, end))
                questions.append((start, end))
            elif any(map(str.isalpha, sentence)):
                statements.append((start, end))
            before = start if sentence.count(" ") <= _CONTEXT else None
    return questions, statements


def clauses(sentence: str) -> str:
    """The plain clauses of a sentence that ask, without a long story before them: length must not look like depth."""
    text = plain(sentence)
    for match in _RESUME.finditer(text):
        if _START.match(text, match.end()):
            return text[match.end():]
    opening = _OPEN.search(text)
    if opening is None or text[:opening.start()].count(" ") <= _STORY or _BACK.search(text, opening.end()):
        return text
    return text[opening.start():].lstrip(",;:(- ")
