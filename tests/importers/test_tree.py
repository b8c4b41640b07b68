"""The tree of messages: whatever a file says of parents, nothing is lost or doubled, and one path is active."""
from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from twin.importers.tree import Tree

#  r - a - b - c      read last; `b` was edited from `x`, which had an answer `y`
#        \ x - y
TREE = {"r": None, "a": "r", "x": "a", "y": "x", "b": "a", "c": "b"}


def test_the_active_path_leads_from_the_root_to_the_current_leaf() -> None:
    assert Tree(TREE, "c").path == ["r", "a", "b", "c"]
    assert Tree(TREE, "y").path == ["r", "a", "x", "y"]
    assert Tree(TREE, "a").path == ["r", "a"]  # a person may have stopped before the answer


def test_a_branch_left_behind_stands_before_what_replaced_it() -> None:
    assert Tree(TREE, "c").order() == [("r", True), ("a", True), ("x", False), ("y", False), ("b", True), ("c", True)]


def test_without_a_current_leaf_the_latest_one_is_active() -> None:
    assert Tree(TREE, None, {"y": 9.0, "c": 5.0, "a": 11.0}).path[-1] == "y"  # `a` is later, but no leaf
    assert Tree(TREE, "nobody", {"y": 9.0, "c": 9.0}).path[-1] == "c"  # of the same time: the last of the file
    assert Tree({}, "c").order() == []


names = st.sampled_from("abcdefgh")
trees = st.dictionaries(names, st.none() | names | st.just("missing"))


@settings(max_examples=300)
@given(parents=trees, current=st.none() | names | st.integers(), times=st.dictionaries(names, st.floats(0, 9)))
def test_every_node_comes_out_once_whatever_the_parents_say(parents: dict[str, str | None], current: object,
                                                           times: dict[str, float]) -> None:
    """Circles, missing parents, several roots: a message of the person must never vanish for them, nor double."""
    tree = Tree(parents, current, times)
    order = tree.order()
    assert sorted(key for key, _ in order) == sorted(parents)
    assert [key for key, active in order if active] == tree.path
    if current in parents:
        assert tree.path[-1] == current
    for above, below in zip(tree.path, tree.path[1:], strict=False):
        assert parents[below] == above
    assert bool(tree.path) == bool(parents)
    if tree.path:  # it is the whole chain: its top has no parent, or one below it (a circle)
        top = parents[tree.path[0]]
        assert top not in parents or top in tree.path


@settings(max_examples=200)
@given(st.lists(st.integers(0, 50), max_size=30))
def test_in_a_sound_tree_a_parent_comes_before_its_children(links: list[int]) -> None:
    """Times are handed down from parents, so they have to be read first."""
    parents = {str(n): str(link % n) if n and link % (n + 1) else None for n, link in enumerate(links)}
    order = [key for key, _ in Tree(parents).order()]
    assert all(order.index(parent) < order.index(key) for key, parent in parents.items() if parent is not None)
