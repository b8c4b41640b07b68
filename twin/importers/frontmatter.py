"""YAML front matter of a Markdown note. Users' formatters rewrite it, so a broken one still gives its plain lines."""
from __future__ import annotations

import re
from collections.abc import Sequence

import yaml

_LINE = re.compile(r"^([A-Za-z_][\w -]*):\s*(.*?)\s*$")


def front_matter(lines: Sequence[str]) -> tuple[dict[str, object], int]:
    """The keys of the front matter and the number of lines it takes, marks included; ({}, 0) without any."""
    if not lines or lines[0].rstrip() != "---":
        return {}, 0
    end = next((i for i, line in enumerate(lines[1:], 1) if line.rstrip() in ("---", "...")), None)
    if end is None:
        return {}, 0
    try:
        loaded = yaml.safe_load("\n".join(lines[1:end]))
    except (yaml.YAMLError, ValueError, RecursionError):  # ValueError: a date like 2025-13-45
        loaded = {m.group(1): m.group(2).strip("\"'") for line in lines[1:end] if (m := _LINE.match(line))}
    return ({str(key): value for key, value in loaded.items()} if isinstance(loaded, dict) else {}), end + 1
