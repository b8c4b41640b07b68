"""The tree of messages that ChatGPT, Claude and Open WebUI keep: a prompt that was edited starts another branch.

Knows ids, parents and times only. Broken trees (circles, parents that are missing, several roots) are walked as well:
every node comes out exactly once.
"""
from __future__ import annotations

from collections.abc import Iterator, Mapping


class Tree:
    """The branch that was read last (`path`, from its root to its leaf) and the branches left behind."""

    def __init__(self, parents: Mapping[str, str | None], current: object = None,
                 times: Mapping[str, float] | None = None) -> None:
        """`parents`: node -> parent, in the order of the file; one that is no node makes a root. `current`: the active
        leaf; when it is no node, the leaf with the greatest time (seconds) counts, of equal ones the last."""
        self._parents = {key: parent if parent in parents else None for key, parent in parents.items()}
        self._children: dict[str | None, list[str]] = {}
        for key, parent in self._parents.items():
            self._children.setdefault(parent, []).append(key)
        leaf = current if isinstance(current, str) and current in parents else self._last_leaf(times or {})
        self.path = self._path(leaf)

    def order(self) -> list[tuple[str, bool]]:
        """Every node and whether it is on the active path. A branch left behind stands before what replaced it."""
        ordered: list[tuple[str, bool]] = []
        done = set(self.path)
        parent: str | None = None
        for key in self.path:
            for sibling in self._children.get(parent, ()):
                ordered += self._branch(sibling, done)
            ordered.append((key, True))
            parent = key
        for key in [*self._children.get(parent, ()), *self._parents]:  # the latter: what no root leads to
            ordered += self._branch(key, done)
        return ordered

    def _last_leaf(self, times: Mapping[str, float]) -> str | None:
        leaves = [key for key in self._parents if key not in self._children] or list(self._parents)
        return max(reversed(leaves), key=lambda key: times.get(key, 0.0), default=None)

    def _path(self, leaf: str | None) -> list[str]:
        path: dict[str, None] = {}
        while leaf is not None and leaf not in path:  # a broken tree may run in a circle
            path[leaf] = None
            leaf = self._parents[leaf]
        return list(path)[::-1]

    def _branch(self, top: str, done: set[str]) -> Iterator[tuple[str, bool]]:
        waiting = [top]
        while waiting:
            key = waiting.pop()
            if key not in done:
                done.add(key)
                yield key, False
                waiting.extend(reversed(self._children.get(key, [])))
