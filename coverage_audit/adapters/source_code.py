"""The source of a function as a tree, for adapters that have to know what the user's code may do."""

from __future__ import annotations

import ast
import inspect
import re
import types
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

_RANDOM = re.compile(r"(^|_)rand|random")
_SAYS = frozenset(("print", "debug", "info", "warn", "warning", "error", "exception", "critical", "log", "write"))
_DRAWS = frozenset(("choice", "choices", "sample", "integers", "permutation", "multinomial"))


@dataclass(frozen=True, slots=True)
class Source:
    """``tree``: of ``code``; None where there is no source, or that of another version."""

    code: types.CodeType
    tree: ast.FunctionDef | ast.Lambda | None

    @property
    def parameters(self) -> list[str]:
        """Those that can be given by their place."""
        return list(self.code.co_varnames[: self.code.co_argcount])

    def place(self, node: ast.AST | None = None) -> str:
        """Where this is, for a sentence: the line of a node of the tree, else of the function."""
        first = self.code.co_firstlineno
        line = getattr(node, "lineno", None)
        return f"line {first if line is None else first + line - 1} of {PurePath(self.code.co_filename).name}"


def source_of(code: types.CodeType) -> Source:
    """Does not raise."""
    try:
        text = inspect.getsource(code)
        indented = text[:1].isspace()
        tree: ast.AST = ast.parse(f"if 1:\n{text}" if indented else text)
        if indented:
            ast.increment_lineno(tree, -1)
    except (OSError, TypeError, SyntaxError, ValueError, IndexError):
        return Source(code, None)
    found: list[ast.FunctionDef | ast.Lambda] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.Lambda) and _is_of(node, code):
            found.append(node)
    # Of two lambdas in one line nobody knows which it is.
    return Source(code, found[0] if found and (len(found) == 1 or code.co_name != "<lambda>") else None)


def _is_of(node: ast.FunctionDef | ast.Lambda, code: types.CodeType) -> bool:
    name = node.name if isinstance(node, ast.FunctionDef) else "<lambda>"
    arguments = [one.arg for one in (*node.args.posonlyargs, *node.args.args)]
    return name == code.co_name and arguments == list(code.co_varnames[: code.co_argcount])


def functions_of(function: Any) -> Iterator[types.FunctionType]:
    """A function, and those that its decorators say they stand before (``functools.wraps``)."""
    for _ in range(16):
        if isinstance(function, types.FunctionType):
            yield function
        function = getattr(function, "__wrapped__", None)


def codes_in(code: types.CodeType) -> Iterator[types.CodeType]:
    """The code of a function, and that of what is defined in it: comprehensions before Python 3.12."""
    yield code
    for one in code.co_consts:
        if isinstance(one, types.CodeType):
            yield from codes_in(one)


def names_in(node: ast.AST) -> set[str]:
    """The plain names that are read in a part of a tree."""
    return {one.id for one in ast.walk(node) if isinstance(one, ast.Name)}


def called(call: ast.Call) -> str:
    """What is called, by its last name; "" where it has none."""
    if isinstance(call.func, ast.Attribute):
        return call.func.attr
    return call.func.id if isinstance(call.func, ast.Name) else ""


def given_to(call: ast.Call) -> list[ast.expr]:
    """The arguments of a call, by place or name."""
    return [*call.args, *(keyword.value for keyword in call.keywords)]


def is_said(node: ast.AST) -> bool:
    """Whether a statement only tells somebody something."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Call) and called(node.value) in _SAYS


def draws(name: str) -> bool:
    """Whether a function of this name makes something by chance, as far as a name can say."""
    return name in _DRAWS or _RANDOM.search(name) is not None


def is_of_nothing(test: ast.AST, parameters: list[str]) -> bool:
    """``x is None``, ``not x`` of a variable that is none of the ``parameters``: what could not be had."""
    if isinstance(test, ast.Compare) and isinstance(test.left, ast.Name) and isinstance(test.ops[0], ast.Is | ast.Eq):
        held: ast.AST = test.left
        if not isinstance(test.comparators[0], ast.Constant) or test.comparators[0].value is not None:
            return False
    elif isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        held = test.operand
    else:
        return False
    return isinstance(held, ast.Name) and held.id not in parameters
