"""Operators with an array of another class on the right: as between an ordinary array and that class."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from coverage_audit.identity.remembering import Remembering, bare


def _deferring(name: str) -> Any:
    """The operator, for tracked arrays.

    Python asks a subclass before its base class (``array * matrix`` is ``matrix.__rmul__``). To other subclasses of
    ndarray a tracked array is none, so they would not be asked.
    """
    of_numpy: Callable[[Any, Any], Any] = getattr(np.ndarray, name)
    of_python: Callable[[Any, Any], Any] = divmod if name == "__divmod__" else getattr(operator, name)

    def apply(self: Any, other: Any) -> Any:
        if isinstance(other, np.ndarray) and type(other) is not np.ndarray and not isinstance(other, Remembering):
            return of_python(_in_numpy(self), other)
        return of_numpy(self, other)

    apply.__name__, apply.__qualname__ = name, f"ndarray.{name}"
    return apply


def _in_numpy(array: Any) -> Any:
    """As numpy would have it: a view of a memory map is a memory map."""
    base = array
    while isinstance(base, np.ndarray):
        if isinstance(base, np.memmap):
            return array.view(np.memmap)
        base = base.base
    return bare(array)


class Operators:  # noqa: PLW1641 - arrays have no hash
    """The operators of two arrays that give a new one."""

    __add__ = _deferring("__add__")
    __sub__ = _deferring("__sub__")
    __mul__ = _deferring("__mul__")
    __matmul__ = _deferring("__matmul__")
    __truediv__ = _deferring("__truediv__")
    __floordiv__ = _deferring("__floordiv__")
    __mod__ = _deferring("__mod__")
    __divmod__ = _deferring("__divmod__")
    __pow__ = _deferring("__pow__")
    __and__ = _deferring("__and__")
    __or__ = _deferring("__or__")
    __xor__ = _deferring("__xor__")
    __lshift__ = _deferring("__lshift__")
    __rshift__ = _deferring("__rshift__")
    __lt__ = _deferring("__lt__")
    __le__ = _deferring("__le__")
    __eq__ = _deferring("__eq__")
    __ne__ = _deferring("__ne__")
    __gt__ = _deferring("__gt__")
    __ge__ = _deferring("__ge__")
