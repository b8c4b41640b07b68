"""Keys: which can be mapped anew, and a map that somebody wrote read as data: what is wrong with it is said."""
from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable

from textual.binding import Binding, BindingType

from twin.errors import UsageError
from twin.text import one_line
from twin.words import Words

_KEY = re.compile(r"(?:(?:ctrl|shift|alt|super)\+)*[a-z0-9_]+")
_WRITES = {"enter", "shift+enter", "alt+enter", "ctrl+j", "backspace", "up", "down", "left", "right", "tab", "space",
           "ctrl+p"}


def named(bindings: Iterable[BindingType]) -> dict[str, Binding]:
    """Bindings by id; those without one keep their key."""
    return {one.id: one for one in bindings if isinstance(one, Binding) and one.id}


def read(stored: str, known: Collection[str], words: Words) -> dict[str, str]:
    """A map of ids to keys from its JSON. Raises UsageError, with what is wrong, for one that cannot be used."""
    so = words("Write it as {example}, or take it out in the settings.", example='{"new": "ctrl+t"}')
    try:
        found = json.loads(stored or "{}")
    except (ValueError, RecursionError):
        raise UsageError(words("The map of keys is no JSON."), so) from None
    if not isinstance(found, dict) or not all(isinstance(key, str) for key in found.values()):
        raise UsageError(words("The map of keys has to give each action one key."), so)
    for name, key in found.items():
        if name not in known:
            raise UsageError(words("There is no action '{name}' to map a key to.", name=one_line(name)),
                             words("Known: {known}.", known=", ".join(sorted(known))))
        _refuse(key, words)
    if twice := [key for key in found.values() if list(found.values()).count(key) > 1]:
        raise UsageError(words("The key {key} is mapped to two actions.", key=twice[0]),
                         words("Give each action a key of its own."))
    return found


def _refuse(key: str, words: Words) -> None:
    """What is no key, or one that writing needs."""
    if not _KEY.fullmatch(key):
        raise UsageError(words("There is no key '{key}'.", key=one_line(key)),
                         words("Keys are named as f5, ctrl+t or alt+left."))
    if key in _WRITES or (len(key) == 1 and key.isalnum()):
        raise UsageError(words("The key {key} is needed for writing.", key=key),
                         words("Choose one with ctrl or alt, or a function key."))
