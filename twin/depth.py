"""Question -> depth 1..7 with the signals that gave it: words and order of words only, Russian and English alike.

The ladder is the owner's (1 install it ... 4 make two parts work together ... 7 a system designs itself). It reads how a
question is built, never its topic or length: only the question's own clauses count, not the story around it.
Knows nothing of messages, stores or models. What the rules cannot see (irony, what the parts really are) stays unseen.
"""
from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

from twin.errors import UsageError
from twin.text import language, own_spans, sentences, stem
from twin.types import Depth

SIGNALS: Mapping[str, str] = {
    "Q": "sub-questions", "N": "nesting", "M": "parts named", "X": "links between parts", "C": "counterfactual",
    "S": "scope of a whole", "R": "self-reference", "E": "empirical demand", "A": "analogy or definition",
}

RULES: Mapping[str, tuple[int, str, str]] = {
    "self": (7, "something designs, judges or changes itself", "нечто проектирует, оценивает или меняет само себя"),
    "govern": (6, "directs a whole through several parts", "направляет целое через несколько частей"),
    "effects": (6, "a change is followed through two or more parts", "изменение прослежено через две части и больше"),
    "nested": (6, "three nested conditions around linked parts", "три вложенных условия вокруг связанных частей"),
    "shape": (5, "asks for the shape of a whole", "спрашивает об устройстве целого"),
    "trade": (5, "what if, over parts with resources or a trade-off", "«что если» о частях, с ресурсами или выбором"),
    "thinking": (5, "takes one's own way of thinking as the object", "берёт предметом собственный способ думать"),
    "joint": (4, "makes two or more parts work together", "заставляет части работать вместе"),
    "empirical": (4, "asks how something really went", "спрашивает, как было на самом деле"),
    "compare": (3, "compares or judges", "сравнивает или оценивает"),
    "mechanism": (3, "asks why or how one thing works", "спрашивает, почему или как это устроено"),
    "attach": (3, "attaches or extends one part", "присоединяет или расширяет одну часть"),
    "form": (3, "shapes one part", "придаёт форму одной части"),
    "condition": (2, "a procedure under a condition or resource", "способ сделать при условии или ресурсе"),
    "fact": (1, "one fact or the first step", "один факт или первый шаг"),
}

# ---- the little language of cues, also spoken by facets.toml -------------------------------------------------------


def plain(text: str) -> str:
    """Lower case, ё as е, one kind of quote, hyphen and space, no Markdown marks: what cues are matched against."""
    text = text.casefold().replace("ё", "е").replace("-", "-").replace("‑", "-").replace("’", "'")
    text = re.sub(r"[*_`#«»“”„\"]+", " ", re.sub(r"\s*[–—]\s*", " - ", text))
    return re.sub(r"\s+", " ", text).strip()


def cues(*phrases: str) -> re.Pattern[str]:
    """One pattern from phrases over `plain` text: `work* together`; `*` ends a stem, ` .. ` skips up to 60 characters
    inside the sentence, `re:` starts a raw regular expression."""
    parts = []
    for phrase in phrases:
        if phrase.startswith("re:"):
            parts.append(phrase[3:])
            continue
        words = [re.escape(word).replace(r"\*", r"\w*") for word in phrase.split()]
        parts.append(r"\b" + " ".join(words).replace(r" \.\. ", r"\b[^.?!]{0,60}?\b") + r"(?!\w)")
    return re.compile("|".join(parts))


# ---- is it a question? ---------------------------------------------------------------------------------------------

_GREETING = re.compile(
    r"^(?:(?:hi|hello|hey|ok|okay|so|well|and|but|please|now|then|thanks|also|quick question|question|привет|здравствуйте|"
    r"добрый день|скажи(?:те)?|пожалуйста|а|и|ну|но|так|вот|теперь|кстати|слушай(?:те)?|вопрос|короче|ладно|хорошо)"
    r"(?: (?:everyone|all|there|всем|все))?[ ,.!:-]+)+")
_AUX = r"(?:do|does|did|is|are|was|were|can|could|should|shall|would|will|has|have|had|am|may|might|must|to)"
_EN_START = (rf"(?:how|why|what|when|where|who|whom|which|whose) (?:\w+ )?(?:{_AUX})\b|how (?:many|much|long|often|come|far|"
             r"about)\b|what(?:'s| if| about| kind| time| happens| came)\b|why not\b|which (?:\w+ )?(?:is|one|should)\b")
_EN_ASK = (r"(?:can|could|would|will) (?:you|someone|anyone|we|i)\b|(?:please )?(?:explain|describe|tell me|show me|help me|"
           r"give me|compare|define|list|discuss|evaluate|analy[sz]e|summari[sz]e|suggest|recommend|propose|advise|outline|"
           r"clarify|design|translate|calculate|identify|state|assess|judge|justify|formulate|devise)\b|"
           r"i (?:wonder|want to (?:know|understand)|would like to know|need to know)\b|let me know\b|any (?:ideas?|tips?)\b")
_RU_WH = (r"(?:почему|зачем|отчего|сколько|куда|откуда|где|кто-нибудь|во сколько|насколько|"
          r"что такое|что будет|что, если|что если|а если|что лучше|что делать|что нужно|что значит|чем (?:лучше|отлича)\w*|"
          r"в чем (?:разниц|смысл|причин|отлич)\w*|из чего|за счет чего|каким образом|есть ли|[\w-]+ ли)\b|"
          r"как (?:[\w-]+ ){0,2}?[\w-]+(?:ть|ти|чь|ться|тись)\b|как (?:работа|устро|называ|действу)\w*|"
          r"как(?:ой|ая|ое|ие|ого|им|ую|ими|их) (?:\w+ ){0,2}?(?:лучше|должн|выбрать|нужн|бывают|самый)\w*")
_RU_ASK = (r"(?:подскаж|объясн|поясн|опиш|расскаж|покаж|помог|посовету|сравни|оцени|проанализир|перечисл|предлож|назов|"
           r"спроектируй|разбер|переведи|посчитай|уточни|дай)(?:и|ите|ете|й|йте)?(?:те)?\b|"
           r"(?:хочу|хотел[аи]? бы) (?:понять|узнать|спросить)\b|интересно,? (?:как|почему|что|есть)\b")
_START = re.compile(f"^(?:{_EN_START}|{_EN_ASK}|{_RU_WH}|{_RU_ASK})")
_MARK = re.compile(r"\?+(?=[\s\"'»”)\]!?*_]|$)")  # not the one inside an address


def is_question(text: str) -> bool:
    """True for a text that asks: a question mark in the writer's own words, or an interrogative or request start."""
    return any(_asks(text[a + b:a + c]) for a, d in own_spans(text) for b, c in sentences(text[a:d]))


def _asks(sentence: str) -> bool:
    return bool(_MARK.search(sentence) or _START.match(_GREETING.sub("", plain(sentence).lstrip("-•>. "))))


# ---- which words are the question? ---------------------------------------------------------------------------------

_RESUME = re.compile(  # the writer ends the story and asks
    r"(?:(?:but |so )?any(?:way|how)|(?:so )?my question(?: is)?|in short|long story short|the question is|короче(?: говоря)?|"
    r"в общем|так вот|вопрос (?:такой|вот в чем|в том)|собственно(?: вопрос)?|подскажите(?:,? пожалуйста)?)[ ,:-]+")
_OPEN = re.compile(rf"(?:^|[,;:(-] ?)(?:but |and |so |а |и |но |то )?(?:{_EN_START}|{_RU_WH}|{_RU_ASK}|if\b|если\b|when\b)")
_BACK = re.compile(r"\b(?:this|that|these|those|them|it|it's|its|there|это|этим|этого|этому|этой|этот|эти|их|ими|там|такое|"
                   r"оно|она|он|они|тогда|из этого|при этом)\b")
_STORY = 12  # words before the question's own clause that still may be its condition ("I have 2 TB, how do I ...")
_CONTEXT = 40  # words of a previous sentence that "this" may point back to


def _scope(sentence: str) -> str:
    """The plain clauses that ask, without a long story before them."""
    text = plain(sentence)
    for match in _RESUME.finditer(text):
        if _OPEN.match(text[match.end():]):
            return text[match.end():]
    opening = _OPEN.search(text)
    if opening is None or text[:opening.start()].count(" ") <= _STORY or _BACK.search(text[opening.start():]):
        return text
    return text[opening.start():].lstrip(",;:(- ")


def _candidates(text: str) -> tuple[list[tuple[int, int]], int, bool]:
    """Spans to rate, the number of questions, and whether the text is a thesis (nothing in it asks)."""
    asked: list[tuple[int, int]] = []
    said: list[tuple[int, int]] = []
    for left, right in own_spans(text):
        before: tuple[int, int] | None = None
        for a, b in sentences(text[left:right]):
            span = (left + a, left + b)
            if _asks(text[slice(*span)]):
                points_back = before is not None and _BACK.search(plain(text[slice(*span)])[:80])
                asked.append((before[0], span[1]) if before is not None and points_back else span)
                asked += [span] if points_back else []
            elif any(map(str.isalpha, text[slice(*span)])):
                said.append(span)
            short = text[slice(*span)].count(" ") <= _CONTEXT
            before = span if short and "\n\n" not in text[span[0]:span[1]] else None
    return (asked, len({end for _, end in asked}), False) if asked else (said, 0, True)


# ---- signals -------------------------------------------------------------------------------------------------------

_FUNCTION = frozenset((
    "a an the and or but nor so to of in on at by for from with without within through via across among between into onto "
    "over under about as than then if when while once unless because that this these those it its itself they them their "
    "themselves he she his her him who whom whose which what where why how i me my mine we us our you your one ones each "
    "other others another same own both all any some no not only just do does did done is are was were be been being am "
    "can could should would will shall may might must has have had get gets make makes made let lets keep run use used "
    "give gives put go goes went come came really actually ever please there here more most less few much many very too "
    "also out up off down again still rather instead together well good need needs want know tell explain describe happen "
    "happens happened work works working behind help helps learn learns order "
    "и или а но да ни не нет же ли бы то что чтобы как так где куда когда если пока потому поэтому почему зачем кто чем "
    "чего чему ком кого в во на над под при по за из от до для без с со у к ко о об про через между среди вместе это этот "
    "эта эти этого этой этом тот та те того той том он она оно они его ее их им ими нее него я мне меня мы нас нам ты вы "
    "мой моя мое мои моего моей моем свой своя свое свои своего своей сам сама само сами себя саму самого самому все всё "
    "весь вся всю всего есть был была было были быть будет будут можно нужно надо должен должна должно должны может могут "
    "только еще уже очень более больше менее меньше бол самый сделать делать работать работали работает работают какой "
    "какая какое какие какого каждый каждого каждой другой другие другому один одно одна лучше правильно получилось вышло"
).split())
_NUMBER = re.compile(
    r"\b\d+(?:[.,]\d+)?\w*|\b(?:two|three|four|five|six|seven|eight|nine|ten|twelve|twenty|hundred|thousand|dozen|half|"
    r"one (?!of|an|the|hel)\w+|дв(?:а|е|ух|ум|умя|оих)|тр(?:и|ех|ем|емя|оих)|четыр\w+|пят(?:ь|и|ью|ерых)|шест(?:ь|и|ерых)|"
    r"сем(?:ь|и|ью)|восем\w+|восьми|девят\w+|десят\w+|двадцат\w+|сорок\w*|ст[оа]|двухст\w+|тысяч\w*|половин\w+|полчаса|"
    r"полтор\w+|одн(?:а|у|ой|ом|им|ого|о)|один)\b")
_JOINT = cues(
    "together", "combin*", "integrat* .. with", "sync", "synchroni*", "each other", "one another", "one .. the other",
    "reconcil*", "align* .. with", "interact*", "interplay", "relationship* between", "interconnect*", "interdepend*",
    "balance between", "balance .. and", "connection* between", "link* between", "cooperat*", "side by side", "in tune with",
    "вместе", "совмест*", "совмеща*", "сочета*", "объедин*", "согласов*", "согласу*", "синхрон*", "друг с другом",
    "друг друг*", "друг от друга", "друг на друга", "одно .. друго*", "взаимо*", "увяза*", "подружить", "состыков*",
    "связать .. и", "связа* .. между собой", "соединить .. и", "соотношени* .. и", "баланс* между", "ужива*", "связь между")
_INFLUENCE = cues(
    "affect*", "influenc*", "impact* of", "impact on", "impacts", "depend* on", "depends", "dependen*", "consequence* for",
    "result* in", "re:\\b(?:that|this|it|they|will|would|does)(?: \\w+)? change(?! (?:my|your|his|her|a)\\b)(?!\\w)",
    "влия*", "повлия*", "завис*", "скаж*тся", "сказа*ся", "сказыва*ся", "отраз*", "отража*", "измен?т", "изменит", "изменят",
    "поменя?т", "поменяет", "действу* на", "воздейств*", "приведет к", "последстви* для")
_CONTRAST = cues("difference* between", "differ* between", "choose between", "разниц* между", "отлич* между", "выбор* между")
_WHAT_IF = cues("what if", "what would happen if", "what happens if", "what would change if", "suppose", "imagine",
                "что если", "что, если", "что будет, если", "что будет если", "что изменится", "а если", "представ*",
                "допустим", "предположим")
_IF = cues("if", "unless", "provided", "если", "при условии", "ежели")
_WHEN = cues("when", "while", "once", "as soon as", "during", "когда", "пока", "при", "во время", "после того")
_SO_THAT = cues("so that", "such that", "in order to", "чтобы", "так что", "котор*", "which", "that .. and")
_THEREFORE = cues("how (?:does|will|would|do|might|should)".replace("(?:", "re:\\bhow (?:") if False else
                  "re:\\bhow (?:does|will|would|might|should) (?:that|this|it|they)\\b", "re:\\bкак (?:это|тогда|они|оно)\\b",
                  "what .. then", "то как", "что тогда")
_WHOLE = cues(
    "architectur*", "system", "systems", "structure", "structures", "framework*", "strateg*", "curricul*", "ecosystem*",
    "organization", "organisation", "platform*", "methodolog*", "as a whole", "whole", "overall", "entire", "layout",
    "philosophy", "policy", "policies", "архитектур*", "систем*", "структур*", "стратег*", "экосистем*", "платформ*",
    "концепци*", "методик*", "методолог*", "как цел*", "в целом", "целиком", "единую", "единое", "единый", "единой",
    "учебн* программ*", "программ* развития", "общее устройство")
_SHAPE = cues(
    "form", "shape", "design*", "architect", "structur*", "organi?e", "organize*", "organise*", "build*", "create*",
    "construct*", "lay out", "plan", "planning", "develop*", "devise*", "formulat*", "conceiv*", "compose", "assembl*",
    "should .. look like", "should .. have", "should .. consist of", "сформир*", "формир*", "спроектир*", "проектир*",
    "выстро*", "выстраив*", "постро*", "строить", "создать", "создавать", "организовать", "организовывать", "разработ*",
    "структурир*", "сложить", "складыва*", "собрать", "собрана", "собран", "собрано", "оформ*", "придум*", "спланир*",
    "должн* быть", "должен быть", "должн* выглядеть")
_FORM = cues("design", "devise", "formulate", "compose", "invent", "спроектир*", "разработать", "сформулир*", "придумать",
             "сочинить", "изобрести")
_GOVERN = cues(
    "direct", "steer*", "govern*", "orchestrat*", "coordinat*", "rout*", "delegat*", "allocat*", "weigh*", "conduct",
    "manage", "managing", "lead", "guide", "distribut*", "balanc*", "rule", "направля*", "направить", "управля*", "руковод*",
    "координир*", "распредел*", "взвеш*", "маршрутизир*", "делегир*", "дирижир*", "вести", "возглав*")
_THROUGH = cues("through .. and", "via .. and", "across .. and", "among .. and", "by means of .. and", "with the help of .. and",
                "between .. and", "through", "через", "посредством", "с помощью .. и", "между .. и", "среди .. и", "по .. и")
_RESOURCE = cues(
    "money", "budget*", "cost*", "memory", "gpu*", "cards", "labo?r", "labor", "labour", "staff", "bandwidth", "hours",
    "people", "space", "energy", "load", "capacity", "time", "resource*", "деньг*", "денег", "бюджет*", "стоимост*", "памят*",
    "видеокарт*", "карт", "карты", "людей", "труд", "труда", "место", "сил", "энерги*", "нагрузк*", "ресурс*", "врем*", "затрат*")
_TRADE = cues("trade-off*", "tradeoff*", "traded off", "at the expense", "instead*", "the rest", "the other", "remaining",
              "rather than", "versus", "give up", "gave up", "sacrific*", "вместо", "остальн*", "за счет", "в ущерб", "отказаться от",
              "ценой", "пожертвова*", "компромисс*", "равновеси*")
_REALITY = cues("really", "actually", "in practice", "in reality", "in real life", "for real", "реально", "на самом деле",
                "на деле", "на практике", "в действительности", "в реальности", "фактически", "действительно", "взаправду")
_PAST = re.compile(r"\b(?:did|has|have|had|was|were|went|happened|worked|turned|\w{3,}ed)\b|"
                   r"\b\w{2,}(?:ал|ял|ил|ел|ыл|ул|шел|ала|яла|ила|ела|ала|ули|али|или|яли|ели|ыли|лись|лся|лась|лось)\b")
_OUTCOME = cues("what came out", "what happened when", "how did .. go", "how did .. turn out", "how did .. end", "what did .. find",
                "what were the results", "what .. results", "did .. work out", "measured whether", "any experience with",
                "что вышло", "что получилось", "что у них получилось", "что из этого", "чем .. кончилось", "чем .. закончилось",
                "какой результат", "какие результаты", "к чему привел*", "что в итоге", "какой опыт")
_VERIFY = cues("measure* whether", "measur* if", "verify", "verif* that", "test whether", "check whether", "check that", "prove that",
               "find out whether", "how do .. know whether", "re:\\b(?:провер|измер|замер|убеди)\\w*\\b[^.?!]{0,40}?(?:\\bли\\b|, что\\b|действительно)",
               "measur*", "benchmark*", "experiment*", "замер*", "измер*", "эксперимент*", "бенчмарк*")
_DEFINES = cues("not just .. but", "not only .. but", "is not .. it is", "not a .. but", "is like", "as if", "as though", "think of .. as",
                "as a kind of", "re:\\b\\w+ = \\w+", "не просто .. а", "не только .. но", "это не .. а", "словно", "как будто", "подобно",
                "похож* на", "по сути")
_THINKING = cues("my thinking", "my own thinking", "how i think", "way i think", "my mind works", "my way of thinking", "how do i think",
                 "мое мышление", "моего мышления", "моем мышлении", "мой способ думать", "как я думаю", "как я мыслю", "как у меня устроено мышление",
                 "мой образ мыслей", "моя манера думать")
