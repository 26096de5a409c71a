"""Generators, iterators, and whatever else can be iterated."""

from __future__ import annotations

import inspect
from typing import Any

from coverage_audit.adapters.keras import make_callback, who_iterates
from coverage_audit.errors import UsageError
from coverage_audit.recorder.proxy import LoaderProxy, wrap_loader
from coverage_audit.recorder.recorder import Recorder


def wrap_plain(loader: Any, recorder: Recorder) -> LoaderProxy:
    """The proxy of a loader that :func:`require_iterable` let pass."""
    return wrap_loader(loader, recorder, who_iterates, make_callback)


def require_iterable(loader: Any) -> None:
    """Raise :class:`UsageError` (not-iterable) if nothing can be pulled from ``loader``."""
    if isinstance(loader, LoaderProxy):
        raise UsageError("the loader is wrapped already: wrap the original loader once", slug="wrapped-twice")
    if isinstance(loader, str | bytes):
        raise UsageError(
            f"{str(loader)[:60]!r} is text, not a loader: wrap the loader that yields the batches", slug="not-iterable"
        )
    if hasattr(type(loader), "__iter__") or hasattr(type(loader), "__getitem__"):
        return
    if inspect.isgeneratorfunction(loader):
        remedy = f"call it: wrap({loader.__name__}(...), ...)"
    elif hasattr(type(loader), "__next__"):
        remedy = "give its class an __iter__ that returns self"
    else:
        remedy = "wrap what yields the batches: a generator, an iterator or an iterable"
    raise UsageError(
        f"{repr(loader)[:60]} of type {type(loader).__name__} cannot be iterated: {remedy}", slug="not-iterable"
    )
