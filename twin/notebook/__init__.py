"""The twin in a notebook: a chat, panels, answers that stream into a cell, magics [only here: ipywidgets, IPython].

Names load on first use: a cell that only asks needs no widgets.
"""
from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from twin.notebook import cell as cell
    from twin.notebook.chat import Chat as Chat
    from twin.notebook.panels import panel as panel

_HOME_OF = {"Chat": "twin.notebook.chat", "panel": "twin.notebook.panels"}


def __getattr__(name: str) -> Any:
    """Load a name from its room (PEP 562)."""
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME_OF[name]), name)
