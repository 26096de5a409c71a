"""Reads one function of a dataset for other samples than those it is asked for. See
:mod:`~coverage_audit.adapters.torch_substitutes`."""

from __future__ import annotations

import ast
import types
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from coverage_audit.adapters.asked_indices import AskedIndices, Given, Kind
from coverage_audit.adapters.asking_itself import AskingItself
from coverage_audit.adapters.kept_samples import gives_kept
from coverage_audit.adapters.other_choices import OtherChoices
from coverage_audit.adapters.source_code import Source, called, draws, given_to, is_of_nothing, is_said, names_in
from coverage_audit.adapters.ways_back import WaysBack, attributes, mangled

_LOOKS_ONLY = frozenset(("len", "isinstance", "type", "id", "hasattr", "getattr", "setattr", "super", "print", "repr"))

Above = tuple[tuple[Any, types.CodeType], ...]
"""The datasets and functions by which a function was reached."""


@dataclass(slots=True)
class Substitutes:
    """``asks_itself``: where the dataset asks itself for a sample. ``loads``: where it may load another in any other
    way, or in one that cannot be followed. None where it does not."""

    asks_itself: str | None = None
    loads: str | None = None
    reaches: list[Source] = field(default_factory=list)
    """The functions that were read."""
    read: set[Any] = field(default_factory=set)
    """What need not be read again."""


@dataclass(frozen=True, slots=True)
class Method:
    """Of ``dataset``, as ``kind`` and the classes above it have it. ``failing``: called where something has failed."""

    dataset: Any
    kind: type
    name: str
    failing: bool = False


Follow = Callable[[Substitutes, Method, Given, Above], None]
"""Reads a method that is called, with the indices that it is given."""


class SubstituteReader(ast.NodeVisitor):
    """Reads one function. ``failing``: how many branches around it are there for what failed; ``trying``: how many
    loops that may be tried again; ``looping``: how many loops."""

    def __init__(
        self,
        found: Substitutes,
        dataset: Any,
        owner: type,
        source: Source,
        given: Given,
        above: Above,
        follow: Follow,
    ) -> None:
        self._found, self._dataset, self._owner, self._source = found, dataset, owner, source
        self._above, self._follow_method = above, follow
        parameters = source.parameters
        self._self = parameters[0] if parameters else ""
        self._index = AskedIndices(given, parameters)
        self._itself = AskingItself(source)
        self._choices = OtherChoices(source, self._index)
        self._is_asked_first = source.code.co_name in ("__getitem__", "__getitems__")
        self._back = WaysBack(dataset, dataset, self._self, owner)
        self.failing = self.trying = self.looping = 0

    def read(self) -> None:
        tree = self._source.tree
        assert tree is not None
        kept = gives_kept(self._source) if self._is_asked_first else None
        if kept is not None:
            self._loads(kept)
        for statement in tree.body if isinstance(tree, ast.FunctionDef) else [tree.body]:
            self.visit(statement)

    # What there is to be found.

    def _asks_itself(self, node: ast.AST) -> None:
        self._found.asks_itself = self._found.asks_itself or self._place(node)

    def _loads(self, node: ast.AST) -> None:
        self._found.loads = self._found.loads or self._place(node)

    def _place(self, node: ast.AST) -> str:
        return f"{self._owner.__name__}.{self._source.code.co_name} ({self._source.place(node)})"

    # Branches and loops.

    def visit_Raise(self, node: ast.Raise) -> None:
        """What is raised is no sample."""

    def visit_Expr(self, node: ast.Expr) -> None:
        if not is_said(node):  # what is said of a failure is no sample
            self.generic_visit(node)

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> None:
        self.failing += 1
        self.generic_visit(node)
        self.failing -= 1

    def visit_If(self, node: ast.If) -> None:
        self.visit(node.test)
        self._chooses(node)
        is_failure = is_of_nothing(node.test, self._source.parameters)
        self.failing += is_failure
        for statement in node.body:
            self.visit(statement)
        self.failing -= is_failure
        for statement in node.orelse:
            self.visit(statement)

    def visit_IfExp(self, node: ast.IfExp) -> None:
        self._chooses(node)
        self.generic_visit(node)

    def _chooses(self, node: ast.If | ast.IfExp) -> None:
        if self._is_asked_first and self._choices.is_other(node):
            self._loads(node)

    def visit_While(self, node: ast.While) -> None:
        again = not self._index.are_the_same(node.test)  # else one that is not the one asked for, to go beside it
        self.looping += again
        self.trying += again
        self.generic_visit(node)
        self.looping -= again
        self.trying -= again

    def visit_For(self, node: ast.For) -> None:
        again = any(isinstance(one, ast.Try) for one in ast.walk(node))
        leaves = again or any(isinstance(one, ast.Return | ast.Break) for one in ast.walk(node))
        each = self._index.take_each(node.target, node.iter)
        if not each and leaves and self._index.are_in(node.iter):
            self._loads(node)  # tries one after the other, from the one that was asked for
        self.looping += 1
        self.trying += again
        self.generic_visit(node)
        self.looping -= 1
        self.trying -= again

    def visit_ListComp(self, node: ast.ListComp | ast.GeneratorExp | ast.SetComp) -> None:
        for generator in node.generators:
            self._index.take_each(generator.target, generator.iter)
            self.visit(generator)
        self.visit(node.elt)

    visit_GeneratorExp = visit_SetComp = visit_ListComp

    # Indices.

    def visit_Assign(self, node: ast.Assign) -> None:
        self.generic_visit(node)
        for target in node.targets:
            self._reassigned(self._index.assign(target, node.value), node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        self.generic_visit(node)
        if node.value is not None:
            self._reassigned(self._index.assign(node.target, node.value), node)

    def visit_NamedExpr(self, node: ast.NamedExpr) -> None:
        self.generic_visit(node)
        self._reassigned(self._index.assign(node.target, node.value), node)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        self.generic_visit(node)
        self._reassigned(self._index.change(node), node)

    def _reassigned(self, names: list[str], node: ast.AST) -> None:
        """Indices become other ones: a substitute where something failed, or in a loop that tries again."""
        for name in names:
            if self.looping or (self.failing and not self._itself.alone_is_asked_for(name, node)):
                self._loads(node)

    # What is asked.

    def visit_Subscript(self, node: ast.Subscript) -> None:
        self.generic_visit(node)
        if self._takes_back(node):
            return
        self._follow_inner(node.value)
        if self.failing and self._index.is_shifted(node.slice):
            self._loads(node)

    def _takes_back(self, node: ast.Subscript | ast.Call) -> bool:
        """Whether this takes a sample out of the dataset itself, and then what comes of it."""
        asked = self._itself.asked_for(node)
        if asked is not None:
            self._asked(asked, node)
        elif self._back.asks(node):
            self._loads(node)
        else:
            return False
        return True

    def _asked(self, asked: ast.expr, node: ast.AST) -> None:
        if self._index.kind(asked) is Kind.EACH:
            self._follow(type(self._dataset), "__getitem__", {1: Kind.ASKED})
        else:
            self._asks_itself(node)

    def visit_Call(self, node: ast.Call) -> None:
        self.generic_visit(node)
        name, function = called(node), node.func
        if self._takes_back(node):
            return
        for kept in self._back.methods(node):
            self._call_own(kept, node)
        if isinstance(function, ast.Attribute) and self._is_super(function.value):
            self._call_above(name, node.args, node)
        elif isinstance(function, ast.Attribute) and name == "__getitem__" and self._is_class_of(node):
            self._call_above(name, node.args[1:], node)
        elif isinstance(function, ast.Attribute) and self._is_self(function.value):
            self._call_own(mangled(name, self._owner), node)
        elif isinstance(function, ast.Attribute) and name == "__getitem__":
            self._follow_inner(function.value)
        elif name not in _LOOKS_ONLY and any(map(self._is_self, given_to(node))):
            self._asks_itself(node)  # whoever is given the dataset may ask it
        if (draws(name) and self._is_for_a_substitute(node)) or (
            self.failing and any(map(self._index.is_shifted, node.args))
        ):
            self._loads(node)

    def _is_for_a_substitute(self, call: ast.Call) -> bool:
        """Whether what is drawn by chance here is another sample: always where something failed; in a loop that tries
        again, if it is one of as many as the dataset has."""
        if self.failing:
            return not self._itself.is_asked_for(call)
        return self.trying > 0 and any(self._is_as_long(one) for given in call.args for one in ast.walk(given))

    def _is_as_long(self, node: ast.AST) -> bool:
        if isinstance(node, ast.Call) and called(node) == "len":
            return any(self._self in names_in(given) for given in node.args)
        if isinstance(node, ast.Attribute) and self._is_self(node.value):
            held: Any = attributes(self._dataset).get(mangled(node.attr, self._owner))
            try:
                rows = len(self._dataset)
                return bool(held == rows) if isinstance(held, int) else len(held) == rows
            except Exception:  # noqa: BLE001 - of the user's own kinds; such a thing is not as long
                return False
        return False

    def _call_own(self, name: str, node: ast.Call) -> None:
        given = self._index.given_by(node.args, node.keywords)
        again = any(of is self._dataset and code.co_name == name for of, code in self._above)
        if again and not given:
            self._loads(node)  # the same once more, with another index
        self._follow(type(self._dataset), name, given)

    def _call_above(self, name: str, arguments: list[ast.expr], node: ast.AST) -> None:
        mro = type(self._dataset).__mro__
        after = mro[mro.index(self._owner) + 1] if self._owner in mro else object
        if name == "__getitem__":
            kind = self._index.kind(arguments[0]) if len(arguments) == 1 else None
            if kind is None:
                self._loads(node)
                return
        self._follow(after, name, self._index.given_by(arguments, []))

    def _follow(self, kind: type, name: str, given: Given) -> None:
        method = Method(self._dataset, kind, name, self.failing > 0)
        self._follow_method(self._found, method, given, self._above)

    def _follow_inner(self, value: ast.AST) -> None:
        """A dataset that this one holds and asks."""
        if not isinstance(value, ast.Attribute) or not self._is_self(value.value):
            return
        held = attributes(self._dataset).get(mangled(value.attr, self._owner))
        if not _is_dataset(held):
            return
        inner = Substitutes()
        self._follow_method(inner, Method(held, type(held), "__getitem__"), {1: Kind.ASKED}, self._above)
        where = inner.loads or inner.asks_itself
        if where is not None:
            self._found.loads = self._found.loads or where

    def _is_self(self, node: ast.AST) -> bool:
        return isinstance(node, ast.Name) and node.id == self._self

    def _is_super(self, node: ast.AST) -> bool:
        return isinstance(node, ast.Call) and called(node) == "super"

    def _is_class_of(self, node: ast.Call) -> bool:
        return len(node.args) > 1 and self._is_self(node.args[0])


def _is_dataset(held: Any) -> bool:
    return any(kind.__module__ == "torch.utils.data.dataset" for kind in type(held).__mro__)
