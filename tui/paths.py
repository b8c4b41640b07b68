"""Paths: a field that completes them, and the folders of this machine to choose from. Names of files are data: no
markup, no control characters."""
from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from rich.style import Style
from rich.text import Text
from textual.suggester import Suggester
from textual.widgets import DirectoryTree
from textual.widgets._directory_tree import DirEntry
from textual.widgets._tree import TreeNode

from twin.text import one_line

_MOST = 5000  # entries of a folder that are looked through for a completion


class Completion(Suggester):
    """The rest of a path: the first entry that begins so, folders with a slash behind."""

    def __init__(self) -> None:
        super().__init__(use_cache=False, case_sensitive=True)

    async def get_suggestion(self, value: str) -> str | None:
        return completed(value)


def completed(begun: str) -> str | None:
    """The path that a beginning may stand for; None where nothing fits, or several do and share no more letters.

    Of several entries it is what they have in common, as in a shell.
    """
    folder, _, start = begun.rpartition("/")
    if not begun.startswith(("/", "~", ".")) and not folder:
        return None
    try:
        place = Path(f"{folder}/" if folder or begun.startswith("/") else ".").expanduser()
        with os.scandir(place) as entries:
            fit = [entry.name + "/" * entry.is_dir() for entry, _ in zip(entries, range(_MOST), strict=False)
                   if entry.name.startswith(start) and (start or not entry.name.startswith("."))]
    except (OSError, ValueError, RuntimeError):  # no folder, no right to read it, a name no system takes
        return None
    shared = _shared(fit)
    if len(shared) <= len(start) or shared != one_line(shared):
        return None
    return f"{begun[:len(begun) - len(start)]}{shared}"


def _shared(names: list[str]) -> str:
    """The letters all of them begin with."""
    if not names:
        return ""
    least, most = min(names), max(names)
    return next((least[:at] for at, letter in enumerate(least) if letter != most[at:at + 1]), least)


class Folders(DirectoryTree):
    """The folders and files below a place; hidden ones are left out."""

    ICON_NODE, ICON_NODE_EXPANDED, ICON_FILE = "▸ ", "▾ ", "  "

    def filter_paths(self, paths: Iterable[Path]) -> Iterable[Path]:
        return [path for path in paths if not path.name.startswith(".")]

    def process_label(self, label: str | Text) -> Text:
        """The name as it is, but for what no terminal should see."""
        return Text(one_line(str(label)) or "?")

    def render_label(self, node: TreeNode[DirEntry], base_style: Style, style: Style) -> Text:
        made = super().render_label(node, base_style, style)
        made.no_wrap = True
        return made
