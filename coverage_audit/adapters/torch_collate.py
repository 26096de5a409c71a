"""Does a collate function put other samples in place of some it was given? Read off its code.

Functions that leave out what could not be read may fill the batch up again: out of the dataset, which they hold in one
way or another, or with samples that are there already. Then as many rows come as were asked for, and others. Knows
nothing of torch.
"""

from __future__ import annotations

import ast
import dis
import functools
import types
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from coverage_audit.adapters.source_code import Source, called, codes_in, functions_of, names_in, source_of
from coverage_audit.adapters.ways_back import attributes, mangled

DEEP = 8
"""Functions that are followed into each other, at the most."""
_LOOKS_ONLY = frozenset(("len", "isinstance", "type", "id", "hasattr", "getattr", "print", "repr", "str", "super"))
_ADDS = frozenset(("append", "extend", "insert"))
_NOTHING = object()


def puts_others(collate: Any, datasets: Sequence[Any]) -> str | None:
    """Where it does, for a sentence: the function and its line; None where it does not. ``datasets``: those of the
    loader. Does not raise."""
    held = _Held(tuple(datasets), frozenset(map(type, datasets)))
    for call in _calls_of(collate):
        if str(call.function.__module__).partition(".")[0] in ("torch", "torchdata"):
            continue
        where = _read(call, held, 0)
        if where is not None:
            return where
    return None


@dataclass(frozen=True, slots=True)
class _Held:
    """The datasets that may be held, and others of their kinds."""

    datasets: tuple[Any, ...]
    kinds: frozenset[type]

    def __contains__(self, value: Any) -> bool:
        return type(value) in self.kinds or any(value is one for one in self.datasets)


@dataclass(frozen=True, slots=True)
class _Call:
    """A function, and what some of its parameters are. ``samples``: those that are given the samples of the batch."""

    function: types.FunctionType
    given: dict[str, Any] = field(default_factory=dict)
    samples: frozenset[str] = frozenset()


def _calls_of(called_: Any, given: Sequence[Any] = ()) -> Iterator[_Call]:
    """The functions behind something that can be called. ``given``: its first arguments, as far as they are known."""
    named: dict[str, Any] = {}
    while isinstance(called_, functools.partial):
        named = {**called_.keywords, **named}
        given = (*called_.args, *given)
        called_ = called_.func
    if isinstance(called_, types.MethodType):
        given, called_ = (called_.__self__, *given), called_.__func__
    elif not hasattr(called_, "__code__") and not hasattr(called_, "__wrapped__"):
        given, called_ = (called_, *given), vars(type(called_)).get("__call__", _inherited(type(called_), "__call__"))
    for function in functions_of(called_):
        names = function.__code__.co_varnames[: function.__code__.co_argcount]
        defaults = function.__defaults__ or ()
        known = dict(zip(names[len(names) - len(defaults) :], defaults, strict=True))
        bound = {**dict(zip(names, given, strict=False)), **named}
        yield _Call(function, known | bound, frozenset([name for name in names if name not in bound][:1]))


def _inherited(kind: type, name: str) -> Any:
    return next((vars(one)[name] for one in kind.__mro__ if name in vars(one)), None)


def _read(call: _Call, held: _Held, depth: int) -> str | None:
    source = source_of(call.function.__code__)
    reader = _Reader(call, source, held, depth)
    if source.tree is None:
        return reader.read_bytecode()
    for statement in source.tree.body if isinstance(source.tree, ast.FunctionDef) else [source.tree.body]:
        reader.visit(statement)
    return reader.where


class _Reader(ast.NodeVisitor):
    def __init__(self, call: _Call, source: Source, held: _Held, depth: int) -> None:
        self.where: str | None = None
        self._call, self._source, self._held, self._depth = call, source, held, depth
        self._names = _closure(call.function) | call.given
        self._samples = set(call.samples)
        self._left_out: set[str] = set()
        """Variables with what is left of the samples."""

    def read_bytecode(self) -> str | None:
        """Without source: whether it has a dataset, or what holds one, and takes anything out of anything."""
        codes = list(codes_in(self._call.function.__code__))
        steps = (step.opname for code in codes for step in dis.get_instructions(code))
        takes = any(step.startswith(("BINARY_SUBSCR", "BINARY_OP")) for step in steps)
        names = {name for code in codes for name in (*code.co_freevars, *code.co_varnames, *code.co_names)}
        values = [self._names.get(name, self._call.function.__globals__.get(name, _NOTHING)) for name in names]
        inside = [one for value in values for one in (value, *attributes(value).values())]
        return self._place(None) if takes and any(one in self._held for one in inside) else None

    def _place(self, node: ast.AST | None) -> str:
        return f"{self._call.function.__qualname__} ({self._source.place(node)})"

    def _found(self, node: ast.AST) -> None:
        self.where = self.where or self._place(node)

    def _value(self, node: ast.AST) -> Any:
        """What an expression is, without running any code of the user's; _NOTHING where that is not known."""
        if isinstance(node, ast.Name):
            if node.id in self._names:
                return self._names[node.id]
            return self._call.function.__globals__.get(node.id, _NOTHING)
        if isinstance(node, ast.Attribute):
            of = self._value(node.value)
            return _NOTHING if of is _NOTHING else _attribute(of, node.attr)
        return _NOTHING

    def _is_dataset(self, node: ast.AST) -> bool:
        return self._value(node) in self._held

    def visit_Assign(self, node: ast.Assign) -> None:
        self.generic_visit(node)
        for target in node.targets:
            if isinstance(target, ast.Name):
                if self._leaves_out(node.value):
                    self._left_out.add(target.id)
                self._names[target.id] = self._value(node.value)

    def _leaves_out(self, value: ast.AST) -> bool:
        """``[s for s in samples if ...]``, ``list(filter(..., samples))``."""
        if isinstance(value, ast.ListComp):
            return any(one.ifs and self._are_samples(one.iter) for one in value.generators)
        if isinstance(value, ast.Call):
            if called(value) == "filter":
                return any(map(self._are_samples, value.args))
            return called(value) in ("list", "tuple") and any(map(self._leaves_out, value.args))
        return False

    def _are_samples(self, value: ast.AST) -> bool:
        return isinstance(value, ast.Name) and value.id in self._samples | self._left_out

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        self.generic_visit(node)
        if isinstance(node.target, ast.Name) and node.target.id in self._left_out:
            self._found(node)

    def visit_BinOp(self, node: ast.BinOp) -> None:
        self.generic_visit(node)
        if any(isinstance(one, ast.Name) and one.id in self._left_out for one in (node.left, node.right)):
            self._found(node)
        if isinstance(node.op, ast.Add) and self._repeats(node.left, node.right):
            self._found(node)

    def _repeats(self, one: ast.expr, other: ast.expr) -> bool:
        """``samples[:-1] + samples[:1]``: pieces of the samples that are not all of them in another order, though they
        may be as many."""
        pieces = [
            piece.slice
            for piece in (one, other)
            if isinstance(piece, ast.Subscript)
            and self._are_samples(piece.value)
            and isinstance(piece.slice, ast.Slice)
        ]
        if len(pieces) < 2 or any(piece.step is not None for piece in pieces):
            return False
        return not any(
            a.lower is None
            and b.upper is None
            and a.upper is not None
            and b.lower is not None
            and ast.dump(a.upper) == ast.dump(b.lower)
            for a, b in (pieces, pieces[::-1])
        )

    def visit_List(self, node: ast.List) -> None:
        self.generic_visit(node)
        again = [one for one in node.elts if isinstance(one, ast.Starred) and names_in(one) & self._left_out]
        if again and len(node.elts) > 1:
            self._found(node)

    def visit_Subscript(self, node: ast.Subscript) -> None:
        self.generic_visit(node)
        if isinstance(node.ctx, ast.Load) and self._is_dataset(node.value):
            self._found(node)

    def visit_For(self, node: ast.For) -> None:
        self.generic_visit(node)
        if self._is_dataset(node.iter):
            self._found(node)

    def visit_comprehension(self, node: ast.comprehension) -> None:
        self.generic_visit(node)
        if self._is_dataset(node.iter):
            self._found(node.iter)

    def visit_Call(self, node: ast.Call) -> None:
        self.generic_visit(node)
        name, function = called(node), node.func
        if name == "choices" and node.args and self._are_samples(node.args[0]):
            self._found(node)  # drawn with replacement
        if isinstance(function, ast.Attribute):
            if name in _ADDS and isinstance(function.value, ast.Name) and function.value.id in self._left_out:
                self._found(node)
            if name in ("__getitem__", "__getitems__") and self._is_dataset(function.value):
                self._found(node)
        if not self._follow(node) and name not in _LOOKS_ONLY:
            given = (*node.args, *(keyword.value for keyword in node.keywords))
            if any(map(self._is_dataset, given)):
                self._found(node)  # whoever is given the dataset may ask it

    def _follow(self, node: ast.Call) -> bool:
        """Read what is called here, where it is a function of the user's; whether it was."""
        of = self._value(node.func.value) if isinstance(node.func, ast.Attribute) else _NOTHING
        function = self._value(node.func)
        given: tuple[Any, ...] = tuple(map(self._value, node.args))
        if of is not _NOTHING and isinstance(node.func, ast.Attribute) and not isinstance(of, types.ModuleType):
            function = _inherited(type(of), node.func.attr)
            given = (of, *given)
        own = self._call.function.__module__
        if not isinstance(function, types.FunctionType) or self._depth >= DEEP:
            return False
        if function.__module__ != own and not any(one in self._held for one in given):
            return False
        if function.__code__ is not self._call.function.__code__:
            names = function.__code__.co_varnames[: function.__code__.co_argcount]
            known = dict(zip(names, given, strict=False))
            known |= {one.arg: self._value(one.value) for one in node.keywords if one.arg is not None}
            pairs = zip(names[len(given) - len(node.args) :], node.args, strict=False)
            samples = frozenset(name for name, value in pairs if self._are_samples(value))
            self.where = self.where or _read(_Call(function, known, samples), self._held, self._depth + 1)
        return True


def _closure(function: types.FunctionType) -> dict[str, Any]:
    values = {}
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            values[name] = cell.cell_contents
        except ValueError:  # not filled yet
            values[name] = _NOTHING
    return values


def _attribute(of: Any, name: str) -> Any:
    private = (mangled(name, kind) for kind in type(of).__mro__)
    name = next((one for one in private if one in attributes(of)), name)
    if name in attributes(of):
        return attributes(of)[name]
    for kind in type(of).__mro__:
        if name in vars(kind):
            found = vars(kind)[name]
            slot = isinstance(found, types.MemberDescriptorType)
            try:
                return found.__get__(of) if slot else found
            except AttributeError:  # a slot with nothing in it
                return _NOTHING
    return _NOTHING
