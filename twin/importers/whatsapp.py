"""WhatsApp's exported chats: `_chat.txt` of an iPhone, `WhatsApp Chat with X.txt` of Android, in any of its languages.

The text has no ids, no zone and no fixed form: order of day and month, and whether lines are bracketed, are decided for
a file. A chat is known by its two people, or by the name its file bears. Two exports agree where author, text and the
minute on the phone's clock do; a contact that was renamed in between is another. WhatsApp does not say what was
forwarded, nor to what a message answers. What it writes itself (system lines, stand-ins for media) is told by missing
authors, by U+200E on iPhones, and by the words below.
"""
from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

from twin.importers.dates import Moment, to_utc
from twin.importers.encoding import Decoded
from twin.importers.found import Context, Found, found, id_from, message, trim
from twin.text import clean
from twin.types import Conversation, Message

SOURCE = "whatsapp"
PART = 5000  # messages of one Found

_MARKS = "\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff"  # never U+200D and U+FE0F: emoji are made of them
_MARK = re.compile(f"[{_MARKS}]")
_HEADER = re.compile(
    rf"[{_MARKS}]{{0,4}}\[?[{_MARKS}]{{0,4}}(?P<first>\d{{1,4}})(?P<mark>[./-]) ?(?P<second>\d{{1,2}})[./-] ?"
    rf"(?P<third>\d{{2,4}})\.?,?[{_MARKS}]?\s(?:(?:klo|kl\.?|at|um|à|às|alle|в)\s)?"
    rf"(?P<hour>\d{{1,2}})[:.](?P<minute>\d{{2}})(?:[:.](?P<sec>\d{{2}}))?(?:\s?(?P<half>[AaPp])\.?\s?[Mm]\.?)?[{_MARKS}]?"
    r"(?:(?P<close>\])|\s[-\u2013\u2014])\s")
_AUTHOR = re.compile(r"([^\n]{1,100}?):(?: |$)")
_UPPER_HALF = re.compile(r"\s[AP]M")

# The file, its folder or its zip bear the chat's name, in the language of the phone.
_NAMED = re.compile(
    r"(?:WhatsApp[- ]Chat(?: with| mit| met| -)|Чат WhatsApp с(?: контактом| группой)?|Чат WhatsApp [-\u2013]|"
    r"Чат WhatsApp з(?: контактом)?|(?:Chat|Conversación) de WhatsApp con|Chat WhatsApp con|Discussion WhatsApp avec|"
    r"Conversa d?n?o WhatsApp com|Czat WhatsApp z|WhatsApp Sohbeti -) (?P<name>[^/\\]+?)(?: ?\(\d+\))?"
    r"(?:\.txt|\.zip|[/\\]|$)", re.IGNORECASE)

# ---- what WhatsApp writes in place of words: English, Russian, German, French, Spanish, Portuguese, Italian,
# Ukrainian. Without full stops, in lower case.
_MEDIA = re.compile(
    r"(?:<(?:.{0,30}media omitted|.{3,40} omitted|без медиафайлов|файл пропущен|медиа отсутствует|"
    r"medien (?:ausgeschlossen|weggelassen)|(?:médias|fichier) omis|(?:multimedia|archivo) omitido|"
    r"mídia (?:oculta|omitida)|ficheiro não revelado|arquivo de mídia oculto|media omess[io]|медіа пропущено)>|"
    r"(?:[^\n]{1,200} • .{1,40}? )?(?:(?:image|video|audio|gif|sticker|document|contact card|video note) omitted|"
    r"(?:изображение|видео|аудио(?:файл)?|gif|документ|карточка контакта|видеозаметка) "
    r"(?:отсутствует|пропущено|опущена)|(?:стикер|документ) не добавлен|"
    r"(?:bild|video|audio|gif|sticker|dokument|kontaktkarte) (?:weg|aus)gelassen|"
    r"(?:image|vidéo) absente|(?:audio|sticker) omis|gif retiré|document manquant|fiche contact manquante|"
    r"(?:imagen|tarjeta de contacto) omitida|(?:video|audio|gif|sticker|documento) omitido|"
    r"(?:imagem|figurinha|vídeo|áudio|gif|documento|cartão d[eo] contato) (?:ocultad[ao]|omitid[ao]|não revelad[ao])|"
    r"(?:ficheiro de áudio|contacto|sticker) não revelado|(?:immagine|scheda contatto) omessa|"
    r"(?:video|audio|documento) omesso|gif esclusa|sticker non incluso|(?:зображення|відео|аудіо) відсутнє|"
    r"документ пропущено|gif-анімацію пропущено|наклейку не додано|картка контакту відсутня))(?:\n|\Z)", re.IGNORECASE)
_DELETED = frozenset((
    "this message was deleted", "you deleted this message", "message deleted", "данное сообщение удалено",
    "вы удалили данное сообщение", "вы удалили это сообщение", "это сообщение удалено",
    "diese nachricht wurde gelöscht", "du hast diese nachricht gelöscht", "ce message a été supprimé",
    "vous avez supprimé ce message", "se eliminó este mensaje", "este mensaje fue eliminado",
    "eliminaste este mensaje", "mensagem apagada", "esta mensagem foi apagada", "você apagou esta mensagem",
    "apagou esta mensagem", "hai eliminato questo messaggio", "questo messaggio è stato eliminato",
    "це повідомлення було видалено", "ви видалили це повідомлення"))
_EDITED = re.compile(
    r" ?<(?:This message was edited|Message edited|Сообщение изменено|(?:Diese )?Nachricht (?:wurde )?bearbeitet|"
    r"Ce message a été modifié|Se editó este mensaje|Mensaje editado|(?:Esta )?Mensagem (?:foi )?editada|"
    r"Questo messaggio è stato modificato|Messaggio modificato|Повідомлення змінено|Це повідомлення було змінено)\.?>\Z"
    r"|[ \n]?\u200e<[^<>:\n]{5,60}>\Z", re.IGNORECASE)
_FILE_NAME = re.compile(
    r"(?:(?:IMG|VID|AUD|PTT|STK|DOC)-\d{8}-WA\d+\.\w{2,5} \([^()\n]{3,40}\)|[^\n]{1,200}\.\w{1,5} \((?:file attached|"
    r"файл добавлен|Datei angehängt|fichier joint|archivo adjunt(?:ad)?o|(?:arquivo|ficheiro) anexado|file allegato|"
    r"файл додано)\))(?:\n|\Z)", re.IGNORECASE)
_FILE_TAG = re.compile(
    r" ?<(?:(?:attached|прикреплено|Anhang|angehängt|pièce jointe|adjunto|anexado|anexo|allegato|додано): [^<>\n]+|"
    r"[^<>:\n]{3,30}: \d{5,}-[^<>\n]+)>\n?", re.IGNORECASE)
_PLACE = re.compile(r"[^\n:]{3,25}: https://maps\.google\.com/\?q=[-\d.,]+")
_POLL = re.compile(r"(?:POLL|ОПРОС|UMFRAGE|SONDAGE|ENCUESTA|ENQUETE|SONDAGGIO|ОПИТУВАННЯ) ?:\n")
_QUOTED = re.compile("[\"“«„]([^\"“”«»„\\n]{1,100})[\"”»“]")
_LEVELS = frozenset(("DEBUG", "INFO", "WARN", "WARNING", "ERROR", "CRITICAL", "FATAL"))

Pair = tuple[str, str]
Stamp = tuple[int, int, int, int, int, int]


def recognises(name: str, text: str) -> bool:
    """True for a text whose lines are dated and say who speaks. A diary says no names, a log the same few levels."""
    lines = [line for line in text.split("\n", 1000)[:1000] if line.strip()][:200]
    headers = [match for line in lines if (match := _HEADER.match(line))]
    if not any(_HEADER.match(line) for line in lines[:3]):
        return False
    if _NAMED.search(name) or re.split(r"[/\\]", name)[-1] == "_chat.txt":
        return True
    authors = [match.group(1) for one in headers if (match := _AUTHOR.match(one.string, one.end()))]
    various = len(authors) > 3 and 4 * len(set(authors)) > 3 * len(authors)
    return 2 * len(authors) >= len(headers) and 10 * len(headers) >= len(lines) and not (
        various or _LEVELS.issuperset(authors))


def read(name: str, context: Context, decoded: Decoded) -> Iterator[Found]:
    """The chat of one file, in parts of PART messages under one id. `name` is relative to what was imported."""
    entries, skipped = _entries(decoded.lines)
    lines = _spoken(entries, skipped)
    speech = [line for line in lines if line.author]
    key, title = _chat(_named(name) or _named(context.file) or _named_inside(lines), {line.author for line in speech})
    said: list[Message] = []
    counted: Counter[tuple[str, ...]] = Counter()
    for line in speech:
        if line.reason:
            skipped[line.reason] += 1
            continue
        moment = to_utc(datetime(*line.stamp), context.zone)
        said.append(_message(line, moment, key, counted, context))
        if len(said) >= PART:
            yield found(context.file, Conversation(key, tuple(said), title, SOURCE), skipped)
            said, skipped = [], Counter()
    if said or skipped or not counted:
        yield found(context.file, Conversation(key, tuple(said), title, SOURCE), skipped)


def _message(line: _Spoken, moment: Moment | None, key: str, counted: Counter[tuple[str, ...]],
             context: Context) -> Message:
    content = (_minute(line.stamp), line.author, " ".join(line.text.split()))
    counted[content] += 1
    mine = context.people.own(SOURCE, line.author)
    return message(id_from((key, *content, str(counted[content])), SOURCE), "user" if mine else "other", line.original,
                   line.mended, line.text, author=line.author, time=moment.time if moment else None, own=mine,
                   flags=(*line.flags, *(("local_time",) if moment else ())))


def _minute(stamp: Stamp) -> str:
    """The minute as it was written, without a zone and whichever number is the day: both may be decided otherwise for
    the next export. What two dates of the same numbers may confuse, the counter of equal messages tells apart."""
    year, month, day, hour, minute, _ = stamp
    return "{:02} {:02} {:02} {:02}:{:02}".format(*sorted((day, month, year % 100)), hour, minute)


# ---- lines to entries --------------------------------------------------------------------------------------------

@dataclass
class _Entry:
    """A line with a date, and those that go on below it."""

    header: re.Match[str]
    lines: list[Pair]
    stamp: Stamp = (0, 0, 0, 0, 0, 0)

    @property
    def bracketed(self) -> bool:
        return bool(self.header["close"])

    @property
    def body(self) -> str:
        """The first line after the date."""
        return self.lines[0][1][self.header.end():]


def _entries(pairs: list[Pair]) -> tuple[list[_Entry], Counter[str]]:
    """Entries with their times, and what stood before them. Lines that look like one in another manner than the file's,
    or with a date that cannot be, were pasted: they go on the entry before."""
    skipped: Counter[str] = Counter()
    found: list[_Entry] = []
    for pair in pairs:
        if match := _HEADER.match(pair[1]):
            found.append(_Entry(match, [pair]))
        elif found:
            found[-1].lines.append(pair)
        elif pair[1].strip():
            skipped["line before the first message"] += 1
    strange = _strange(found)
    order = _order([entry.header for entry in found if entry.bracketed is not strange])
    kept: list[_Entry] = []
    for entry in found:
        stamp = None if entry.bracketed is strange else _stamp(entry.header, order)
        if stamp and _exists(stamp):
            kept.append(_Entry(entry.header, entry.lines, stamp))
        elif kept:
            kept[-1].lines += entry.lines
        else:
            skipped["line before the first message"] += len(entry.lines)
    return kept, skipped


def _strange(entries: list[_Entry]) -> bool | None:
    """Whether lines with brackets, or those without, are too few to be the file's manner; None when both are many."""
    brackets = sum(entry.bracketed for entry in entries)
    if 10 * brackets < len(entries):
        return True
    return False if 10 * (len(entries) - brackets) < len(entries) else None


def _order(headers: list[re.Match[str]]) -> str:
    """'DMY', 'MDY' or 'YMD', for the file: the order in which the fewest dates are impossible or go back in time.

    When they are equal: Americans write 9/19/26 with AM and PM and without zeros in front; of the others those who
    write slashes and PM write 19/09/26, pm or both (seen on Android 16 and in exports of 2018-2026).
    """
    american = any(one["mark"] == "/" and _UPPER_HALF.search(one.group()) for one in headers) and not any(
        one["first"].startswith("0") for one in headers)

    def cost(order: str) -> tuple[int, int]:
        stamps = [_stamp(header, order) for header in headers]
        known = [stamp for stamp in stamps if stamp]
        impossible = len(stamps) - len(known)
        return impossible + sum(after < before for before, after in pairwise(known)), impossible

    return min(("MDY", "DMY", "YMD") if american else ("DMY", "MDY", "YMD"), key=cost)


def _stamp(header: re.Match[str], order: str) -> Stamp | None:
    """Year, month, day, hour, minute, second; None when they cannot be."""
    first, second, third = int(header["first"]), int(header["second"]), int(header["third"])
    day, month, year = {"DMY": (first, second, third), "MDY": (second, first, third),
                        "YMD": (third, second, first)}[order]
    hour = int(header["hour"])
    if header["half"]:
        hour = hour % 12 + (12 if header["half"] in "Pp" else 0)
    stamp = (year + 2000 if year < 100 else year, month, day, hour, int(header["minute"]), int(header["sec"] or 0))
    return stamp if 1 <= month <= 12 and 1 <= day <= 31 and year < 3000 and hour < 24 and stamp[4] < 60 else None


def _exists(stamp: Stamp) -> bool:
    try:
        datetime(*stamp)
    except ValueError:
        return False
    return True


# ---- who says what -----------------------------------------------------------------------------------------------

@dataclass(frozen=True)
class _Spoken:
    """One entry, taken apart. Without an author it is the app's own line; with a `reason` it holds no words."""

    stamp: Stamp
    author: str
    original: str = ""
    mended: str = ""
    text: str = ""
    flags: tuple[str, ...] = ()
    reason: str = ""


def _spoken(entries: list[_Entry], skipped: Counter[str]) -> list[_Spoken]:
    firsts = Counter(entry.body.partition(": ")[0] for entry in entries)
    halves = _half_names(entry.body for entry in entries)
    spoken: list[_Spoken] = []
    for entry in entries:
        first = entry.body.partition(": ")[0]
        match = _AUTHOR.match(entry.body)
        said = None
        if match and _is_name(first, firsts[first]):
            parts = 2 if first in halves else 1
            author = ": ".join(entry.body.split(": ")[:parts]) if ": " in entry.body else match.group(1)
            said = _speech(entry, author, parts)
        if said is None:
            skipped["system line"] += 1
        spoken.append(said or _Spoken(entry.stamp, "", text=entry.body))
    return spoken


def _half_names(bodies: Iterable[str]) -> set[str]:
    """First halves of names with a colon ("Mom: work"): each always stands before a second colon, the same few second
    halves, with letters in them, before various words. "Anna: so: yes" sent thrice alone cannot be told from it."""
    seconds: dict[str, dict[str, list[str]]] = {}
    for body in bodies:
        first, _, rest = body.partition(": ")
        second, colon, said = rest.partition(": ")
        fits = colon and len(second) <= 30 and any(map(str.isalpha, second))
        seconds.setdefault(first, {}).setdefault(second if fits else "", []).append(said)
    return {first for first, found in seconds.items() if "" not in found and all(
        len(said) > 2 and len(set(said)) > 1 for said in found.values())}


def _is_name(author: str, times: int) -> bool:
    """False for the beginning of a line of the app that holds a colon itself: `Anna changed the subject to "Plan`."""
    quotes = sum(map(author.count, "“”„")), author.count('"'), author.count("«") + author.count("»")
    return not any(count % 2 for count in quotes) and (times > 1 or len(author.split()) < 7)


def _speech(entry: _Entry, author: str, parts: int) -> _Spoken | None:
    """An entry of an author whose name holds `parts` - 1 colons; None when the app wrote it, as iPhones mark it."""
    head, fixed = entry.lines[0]
    first = fixed[entry.header.end() + len(author):].removeprefix(":").removeprefix(" ")
    # The repair leaves ASCII alone: behind as many colons the original begins too.
    before = head.split(": ", parts)
    original = first if head == fixed else before[parts] if len(before) > parts else ""
    rest = entry.lines[1:]
    mended = trim(clean("\n".join([first, *(line for _, line in rest)])))
    text, flags, reason = _words(mended)
    if entry.bracketed and first.startswith("\u200e") and not reason and "attachment" not in flags:
        return None
    return _Spoken(entry.stamp, _name(author), trim("\n".join([original, *(line for line, _ in rest)])), mended, text,
                   flags, reason)


def _words(body: str) -> tuple[str, tuple[str, ...], str]:
    """The person's words in a message and its flags, or the reason why there are none."""
    text = _without_marks(body)
    if text.rstrip(".").casefold() in _DELETED:
        return "", (), "deleted message"
    if _PLACE.fullmatch(text) or _POLL.match(text):
        return "", (), "location" if _PLACE.fullmatch(text) else "poll"
    flags = []
    if body.endswith(">") and (match := _EDITED.search(body)):
        text = _without_marks(body[:match.start()])
        flags.append("edited")
    tag = _FILE_TAG.search(text) if "<" in text else None
    if match := tag or _FILE_NAME.match(text) or _MEDIA.match(text):
        flags.append("attachment")
        text = trim(text[:match.start()] + text[match.end():])
        document = text.partition(" • ")[0]
        if tag and re.search(r"\.\w{1,5}\Z", document) and tag.group().rstrip("> \n").endswith(document):
            text = ""  # the document's own name
    if not text.strip():
        return "", (), "attachment only" if match else "empty"
    return text, tuple(flags), ""


def _without_marks(text: str) -> str:
    return trim(_MARK.sub("", text))


def _name(author: str) -> str:
    """An author without marks, and without the ~ that iPhones put before names which are in no address book."""
    return clean(" ".join(_MARK.sub("", author).removeprefix("~").split()))


# ---- which chat it is --------------------------------------------------------------------------------------------

def _named(path: str) -> str:
    """The chat's name in the name of a file, folder or zip; '' when none is there."""
    path = clean(path)
    match = _NAMED.search(path) or _NAMED.search(path.replace("_", " "))
    return " ".join(match["name"].split()) if match else ""


def _named_inside(lines: list[_Spoken]) -> str:
    """The name of a group in the app's first lines: in quotation marks, or as the author that iPhones give them."""
    head = [line.text for line in lines[:5] if not line.author]
    quoted = next((match.group(1) for text in head if (match := _QUOTED.search(text))), "")
    author = _AUTHOR.match(head[0]) if head and lines[0].text == head[0] else None
    return clean(quoted) or (_name(author.group(1)) if author else "")


def _chat(named: str, authors: set[str]) -> tuple[str, str | None]:
    """Id and title. Two people are their chat, whatever the file is called, unless its name is neither's: a group."""
    people = {_plain(name): name for name in sorted(authors)}
    if len(people) == 2 and (not named or _plain(named) in people):
        return id_from(("two", *sorted(people)), SOURCE), named or ", ".join(people.values())
    if named:
        return id_from(("name", _plain(named)), SOURCE), named
    return id_from(("people", *sorted(people)), SOURCE), None


def _plain(name: str) -> str:
    """A name as files may bear it: many signs and all emoji get lost there."""
    return re.sub(r"\W+", "", name.casefold()) or name
