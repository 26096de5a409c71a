"""Loaders that can be resumed: when their state is taken, and when an iterator has got to where it goes on."""

from __future__ import annotations

import contextlib
import functools
import sys
import weakref
from collections.abc import Callable
from typing import Any

from coverage_audit.adapters import torch_iterators

_with_makers: weakref.WeakSet[type] = weakref.WeakSet()


def hear_makers(kind: type, saved: Callable[[Any, Any], None], lock: contextlib.AbstractContextManager[Any]) -> None:
    """Have the classes of loaders tell that make iterators in a way of their own, once. ``saved``: called with a loader
    and the state that was taken of it."""
    base = sys.modules["torch.utils.data.dataloader"].DataLoader
    for owner in kind.__mro__:
        if owner is not base and issubclass(owner, base) and "_get_iterator" in vars(owner):
            with lock:
                if owner not in _with_makers:
                    _with_makers.add(owner)
                    setattr(owner, "_get_iterator", _telling_when_made(vars(owner)["_get_iterator"]))  # noqa: B010
                    if "state_dict" in vars(owner):
                        told = _telling_when_saved(vars(owner)["state_dict"], saved)
                        setattr(owner, "state_dict", told)  # noqa: B010


def _telling_when_made(original: Callable[[Any], Any]) -> Callable[[Any], Any]:
    @functools.wraps(original)
    def _get_iterator(self: Any) -> Any:
        iterator = original(self)
        watch = torch_iterators.watch_of(iterator)
        if watch is not None:
            watch.building = False
        return iterator

    return _get_iterator


def _telling_when_saved(original: Callable[[Any], Any], saved: Callable[[Any, Any], None]) -> Callable[[Any], Any]:
    @functools.wraps(original)
    def state_dict(self: Any) -> Any:
        state = original(self)
        saved(self, state)
        return state

    return state_dict
