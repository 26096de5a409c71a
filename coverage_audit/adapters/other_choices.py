"""Where a function chooses another sample for some of the indices it is asked for: ``i if self.good[i] else i - 1``.

Read off its code, and only what leaves no doubt. An index that is compared with a size, moved into one of several parts
or looked up in a table is the dataset's own order; a neighbour that is loaded beside the sample that was asked for is a
part of that sample.
"""

from __future__ import annotations

import ast

from coverage_audit.adapters.asked_indices import AskedIndices
from coverage_audit.adapters.source_code import Source, called, draws, given_to

_OF_NO_ROW = frozenset(
    ("isinstance", "type", "len", "hasattr", "callable", "is_tensor", "isscalar", "int", "float", "bool", "str", "abs")
)
"""What is asked of an index and says nothing of its row."""
_BOUNDS = frozenset(("min", "max", "abs", "int"))


class OtherChoices:
    """``index``: the names of indices, as they are where a part of the tree is asked about."""

    def __init__(self, source: Source, index: AskedIndices) -> None:
        assert source.tree is not None
        self._tree = source.tree
        self._self = source.parameters[0] if source.parameters else ""
        self._index = index

    def is_other(self, node: ast.If | ast.IfExp) -> bool:
        """Whether a branch takes another index than the one asked for, by what its row is."""
        if not self._is_of_its_row(node.test):
            return False
        if isinstance(node, ast.IfExp):
            return self._is_choice(node.body, node.orelse) and self._is_alone(node)
        then, otherwise = _assigned(node.body), _assigned(node.orelse)
        if any(self._is_choice(then[name], otherwise[name]) for name in then.keys() & otherwise.keys()):
            return self._is_alone(node)
        moved = any(self._moves(statement) for branch in (node.body, node.orelse) for statement in branch)
        return moved and self._is_alone(node, until=True)

    def _is_of_its_row(self, test: ast.expr) -> bool:
        """``self.bad[i]``, ``i in self.bad``, ``self.is_bad(i)``: not ``i < n``, and no setting."""
        for one in ast.walk(test):
            if isinstance(one, ast.Call) and called(one) not in _OF_NO_ROW and any(map(self._is_asked, given_to(one))):
                return True
            if isinstance(one, ast.Subscript) and self._is_asked(one.slice):
                return True
            if isinstance(one, ast.Compare) and isinstance(one.ops[0], ast.In | ast.NotIn) and self._is_asked(one.left):
                return True
        return False

    def _is_asked(self, value: ast.AST) -> bool:
        return isinstance(value, ast.Name) and self._index.kind(value) is not None

    def _is_choice(self, one: ast.expr, other: ast.expr) -> bool:
        return any(
            self._is_asked(a) and (self._is_next(b) or self._is_drawn(b)) for a, b in ((one, other), (other, one))
        )

    def _is_next(self, value: ast.expr) -> bool:
        """``i - 1``, ``(i + 1) % n``, ``max(i - 1, 0)``."""
        if isinstance(value, ast.Call):
            return called(value) in _BOUNDS and any(map(self._is_next, value.args))
        if not isinstance(value, ast.BinOp):
            return False
        if isinstance(value.op, ast.Mod):
            return self._is_next(value.left)
        by = [one for one in (value.left, value.right) if isinstance(one, ast.Constant) and type(one.value) is int]
        return (
            isinstance(value.op, ast.Add | ast.Sub) and bool(by) and any(map(self._is_asked, (value.left, value.right)))
        )

    def _is_drawn(self, value: ast.expr) -> bool:
        """By chance, out of all, and not by a method of the dataset, which may do anything."""
        drawn = [
            one
            for one in ast.walk(value)
            if isinstance(one, ast.Call)
            and draws(called(one))
            and not (isinstance(one.func, ast.Attribute) and _is_name(one.func.value, self._self))
        ]
        return bool(drawn) and not self._index.are_in(value)

    def _moves(self, statement: ast.stmt) -> bool:
        """``i = i - 1``, ``i += 1``."""
        if isinstance(statement, ast.AugAssign):
            by = statement.value
            return (
                self._is_asked(statement.target)
                and isinstance(statement.op, ast.Add | ast.Sub)
                and isinstance(by, ast.Constant)
                and type(by.value) is int
            )
        if not isinstance(statement, ast.Assign) or not any(map(self._is_asked, statement.targets)):
            return False
        return self._is_next(statement.value) or self._is_drawn(statement.value)

    def _is_alone(self, node: ast.If | ast.IfExp, *, until: bool = False) -> bool:
        """Whether nothing else is done with the index that was asked for, so that no sample is of it beside this.

        ``until``: before ``node``; what comes after has the new one.
        """
        harmless = {id(inner) for inner in ast.walk(node)}
        for one in ast.walk(self._tree):
            if isinstance(one, ast.If | ast.IfExp | ast.While | ast.Assert):
                harmless |= {id(inner) for inner in ast.walk(one.test)}
            if isinstance(one, ast.For | ast.comprehension):
                harmless |= {id(inner) for inner in ast.walk(one.iter)}
            if isinstance(one, ast.Assign) and self._index.kind(one.value) is not None:
                harmless |= {id(inner) for inner in ast.walk(one)}
        place = (node.lineno, node.col_offset)
        return all(
            id(one) in harmless or (until and (one.lineno, one.col_offset) > place)
            for one in ast.walk(self._tree)
            if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Load) and self._is_asked(one)
        )


def _assigned(branch: list[ast.stmt]) -> dict[str, ast.expr]:
    """By the names that a branch assigns, the values."""
    return {
        target.id: statement.value
        for statement in branch
        if isinstance(statement, ast.Assign)
        for target in statement.targets
        if isinstance(target, ast.Name)
    }


def _is_name(node: ast.AST, name: str) -> bool:
    return isinstance(node, ast.Name) and node.id == name
