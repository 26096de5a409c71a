"""May a map-style dataset give another sample than the one it was asked for? Read off its code.

Datasets with samples that cannot be read often give others in their place: ``return self[other]``, or a loop that tries
another index until one can be read. What asks the dataset itself can be followed while it runs
(:mod:`~coverage_audit.adapters.torch_standin`); what loads another sample in any other way cannot. An index that is
computed from the one that was asked for is the dataset's own order, and no substitute. Knows nothing of torch.
"""

from __future__ import annotations

import ast
import dis
import types
from dataclasses import dataclass, field
from typing import Any

from coverage_audit.adapters.source_code import Source, called, codes_in, draws, functions_of, names_in, source_of

DEEP = 24
"""Functions that are followed into each other, at the most."""

_CONVERSIONS = frozenset(
    ("int", "item", "tolist", "list", "tuple", "asarray", "array", "index", "cpu", "numpy", "long")
)
_SAYS = frozenset(("print", "debug", "info", "warn", "warning", "error", "exception", "critical", "log", "write"))
_LOOKS_ONLY = frozenset(("len", "isinstance", "type", "id", "hasattr", "getattr", "setattr", "super", "print", "repr"))


@dataclass(slots=True)
class Substitutes:
    """``asks_itself``: where the dataset asks itself for a sample. ``loads``: where it may load another in any other
    way, or in one that cannot be followed. None where it does not."""

    asks_itself: str | None = None
    loads: str | None = None
    reaches: list[Source] = field(default_factory=list)
    """The functions that were read."""


def substitutes_of(dataset: Any, *, together: bool = False) -> Substitutes:
    """``together``: whether it is asked for all samples of a batch at once, by ``__getitems__``. Does not raise."""
    found = Substitutes()
    name = "__getitems__" if together else "__getitem__"
    _follow(found, _Method(dataset, type(dataset), name), {1: _EACH if together else _ASKED}, failing=False, above=())
    return found


_Above = tuple[tuple[Any, types.CodeType], ...]

_ASKED = "asked"
"""The index that was asked for."""
_EACH = "each"
"""One of those that were asked for, or all of them."""
_COMPUTED = "computed"
"""Another one, made of it."""


@dataclass(frozen=True, slots=True)
class _Method:
    """Of ``dataset``, as ``kind`` and the classes above it have it."""

    dataset: Any
    kind: type
    name: str


def _follow(found: Substitutes, method: _Method, given: dict[int | str, str], *, failing: bool, above: _Above) -> None:
    """Read a method. ``given``: which of its parameters are given an index, by place or name. ``failing``: whether it
    is called where something has failed. ``above``: the functions by which it was reached."""
    mro = type(method.dataset).__mro__
    at = mro.index(method.kind) if method.kind in mro else len(mro)
    owner = next((kind for kind in mro[at:] if method.name in vars(kind)), None)
    if owner is None or str(owner.__module__).partition(".")[0] == "torch":
        return
    for function in functions_of(vars(owner)[method.name]):
        if len(above) >= DEEP:
            return
        source = source_of(function.__code__)
        if source.tree is None:
            _read_bytecode(found, source, method.dataset)
        elif not any(code is function.__code__ and of is method.dataset for of, code in above):
            found.reaches.append(source)
            reader = _Reader(found, method.dataset, owner, source, given, (*above, (method.dataset, function.__code__)))
            reader.failing = int(failing)
            reader.read()


def _read_bytecode(found: Substitutes, source: Source, dataset: Any) -> None:
    """Where there is no source: whether it may ask itself, or takes another index where something failed."""
    code = source.code
    found.reaches.append(source)
    place = f"{type(dataset).__name__}.{code.co_name} ({source.place()})"
    found.asks_itself = found.asks_itself or place
    codes = list(codes_in(code))
    stored = {one.argval for one in dis.get_instructions(code) if one.opname.startswith("STORE_FAST")}
    kept = {name for one in stored for name in (one if isinstance(one, tuple) else (one,))}
    tries = any(getattr(one, "co_exceptiontable", b"") for one in codes)
    if tries and (kept & set(source.parameters[1:]) or any(draws(name) for one in codes for name in one.co_names)):
        found.loads = found.loads or place


class _Reader(ast.NodeVisitor):
    """Reads one function. ``failing``: how many branches around it are there for what failed; ``trying``: how many
    loops that may be tried again; ``looping``: how many loops."""

    def __init__(
        self,
        found: Substitutes,
        dataset: Any,
        owner: type,
        source: Source,
        given: dict[int | str, str],
        above: _Above,
    ) -> None:
        self._found, self._dataset, self._owner, self._source, self._above = found, dataset, owner, source, above
        parameters = source.parameters
        self._self = parameters[0] if parameters else ""
        self._index: dict[str, str] = {}
        for key, kind in given.items():
            name = key if isinstance(key, str) else parameters[key] if key < len(parameters) else ""
            if name:
                self._index[name] = kind
        self.failing = self.trying = self.looping = 0

    def read(self) -> None:
        tree = self._source.tree
        assert tree is not None
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
        if not _is_said(node):  # what is said of a failure is no sample
            self.generic_visit(node)

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> None:
        self.failing += 1
        self.generic_visit(node)
        self.failing -= 1

    def visit_If(self, node: ast.If) -> None:
        self.visit(node.test)
        is_failure = self._is_of_nothing(node.test)
        self.failing += is_failure
        for statement in node.body:
            self.visit(statement)
        self.failing -= is_failure
        for statement in node.orelse:
            self.visit(statement)

    def visit_While(self, node: ast.While) -> None:
        self.looping += 1
        self.trying += 1
        self.generic_visit(node)
        self.looping -= 1
        self.trying -= 1

    def visit_For(self, node: ast.For) -> None:
        again = any(isinstance(one, ast.Try) for one in ast.walk(node))
        leaves = again or any(isinstance(one, ast.Return | ast.Break) for one in ast.walk(node))
        each = self._take_each(node.target, node.iter)
        if not each and leaves and self._index.keys() & names_in(node.iter):
            self._loads(node)  # tries one after the other, from the one that was asked for
        self.looping += 1
        self.trying += again
        self.generic_visit(node)
        self.looping -= 1
        self.trying -= again

    def visit_ListComp(self, node: ast.ListComp | ast.GeneratorExp | ast.SetComp) -> None:
        for generator in node.generators:
            self._take_each(generator.target, generator.iter)
            self.visit(generator)
        self.visit(node.elt)

    visit_GeneratorExp = visit_SetComp = visit_ListComp

    # Indices.

    def visit_Assign(self, node: ast.Assign) -> None:
        self.generic_visit(node)
        for target in node.targets:
            self._assign(target, node.value, node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        self.generic_visit(node)
        if node.value is not None:
            self._assign(node.target, node.value, node)

    def visit_NamedExpr(self, node: ast.NamedExpr) -> None:
        self.generic_visit(node)
        self._assign(node.target, node.value, node)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        self.generic_visit(node)
        target = node.target
        counts_down = isinstance(node.op, ast.Sub | ast.FloorDiv | ast.Mod)
        if isinstance(target, ast.Name) and target.id in self._index and not isinstance(node.op, ast.Mod):
            self._index[target.id] = _COMPUTED
            if not counts_down:
                self._reassigned(target.id, node)

    def _assign(self, target: ast.AST, value: ast.AST, node: ast.AST) -> None:
        if isinstance(target, ast.Tuple | ast.List):
            values = value.elts if isinstance(value, ast.Tuple | ast.List) else []
            for at, one in enumerate(target.elts):
                self._assign(one, values[at] if len(values) == len(target.elts) else value, node)
        elif isinstance(target, ast.Name):
            kind = self._kind(value)
            if kind is not None:
                self._index.setdefault(target.id, kind)
            elif target.id in self._index:
                self._index[target.id] = _COMPUTED
                if not self._is_arithmetic_down(value):
                    self._reassigned(target.id, node)

    def _reassigned(self, name: str, node: ast.AST) -> None:
        """An index becomes another one: a substitute where something failed, or in a loop that tries again."""
        if self.looping or (self.failing and not self._is_asked_of_itself_only(name, node)):
            self._loads(node)

    def _is_asked_of_itself_only(self, name: str, after: ast.AST) -> bool:
        assert self._source.tree is not None
        end = (getattr(after, "end_lineno", 0), getattr(after, "end_col_offset", 0))
        harmless: set[int] = set()
        for one in ast.walk(self._source.tree):
            if _is_said(one) or isinstance(one, ast.Raise) or self._asks(one) is not None:
                harmless |= {id(inner) for inner in ast.walk(one)}
        return all(
            id(one) in harmless
            for one in ast.walk(self._source.tree)
            if isinstance(one, ast.Name) and one.id == name and (one.lineno, one.col_offset) > end
        )

    def _take_each(self, target: ast.AST, values: ast.AST) -> bool:
        """Whether a loop goes over the indices that were asked for, in their order; its variable is one of them."""
        if isinstance(values, ast.Call) and called(values) == "enumerate" and len(values.args) == 1:
            pair = target.elts if isinstance(target, ast.Tuple) else []
            return len(pair) == 2 and self._take_each(pair[1], values.args[0])
        if not isinstance(target, ast.Name) or self._kind(values) is None:
            return False
        self._index[target.id] = _EACH
        return True

    def _kind(self, value: ast.AST) -> str | None:
        """Which index an expression is, of those asked for; None where it is none."""
        if isinstance(value, ast.Name):
            kind = self._index.get(value.id)
            return None if kind == _COMPUTED else kind
        if isinstance(value, ast.BinOp) and isinstance(value.op, ast.Mod):
            return self._kind(value.left)
        if isinstance(value, ast.IfExp):
            kinds = [self._kind(value.body), self._kind(value.orelse)]
            return None if None in kinds else kinds[0]
        if isinstance(value, ast.ListComp) and len(value.generators) == 1 and isinstance(value.elt, ast.Name):
            only = value.generators[0]
            is_each = isinstance(only.target, ast.Name) and only.target.id == value.elt.id
            return _EACH if is_each and self._kind(only.iter) is not None else None
        if isinstance(value, ast.Call) and called(value) in _CONVERSIONS:
            held = value.args[0] if value.args else value.func.value if isinstance(value.func, ast.Attribute) else None
            return None if held is None else self._kind(held)
        return None

    def _is_arithmetic_down(self, value: ast.AST) -> bool:
        """``index - n``, ``index // n``, ``index % n``: where it lies in one of several parts."""
        if isinstance(value, ast.Call) and called(value) == "divmod":
            return bool(value.args) and self._is_index(value.args[0])
        down = isinstance(value, ast.BinOp) and isinstance(value.op, ast.Sub | ast.FloorDiv | ast.Mod)
        return down and isinstance(value, ast.BinOp) and self._is_index(value.left)

    def _is_index(self, value: ast.AST) -> bool:
        return isinstance(value, ast.Name) and value.id in self._index

    def _is_shifted(self, value: ast.AST) -> bool:
        """Whether there is arithmetic with an index in it."""
        return any(isinstance(one, ast.BinOp) and self._index.keys() & names_in(one) for one in ast.walk(value))

    # What is asked.

    def _asks(self, node: ast.AST) -> ast.expr | None:
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

    def visit_Subscript(self, node: ast.Subscript) -> None:
        self.generic_visit(node)
        asked = self._asks(node)
        if asked is not None:
            self._asked(asked, node)
            return
        self._follow_inner(node.value)
        if self.failing and self._is_shifted(node.slice):
            self._loads(node)

    def _asked(self, asked: ast.expr, node: ast.AST) -> None:
        if self._kind(asked) == _EACH:
            self._follow(type(self._dataset), "__getitem__", {1: _ASKED})
        else:
            self._asks_itself(node)

    def visit_Call(self, node: ast.Call) -> None:
        self.generic_visit(node)
        name, function = called(node), node.func
        asked = self._asks(node)
        if asked is not None:
            self._asked(asked, node)
        elif isinstance(function, ast.Attribute) and self._is_super(function.value):
            self._call_above(name, node.args, node)
        elif isinstance(function, ast.Attribute) and name == "__getitem__" and self._is_class_of(node):
            self._call_above(name, node.args[1:], node)
        elif isinstance(function, ast.Attribute) and self._is_self(function.value):
            self._call_own(name, node)
        elif isinstance(function, ast.Attribute) and name == "__getitem__":
            self._follow_inner(function.value)
        elif name not in _LOOKS_ONLY and any(map(self._is_self, node.args)):
            self._asks_itself(node)  # whoever is given the dataset may ask it
        if (draws(name) and self._is_for_a_substitute(node)) or (
            self.failing and any(map(self._is_shifted, node.args))
        ):
            self._loads(node)

    def _is_for_a_substitute(self, call: ast.Call) -> bool:
        """Whether what is drawn by chance here is another sample: always where something failed; in a loop that tries
        again, if it is one of as many as the dataset has."""
        if self.failing:
            return not self._is_asked_directly(call)
        return self.trying > 0 and any(self._is_as_long(one) for given in call.args for one in ast.walk(given))

    def _is_asked_directly(self, call: ast.Call) -> bool:
        """Whether what is drawn only goes where the dataset asks itself."""
        assert self._source.tree is not None
        for one in ast.walk(self._source.tree):
            asked = self._asks(one)
            if asked is not None and any(inner is call for inner in ast.walk(asked)):
                return True
            if isinstance(one, ast.Assign) and any(inner is call for inner in ast.walk(one.value)):
                names = [target.id for target in one.targets if isinstance(target, ast.Name)]
                return len(names) == len(one.targets) and all(self._is_asked_of_itself_only(n, one) for n in names)
        return False

    def _is_as_long(self, node: ast.AST) -> bool:
        if isinstance(node, ast.Call) and called(node) == "len":
            return any(self._self in names_in(given) for given in node.args)
        if isinstance(node, ast.Attribute) and self._is_self(node.value):
            held = _held(self._dataset, node.attr)
            try:
                rows = len(self._dataset)
                return bool(held == rows) if isinstance(held, int) else len(held) == rows
            except Exception:  # noqa: BLE001 - of the user's own kinds; such a thing is not as long
                return False
        return False

    def _call_own(self, name: str, node: ast.Call) -> None:
        given: dict[int | str, str] = {}
        for at, value in enumerate(node.args, 1):
            kind = self._kind(value)
            if kind is not None:
                given[at] = kind
        for keyword in node.keywords:
            kind = self._kind(keyword.value)
            if kind is not None and keyword.arg is not None:
                given[keyword.arg] = kind
        again = any(of is self._dataset and code.co_name == name for of, code in self._above)
        if again and not given:
            self._loads(node)  # the same once more, with another index
        self._follow(type(self._dataset), name, given)

    def _call_above(self, name: str, arguments: list[ast.expr], node: ast.AST) -> None:
        mro = type(self._dataset).__mro__
        after = mro[mro.index(self._owner) + 1] if self._owner in mro else object
        if name == "__getitem__":
            kind = self._kind(arguments[0]) if len(arguments) == 1 else None
            if kind is None:
                self._loads(node)
                return
        given: dict[int | str, str] = {}
        for at, value in enumerate(arguments, 1):
            kind = self._kind(value)
            if kind is not None:
                given[at] = kind
        self._follow(after, name, given)

    def _follow(self, kind: type, name: str, given: dict[int | str, str]) -> None:
        method = _Method(self._dataset, kind, name)
        _follow(self._found, method, given, failing=self.failing > 0, above=self._above)

    def _follow_inner(self, value: ast.AST) -> None:
        """A dataset that this one holds and asks."""
        if not isinstance(value, ast.Attribute) or not self._is_self(value.value):
            return
        held = _held(self._dataset, value.attr)
        if not _is_dataset(held) or len(self._above) >= DEEP:
            return
        inner = Substitutes()
        _follow(inner, _Method(held, type(held), "__getitem__"), {1: _ASKED}, failing=False, above=self._above)
        where = inner.loads or inner.asks_itself
        if where is not None:
            self._found.loads = self._found.loads or where

    def _is_self(self, node: ast.AST) -> bool:
        return isinstance(node, ast.Name) and node.id == self._self

    def _is_super(self, node: ast.AST) -> bool:
        return isinstance(node, ast.Call) and called(node) == "super"

    def _is_class_of(self, node: ast.Call) -> bool:
        return len(node.args) > 1 and self._is_self(node.args[0])

    def _is_of_nothing(self, test: ast.AST) -> bool:
        """``x is None``, ``not x`` of a variable of its own: what could not be had."""
        if (
            isinstance(test, ast.Compare)
            and isinstance(test.left, ast.Name)
            and isinstance(test.ops[0], ast.Is | ast.Eq)
        ):
            held: ast.AST = test.left
            if not isinstance(test.comparators[0], ast.Constant) or test.comparators[0].value is not None:
                return False
        elif isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
            held = test.operand
        else:
            return False
        return isinstance(held, ast.Name) and held.id not in self._source.parameters


def _is_said(node: ast.AST) -> bool:
    """Whether a statement only tells somebody something."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Call) and called(node.value) in _SAYS


def _held(dataset: Any, name: str) -> Any:
    """What an object has under this name, without running any code of the user's."""
    try:
        return object.__getattribute__(dataset, "__dict__").get(name)
    except AttributeError:
        return None


def _is_dataset(held: Any) -> bool:
    return any(kind.__module__ == "torch.utils.data.dataset" for kind in type(held).__mro__)
