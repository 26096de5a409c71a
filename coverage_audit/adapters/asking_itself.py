"""Where a function of a dataset asks the dataset itself for a sample: ``self[...]``, ``self.__getitem__(...)``."""

from __future__ import annotations

import ast

from coverage_audit.adapters.source_code import Source, is_said


class AskingItself:
    """``source``: of a method, with its tree."""

    def __init__(self, source: Source) -> None:
        assert source.tree is not None
        self._tree = source.tree
        self._self = source.parameters[0] if source.parameters else ""

    def _is_self(self, node: ast.AST) -> bool:
        return isinstance(node, ast.Name) and node.id == self._self

    def asked_for(self, node: ast.AST) -> ast.expr | None:
        """The index that the dataset asks itself for; None where it does not."""
        if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Load) and self._is_self(node.value):
            return node.slice
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr == "__getitem__"
            and self._is_self(node.func.value)
            and len(node.args) == 1
        ):
            return node.args[0]
        return None

    def alone_is_asked_for(self, name: str, after: ast.AST) -> bool:
        """Whether a variable, from ``after`` on, only goes where the dataset asks itself, or into what is said."""
        end = (getattr(after, "end_lineno", 0), getattr(after, "end_col_offset", 0))
        harmless: set[int] = set()
        for one in ast.walk(self._tree):
            if is_said(one) or isinstance(one, ast.Raise) or self.asked_for(one) is not None:
                harmless |= {id(inner) for inner in ast.walk(one)}
        return all(
            id(one) in harmless
            for one in ast.walk(self._tree)
            if isinstance(one, ast.Name) and one.id == name and (one.lineno, one.col_offset) > end
        )

    def is_asked_for(self, call: ast.Call) -> bool:
        """Whether what is drawn only goes where the dataset asks itself."""
        for one in ast.walk(self._tree):
            asked = self.asked_for(one)
            if asked is not None and any(inner is call for inner in ast.walk(asked)):
                return True
            if isinstance(one, ast.Assign) and any(inner is call for inner in ast.walk(one.value)):
                names = [target.id for target in one.targets if isinstance(target, ast.Name)]
                return len(names) == len(one.targets) and all(self.alone_is_asked_for(n, one) for n in names)
        return False
