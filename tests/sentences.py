"""What the rooms below the faces say in English, as templates: read from their sources, so that none is missed.

A template is a sentence in which {} stands for every value. An expression can come to several: those of both branches
of a condition, of every assignment to a name, of every return of a function beside it.
"""
from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cached_property, lru_cache
from itertools import product
from pathlib import Path

from twin import errors

ROOT = Path(__file__).parent.parent
HOLE = "{}"
_DEEP = 8  # names of names of names: what is deeper is a value


class Source:
    """One module."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = path.relative_to(ROOT).as_posix()
        self.tree = ast.parse(path.read_text("utf-8"))

    @cached_property
    def functions(self) -> dict[str, list[ast.FunctionDef]]:
        """Every function by its name; methods too."""
        found: dict[str, list[ast.FunctionDef]] = {}
        for node in ast.walk(self.tree):
            if isinstance(node, ast.FunctionDef):
                found.setdefault(node.name, []).append(node)
        return found

    @cached_property
    def _constants(self) -> dict[str, list[ast.expr]]:
        return _assigned(self.tree.body)

    def calls(self) -> Iterator[tuple[ast.Call, Scope]]:
        """Every call with the names it can see."""
        yield from self._calls(self.tree, Scope(self, dict(self._constants), frozenset()))

    def _calls(self, node: ast.AST, scope: Scope) -> Iterator[tuple[ast.Call, Scope]]:
        for child in ast.iter_child_nodes(node):
            inner = scope.within(child) if isinstance(child, ast.FunctionDef) else scope
            if isinstance(child, ast.Call):
                yield child, inner
            yield from self._calls(child, inner)

    def scope(self, function: str) -> list[tuple[ast.FunctionDef, Scope]]:
        """The functions of this name, each with the names it can see."""
        outer = Scope(self, dict(self._constants), frozenset())
        return [(one, outer.within(one)) for one in self.functions[function]]


class Scope:
    """What names stand for at one place."""

    def __init__(self, source: Source, names: dict[str, list[ast.expr]], values: frozenset[str]) -> None:
        self.source, self.names, self.values = source, names, values

    def within(self, function: ast.FunctionDef) -> Scope:
        """The names inside a function; its parameters are values."""
        given = {arg.arg for arg in ast.walk(function.args) if isinstance(arg, ast.arg)}
        own = _assigned(function.body)
        names = {name: found for name, found in self.names.items() if name not in given} | own
        return Scope(self.source, names, (self.values - own.keys()) | (given - own.keys()))

    def templates(self, node: ast.expr | None, deep: int = 0) -> set[str]:
        """Every template that an expression can come to; a value is a hole."""
        if node is None or deep > _DEEP:
            return {HOLE}
        match node:
            case ast.Constant(value=str(text)):
                return {text}
            case ast.BinOp(left=ast.Constant(value=str(text)), op=ast.Mult()):
                return {"", text}
            case ast.JoinedStr(values=parts):
                return self._together(parts, deep + 1)
            case ast.BinOp(left=left, op=ast.Add(), right=right):
                return self._together([left, right], deep + 1)
            case ast.Call(func=ast.Name(id=name)) if name in self.source.functions:
                return self._returned(name, deep + 1)
        ways = self._ways(node)
        return set[str]().union(*(self.templates(one, deep + 1) for one in ways)) if ways else {HOLE}

    def _ways(self, node: ast.expr) -> list[ast.expr]:
        """The expressions of which this one is either."""
        match node:
            case ast.FormattedValue(value=value, conversion=-1, format_spec=None) | ast.NamedExpr(value=value):
                return [value]
            case ast.IfExp(body=body, orelse=other):
                return [body, other]
            case ast.BoolOp(op=ast.Or(), values=parts):
                return parts
            case ast.Name(id=name) if name not in self.values:
                return self.names.get(name, [])
        return []

    def _together(self, parts: list[ast.expr], deep: int) -> set[str]:
        return {"".join(each) for each in product(*(sorted(self.templates(part, deep)) for part in parts))}

    def _returned(self, function: str, deep: int) -> set[str]:
        found = set[str]()
        for one, scope in self.source.scope(function):
            for node in ast.walk(one):
                if isinstance(node, ast.Return | ast.Yield):
                    found |= scope.templates(node.value, deep)
        return {one for one in found if one not in ("", HOLE)} or {HOLE}

    def pieces(self, node: ast.expr | None) -> set[str]:
        """The same of every member of a tuple, a list or a dict's keys."""
        match node:
            case ast.Tuple(elts=members) | ast.List(elts=members):
                return set[str]().union(*map(self.pieces, members))
            case ast.Dict(keys=keys):
                return set[str]().union(*map(self.pieces, filter(None, keys)))
            case ast.IfExp(body=body, orelse=other):
                return self.pieces(body) | self.pieces(other)
            case ast.Starred(value=value):
                return self.pieces(value)
            case ast.Call(args=args, func=ast.Attribute(attr="join") | ast.Name(id="filter")):
                return set[str]().union(*map(self.pieces, args))
        return self.templates(node)


def _assigned(body: list[ast.stmt]) -> dict[str, list[ast.expr]]:
    """What is given to each name in these statements, and inside them but for functions; what a loop gives is a value.
    """
    found: dict[str, list[ast.expr]] = {}
    unknown = ast.Constant(0)
    for node in _statements(body):
        match node:
            case ast.Assign(targets=targets, value=value):
                for target in targets:
                    _into(found, target, value)
            case ast.AnnAssign(target=target, value=ast.expr() as value):
                _into(found, target, value)
            case ast.AugAssign(target=ast.Name(id=name), op=ast.Add(), value=value) if found.get(name):
                found[name] += [ast.BinOp(one, ast.Add(), value) for one in found[name]]
            case ast.AugAssign(target=target) | ast.For(target=target) | ast.comprehension(target=target):
                _into(found, target, unknown)
            case ast.NamedExpr(target=target, value=value):
                _into(found, target, value)
            case ast.withitem(optional_vars=ast.expr() as target):
                _into(found, target, unknown)
    return found


def _statements(body: list[ast.stmt]) -> Iterator[ast.AST]:
    for one in body:
        if isinstance(one, ast.FunctionDef | ast.ClassDef):
            continue
        yield one
        yield from (node for node in _inside(one))


def _inside(node: ast.AST) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, ast.FunctionDef | ast.ClassDef | ast.Lambda):
            yield child
            yield from _inside(child)


def _into(found: dict[str, list[ast.expr]], target: ast.expr, value: ast.expr) -> None:
    members = getattr(target, "elts", [])
    if isinstance(target, ast.Name):
        found.setdefault(target.id, []).append(value)
    elif isinstance(value, ast.IfExp):
        _into(found, target, value.body)
        _into(found, target, value.orelse)
    else:
        values = getattr(value, "elts", [])
        for place, name in enumerate(members):
            _into(found, name, values[place] if len(values) == len(members) else ast.Constant(0))


def called(node: ast.Call) -> str:
    """The last name of what is called."""
    return getattr(node.func, "attr", "") or getattr(node.func, "id", "")


@lru_cache(maxsize=1)
def sources() -> tuple[Source, ...]:
    """The modules of the package and of the terminal, but for the command line, which speaks English."""
    files = sorted([*(ROOT / "twin").rglob("*.py"), *(ROOT / "tui").glob("*.py")])
    return tuple(Source(file) for file in files if not file.name.startswith(("cli", "__main__")))


# ---- who speaks ----------------------------------------------------------------------------------------------------

ERRORS = {name for name, one in vars(errors).items() if isinstance(one, type) and issubclass(one, Exception)}
# What is called with a sentence: the file (or where files begin), the name, which of its arguments.
SPEAKERS = [
    ("twin/", "progress", 0), ("twin/", "_progress", 0), ("twin/forgetting.py", "_tell", 1),
    ("twin/catalog.py", "say", 0), ("twin/fetch.py", "say", 0), ("twin/fetch.py", "_AbsentError", 0),
    ("twin/role_file.py", "refused", 2), ("twin/roles.py", "refused", 2), ("twin/role_file.py", "ValueError", 0),
    ("twin/roles.py", "ValueError", 0), ("twin/role_parts.py", "ValueError", 0),
    ("twin/operation_apply.py", "refuse", 0), ("twin/operations.py", "_refuse", 0),
    ("twin/operation_schema.py", "ValueError", 0), ("twin/engine/trial.py", "Verdict", 1),
    ("twin/catalog.py", "Verdict", 3), ("twin/catalog.py", "Recommendation", 1),
    *(("twin/hypotheses.py", name, 0) for name in ("Truncated", "InvalidOutput", "NoClaims")),
]
# Functions that return sentences, or several.
TELLERS = {
    "twin/memory/ranking.py": ("why",), "twin/placement.py": ("_with_flash_attention", "_split", "_lost"),
    "twin/verdict_text.py": ("remarks",), "twin/reflection.py": ("_refusal",), "twin/operation_text.py": ("refusal",),
    "twin/training/examples.py": ("refusal", "_unfit"), "twin/apprentice.py": ("why_off",),
    "twin/engine/trial.py": ("_wrong",), "twin/importers/chatgpt.py": ("_why_dropped",),
    "twin/importers/containers.py": ("_refused",), "twin/importers/mbox.py": ("_nothing",),
}


@lru_cache(maxsize=1)
def collected() -> dict[str, str]:
    """Every template, and where it stands."""
    found: dict[str, str] = {}
    for source in sources():
        for call, scope in source.calls():
            for argument in _said(source.name, call):
                for template in scope.templates(argument):
                    found.setdefault(template, f"{source.name}:{call.lineno}")
        for name in TELLERS.get(source.name, ()):
            for function, scope in source.scope(name):
                for node in ast.walk(function):
                    if isinstance(node, ast.Return | ast.Yield | ast.YieldFrom):
                        for template in scope.pieces(node.value):
                            found.setdefault(template, f"{source.name}:{node.lineno}")
    return found


def _said(file: str, call: ast.Call) -> list[ast.expr]:
    """The arguments of a call that are sentences."""
    name = called(call)
    if name in ERRORS:
        return call.args[:2]
    said = [call.args[at] for where, who, at in SPEAKERS if file.startswith(where) and name == who
            and len(call.args) > at]
    return said + [one.value for one in call.keywords if one.arg == "failure"]


def reasons() -> set[str]:
    """Why messages of an import, or samples of a training, are left out: what counters of that are given as keys."""
    found = set[str]()
    for source in sources():
        for node in ast.walk(source.tree):
            match node:
                case ast.keyword(arg="skipped", value=ast.Dict(keys=keys)):
                    found |= {str(key.value) for key in keys if isinstance(key, ast.Constant)}
                case ast.Subscript(value=ast.Name(id="skipped" | "dropped"), slice=ast.Constant(value=str(reason))):
                    found.add(reason)
                case ast.Subscript(value=ast.Attribute(attr="skipped" | "_skipped"),
                                   slice=ast.Constant(value=str(reason))):
                    found.add(reason)
    return found
