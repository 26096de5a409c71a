"""The names in a function of the index that a dataset was asked for, and what becomes of it."""

from __future__ import annotations

import ast
import enum

from coverage_audit.adapters.source_code import called, names_in

_CONVERSIONS = frozenset(
    ("int", "item", "tolist", "list", "tuple", "asarray", "array", "index", "cpu", "numpy", "long")
)


class Kind(enum.Enum):
    """``EACH``: one of several that were asked for, or all of them. ``COMPUTED``: another one, made of it."""

    ASKED = "asked"
    EACH = "each"
    COMPUTED = "computed"


Given = dict[int | str, Kind]
"""Which parameters of a function are given an index, by place or name."""


class AskedIndices:
    """``given``: of a function with these ``parameters``, the first of which is the dataset itself."""

    def __init__(self, given: Given, parameters: list[str]) -> None:
        self._names: dict[str, Kind] = {}
        self._self = parameters[0] if parameters else ""
        for key, kind in given.items():
            if isinstance(key, str):
                self._names[key] = kind
            elif key < len(parameters):
                self._names[parameters[key]] = kind

    def kind(self, value: ast.AST) -> Kind | None:
        """Which index an expression is, of those asked for; None where it is none."""
        if isinstance(value, ast.Name):
            known = self._names.get(value.id)
            return None if known is Kind.COMPUTED else known
        if isinstance(value, ast.BinOp):
            return self._kind_of_wrapped(value)
        if isinstance(value, ast.IfExp):
            kinds = [self.kind(value.body), self.kind(value.orelse)]
            return None if None in kinds else kinds[0]
        if isinstance(value, ast.ListComp) and len(value.generators) == 1 and isinstance(value.elt, ast.Name):
            only = value.generators[0]
            is_each = isinstance(only.target, ast.Name) and only.target.id == value.elt.id
            return Kind.EACH if is_each and self.kind(only.iter) is not None else None
        if isinstance(value, ast.Call) and called(value) in _CONVERSIONS:
            held = value.args[0] if value.args else value.func.value if isinstance(value.func, ast.Attribute) else None
            return None if held is None else self.kind(held)
        return None

    def _kind_of_wrapped(self, value: ast.BinOp) -> Kind | None:
        """``index % n``, ``len(self) + index``: the same one, counted from the other end."""
        if isinstance(value.op, ast.Mod):
            return self.kind(value.left)
        if isinstance(value.op, ast.Add):
            for length, index in ((value.left, value.right), (value.right, value.left)):
                if isinstance(length, ast.Call) and called(length) == "len" and names_in(length) == {"len", self._self}:
                    return self.kind(index)
        return None

    def take_each(self, target: ast.AST, values: ast.AST) -> bool:
        """Whether a loop goes over the indices that were asked for, in their order; its variable is one of them."""
        if isinstance(values, ast.Call) and called(values) == "enumerate" and len(values.args) == 1:
            pair = target.elts if isinstance(target, ast.Tuple) else []
            return len(pair) == 2 and self.take_each(pair[1], values.args[0])
        if not isinstance(target, ast.Name) or self.kind(values) is None:
            return False
        self._names[target.id] = Kind.EACH
        return True

    def assign(self, target: ast.AST, value: ast.AST) -> list[str]:
        """The names of indices that become other ones."""
        if isinstance(target, ast.Tuple | ast.List):
            values = value.elts if isinstance(value, ast.Tuple | ast.List) else []
            given = values if len(values) == len(target.elts) else [value] * len(target.elts)
            pairs = zip(target.elts, given, strict=True)
            return [name for one, of in pairs for name in self.assign(one, of)]
        if not isinstance(target, ast.Name):
            return []
        kind = self.kind(value)
        if kind is not None:
            self._names.setdefault(target.id, kind)
        elif target.id in self._names:
            self._names[target.id] = Kind.COMPUTED
            return [] if self._counts_down(value) else [target.id]
        return []

    def change(self, node: ast.AugAssign) -> list[str]:
        """As :meth:`assign`, of ``index += ...``."""
        target = node.target
        if not self.is_index(target) or not isinstance(target, ast.Name) or isinstance(node.op, ast.Mod):
            return []
        self._names[target.id] = Kind.COMPUTED
        return [] if isinstance(node.op, ast.Sub | ast.FloorDiv) else [target.id]

    def _counts_down(self, value: ast.AST) -> bool:
        """``index - n``, ``index // n``, ``index % n``: where it lies in one of several parts."""
        if isinstance(value, ast.Call) and called(value) == "divmod":
            return bool(value.args) and self.is_index(value.args[0])
        if not isinstance(value, ast.BinOp):
            return False
        return isinstance(value.op, ast.Sub | ast.FloorDiv | ast.Mod) and self.is_index(value.left)

    def is_index(self, value: ast.AST) -> bool:
        """Whether this is the name of an index, or of what was made of it."""
        return isinstance(value, ast.Name) and value.id in self._names

    def are_the_same(self, test: ast.expr) -> bool:
        """``other == index``: whether what is asked is only that."""
        return (
            isinstance(test, ast.Compare)
            and isinstance(test.ops[0], ast.Eq)
            and all(map(self.is_index, (test.left, *test.comparators)))
        )

    def are_in(self, node: ast.AST) -> bool:
        """Whether an index is read in an expression."""
        return bool(self._names.keys() & names_in(node))

    def is_shifted(self, value: ast.AST) -> bool:
        """Whether there is arithmetic in it that leads from an index to another one."""
        return any(
            isinstance(one, ast.BinOp)
            and self.are_in(one)
            and not (isinstance(one.op, ast.Mod | ast.FloorDiv) and self.is_index(one.left))
            for one in ast.walk(value)
        )

    def given_by(self, arguments: list[ast.expr], keywords: list[ast.keyword]) -> Given:
        """Which parameters of a method get an index by a call of it."""
        given: Given = {}
        for at, value in enumerate(arguments, 1):
            kind = self.kind(value)
            if kind is not None:
                given[at] = kind
        for keyword in keywords:
            kind = self.kind(keyword.value)
            if kind is not None and keyword.arg is not None:
                given[keyword.arg] = kind
        return given
