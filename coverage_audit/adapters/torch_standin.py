"""A stand-in for a map-style dataset that notes what the dataset asks itself for; given to iterators, never to loaders.

It is an instance of a subclass of the dataset's class, made here, over the dataset's own ``__dict__``: whatever is set
on the one is set on the other, and ``self[...]`` is heard. Subset and ConcatDataset get stand-ins that hold those of
what they look at. Where a dataset cannot share itself so, there is none.
"""

from __future__ import annotations

import abc
import ast
import builtins
import copy
import functools
import inspect
import multiprocessing.context
import sys
import types
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from coverage_audit.adapters.choice import loaded
from coverage_audit.adapters.source_code import Source, called, source_of
from coverage_audit.adapters.torch_notes import Notes

_set = object.__setattr__
_HEAP_TYPE = 1 << 9
"""Py_TPFLAGS_HEAPTYPE: a class that was made by a class statement."""
_OF_ITS_OWN = frozenset(("__del__", "__getattribute__", "__init_subclass__"))
"""Methods that a second object of the same ``__dict__``, or a class of its own, would disturb."""

_NOT_GIVEN = object()

_made: dict[type, type] = {}


def can_stand_in(dataset: Any, reaches: Sequence[Source]) -> bool:
    """Whether ``dataset`` can have a stand-in. ``reaches``: the functions by which it gives its samples."""
    kind = type(dataset)
    above = [one for one in kind.__mro__ if one is not object]
    if type(kind) not in (type, abc.ABCMeta) or not kind.__dictoffset__ or kind.__itemsize__:
        return False
    for one in above:
        names = vars(one)
        if not one.__flags__ & _HEAP_TYPE or not set(names.get("__slots__", ())) <= {"__dict__", "__weakref__"}:
            return False
        is_known = one.__module__ == "typing" or one.__module__.partition(".")[0] == "torch"
        if not is_known and names.keys() & _OF_ITS_OWN:
            return False
    if not isinstance(inspect.getattr_static(kind, "__getitem__", None), types.FunctionType):
        return False
    return not any(_holds(value, dataset) for value in vars(dataset).values()) and not any(
        _tells_apart(source, kind) for source in reaches
    )


def _holds(value: Any, dataset: Any) -> bool:
    """Whether a method of the dataset itself is kept: what goes through it is not heard."""
    if isinstance(value, types.MethodType):
        return value.__self__ is dataset
    if isinstance(value, functools.partial):
        return _holds(value.func, dataset) or any(one is dataset for one in (*value.args, *value.keywords.values()))
    if isinstance(value, types.FunctionType):
        return any(_content(cell) is dataset for cell in value.__closure__ or ())
    if type(value) is dict:
        return any(isinstance(one, types.MethodType) and one.__self__ is dataset for one in value.values())
    return value is dataset


def _content(cell: types.CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # not filled yet
        return None


def _tells_apart(source: Source, kind: type) -> bool:
    """Whether a function asks for the class of its own object, or for the object itself in ways that tell; or what it
    calls with this object. ``kind``: the class of the object."""
    if source.tree is None:
        return "type" in source.code.co_names
    me = source.parameters[:1]
    return any(_is_telling(node, me) or _hands_on(node, me, kind) for node in ast.walk(source.tree))


def _hands_on(node: ast.AST, me: list[str], kind: type) -> bool:
    """Whether the object is given to a plain function that tells, or that nobody can read."""
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
        return False
    places = [at for at, one in enumerate(node.args) if isinstance(one, ast.Name) and [one.id] == me]
    modules = [vars(sys.modules[one.__module__]) for one in kind.__mro__ if one.__module__ in sys.modules]
    function = next((names[node.func.id] for names in modules if node.func.id in names), None)
    if not places or hasattr(builtins, node.func.id):
        return False
    if not isinstance(function, types.FunctionType):
        return True
    source = source_of(function.__code__)
    if source.tree is None or len(source.parameters) <= places[0]:
        return True
    name = source.parameters[places[0] : places[0] + 1]
    return any(_is_telling(one, name) for one in ast.walk(source.tree))


def _is_telling(node: ast.AST, me: list[str]) -> bool:
    parts: list[ast.expr] = []
    if isinstance(node, ast.Call) and called(node) in ("type", "id"):
        parts = node.args
    elif isinstance(node, ast.Compare) and any(isinstance(one, ast.Is | ast.IsNot) for one in node.ops):
        parts = [node.left, *node.comparators]
    elif isinstance(node, ast.Attribute) and node.attr == "__dict__" and isinstance(node.ctx, ast.Store):
        parts = [node.value]
    return any(isinstance(one, ast.Name) and [one.id] == me for one in parts)


def stand_in(dataset: Any, notes: Notes) -> Any:
    """The stand-in of a dataset that is one of the bases of ``notes``, or a view of some; anything else is itself."""
    made = notes.made.get(id(dataset))
    if made is not None and made._audit_of is dataset:
        return made
    number = next((at for at, base in enumerate(notes.bases) if base is dataset), -1)
    make = _MAKERS[""] if number >= 0 else None
    for name in ("Subset", "ConcatDataset"):
        if type(dataset) is loaded("torch", f"utils.data.{name}"):
            make = _MAKERS[name]
    if make is not None:
        notes.made[id(dataset)] = made = _made_of(dataset, notes, number, make)
    return dataset if made is None else made


def _made_of(dataset: Any, notes: Notes, number: int, make: Callable[[Any], dict[str, Any]]) -> Any:
    kind: Any = type(dataset)
    if kind not in _made:
        names = {"__module__": kind.__module__, "__qualname__": kind.__qualname__, "__doc__": kind.__doc__}
        slots = {"__slots__": ("_audit_notes", "_audit_number", "_audit_of")}
        meta: Any = type(kind)
        _made[kind] = meta(kind.__name__, (kind,), {**names, **slots, **_like(kind), **make(kind)})
    made: Any = object.__new__(_made[kind])
    _set(made, "__dict__", vars(dataset))
    for name, value in (("_audit_of", dataset), ("_audit_notes", notes), ("_audit_number", number)):
        _set(made, name, value)
    return made


def _like(kind: Any) -> dict[str, Any]:
    """What makes an object pass for another one."""

    def __reduce_ex__(self: Any, protocol: Any) -> Any:
        if multiprocessing.context.get_spawning_popen() is None:  # the user's own: the dataset, or a key made of it
            return self._audit_of.__reduce_ex__(protocol)
        return stand_in, (self._audit_of, self._audit_notes)

    def __copy__(self: Any) -> Any:
        return copy.copy(self._audit_of)

    def __deepcopy__(self: Any, memo: Any) -> Any:
        return copy.deepcopy(self._audit_of, memo)

    names: dict[str, Any] = {
        "__reduce_ex__": __reduce_ex__,
        "__copy__": __copy__,
        "__deepcopy__": __deepcopy__,
        "__class__": property(lambda _self: kind),
    }
    if kind.__eq__ is object.__eq__ and kind.__hash__ is object.__hash__:  # caches of methods know the two as one
        names["__eq__"] = lambda self, other: self._audit_of is getattr(other, "_audit_of", other)
        names["__hash__"] = lambda self: hash(self._audit_of)
    return names


def _noting(kind: Any) -> dict[str, Any]:
    def __getitem__(self: Any, asked: Any = _NOT_GIVEN, /, *more: Any, **named: Any) -> Any:
        if asked is _NOT_GIVEN:  # by its name
            name = next(iter(named))
            asked, named = named[name], {key: value for key, value in named.items() if key != name}
        return self._audit_notes.ask(self, kind, asked, more, named)

    return {"__getitem__": __getitem__}


def _of_subset(kind: Any) -> dict[str, Any]:
    del kind

    def dataset(self: Any) -> Any:
        return stand_in(vars(self)["dataset"], self._audit_notes)

    def change(self: Any, other: Any) -> None:
        vars(self)["dataset"] = other

    return {"dataset": property(dataset, change)}


def _of_concatenation(kind: Any) -> dict[str, Any]:
    del kind

    def datasets(self: Any) -> Any:
        return _StandingIn(vars(self)["datasets"], self._audit_notes)

    def change(self: Any, others: Any) -> None:
        vars(self)["datasets"] = others

    return {"datasets": property(datasets, change)}


_MAKERS: dict[str, Callable[[Any], dict[str, Any]]] = {
    "": _noting,
    "Subset": _of_subset,
    "ConcatDataset": _of_concatenation,
}


class _StandingIn(Sequence[Any]):
    """The datasets of a ConcatDataset, each a stand-in."""

    def __init__(self, datasets: Sequence[Any], notes: Notes) -> None:
        self._datasets = datasets
        self._notes = notes

    def __len__(self) -> int:
        return len(self._datasets)

    def __getitem__(self, at: Any) -> Any:
        return stand_in(self._datasets[at], self._notes)

    def __iter__(self) -> Iterator[Any]:
        return (stand_in(dataset, self._notes) for dataset in self._datasets)
