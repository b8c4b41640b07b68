"""Doors: the screens of the terminal by name. A screen is imported when it is opened, so that the chat opens fast."""
from __future__ import annotations

from importlib import import_module
from typing import Any

from textual.screen import Screen

DOORS = {
    "chats": ("twin.tui.chats", "Chats"), "cores": ("twin.tui.cores", "Cores"),
    "evidence": ("twin.tui.evidence", "Evidence"), "first": ("twin.tui.first", "FirstRun"),
    "help": ("twin.tui.pages", "Help"), "import": ("twin.tui.imports", "Imports"),
    "profile": ("twin.tui.profile", "ProfileScreen"), "proposals": ("twin.tui.proposals", "Proposals"),
    "roles": ("twin.tui.roles", "Roles"), "settings": ("twin.tui.settings", "SettingsScreen"),
}


def door(name: str, *given: Any) -> Screen[Any]:
    """The screen of this name, made of what it is given (Evidence: an exchange; most need nothing)."""
    module, kind = DOORS[name]
    screen: Screen[Any] = getattr(import_module(module), kind)(*given)
    return screen
