"""Where a function gives what an earlier call of it has left on the dataset, and leaves its own: a queue.

``out = self.kept``, ``self.kept = sample`` and ``return out``, in every call. What is kept only under a condition is a
cache, and what goes into a sample of its own beside others is a part of that sample.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from coverage_audit.adapters.source_code import Source


def gives_kept(source: Source) -> ast.AST | None:
    """Where what was kept is given; None where it is not, or not for sure."""
    tree = source.tree
    if not isinstance(tree, ast.FunctionDef) or not source.parameters:
        return None
    itself = source.parameters[0]
    pairs = [(at, *pair) for at, statement in enumerate(tree.body) for pair in _pairs(statement)]
    written = [one.id for one in ast.walk(tree) if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Store)]
    once = {name for name in written if written.count(name) == 1}
    given = {
        one.value.id: one for one in ast.walk(tree) if isinstance(one, ast.Return) and isinstance(one.value, ast.Name)
    }
    for at, target, value in pairs:
        if not isinstance(target, ast.Name) or target.id not in once & given.keys():
            continue
        kept = _attributes(value, itself)
        for later, stored, sample in pairs:
            is_left = later >= at and isinstance(stored, ast.Attribute) and bool(_attributes(stored, itself) & kept)
            if is_left and isinstance(sample, ast.Name) and sample.id in once - {target.id}:
                return given[target.id]
    return None


def _pairs(statement: ast.stmt) -> Iterator[tuple[ast.expr, ast.expr]]:
    """What an assignment assigns to what; nothing of any other statement."""
    if not isinstance(statement, ast.Assign):
        return
    value = statement.value
    for target in statement.targets:
        if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple) and len(target.elts) == len(value.elts):
            yield from zip(target.elts, value.elts, strict=True)
        else:
            yield target, value


def _attributes(value: ast.expr, itself: str) -> set[str]:
    """The attributes of the dataset that an expression may be, as they are."""
    if isinstance(value, ast.IfExp):
        return _attributes(value.body, itself) | _attributes(value.orelse, itself)
    is_own = isinstance(value, ast.Attribute) and isinstance(value.value, ast.Name) and value.value.id == itself
    return {value.attr} if is_own and isinstance(value, ast.Attribute) else set()
