"""Hooks on the iterators of recorded DataLoaders, and on no others.

An iterator of torch learns its loader in ``_BaseDataLoaderIter.__init__``. There one of a recorded loader is made an
instance of a subclass of its own class, made here, that passes every call on and tells a
:class:`~coverage_audit.adapters.torch_watch.Watch`: which index the sampler gave, which task it became, which task came
back from which worker, and what is handed out.
"""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable
from typing import Any

from coverage_audit.adapters.torch_watch import Watch

Prepare = Callable[[Any, Any], None]
"""Called with (iterator, loader) before the iterator does anything; does not raise."""

_made: dict[type, type] = {}


def moved_hooks() -> list[str]:
    """Which of the private methods are not what these hooks were written for, by name; [] where all are."""
    module: Any = sys.modules["torch.utils.data.dataloader"]
    wanted: dict[str, dict[str, tuple[list[str], set[str]]]] = {
        "_BaseDataLoaderIter": {
            "__init__": (["self", "loader"], {"_collate_fn", "_sampler_iter"}),
            "_next_index": (["self"], {"_sampler_iter"}),
            "__next__": (["self"], {"_next_data"}),
        },
        "_SingleProcessDataLoaderIter": {"_next_data": (["self"], {"_next_index", "fetch"})},
        "_MultiProcessingDataLoaderIter": {
            "_reset": (["self", "loader", "first_iter"], {"_send_idx", "_task_info", "_try_put_index"}),
            "_try_put_index": (["self"], {"_next_index", "_send_idx", "_task_info"}),
            "_next_data": (["self"], {"_process_data", "_task_info"}),
            "_process_data": (["self", "data", "worker_idx"], {"_try_put_index"}),
        },
    }
    moved = []
    for owner, methods in wanted.items():
        for name, (parameters, names) in methods.items():
            method = vars(getattr(module, owner, object)).get(name)
            code = None if method is None else getattr(inspect.unwrap(method), "__code__", None)
            if (
                method is None
                or code is None
                or list(inspect.signature(method).parameters) != parameters
                or names - {*code.co_names}
            ):
                moved.append(f"{owner}.{name}")
    return moved


def install(prepare: Prepare) -> None:
    """Call ``prepare`` for each iterator that is made from now on. To be called once, if no hook has moved."""
    base = sys.modules["torch.utils.data.dataloader"]._BaseDataLoaderIter
    original = base.__init__

    @functools.wraps(original)
    def __init__(self: Any, loader: Any) -> None:
        original(self, loader)
        prepare(self, loader)

    base.__init__ = __init__


def adopt(iterator: Any, watch: Watch) -> None:
    """From now on ``iterator`` tells ``watch``."""
    kind = type(iterator)
    if kind not in _made:
        _made[kind] = _watched(kind)
    iterator._audit_watch = watch
    iterator.__class__ = _made[kind]


def watch_of(iterator: Any) -> Watch | None:
    """The watch of an iterator; None where it has none."""
    watch = getattr(iterator, "__dict__", {}).get("_audit_watch")
    return watch if isinstance(watch, Watch) else None


def _watched(kind: type) -> type:
    """The subclass of an iterator's class that tells."""
    base: Any = kind

    def _next_index(self: Any) -> Any:
        index = base._next_index(self)
        self._audit_watch.given(index)
        return index

    def __next__(self: Any) -> Any:
        try:
            data = base.__next__(self)
        except BaseException as error:
            self._audit_watch.over(error)
            raise
        return self._audit_watch.took(data)

    def _reset(self: Any, loader: Any, first_iter: bool = False, **more: Any) -> Any:
        self._audit_watch.begin(first=first_iter)
        return base._reset(self, loader, first_iter, **more)

    def _try_put_index(self: Any) -> Any:
        task = self._send_idx
        result = base._try_put_index(self)
        if self._send_idx != task:
            self._audit_watch.sent(task)
        return result

    def _process_data(self: Any, data: Any, worker: int, *more: Any) -> Any:
        self._audit_watch.arrived(self._task_info, worker)
        return base._process_data(self, data, worker, *more)

    methods: dict[str, Any] = {"_next_index": _next_index, "__next__": __next__, "_reset": _reset}
    if hasattr(kind, "_process_data"):
        methods |= {"_try_put_index": _try_put_index, "_process_data": _process_data}
    return type(kind.__name__, (kind,), {"__module__": kind.__module__, "__doc__": kind.__doc__, **methods})
