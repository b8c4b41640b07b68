"""Panels: what can be done with a twin beside talking to it, each a widget and an object whose methods do the same.

They draw what Twin gives and decide nothing.
"""
from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from twin.errors import UsageError

if TYPE_CHECKING:
    from twin.chat import Twin

_HOME_OF = {"start": "start.Start", "import": "imports.Import", "profile": "profile.ProfilePanel",
            "roles": "roles.Roles", "proposals": "proposals.Proposals", "training": "training.Training",
            "evolution": "evolution.Evolution"}
NAMES = (*_HOME_OF, "chat")


def panel(twin: Twin, name: str = "") -> Any:
    """The panel of that name, loaded now: one of NAMES; without a name all of them to choose from. UsageError for
    another one."""
    if not name:
        from twin.notebook.panels.shelf import Shelf  # here, as all of them: only what is shown is loaded

        return Shelf(twin)
    if name == "chat":
        return twin.chat()
    if name not in _HOME_OF:
        raise UsageError(f"There is no panel {name!r}.", f"Known: {', '.join(NAMES)}.")
    module, _, made = _HOME_OF[name].partition(".")
    return getattr(importlib.import_module(f"twin.notebook.panels.{module}"), made)(twin)
