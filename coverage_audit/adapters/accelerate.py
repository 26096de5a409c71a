"""accelerate: the loader that ``prepare()`` makes of a recorded one, or that was prepared before it is wrapped.

A prepared loader holds a DataLoader made of the parts of the one it was given, which goes on to be recorded, batch by
batch as the loop gets them: it is one batch ahead of its loop. What it was made of is told by the call that makes it.
``save_state`` and ``load_state`` are checkpoints. Where a loader of process 0 is read for all (``dispatch_batches``),
batches are known by what they hold.
"""

from __future__ import annotations

import functools
import inspect
import sys
import types
from collections.abc import Callable
from typing import Any

from coverage_audit.adapters import torch_data, torch_fit, torch_trainers
from coverage_audit.adapters.choice import loaded
from coverage_audit.adapters.plain import wrap_plain
from coverage_audit.adapters.torch_held import Handing, HeldStream
from coverage_audit.errors import UsageError
from coverage_audit.recorder.recorder import Recorder
from coverage_audit.recorder.writer import warn

_MODULE = "accelerate.data_loader"
_MAKERS = ("prepare_data_loader", "skip_first_batches")
"""Functions that make a loader of their argument ``dataloader``."""
_AHEAD = {"DataLoaderShard": 1, "DataLoaderDispatcher": 1, "SkipDataLoader": 0}
"""How many batches the loaders of these classes have pulled beyond the one they give."""

_moved: list[str] | None = None
"""What was found when the hooks were to be put in place; None before."""


def takes(loader: Any) -> bool:
    """Whether this is a prepared loader. Raises :class:`UsageError` (wrapped-twice) for one that is recorded."""
    kind = loaded(_MODULE, "DataLoaderAdapter")
    if kind is None or not issubclass(type(loader), kind):
        return False
    if torch_data.recorded(loader.base_dataloader) is not None:
        raise UsageError("this DataLoader is recorded already: wrap it once", slug="wrapped-twice")
    return True


def adapt(loader: Any, recorder: Recorder) -> Any:
    """Record what this prepared loader hands out from now on, and give it back."""
    moved = install(sys.modules[_MODULE])
    if moved:
        return wrap_plain(loader, recorder)
    torch_data.take_over(loader.base_dataloader, recorder, held=True)
    if torch_data.recorded(loader.base_dataloader) is None:
        return wrap_plain(loader, recorder)
    torch_trainers.install()
    return loader


def install(module: types.ModuleType) -> list[str]:
    """Put the hooks in place, once; returns what is not as they need it, and then none is put."""
    global _moved  # noqa: PLW0603 - there is one accelerate
    if _moved is None:
        _moved = _moved_parts(module)
        if _moved:
            warn(
                f"this version of accelerate works otherwise than those that are known ({', '.join(_moved)}): loaders "
                "are not followed through accelerator.prepare(); wrap what it returns"
            )
        else:
            _follow_makers(module)
            for name in _AHEAD:
                _follow_batches(getattr(module, name))
            _follow_states(sys.modules.get("accelerate.accelerator"))
    return _moved


def _moved_parts(module: Any) -> list[str]:
    moved = []
    for name in _MAKERS:
        code = getattr(inspect.unwrap(getattr(module, name, install)), "__code__", None)
        if code is None or code.co_varnames[:1] != ("dataloader",):
            moved.append(name)
    asked = {"DataLoaderShard": "base_dataloader", "DataLoaderDispatcher": "_fetch_batches"}
    for name in _AHEAD:
        method = vars(getattr(module, name, object)).get("__iter__")
        names = () if method is None else method.__code__.co_names
        if method is None or not inspect.isgeneratorfunction(method) or asked.get(name, "base_dataloader") not in names:
            moved.append(f"{name}.__iter__")
    if not hasattr(getattr(module, "DataLoaderAdapter", None), "__init__"):
        moved.append("DataLoaderAdapter")
    return moved


def _follow_makers(module: Any) -> None:
    """Know what a loader is made of when it is made."""
    kind, skipping = module.DataLoaderAdapter, module.SkipBatchSampler
    original, original_skipping = kind.__init__, skipping.__init__

    @functools.wraps(original)
    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **kwargs)
        source = _source()
        if source is not None:
            torch_data.take_over(self.base_dataloader, source.recorder, held=True)

    @functools.wraps(original_skipping)
    def __init_skipping__(self: Any, *args: Any, **kwargs: Any) -> None:
        original_skipping(self, *args, **kwargs)
        source = _source()
        if source is not None:
            torch_data.made_of[self] = source

    kind.__init__, skipping.__init__ = __init__, __init_skipping__


def _source() -> torch_data.Recorded | None:
    """The recorded loader that a loader is being made of: the argument of the function that makes it."""
    frame: types.FrameType | None = sys._getframe(2)
    for _ in range(4):
        if frame is None:
            return None
        if frame.f_code.co_name in _MAKERS and frame.f_globals.get("__name__") == _MODULE:
            return of_loader(frame.f_locals.get("dataloader"))
        frame = frame.f_back
    return None


def of_loader(loader: Any) -> torch_data.Recorded | None:
    """What is known of a recorded loader, prepared or not; None for any other."""
    known = torch_data.recorded(loader)
    base = vars(loader).get("base_dataloader") if known is None and hasattr(loader, "__dict__") else None
    return known if base is None else torch_data.recorded(base)


def _follow_batches(kind: Any) -> None:
    """Know which batch goes to the loop."""
    original, ahead = kind.__iter__, _AHEAD[kind.__name__]

    @functools.wraps(original)
    def __iter__(self: Any) -> Any:
        batches = original(self)
        known = torch_data.recorded(self.base_dataloader)
        if known is None or not isinstance(known.plan.stream, HeldStream):
            return batches
        mixes = kind.__name__ == "DataLoaderDispatcher" and self.state.num_processes > 1
        return Handing(known.plan.stream, ahead=ahead, mixes=mixes).follow(batches)

    kind.__iter__ = __iter__


def _follow_states(module: Any) -> None:
    """Know which states are saved and loaded."""
    for name, told in (("save_accelerator_state", torch_fit.saved), ("load_accelerator_state", torch_fit.restored)):
        original = getattr(module, name, None)
        if original is not None and "dataloaders" in inspect.signature(original).parameters:
            setattr(module, name, _telling(original, told))


def _telling(original: Callable[..., Any], told: Callable[..., None]) -> Callable[..., Any]:
    signature = inspect.signature(original)

    @functools.wraps(original)
    def state(*args: Any, **kwargs: Any) -> Any:
        result = original(*args, **kwargs)
        given = signature.bind(*args, **kwargs).arguments
        loaders = given.get("dataloaders") or ()
        folder = next(iter(given.values()))
        told([known.recorder for loader in loaders if (known := of_loader(loader)) is not None], folder)
        return result

    return state
