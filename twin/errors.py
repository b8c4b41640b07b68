"""Every error the twin raises. Each says what happened and what to do next.

    TwinError                    what happened, then `next_step`; `exit_status` for the command line
    |- UsageError                the caller asked for something that cannot be asked
    |  `- ProposalStale          a change was made for a role map that is no longer the one; prove it again
    |- InputError                what came from outside is not what it should be
    |  |- UnknownFormat          no importer knows this file; says which keys it saw
    |  |- BrokenFile             JSON, zip or note that cannot be read
    |  |- EmptyFile              nothing in it (empty is not broken)
    |  |- WhoIsMe                a chat of several people does not say which of them is the person; lists them
    |  `- RoleError              a role file with a mistake; says file and line
    |- ModelError                a model file or the engine
    |  |- ModelMissing           not on this machine yet; says how to fetch it
    |  |- ModelBroken            truncated, an HTML page, a wrong hash, a crash while loading
    |  |- CannotDo               this core has no way to do what was asked (cut, share, adapt, think in parts)
    |  |- ContextFull            no cells of the context are left for all that is thought at once
    |  |- StaleAdapter           trained on what was forgotten since; refused until retrained or allowed
    |  |- DeviceLost             a card or a worker was lost while the core ran; what is left is used next time
    |  `- PromptTooLong          even the parts that cannot be dropped do not fit
    |- HomeError                 the folder of a twin
    |  |- HomeBusy               another process writes; says who
    |  |- HomeFull               no space left; nothing half-written
    |  `- HomeTooNew             written by a newer version
    |- FetchError                a download: every source was tried; says what each answered
    |- EvaluatorChanged          what judges changes of the role map is not what it was when it judged
    `- NotPublic                a public export still names somebody; says kinds and counts, never the words
"""
from __future__ import annotations

from collections.abc import Mapping


class TwinError(Exception):
    """Base of all errors here. `str(error)` holds both sentences; the parts stay readable."""

    exit_status = 2

    def __init__(self, what: str, next_step: str = "") -> None:
        super().__init__(f"{what} {next_step}".strip())
        self.what = what
        self.next_step = next_step


class UsageError(TwinError):
    """The call itself cannot be met (an unknown role, a negative budget)."""


class ProposalStale(UsageError):
    """The role map in force is not the one a change was made for, or somebody else was faster."""


class InputError(TwinError):
    """Something from outside is not what it should be; what was stored before is untouched."""


class UnknownFormat(InputError):
    """No importer recognises the content; the message names the keys or the first line it saw."""


class BrokenFile(InputError):
    """The format is known but the bytes do not follow it."""


class EmptyFile(InputError):
    """There is nothing in the file or folder."""


class WhoIsMe(InputError):
    """The person must say who of several people they are. `people`: kind of source -> author -> messages."""

    def __init__(self, what: str, next_step: str = "", *,
                 people: Mapping[str, Mapping[str, int]] | None = None) -> None:
        super().__init__(what, next_step)
        self.people = people or {}


class RoleError(InputError):
    """A role file that cannot be read; the message names file, line and reason."""


class ModelError(TwinError):
    """A model file or the engine that runs it."""


class ModelMissing(ModelError):
    """The model is not on this machine, or the engine is not compiled yet."""


class ModelBroken(ModelError):
    """The file is not the model it should be."""


class CannotDo(ModelError):
    """This core cannot do what was asked; known and said before it is tried."""


class ContextFull(ModelError):
    """The cells of the context do not hold everything that is thought at once."""


class StaleAdapter(ModelError):
    """The adapter was trained on messages that were forgotten since."""


class DeviceLost(ModelError):
    """A device was lost while the core ran on it."""


class PromptTooLong(ModelError):
    """The question and the role alone exceed the context."""


class HomeError(TwinError):
    """The folder in which one twin lives."""


class HomeBusy(HomeError):
    """Another process is writing to this home."""


class HomeFull(HomeError):
    """No space left on the device."""


class HomeTooNew(HomeError):
    """The archive was written by a newer version; older code must not touch it."""


class FetchError(TwinError):
    """No source delivered the file. `tried` holds one line for each source."""

    def __init__(self, what: str, next_step: str = "", *, tried: tuple[str, ...] = ()) -> None:
        super().__init__("\n  ".join((what, *tried)), next_step)
        self.tried = tried


class EvaluatorChanged(TwinError):
    """The files that judge changes of the role map are not those that were pinned; nothing they say counts."""


class NotPublic(TwinError):
    """A scan of a public export found names, places or addresses; nothing was written."""
