"""Parts of a text that are not its writer's own words: code, quotes, chats copied from elsewhere, pasted dumps.

Told by the form of lines alone, Russian and English alike. Where a mark says "from here on" and nothing says where it
ends, the rest is taken for foreign: lost words are the smaller fault. Without such a mark a text stays its writer's.
Knows nothing of messages. Every step takes time linear in the text: patterns see the start of a line, or cannot step
back over what they took.
"""
from __future__ import annotations

import re
import tomllib
from functools import lru_cache
from importlib.resources import files

Span = tuple[int, int, str]  # code points of the NFC text, end exclusive; kind: code, quoted, copied, pasted

NAMED_WORDS = 40     # words in a block under "summarize this article" that make it a pasted text
ASKED_LENGTH = 600   # characters after "translate:" from which they are no phrase of one's own
TOLD_LENGTH = 200    # ... after "he wrote:", and between quotation marks
_LOOK = 300          # characters of a line that are looked at
_DUMP = 3            # weight of lines in a row that makes code of them
_ROWS = {"|": 5, "\t": 4, ";": 4, ",": 4, "0": 8}  # rows in a row that make a table

_DIGIT, _LETTER = re.compile(r"\d"), re.compile(r"[^\W\d_]")
_FENCE = re.compile(r"`{3,}|~{3,}")
_INFO = re.compile(r"[\w+#.-]*[ \t]*(?:\n|\Z)")  # what may follow a fence that opens inside a line
_QUOTES = re.compile(rf"«[^«»]{{{TOLD_LENGTH},}}+»|“[^“”]{{{TOLD_LENGTH},}}+”|„[^„“”]{{{TOLD_LENGTH},}}+[“”]"
                     r"|(?:(?<=[\s(])|^)\"[^\"]*+\"(?![^\s.,;:!?)])")
_NUMBERS = re.compile(r"(?<!\d)(?:\d++[^\w\n]++){60,}+\d*+")  # ten times more than a telephone or a date has

_SHAPES = {
    # mail
    "forward": r"(?i:-{2,} ?(?:(?:forwarded|original) message|(?:исходное|пересылаемое|пересланное|перенаправленное) "
               r"сообщение) ?-*$|begin forwarded message:|начало пере(?:адресованного|сылаемого) (?:сообщения|письма):|"
               r"forwarded from \S.{0,60}$|переслано от \S.{0,60}$)",
    "header": r"[*_]{0,2}(?:From|Sent|To|Subject|Date|Cc|Bcc|Reply-To|Message-ID|Received|Return-Path|MIME-Version|"
              r"Content-Type|От|От кого|Отправлено|Отправитель|Кому|Копия|Тема|Дата)[*_]{0,2}:[*_]{0,2}\s",
    # the page of a chat
    "interface": r"(?i:copy code$|(?:с?копировать) код$|regenerate(?: response)?$|\[no (?:text )?content(?: found)?\]$|"
                 r"(?:chatgpt|claude|gemini|copilot) (?:can make|may make|может допускать) .{0,99}$|<!-- UID:.*-->$|"
                 r"(?:thought|reasoned) for .{0,20}(?:seconds?|minutes?|\ds)$|searched \d+ sites$|"
                 r"(?:думал|размышлял[аи]?) .{0,20}(?:секунд|минут)\w?$)",
    "machine": r"(?:ChatGPT|Claude|Gemini|Copilot|DeepSeek|Grok) (?:said|сказал(?:а|\(а\))?) ?:$",
    "you": r"(?:You said|Вы сказали) ?:$",
    # what machines write
    "trace": r"Traceback \(most recent|File \".*\", line \d|at [\w$]+(?:[.$/][\w$<>]+)+\(.*\)$|at .*:\d+:\d+\)?$|"
             r"\w*(?:Error|Exception): |Caused by: |Exception in thread|panic: |goroutine \d",
    "log": r"\[?\d{4}[-/.]\d\d[-/.]\d\d[T ]\d\d:\d\d:\d\d|\[?\d\d:\d\d:\d\d[].,]|[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d |"
           r"\[?(?:INFO|WARN|WARNING|ERROR|DEBUG|TRACE|FATAL|CRITICAL)[]:|]|\d{1,3}(?:\.\d{1,3}){3} - ",
    "tag": r"</?(?:html|head|body|div|table|t[rdh]|script|style|meta|link|section|p|[uo]l|li|span|a|img|input|form|"
           r"h[1-6]|button|svg|path|nav|main|header|footer|label|option|select|title|!doctype|\?xml)\b[^<>]*+>|<!--",
    "json": r"[\[{] *[\"{\[].*[\]},]$|[\[{]$|\"[\w$.-]+\" ?:\s*(?:[\"{\[\d-]|true|false|null)",
    "code": r"from [\w.]+ import |import [\w.]+(?:, [\w.]+)*;?$|import .* (?:as \w+|from ['\"].*)$|using [\w.: ]+;|"
            r"#(?:include|define|pragma|ifdef|endif|!/)|package [\w.]+;?$|<\?php|(?:async )?def \w+\(|"
            r"class \w+[^.?!]*[:{]$|"
            r"(?:if|elif|while|with|except|switch|catch|for)\b(?>[^.?!]*?(?:[=<>!]=|[<>()\[\]_]| in )).*[:{]$|"
            r"(?:else|try|finally|do|} ?else) ?[:{]$|return(?: \S+)?;?$|return\b.*[;)\]}]$|"
            r"(?:const|let|var|val|auto|int|float|double|char|bool|void|long|public|private|protected|static|final|async|"
            r"export|await|yield|throw|raise|assert|function|func|fn|pub|struct|enum|interface|impl|namespace|typedef)\b"
            r".*[;{(=)}\[\]]|(?:SELECT|INSERT INTO|UPDATE|DELETE FROM|CREATE|ALTER|DROP|FROM|WHERE|GROUP BY|ORDER BY|"
            r"(?:(?:LEFT|INNER) )?JOIN|VALUES|LIMIT) [\w*(\"'`]|"
            r"[A-Za-z_][\w.[\]\"'$]*+(?: ?: ?[A-Za-z][\w[\], ]*+)? ?(?:[-+*/|&%]=|:?=)(?!=).*[\[\](){}'\".;]|"
            r"[A-Za-z_][\w.$]*+\(.*\)[;:,]?$|"
            r"\$ \S|PS [A-Z]:\\|[A-Z]:\\\S*>|[\w.-]+@[\w.-]+[:~]\S*[$#] |"
            r"(?:sudo|pip3?|npm|npx|git|docker|kubectl|apt-get|brew|curl|wget|conda|cargo) \S",
    # weighs nothing, but may stand in code
    "closer": r"[)\]}]+[;,)]*$|end;?$",
    "weak": r"//|#|/?\*|--|@\w|\"|'|<|[A-Za-z_]\w* ?= ?\S+$",
}
_SHAPE = re.compile("|".join(f"(?P<{name}>{pattern})" for name, pattern in _SHAPES.items()))
_COPY = ("copy code", "копировать код")
_CODE_ENDS = ("){", ") {", ");", "=>", "},", '"],', "};")
_WEIGHT = {"trace": 2, "log": 1, "tag": 1, "json": 1, "code": 1, "dump": _DUMP}

_DATE, _TIME = r"\d{1,2}[./]\d{1,2}[./]\d{2,4}", r"\d{1,2}:\d\d(?::\d\d)?"
# "Anna, [30.06.2025 12:07]" or "Anna, 30.06.2025 12:07:" on a line of its own, as messengers copy it, then what Anna
# said; "[30.06.25, 12:07] Anna: hi" of WhatsApp; "Anna - Today at 12:07" of Discord, with a long dash.
_CHAT = re.compile(rf".{{1,60}}?(?:, \[?| \[){_DATE},? {_TIME}\]?:?$|.{{1,40}}? \u2014 "
                   rf"(?:Today|Yesterday|Сегодня|Вчера|{_DATE}),?(?: at| в)? {_TIME}(?: [AP]M)?$")
_DAY = r"\d{1,2}[./]\d{1,2}(?:[./]\d{2,4})?"  # a messenger leaves out the year of this year
_HOUR = rf"{_TIME}(?:\s[AaPp]\.?[Mm]\.?)?"
_WHATSAPP = re.compile(rf"(?:\[(?:{_DAY},? {_HOUR}|{_HOUR},? {_DAY})\] |{_DATE}, {_HOUR} - )[^:]{{1,60}}: ")

_WROTE = re.compile(r"(?:\b(?:wrote|writes|пиш[еу]т|писала?|написала?|schrieb)|<[^\s<>@]+@[^\s<>]+>) ?:$")
_FORUM = re.compile(r"писал\(а\) ?:$")
_MOMENT = re.compile(r"\d{1,2}[:.]\d\d|\b\d{4}\b")
_SELF = re.compile(r"\b(?:я|мы|i|we)\b", re.IGNORECASE)
_TOLD = re.compile(r"\b(?:wrote|writes|sent|replied|texted|messaged|answered|(?:на)?писал[аи]?|пиш[еу]т|прислал[аи]?|"
                   r"ответил[аи]?|отвеча[ею]т|переслал[аи]?|скинул[аи]?)\b", re.IGNORECASE)
_OWN = re.compile(r"\b(?:my|mine|our|i (?:wrote|think|mean|believe|understand)|ideas?|plan|мо[йяеёию]\w{0,2}|наш\w*|"
                  r"сво[йяеёию]\w{0,2}|я (?:на)?(?:писал|дума|понима|понял|счита)\w*|иде[яюейи]+|план\w*|мысл\w+)\b",
                  re.IGNORECASE)  # what follows is the writer's after all
_LIST = re.compile(r"(?:[-*•\u2014]|\d{1,2}[.)])\s")  # one's own questions, one by one


def foreign_spans(text: str) -> list[Span]:
    """What is not the writer's own, as disjoint sorted spans (start, end, kind)."""
    if not text.strip():
        return []
    spans = _fences(text)
    page = _Page(text, spans)
    if "\n" in text or page.shapes[0] or text[0] == "[":
        for find in (_interface, _mail, _chats, _runs, _tables):
            find(page)
        spans += [(start, start + len(line), kind)
                  for start, line, kind in zip(page.starts, page.lines, page.kinds, strict=True) if kind and line]
    if len(text) > TOLD_LENGTH:
        spans += _block(page) or _named(page)
        if any(map(text.__contains__, "«“„\"")):
            spans += [(*match.span(), "quoted") for match in _QUOTES.finditer(text)
                      if match.end() - match.start() > TOLD_LENGTH]
        if _digits(text) > TOLD_LENGTH / 4:
            spans += [(*match.span(), "pasted") for match in _NUMBERS.finditer(text)]
    return _disjoint(text, spans)


def foreign_kinds(text: str) -> tuple[str, ...]:
    """The kinds of foreign parts in a text, sorted: flags of the message."""
    return tuple(sorted({kind for _, _, kind in foreign_spans(text)}))


def _disjoint(text: str, spans: list[Span]) -> list[Span]:
    """Sorted; what two claim goes to the one that begins first; neighbours of one kind become one span."""
    kept: list[Span] = []
    for start, end, kind in sorted(spans):
        start = max(start, kept[-1][1]) if kept else start
        if start >= end:
            continue
        if kept and kept[-1][2] == kind and not text[kept[-1][1]:start].strip():
            kept[-1] = (kept[-1][0], end, kind)
        else:
            kept.append((start, end, kind))
    return kept


def _fences(text: str) -> list[Span]:
    """Fenced code. A fence left open runs to the end, unless it stands inside a line, where it is a mere mention."""
    marks = list(_FENCE.finditer(text)) if "```" in text or "~~~" in text else []
    spans: list[Span] = []
    opened = ""
    start = 0
    for number, match in enumerate(marks):
        at, end, mark = match.start(), match.end(), match.group()
        indent = max(text.rfind("\n", max(0, at - 40), at) + 1, at - 40, 0)
        begins = (indent == 0 or text[indent - 1] == "\n") and not text[indent:at].strip()
        ends = _INFO.match(text, end) is not None
        if opened:
            if mark.startswith(opened) and (ends or (begins and text[end:end + 1].isspace())
                                            or text.find("\n", start, at) < 0):
                spans.append((start, end, "code"))
                opened = ""
            continue
        paired = number + 1 < len(marks) and text.find("\n", end, marks[number + 1].start()) < 0
        if begins or (mark[0] == "`" and (paired or ends)):
            opened, start, alone = mark, indent if begins else at, begins
    if opened and alone:
        spans.append((start, len(text), "code"))
    return spans


class _Page:
    """The lines of a text: where they start, their shapes, and the kinds they were found to be ('' for one's own)."""

    def __init__(self, text: str, fences: list[Span]) -> None:
        self.text = text
        self.lines = text.split("\n")
        self.starts: list[int] = []
        self.shapes: list[str] = []
        at = number = 0
        for line in self.lines:
            self.starts.append(at)
            while number < len(fences) and fences[number][1] <= at:
                number += 1
            fenced = number < len(fences) and fences[number][0] <= at + len(line)
            self.shapes.append("fence" if fenced else _shape(line))
            at += len(line) + 1
        self.kinds = ["quoted" if shape == "quote" else "" for shape in self.shapes]

    def mark(self, first: int, last: int, kind: str) -> None:
        """Lines first..last, but those that are something already."""
        self.kinds[first:last + 1] = [had or kind for had in self.kinds[first:last + 1]]

    def after(self, number: int) -> int | None:
        """The first line with words from this one on."""
        return next((i for i in range(number, len(self.shapes)) if self.shapes[i] != "blank"), None)

    def paragraph(self, number: int) -> int:
        """The last line of the paragraph that begins here; one less when none does."""
        return next((i for i in range(number, len(self.shapes)) if self.shapes[i] == "blank"), len(self.shapes)) - 1


def _shape(line: str) -> str:
    """What a line looks like; '' for prose."""
    if not line:
        return "blank"
    bare = line[:_LOOK].strip()
    if not bare:
        return "blank" if not line.strip() else ""
    if bare[0] == ">":
        return "quote"
    match = _SHAPE.match(bare)
    if match is not None:
        shape = match.lastgroup or ""
        many = (shape == "tag" and bare.count("<") > 4) or (shape == "json" and bare.count('":') > 2)
        return "dump" if many else shape
    if bare.endswith(_CODE_ENDS):
        return "code"
    return "weak" if line[:2].isspace() or line[0] == "\t" else ""


def _interface(page: _Page) -> None:
    """What the page of a chat adds when it is copied, the machine's answers, and the code under a "Copy code"."""
    machines = "machine" in page.shapes
    answering = False
    for number, shape in enumerate(page.shapes):
        answering = shape == "machine" or (answering and shape != "you")
        if page.kinds[number]:
            continue
        if shape == "interface" and page.lines[number].strip().casefold().endswith(_COPY):
            before = page.lines[number - 1].strip() if number else ""
            named = before.isascii() and before.isalpha() and before.islower()
            page.mark(number - named, page.paragraph(number + 1), "code")
        elif shape == "interface" or answering or (machines and shape == "you"):
            page.mark(number, number, "copied")


def _mail(page: _Page) -> None:
    """Forwarded and answered mail: from its first mark on to the end, or only the `>` lines where there are some."""
    end = len(page.shapes) - 1
    for number, shape in enumerate(page.shapes):
        if shape == "forward" or (shape == "header" and _is_head(page, number)):
            page.mark(number, end, "quoted")
            return
        if shape in ("fence", "blank") or page.kinds[number] or page.lines[number][-1] not in ": \t":
            continue
        first = _attribution(page, number)
        if first is None:
            continue
        page.mark(first, number, "quoted")
        after = page.after(number + 1)
        if after is None or page.shapes[after] == "quote":
            continue
        forum = _FORUM.search(page.lines[number].strip()) and not _MOMENT.search(page.lines[number][:_LOOK])
        page.mark(after, page.paragraph(after) if forum else end, "quoted")
        if not forum:
            return


def _is_head(page: _Page, number: int) -> bool:
    """Whether mail headers begin here: three in a row, or two with an address."""
    count = next((i for i, shape in enumerate(page.shapes[number:number + 3]) if shape != "header"), 3)
    return count == 3 or (count == 2 and "@" in page.lines[number] + page.lines[number + 1])


def _attribution(page: _Page, number: int) -> int | None:
    """The first line of "On ... Anna wrote:" that ends here; it may be broken once. None when it is none."""
    line = page.lines[number].strip()
    if len(line) > _LOOK or not line.endswith(":"):
        return None
    if _FORUM.search(line):
        return number
    if not _WROTE.search(line) or _SELF.search(line):
        return None
    if _MOMENT.search(line):
        return number
    before = page.lines[number - 1].strip() if number else ""
    return number - 1 if len(before) <= _LOOK and before.startswith(("On ", "В ")) and _MOMENT.search(before) else None


def _chats(page: _Page) -> None:
    """Messages copied from a messenger. Nothing marks where the last one ends."""
    for number, line in enumerate(page.lines):
        if len(line) < 12 or page.shapes[number] in ("fence", "quote"):
            continue
        bare = line[:_LOOK].strip()
        first, last = bare[:1], bare[-1:]
        if (((last.isdigit() or last in "]:M") and _CHAT.match(bare))
                or ((first.isdigit() or first == "[") and _WHATSAPP.match(bare))):
            page.mark(number, len(page.shapes) - 1, "copied")
            return


def _runs(page: _Page) -> None:
    """Lines of code, logs, traces, JSON and HTML that weigh enough together; two blank lines may stand between."""
    first = last = -1
    weight = 0
    for number, shape in enumerate([*page.shapes, ""]):
        if shape in _WEIGHT:
            first, weight = (number, 0) if first < 0 else (first, weight)
            weight, last = weight + _WEIGHT[shape], number
        elif first < 0:
            continue
        elif shape == "closer" and last == number - 1:
            last = number
        elif shape not in ("weak", "closer", "interface") and not (shape == "blank" and number - last <= 2):
            if weight >= _DUMP:
                page.mark(first, last, "code")
            first = -1


def _tables(page: _Page) -> None:
    """Rows of CSV, tables and bare numbers."""
    if not any(page.text.count(mark) >= 4 for mark in "\t;,|") and _digits(page.text) < _ROWS["0"]:
        return
    before, first = "", 0
    for number, shape in enumerate([*page.shapes, "blank"]):
        row = "" if shape in ("fence", "quote", "blank") else _row(page.lines[number].strip())
        if row != before:
            if before and number - first >= _ROWS[before[0]]:
                page.mark(first, number - 1, "pasted")
            before, first = row, number


def _row(line: str) -> str:
    """The mark between the cells of a row and how many there are; '' for prose."""
    if line[:1] == line[-1:] == "|" and len(line) > 2:
        return "|"
    for mark in "\t;,":
        count = line.count(mark)
        if count > (mark != "\t") and (mark == "\t" or f"{mark} " not in line):
            return f"{mark}{count}"
    return "0" if not line[:1].isalpha() and _DIGIT.search(line) and not _LETTER.search(line) else ""


def _digits(text: str) -> int:
    return sum(map(text.count, "0123456789"))


def _block(page: _Page) -> list[Span]:
    """A long text under a line that asks to work on it or says whose words follow, or behind the colon in that line."""
    final, before, end = _ending(page)
    for number, line in enumerate(page.lines):
        if len(page.text) - page.starts[number] < TOLD_LENGTH:
            break
        colon = line.find(":", 0, _LOOK) + 1
        alone = colon > 0 and not line[colon:].strip()
        if not (alone or (colon and len(line) >= ASKED_LENGTH)) or page.kinds[number] or page.shapes[number] == "fence":
            continue
        head = line[:colon].strip()
        asked = _requests("asked").search(head.lower()) and not _OWN.search(head)
        if not asked and not (alone and _TOLD.search(head) and not _SELF.search(head)):
            continue
        after = page.after(number + 1) if alone else number
        if after is None or (alone and _LIST.match(page.lines[after].lstrip())):
            continue
        start = page.starts[after] if alone else page.starts[number] + colon
        if asked and (stop := before if final > after else end) - start >= ASKED_LENGTH:
            return [(start, stop, "pasted")]
        last = page.paragraph(after)
        if not asked and (stop := page.starts[last] + len(page.lines[last])) - start >= TOLD_LENGTH:
            return [(start, stop, "quoted")]
    return []


def _named(page: _Page) -> list[Span]:
    """The block under a short line that asks to work on a text, or over one that ends the message; no colon needed."""
    gate, names, points, opens = map(_requests, ("gate", "names", "points", "first_person"))
    final, before, end = _ending(page)
    asking = [number for number, line in enumerate(page.lines)
              if line and len(line) <= TOLD_LENGTH and not page.shapes[number] and not page.kinds[number]
              and gate.search(low := line.strip().lower())
              and (names.search(low) or points.search(low)) and not _OWN.search(line)]
    for number in asking:
        after = page.after(number + 1)
        if after is None or number == final or _LIST.match(page.lines[after].lstrip()):
            continue
        start, stop = page.starts[after], before if final > after else end
        first = page.text[start:start + TOLD_LENGTH].lower()
        named = names.search(page.lines[number].strip().lower()) or not opens.search(first)
        if named and len(page.text[start:stop].split()) >= NAMED_WORDS:
            return [(start, stop, "pasted")]
    last = asking[-1] if asking else 0
    head, above = page.lines[last].strip().lower(), page.text[:page.starts[last]]
    if (page.after(last + 1) is None and names.search(head) and len(above.split()) >= NAMED_WORDS
            and (_requests("others").search(head) or not opens.search(above[:TOLD_LENGTH].lower()))):
        return [(0, len(above), "pasted")]
    return []


@lru_cache(maxsize=8)
def _requests(kind: str) -> re.Pattern[str]:
    table = tomllib.loads((files("twin") / "foreign.toml").read_text(encoding="utf-8"))
    cues = "|".join(table[kind])
    for part in ("texts", "russian_texts", "begins"):
        cues = cues.replace(f"<{part}>", table[part])
    return re.compile(cues)


def _ending(page: _Page) -> tuple[int, int, int]:
    """The first line of a last short paragraph that asks (else -1), where the text before it ends, and the text."""
    last = len(page.shapes) - 1
    while last > 0 and page.shapes[last] == "blank":
        last -= 1
    first = last
    while first > 0 and page.shapes[first - 1] != "blank":
        first -= 1
    end = page.starts[last] + len(page.lines[last])
    final = page.text[page.starts[first]:end]
    asks = len(final) <= TOLD_LENGTH and ("?" in final or _requests("asked").search(final.lower()))
    return (first, page.starts[first - 1], end) if asks and first else (-1, end, end)
