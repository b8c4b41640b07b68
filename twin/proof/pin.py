"""The evaluator's hash: over the sources of twin.proof and twin.evidence, pinned when they are installed.

A proof by other sources than the pinned ones is refused: nothing that proposes changes may also change how they are
judged. What the evaluator stands on (prompt, router, engine) is not covered. `python -m twin.proof.pin` pins anew.
"""
from __future__ import annotations

import hashlib
import tomllib
from pathlib import Path

FOLDER = Path(__file__).parent
PINNED = FOLDER / "pinned.toml"


def current() -> str:
    """sha256 over the sources: names and bytes (a checkout with other line ends is the same), each with its length
    before it."""
    made = hashlib.sha256()
    for file in [*sorted(FOLDER.glob("*.py")), FOLDER.parent / "evidence.py"]:
        for part in (file.name.encode(), file.read_bytes().replace(b"\r\n", b"\n")):
            made.update(len(part).to_bytes(8, "big") + part)
    return made.hexdigest()


def pinned() -> str:
    """What was pinned; '' where nothing was."""
    return str(tomllib.loads(PINNED.read_text("utf-8")).get("sha256", "")) if PINNED.is_file() else ""


def check() -> str:
    """The hash, if it is the pinned one. Raises EvaluatorChanged."""
    from twin.errors import EvaluatorChanged

    found, wanted = current(), pinned()
    if found != wanted:
        raise EvaluatorChanged(f"The evaluator is not the one that was pinned ({found[:12]}, not {wanted[:12]}).",
                               "Install twin anew; if you changed it yourself, run `python -m twin.proof.pin`.")
    return found


def main() -> None:
    """Pin the sources as they are."""
    PINNED.write_text("# Written by `python -m twin.proof.pin`; a proof by other sources is refused.\n"
                      f'sha256 = "{current()}"\n', encoding="utf-8")


if __name__ == "__main__":
    main()
