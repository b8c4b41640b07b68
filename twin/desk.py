"""Desk: what Twin offers to those who live with it beside the turns - conversations, roles as files, cores, uploads,
how it looks and speaks - for Python, notebooks and the terminal alike."""
from __future__ import annotations

import tempfile
import uuid
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Literal, cast

from twin import cores, loading, planning, roles, text, words
from twin.agents import is_url
from twin.archive import Archive, typed_in
from twin.asking import Asking
from twin.catalog import Catalog
from twin.company import Company
from twin.errors import ProposalStale, RoleError, TwinError, UsageError
from twin.home import Home
from twin.layouts import Want
from twin.person import Carried
from twin.records import Records
from twin.role_changes import changes
from twin.role_edit import with_value
from twin.roles import RoleMap
from twin.types import Conversation, Embedder, Engine, ImportReport, Message, Progress, Turn, never

if TYPE_CHECKING:
    from twin.archive import Talk
    from twin.cores import Choice
    from twin.likening import Likening
    from twin.memory import Memory
    from twin.self_profile import SelfProfile

LANGUAGE, MODEL, FACE = "face.language", "face.model", "face."  # settings in the archive
NOTES = "remembered"  # the conversation of what is remembered by hand
STRONGEST = 1.5  # scale of an adapter: beyond it cores write nonsense
_LONGEST = 180   # bytes of a file's name: file systems take 255


@dataclass(frozen=True)
class Start:
    """What is here by now, for a first run: a core to answer with, own messages, and what to do next."""

    core: bool
    embedder: bool
    own: int
    turns: int

    @property
    def next(self) -> str:
        """'import', 'core', 'ask', or '' for somebody who is at home."""
        return "import" if not self.own else "core" if not self.core else "" if self.turns else "ask"


@dataclass(frozen=True)
class Draft:
    """Role files as they would be: what would be different from the map in force, in words."""

    base: str
    files: Mapping[str, bytes] = field(repr=False)
    changes: tuple[str, ...] = field(repr=False)


class Desk:
    """A part of Twin."""

    home: Home
    archive: Archive
    asking: Asking
    records: Records
    catalog: Catalog
    conversation: str
    memory: Memory
    person: SelfProfile
    likening: Likening
    company: Company
    embedder: Embedder | None
    embed: Callable[..., int]
    take_claims: Callable[[list[Carried]], tuple[int, int]]
    _engine: Engine | None
    _model: str | None
    _lent: bool

    # ---- how it looks and speaks -------------------------------------------------------------------------------

    @property
    def language(self) -> words.Language:
        """What the faces speak: what was chosen, else TWIN_LANG, else the locale. Can be set; None forgets the choice.
        Answers are in the language of the question, reports in that of the person's messages."""
        return words.preferred(self.archive.setting(LANGUAGE))

    @language.setter
    def language(self, chosen: str | None) -> None:
        if chosen not in (*words.LANGUAGES, None):
            raise UsageError(f"There is no language {chosen!r}.", f"Known: {', '.join(words.LANGUAGES)}.")
        self.archive.set_setting(LANGUAGE, chosen or "")

    def face(self, name: str) -> str:
        """A setting of a face (theme, keys ...); '' when it was never set."""
        return self.archive.setting(FACE + name) or ""

    def set_face(self, name: str, value: str) -> None:
        """Keep a setting of a face."""
        self.archive.set_setting(FACE + name, value)

    def start(self) -> Start:
        """What is here by now and what to do next."""
        counts = self.archive.counts()
        return Start(self.has("core"), self.has("embedder"), counts["own_messages"], counts["turns"])

    # ---- the notebook's faces ---------------------------------------------------------------------------------------

    def chat(self) -> Any:
        """A chat widget for Jupyter."""
        from twin.notebook import Chat  # a face above; here only as the method's convenience, loaded when asked for

        return Chat(cast(Any, self))

    def panel(self, name: str = "") -> Any:
        """A panel for Jupyter: start, import, profile, roles, proposals, training, evolution; without a name the list
        of them."""
        from twin.notebook import panel  # as above

        return panel(cast(Any, self), name)

    # ---- words without a file ----------------------------------------------------------------------------------

    def remember(self, said: str) -> Message:
        """Keep a text as the person's own words, recallable at once, of the source 'twin' like what is asked; `forget`
        its id takes it back. UsageError for an empty one."""
        said = text.clean(said).strip()
        if not said:
            raise UsageError("There is nothing to remember.", "Give a text.")
        note = Message(str(uuid.uuid4()), "user", said, time=datetime.now(UTC))
        # a conversation of its own: one's own chat is left out of its own recall
        self.records.add([Conversation(typed_in(NOTES), (note,), source="twin")])
        self.embed()
        return note

    # ---- conversations -----------------------------------------------------------------------------------------

    def talks(self, limit: int = 500) -> list[Talk]:
        """The conversations with this twin, the newest first."""
        return self.archive.talks(limit)

    def new(self) -> str:
        """Begin a conversation: from now on questions belong to it. Returns its id."""
        self.conversation = str(uuid.uuid4())
        return self.conversation

    def resume(self, conversation: str) -> list[Turn]:
        """Go on with a conversation or line: from now on questions belong to it. Returns its turns, oldest first."""
        self.conversation = self.asking.lines.get(conversation).id
        return self.asking.lines.history(self.conversation)

    # ---- roles as files ----------------------------------------------------------------------------------------

    def role_text(self, role: str) -> str:
        """The file of a role as it stands in the folder; that of the seed where nothing stands there yet."""
        return self._role_files()[f"{self.asking.role_map.role(role).id}.md"].decode("utf-8", "replace")

    def draft_role(self, role: str, text: str | None) -> Draft:
        """The map with this file for a role (a new one too; None: without the role), and what that changes; nothing is
        written. Raises RoleError with line and reason for a file that cannot be read."""
        now, files = self.asking.role_map, dict(self._role_files())
        name = f"{role}.md"
        if text is None:
            self.asking.role_map.role(role)
            files.pop(name, None)
        else:
            files[name] = text.encode("utf-8", "replace")
            if (found := roles.parse_role(text, name).id) != role:
                raise RoleError(f"{name} says that its id is {found!r}.", "The name of the file is the id of the role.")
        made = roles.from_files(files)
        return Draft(now.version, files, tuple(changes(now, made, self.language)))

    def save_role(self, draft: Draft, note: str = "") -> RoleMap:
        """Put a draft into force, as an edit by the owner that can be rolled back. ProposalStale where the map is no
        longer the one it was drawn for. What the folder holds and nobody can read is set aside, so that a role can be
        mended here that was spoilt by hand."""
        book = self.asking.book
        now, broken = book.ensure().version, book.refusal is not None
        try:
            if now != draft.base:
                raise ProposalStale(f"The role map is no longer {draft.base[:12]} but {now[:12]}; nothing was changed.")
            return book.put(dict(draft.files), "owner", note, expected=None if broken else draft.base)
        except ProposalStale as error:
            raise ProposalStale(error.what, "Open the role again and make your change there.") from error

    def tune(self, role: str, *, scale: float) -> RoleMap:
        """How strongly the role's adapter acts, 0 to 1.5; 0 is not at all. UsageError where it has none."""
        if self.asking.role_map.role(role).adapter is None:
            raise UsageError(f"The role {role} has no adapter.", "Train one: `twin train`, then `twin adapter on`.")
        if not 0 <= scale <= STRONGEST:
            raise UsageError(f"An adapter cannot act with {scale:g}.", f"Give a number from 0 to {STRONGEST}.")
        return self.save_role(self.draft_role(role, with_value(self.role_text(role), ("adapter", "scale"), scale)))

    def _role_files(self) -> roles.Files:
        there = roles.on_disk(self.home.roles)
        return there if any(name.endswith(".md") for name in there) else roles.seed_files() | there

    # ---- cores -------------------------------------------------------------------------------------------------

    def cores(self) -> list[Choice]:
        """The cores one can choose from, the recommended one first."""
        return cores.choices(self.catalog, self._chosen())

    def plan(self, model: str | None = None, *, devices: str = "auto", context: int | str = 8192,
             roles: int | None = None, adapters: bool = False, kv: str = "f16",
             language: str | None = None) -> planning.Planned:
        """Compare the layouts of a core on devices: `8x24`, `24,24,12,cpu`, `2xRTX 4090`, `auto`. `context`: 300000 or
        "300k"; `roles` None: those of the map. Raises UsageError, ModelMissing."""
        want = Want(planning.tokens(str(context)), roles or len(self.asking.role_map.ids), adapters,
                    kv=planning.cache(kv))
        return planning.Planned(planning.compare(self.catalog, model or self._chosen(), devices, want),
                                language or self.language)

    def has(self, part: Literal["core", "embedder"]) -> bool:
        """Whether a core to answer with, or an embedder to recall by meaning, is on this machine."""
        if part == "embedder":
            return self.embedder is not None
        if self._engine is not None:
            return True
        chosen = self._chosen()
        if chosen is None:
            return self.catalog.best_core() is not None
        if is_url(chosen):
            return True
        try:
            return self.catalog.path(chosen).is_file()
        except TwinError:
            return False

    def fetch(self, name: str, *, progress: Progress | None = None, say: Callable[[str], None] | None = None) -> Path:
        """Download a model, checked and resumable. See Catalog.pull. The first embedder counts from now on."""
        path = self.catalog.pull(name, progress=progress, say=say)
        if self.embedder is None and self.catalog.model(name).kind == "embedder":
            self._adopt(loading.embedder(self.catalog))
        return path

    def _adopt(self, embedder: Embedder | None) -> None:
        for part in (self, self.memory, self.person, self.asking, self.likening):
            part.embedder = embedder
        self.asking._router = None  # it was made without
        self.__dict__.pop("reflection", None)  # made with it when it is asked for

    def use(self, name: str) -> None:
        """Answer with this core from the next question on, and in later runs too, unless those name another one
        (`model`, TWIN_MODEL); '' leaves it to the machine. Raises ModelMissing where it is not here yet, UsageError for
        an embedder."""
        if name:
            self.catalog.path(name)
            if any(model.name == name and model.kind != "core" for model in self.catalog.models):
                raise UsageError(f"{name} answers nothing: it is no core.", "Choose a core: `twin models list`.")
        self.archive.set_setting(MODEL, name)
        self._model = name or None
        self._release()

    def _release(self) -> None:
        """Free the core and every other one that has read what was said here."""
        self.company.release()
        if self._engine is not None and not self._lent:
            self._engine.close()
            self._engine = None

    @property
    def notes(self) -> tuple[str, ...]:
        """What the core and the agents do otherwise than asked, in words: fewer cards, a shorter context, an agent that
        is down. () until they load."""
        return (*(self._engine.notes if self._engine else ()), *self.company.notes)

    @property
    def core(self) -> str | None:
        """The name, path or URL of the core that was chosen; None leaves it to the machine."""
        return self._chosen()

    def _chosen(self) -> str | None:
        kept = None
        with suppress(TwinError):  # a damaged file is named when the core is loaded
            kept = planning.kept(self.home)
        return self._model or self.archive.setting(MODEL) or (kept.model if kept else None)

    # ---- uploads -----------------------------------------------------------------------------------------------

    def upload(self, files: Mapping[str, bytes], *, me: Iterable[str] | None = None, zone: str | None = None,
               dry_run: bool = False, embed: bool = True, progress: Progress | None = None,
               cancel: Callable[[], bool] = never) -> ImportReport:
        """Import files that were handed over as bytes, by name. What is written to disk for it goes at once. With
        `cancel` it ends between two words of progress, by UsageError; what is stored by then stays, and the same goes
        on from there."""
        if not files:
            raise UsageError("No file was given.", "Choose one or several.")
        with tempfile.TemporaryDirectory(prefix="twin-") as spare:  # 0700
            path = _written(files, Path(spare))
            report = self.records.import_path(path, me=me, zone=zone, dry_run=dry_run,
                                              progress=_stopping(progress, cancel), take=self.take_claims)
        if embed and not dry_run:
            self.embed(progress=progress, cancel=cancel)
        return report


def _written(files: Mapping[str, bytes], spare: Path) -> Path:
    """The files under a folder, the lone one or the folder of all: a source is called by that path's last two names, so
    the same files again are the same source. Of a name only its end counts; several of one name are kept apart."""
    names = [_name(given) for given in files]
    folder = spare / "upload" / (names[0] if len(names) == 1 else f"{min(names)} and {len(names) - 1} more")
    if len(names) == 1:
        folder = folder.parent
    taken = set[str]()
    for name, content in zip(names, files.values(), strict=True):
        place = next(place for number in count(1)
                     if (place := f"{number}/{name}" if number > 1 else name).casefold() not in taken)
        taken.add(place.casefold())
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        (folder / place).write_bytes(content)
    return folder / names[0] if len(names) == 1 else folder


def _name(given: str) -> str:
    """What a file that was handed over is called here: no folder, nothing that a file system refuses or hides."""
    bare = text.printable(text.clean(PurePosixPath(given.replace("\\", "/")).name)).strip(" .")
    if len(bare.encode()) > _LONGEST:
        ending = bare.rpartition(".")[2][-12:]
        bare = f"{bare.encode()[:_LONGEST].decode('utf-8', 'ignore')}.{ending}"
    return bare or "file"


def _stopping(progress: Progress | None, cancel: Callable[[], bool]) -> Progress:
    """The same progress, which ends what tells it once the person says stop: an import asks nobody else."""
    def told(stage: str, done: int, total: int | None) -> None:
        if cancel():
            raise UsageError("The import was stopped.", "What is stored stays; the same again goes on from there.")
        if progress is not None:
            progress(stage, done, total)

    return told
