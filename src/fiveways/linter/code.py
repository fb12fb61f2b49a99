"""What a Python callable that a deployment names can be seen to do, without calling it: read off its source.

It sees what is written in the callable itself, not in what that calls. So what is found is there; that nothing is found means
little.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections import deque
from collections.abc import Iterator, MutableMapping, MutableSequence, MutableSet, Sequence
from types import FunctionType, ModuleType
from typing import Any

_CLIENTS = frozenset(("aiohttp", "http", "httpx", "niquests", "pyreqwest", "requests", "socket", "urllib", "urllib3"))
_CHANGES = frozenset(
    ("add", "append", "appendleft", "clear", "discard", "extend", "insert", "pop", "popitem", "remove", "setdefault", "update")
)
_MUTABLE = (MutableMapping, MutableSequence, MutableSet, deque)
_Function = ast.FunctionDef | ast.AsyncFunctionDef


def state(found: Any) -> str | None:
    """Where a callable keeps something from one call to the next, for a person to read; None where it is not seen to."""
    kept = getattr(found, "__dict__", None)
    if kept and not isinstance(found, FunctionType | type | ModuleType):
        return f"it is an object that keeps {', '.join(sorted(kept))}"
    function, tree = _read(found)
    if function is None or tree is None:
        return None
    outlives = {name: value for name, value in function.__globals__.items() if isinstance(value, _MUTABLE)}
    outlives |= dict(zip(function.__code__.co_freevars, (cell.cell_contents for cell in function.__closure__ or ()), strict=False))
    outlives |= {name: each.default for name, each in inspect.signature(function).parameters.items()}
    for node in ast.walk(tree):
        if isinstance(node, ast.Global | ast.Nonlocal):
            return f"it changes {', '.join(node.names)}, which outlives the call"
        changed = _changed(node)
        if isinstance(outlives.get(changed), _MUTABLE):
            return f"it changes {changed}, which outlives the call"
    return None


def client(found: Any) -> str | None:
    """The module by which a callable makes calls of its own; None where it is not seen to."""
    function, tree = _read(found)
    if function is None or tree is None:
        return None
    for node in ast.walk(tree):
        modules: list[str] = []
        if isinstance(node, ast.Import):
            modules = [each.name for each in node.names]
        elif isinstance(node, ast.ImportFrom):
            modules = [node.module or ""]
        elif isinstance(node, ast.Name) and (value := function.__globals__.get(node.id)) is not None:
            modules = [value.__name__ if isinstance(value, ModuleType) else str(getattr(value, "__module__", ""))]
        for module in modules:
            if module.partition(".")[0] in _CLIENTS:
                return module
    return None


def edits_body(found: Any) -> bool:
    """Whether a callable puts another body in the place of one."""
    _, tree = _read(found)
    nodes = ast.walk(tree) if tree is not None else ()
    return any(isinstance(node, ast.Attribute) and node.attr == "body" and isinstance(node.ctx, ast.Store) for node in nodes)


def hands_on(found: Any) -> int:
    """How often a policy, `(interaction, handler)`, may hand a request on, at most; 2 for what is in a loop."""
    function, tree = _read(found)
    if function is None or tree is None:
        return 0
    names = [name for name in inspect.signature(function).parameters if name != "self"]
    if len(names) < 2:
        return 0
    goes_on, ended = _most(tree.body, names[1])
    return max(goes_on, ended)


def _most(body: Sequence[ast.stmt], handler: str) -> tuple[int, int]:
    """Calls of `handler` at most: on a way through these statements, and on one that returns or raises within them."""
    goes_on, ended = 0, 0
    for statement in body:
        inner = [_most(part, handler) for part in _parts(statement)]
        own = sum(_calls(expression, handler) for expression in _expressions(statement))
        times = 2 if isinstance(statement, ast.For | ast.AsyncFor | ast.While) else 1
        ended = max([ended, *(goes_on + own + each[1] for each in inner)])
        if isinstance(statement, ast.Return | ast.Raise):
            return -(10**6), max(ended, goes_on + own)
        ways = [each[0] for each in inner]
        if isinstance(statement, ast.If) and not statement.orelse:
            ways.append(0)
        through = sum(ways) if isinstance(statement, ast.Try) else max(ways, default=0)
        goes_on += own + max(through * times, -(10**6))
    return goes_on, ended


def _parts(statement: ast.stmt) -> Iterator[list[ast.stmt]]:
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return
    for name in ("body", "orelse", "finalbody"):
        if part := getattr(statement, name, None):
            yield part
    for each in (*getattr(statement, "handlers", ()), *getattr(statement, "cases", ())):
        yield each.body


def _expressions(statement: ast.stmt) -> Iterator[ast.expr]:
    for child in ast.iter_child_nodes(statement):
        if isinstance(child, ast.expr):
            yield child
        elif isinstance(child, ast.withitem):
            yield child.context_expr


def _calls(expression: ast.expr, handler: str) -> int:
    def is_call(node: ast.AST) -> bool:
        return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == handler

    loops = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
    in_loops = sum(is_call(node) for each in ast.walk(expression) if isinstance(each, loops) for node in ast.walk(each))
    return sum(map(is_call, ast.walk(expression))) + in_loops


def _changed(node: ast.AST) -> str:
    """The name of what a node changes in place; '' where it changes nothing."""
    base: ast.AST | None = None
    if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store | ast.Del):
        base = node.value
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _CHANGES:
        base = node.func.value
    return base.id if isinstance(base, ast.Name) else ""


def _read(found: Any) -> tuple[FunctionType, _Function] | tuple[None, None]:
    """The function that a call of it runs, and its source; nothing where there is none."""
    for function in (found, getattr(found, "__func__", None), getattr(type(found), "__call__", None)):  # noqa: B004 (what a call runs)
        if isinstance(function, FunctionType):
            try:
                tree = ast.parse(textwrap.dedent(inspect.getsource(function))).body[0]
            except (OSError, SyntaxError, IndexError):
                continue
            if isinstance(tree, ast.FunctionDef | ast.AsyncFunctionDef):
                return function, tree
    return None, None
