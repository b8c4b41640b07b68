"""What is learned: answers, each after what was said before it.

Four sources: own messages, approved claims, and answers the core wrote under a role's instructions (compiled) or under
the person's claims too (stance), which are then learned without them. Only an answer is ever learned, never what it
follows: other people's words stay context. Knows no tokens and no torch; the form is `prompt.example`'s.
"""
from __future__ import annotations

import re
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from twin import prompt, roles, text
from twin.answer import drain
from twin.errors import PromptTooLong, UsageError
from twin.person import Claim, Profile
from twin.question import is_question
from twin.roles import Role
from twin.stated import content
from twin.training.samples import SHARE, Key, bare, runs
from twin.training.samples import Sample as Sample
from twin.training.samples import Split as Split
from twin.training.samples import need as need
from twin.training.samples import split as split
from twin.training.samples import together as together
from twin.types import Engine, Message, Piece, Progress, Prompt, Sampling, digest, never

CONTEXT = 600  # characters of what was said before
QUESTIONS = 200  # own questions that a core answers: 400 tokens each are an hour of Qwen 1.5B on two cores
BATCH = 8      # answers written beside each other: Qwen 1.5B on two cores then writes 22 tokens a second instead of 14
RELEVANT = 6   # claims in front of a question
PAIRS = 2      # questions to each claim


# ---- own messages ------------------------------------------------------------------------------------------------

_NO_WORDS = re.compile(r"(?:https?://|www\.)\S+|[\w.+-]+@[\w-]+\.\S+|(?<!\w)[@#]\w+")  # links, addresses, mentions
_COMMAND = re.compile(r"[/!][A-Za-z]\w*(?: .*)?|\$ .*|(?:sudo|pip3?|npm|npx|git|docker|kubectl|apt-get|brew|curl|wget|"
                      r"conda|cargo)(?: [a-z-]+)?(?: \S*[-/.:=]\S*)*")


def from_messages(said: Sequence[tuple[str, Message]], before: Mapping[Key, str], *, header: str = "",
                  share: float = SHARE) -> Split:
    """Own messages as (conversation, message), each after the message `before` it by whoever, of which the last CONTEXT
    characters count. Learned are the person's own words alone, as they stand: not what is quoted, pasted, forwarded or
    code. What holds no words (a link, a number, a command) or only one is left out."""
    dropped: Counter[str] = Counter()
    samples: list[Sample] = []
    for conversation, message in said:
        answer = own_text(message.text)
        if reason := _unfit(message, answer):
            dropped[reason] += 1
            continue
        key = (conversation, message.id)
        samples.append(Sample(_ending(before.get(key, "")), answer, header, message.time, conversation, key))
    return split(samples, share, dropped)


def before(messages: Iterable[tuple[str, Message]]) -> dict[Key, str]:
    """What was said before each message in its conversation, by whoever; for (conversation, message) in order, such as
    `Archive.messages()` gives them. The first of a conversation is left out."""
    found: dict[Key, str] = {}
    last = ("", "")
    for conversation, message in messages:
        if last[0] == conversation:
            found[conversation, message.id] = last[1]
        last = (conversation, message.text)
    return found


def own_text(said: str) -> str:
    """The writer's own words in a text; what stood between two others' parts begins a line."""
    return "\n".join(said[start:end].strip() for start, end in text.own_spans(said))


def _unfit(message: Message, answer: str) -> str:
    """Why a message is not learned, or ''."""
    if not message.own:
        return "not the person's own"
    if not answer:
        return "only quoted, pasted or code"
    rest = _NO_WORDS.sub(" ", answer)
    if not any(map(str.isalpha, rest)) or _COMMAND.fullmatch(answer):
        return "only a link, a number or a command"
    return "" if sum(any(map(str.isalnum, word)) for word in rest.split()) > 1 else "fewer than two words"


def _ending(said: str) -> str:
    """The last CONTEXT characters, from a whole word on."""
    said = said.strip()
    if len(said) <= CONTEXT:
        return said
    kept = said[-CONTEXT:]
    return kept if said[-CONTEXT - 1].isspace() else kept.partition(" ")[2] or kept


# ---- approved claims ---------------------------------------------------------------------------------------------

_WORDED = {"en": "{claim} In your words: “{quote}”", "ru": "{claim} Твоими словами: «{quote}»"}
_ASKS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "en": {
        "thinking": ("How do I think?", "What is typical of my reasoning?", "How do I go about a problem?",
                     "What have you noticed about the way I think?"),
        "style": ("How do I write?", "What is typical of my style?", "How would you know a text of mine?",
                  "What have you noticed about how I put things?"),
        "values": ("What matters to me?", "What do I hold to?", "What would I not give up?", "What do I decide by?"),
        "domain": ("What do I write about?", "What do I keep coming back to?", "Which subjects are mine?",
                   "What occupies me?"),
        "language": ("How do I use my languages?", "What is particular about my words?", "How do I speak?",
                     "What have you noticed about my language?"),
        "fact": ("What do you know about me?", "What have I told you about myself?", "What is so in my life?",
                 "Tell me something about me."),
        "preference": ("What do I prefer?", "What do I like?", "What do you know of my tastes?",
                       "What would I choose?"),
    },
    "ru": {
        "thinking": ("Как я думаю?", "Что характерно для моих рассуждений?", "Как я подхожу к задаче?",
                     "Что ты знаешь о том, как я мыслю?"),
        "style": ("Как я пишу?", "Что характерно для моего стиля?", "По чему ты узнаешь мой текст?",
                  "Как я обычно выражаюсь?"),
        "values": ("Что для меня важно?", "Чего я держусь?", "От чего я не откажусь?", "Чем я руководствуюсь?"),
        "domain": ("О чём я пишу?", "К чему я всё время возвращаюсь?", "Какие темы мои?", "Что меня занимает?"),
        "language": ("Как я пользуюсь языками?", "Что особенного в моих словах?", "Как я говорю?",
                     "Что ты знаешь о моём языке?"),
        "fact": ("Что ты знаешь обо мне?", "Что я о себе рассказывал тебе?", "Что верно о моей жизни?",
                 "Расскажи что-нибудь обо мне."),
        "preference": ("Что я предпочитаю?", "Что мне нравится?", "Что ты знаешь о моих вкусах?", "Что я выберу?"),
    },
}


def approved(profile: Profile) -> list[Claim]:
    """The claims the person approved, edited or pinned. Raises UsageError for none."""
    found = [claim for claim in profile.claims if claim.authority == "approved" or claim.decided]
    if not found:
        raise UsageError("No claim of the profile is approved; nothing is learned of you that you have not seen.",
                         "Look at `twin profile`, then say: twin decide approve CLAIM")
    return found


def from_claims(profile: Profile, role: Role | None, language: str, *, share: float = SHARE) -> Split:
    """PAIRS questions about the person to each approved claim, in 'ru' or 'en', under the role's header if there is
    one. An answer is the claim as the person let it stand, and one of their own sentences behind it: the core adds
    nothing. The pairs of a claim stay on one side of the cut; the same claims always make the same pairs."""
    header = roles.header(role, language) if role else ""
    return split([sample for claim in approved(profile) for sample in _pairs(claim, header, language)], share)


def _pairs(claim: Claim, header: str, language: str) -> Iterator[Sample]:
    tongue = "ru" if language == "ru" else "en"
    forms, number = _ASKS[tongue][claim.kind], int(digest(claim.id)[:8], 16)
    for place in range(number, number + PAIRS):
        mark = claim.evidence[place % len(claim.evidence)]
        answer = _WORDED[tongue].format(claim=claim.text, quote=mark.quote)
        yield Sample(forms[place % len(forms)], answer, header, mark.time, f"claim {claim.id}",
                     (mark.conversation, mark.message))


# ---- answers of the core, under what is to be compiled -----------------------------------------------------------

def questions(role: Role, said: Iterable[tuple[str, Message]], language: str, *,
              limit: int = QUESTIONS) -> list[Sample]:
    """Questions of 'ru' or 'en' for a core to answer, without answers yet: the role's examples, then up to `limit` own
    messages that ask, spread over time, with their time and conversation."""
    shown = [Sample(example, "") for example in role.examples if text.language(example) == language]
    asked: dict[str, Sample] = {}
    for conversation, message in said:
        own = own_text(message.text) if message.own else ""
        if len(own) <= CONTEXT and text.language(own) == language and not _unfit(message, own) and is_question(own):
            asked.setdefault(bare(own), Sample(own, "", "", message.time, conversation, (conversation, message.id)))
    known = {bare(sample.context) for sample in shown}
    fresh = [sample for words, sample in asked.items() if words not in known]
    kept = min(limit, len(fresh))
    return shown + [fresh[place * len(fresh) // kept] for place in range(kept)]


def compiled(engine: Engine, role: Role, asked: Sequence[Sample], language: str, *, sampling: Sampling | None = None,
             progress: Progress | None = None, cancel: Callable[[], bool] = never, share: float = SHARE) -> Split:
    """The core's answers to these questions under the role's full header, to be learned without it: the role compiled
    into its adapter (context distillation, Askell et al. 2021, sampled). Drawn as the role draws, by fixed seeds.

    Answers that are empty, cut by their length, or repeat RUN words of the header are dropped. When it is cancelled,
    what was answered so far comes back. Raises what the engine raises.
    """
    return _distilled(_Core(engine, role, language, sampling), [(sample, "") for sample in asked], "", progress, cancel,
                      share)


def stance(engine: Engine, role: Role, profile: Profile, asked: Sequence[Sample], language: str, *,
           keep_header: bool = False, sampling: Sampling | None = None, progress: Progress | None = None,
           cancel: Callable[[], bool] = never, share: float = SHARE) -> Split:
    """The same with the approved claims nearest to each question in front, which are learned away too: how the person
    thinks, not what is said of them. `keep_header`: learned under the role's header, for a role that keeps it."""
    known = approved(profile)
    about = [(sample, _about(profile, known, sample.context)) for sample in asked]
    header = roles.header(role, language) if keep_header else ""
    return _distilled(_Core(engine, role, language, sampling), about, header, progress, cancel, share)


def _about(profile: Profile, known: Sequence[Claim], question: str) -> str:
    """The RELEVANT claims that share most words with a question; of equals how the person thinks before what is so."""
    asked = content(question)
    nearest = sorted(known, key=lambda claim: (-len(asked & content(claim.text)), claim.part, -claim.confidence))
    return prompt.digest(replace(profile, claims=tuple(nearest[:RELEVANT])), limit=RELEVANT)


class _Core:
    """A core that answers as a role."""

    def __init__(self, engine: Engine, role: Role, language: str, sampling: Sampling | None) -> None:
        self.engine, self.role = engine, role
        self.header = roles.header(role, language)
        self.sampling = sampling or Sampling(**role.sampling.__dict__)

    def asked(self, question: str, about: str) -> Prompt | None:
        """The prompt as chat renders it; None where it does not fit."""
        try:
            made = prompt.render(
                family=self.engine.family, question=question, header=self.header, role=self.role.id, about=about,
                count=lambda piece: len(self.engine.tokenize(piece)), thinking="off",
                budget=self.engine.n_ctx - self.sampling.max_tokens - 16)
        except PromptTooLong:
            return None
        return None if made.dropped else made

    def answers(self, prompts: Sequence[Prompt], first: int, cancel: Callable[[], bool]) -> list[tuple[str, Piece]]:
        """Answers with their last pieces; `first` is the number of the first prompt, which seeds it."""
        seed = first + (self.sampling.seed or 0)
        drawn = [replace(self.sampling, seed=seed + place) for place in range(len(prompts))]
        streams = self.engine.stream_many(prompts, drawn, cancel=cancel)
        return [_heard(one, stream) for one, stream in zip(prompts, streams, strict=True)]

    def refusal(self, answer: str, last: Piece, about: str) -> str:
        """Why an answer is not learned, or ''."""
        if last.finish == "cancelled":
            return "stopped before it was answered"
        if not answer:
            return "an empty answer"
        if last.finish == "length":
            return "an answer cut by its length"
        repeats = not runs(answer).isdisjoint(runs(self.header) | runs(about))
        return "an answer that repeats its instructions" if repeats else ""


def _distilled(core: _Core, asked: Sequence[tuple[Sample, str]], header: str, progress: Progress | None,
               cancel: Callable[[], bool], share: float) -> Split:
    """The answers to questions, each with what is said about the person, to be learned under `header`."""
    dropped: Counter[str] = Counter()
    made: list[Sample] = []
    rendered = [(sample, about, core.asked(sample.context, about)) for sample, about in asked]
    ready = [(sample, about, one) for sample, about, one in rendered if one is not None]
    dropped["a question that leaves no room for its answer"] = len(rendered) - len(ready)
    for start in range(0, len(ready), BATCH):
        batch = ready[start:start + BATCH]
        if cancel():
            dropped["stopped before it was answered"] += len(ready) - start
            break
        answers = core.answers([one for _, _, one in batch], start, cancel)
        for (sample, about, _), (answer, last) in zip(batch, answers, strict=True):
            if reason := core.refusal(answer, last, about):
                dropped[reason] += 1
            else:
                made.append(replace(sample, answer=answer, header=header))
        if progress:
            progress("questions answered", start + len(batch), len(ready))
    return split(made, share, +dropped)


def _heard(asked: Prompt, stream: Iterator[Piece]) -> tuple[str, Piece]:
    """What is answered, without thoughts, and the last piece."""
    heard: list[tuple[str, str, Piece]] = []

    def read() -> Iterator[object]:
        heard.append((yield from drain(asked, stream)))

    deque(read(), maxlen=0)
    answer, _, last = heard[0]
    return answer, last
