"""Does an expression in a method of a dataset lead back to the dataset itself: ``self.parent()[i]``,
``self.readers[0](i)``? Told from what the objects hold, without running any code of the user's.
"""

from __future__ import annotations

import ast
import types
import weakref
from collections.abc import Iterator
from typing import Any

from coverage_audit.adapters.source_code import functions_of, source_of


class WaysBack:
    """Of a function whose first parameter, ``name``, is ``me``; ``owner``: the class with the function."""

    def __init__(self, dataset: Any, me: Any, name: str, owner: type) -> None:
        self._dataset = dataset
        self._me = me
        self._name = name
        self._owner = owner

    def asks(self, node: ast.Subscript | ast.Call) -> bool:
        """Whether the dataset is asked for a sample here through something that is held; not where it is asked as
        ``self[...]``."""
        if isinstance(node, ast.Subscript):
            return not self._is_me(node.value) and self._leads_back(node.value)
        function = node.func
        if any(is_method(one, self._dataset, "__getitem__") for one in self._values(function)):
            return True
        if not isinstance(function, ast.Attribute) or self._is_me(function.value):
            return False
        if function.attr == "__getitem__":
            return self._leads_back(function.value)
        return any(self._helps(one, function.attr) for one in self._values(function.value))

    def methods(self, call: ast.Call) -> list[str]:
        """Names of the dataset's own methods that are called here out of what holds them."""
        if (
            isinstance(call.func, ast.Attribute)
            and self._leads_back(call.func.value)
            and not self._is_me(call.func.value)
        ):
            return [call.func.attr]
        kept = (one for one in self._values(call.func) if is_method(one, self._dataset))
        return [one.__name__ for one in kept if one.__name__ != "__getitem__"]

    def _is_me(self, node: ast.AST) -> bool:
        return isinstance(node, ast.Name) and node.id == self._name

    def _leads_back(self, node: ast.AST) -> bool:
        return any(one is self._dataset for one in self._values(node))

    def _helps(self, helper: Any, name: str) -> bool:
        """Whether a method of an object that is held, and holds the dataset, asks it."""
        owner = next((kind for kind in type(helper).__mro__ if name in vars(kind)), None)
        if owner is None or self._me is not self._dataset or not self._is_held_by(helper):
            return False
        for function in functions_of(vars(owner)[name]):
            source = source_of(function.__code__)
            if source.tree is None or not source.parameters:
                continue
            inner = WaysBack(self._dataset, helper, source.parameters[0], owner)
            nodes = [one for one in ast.walk(source.tree) if isinstance(one, ast.Subscript | ast.Call)]
            if any(inner.asks(one) for one in nodes):
                return True
        return False

    def _is_held_by(self, helper: Any) -> bool:
        held = attributes(helper).values()
        return helper is not self._dataset and any(
            one is self._dataset or (type(one) is weakref.ref and one() is self._dataset) for one in held
        )

    def _values(self, node: ast.AST) -> list[Any]:
        """What an expression may be, as far as it can be told."""
        if isinstance(node, ast.Name):
            return [self._me] if node.id == self._name else []
        if isinstance(node, ast.Attribute):
            name = mangled(node.attr, self._owner)
            return [held[name] for held in map(attributes, self._values(node.value)) if name in held]
        if isinstance(node, ast.Subscript):
            return [one for held in self._values(node.value) for one in _items(held, node.slice)]
        if isinstance(node, ast.Call) and not node.args and not node.keywords:
            return [one() for one in self._values(node.func) if type(one) is weakref.ref]
        return []


def mangled(name: str, owner: type) -> str:
    """The name of an attribute as it is written in a method of ``owner``, as the attribute is named."""
    if not name.startswith("__") or name.endswith("__"):
        return name
    return f"_{owner.__name__.lstrip('_')}{name}"


def attributes(value: Any) -> dict[str, Any]:
    """What an object has."""
    try:
        held: Any = object.__getattribute__(value, "__dict__")
    except AttributeError:
        return {}
    return held if type(held) is dict else {}


def is_method(value: Any, dataset: Any, name: str | None = None) -> bool:
    """Whether this is a method of the dataset, bound to it; ``name``: this one."""
    return isinstance(value, types.MethodType) and value.__self__ is dataset and name in (None, value.__name__)


def _items(held: Any, at: ast.expr) -> Iterator[Any]:
    """The item at a constant place, any item else."""
    if type(held) not in (list, tuple, dict):
        return
    if isinstance(at, ast.Constant):
        try:
            yield held[at.value]
        except (LookupError, TypeError):
            return
    else:
        yield from held.values() if type(held) is dict else held
