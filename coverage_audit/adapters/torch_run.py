"""torch's DataLoader in a script that runs unchanged: each batch that reaches the loop, and what optimizers make of it.

``DataLoader.__iter__`` is patched once, so loaders that override it and call ``super()`` are recorded too, and those
that do not are left alone. The iterator that comes out behaves as the one it stands for. Which loader trains is told
by a hook on the steps of all optimizers (:mod:`~coverage_audit.adapters.torch_loop`); inside ``keras.Model.fit`` it is
told by Keras (:mod:`~coverage_audit.adapters.feed`).
"""

from __future__ import annotations

import atexit
import functools
import sys
import weakref
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from coverage_audit.adapters.choice import loaded
from coverage_audit.adapters.feed import FEEDS, Feed
from coverage_audit.adapters.session import Session
from coverage_audit.adapters.torch_iteration import Iteration, Pattern
from coverage_audit.adapters.torch_loop import Loop
from coverage_audit.recorder.proxy import Delegate
from coverage_audit.recorder.stream import Stream

_OURSELVES = __name__.partition(".")[0]

_AHEAD = {"accelerate": 1}
"""Packages that pull batches before the loop asks for them, and how many."""

_set = object.__setattr__


@dataclass(slots=True)
class _Installed:
    session: Session
    original: Any
    hook: Any
    loop: Loop | None = None
    train: Stream | None = None


_installed: list[_Installed] = []
_patterns: weakref.WeakKeyDictionary[Any, Pattern] = weakref.WeakKeyDictionary()


def install(session: Session) -> None:
    """Record what DataLoaders give to training loops into ``session``. torch must be imported; doing it twice is doing
    it once."""
    if _installed:
        return
    loader = sys.modules["torch"].utils.data.DataLoader
    register = getattr(sys.modules.get("torch.optim.optimizer"), "register_optimizer_step_post_hook", None)
    if register is None:
        session.note("this version of torch does not tell of the steps of optimizers: DataLoaders are not recorded")
        return
    original = loader.__iter__

    @functools.wraps(original)
    def __iter__(self: Any) -> Any:
        inner = original(self)
        try:
            return _iterated(self, inner, sys._getframe(1).f_globals.get("__name__", ""))
        except Exception as error:  # noqa: BLE001 - recording must not end a training run, whatever fails in it
            session.fail(error)
            return inner

    loader.__iter__ = __iter__
    _installed.append(_Installed(session, original, register(_stepped)))
    atexit.register(finish)


def uninstall() -> None:
    """Give the method back, and take the hook off."""
    finish()
    atexit.unregister(finish)
    while _installed:
        installed = _installed.pop()
        sys.modules["torch"].utils.data.DataLoader.__iter__ = installed.original
        installed.hook.remove()


def finish() -> None:
    """Training is over: what was pulled and waits for a step is written down as not trained on."""
    for installed in _installed:
        if installed.loop is not None:
            try:
                installed.loop.finish()
            except Exception as error:  # noqa: BLE001 - at exit nobody catches
                installed.session.fail(error)


def takes(data: Any) -> bool:
    """Whether this is a DataLoader of torch."""
    kind = loaded("torch", "utils.data.DataLoader")
    return kind is not None and isinstance(data, kind)


def follow(data: Any, stream: Stream) -> tuple[Any, Feed] | str:
    """For Keras: the loader as it is, and its feed; or why it cannot be followed."""
    if not _installed:
        return "torch was not there to be looked into"
    return data, Feed(data, stream)


def record(iterator: Any, *, loader: Any = None, length: int | None = None, rows: int | None = None) -> Any:
    """``iterator`` with each of its batches told to the loop that optimizers step in; itself if nothing is recorded.

    ``loader``: what it comes from, told apart by identity; ``length``, ``rows``: how many batches and rows it has.
    """
    loop = _loop()
    if loop is None:
        return iterator
    pattern = Pattern() if loader is None else _patterns.setdefault(loader, Pattern())
    return RecordedIterator(iterator, loop, Iteration(pattern, iterator, rows=rows, length=length))


def _iterated(loader: Any, inner: Any, caller: str) -> Any:
    """What the caller gets: the recorded iterator, or the plain one where somebody else tells of it."""
    package = caller.partition(".")[0]
    if package == _OURSELVES:
        return inner
    length = _length(loader)
    if package == "keras":
        feed = FEEDS.of(loader)
        # Before the loop Keras looks at batches of an iterator of its own.
        return inner if feed is None or feed.standing or feed.owner is None else feed.follow(inner, length)
    loop = _loop()
    if loop is None:
        return inner
    pattern = _patterns.setdefault(loader, Pattern())
    told = Iteration(pattern, inner, rows=_length(loader.dataset), length=length, ahead=_AHEAD.get(package, 0))
    return RecordedIterator(inner, loop, told)


def _loop() -> Loop | None:
    """The loop of this session; its log is opened with the first loader."""
    installed = _installed[0] if _installed else None
    if installed is None:
        return None
    recorder = installed.session.recorder("train")
    if recorder is None or recorder.stream.writer is None:
        return None
    if installed.loop is None or installed.train is not recorder.stream or not installed.loop.is_here:
        held_out = installed.session.recorder("validation")
        installed.train = recorder.stream
        installed.loop = Loop(recorder.stream, None if held_out is None else held_out.stream)
    return installed.loop


def _stepped(optimizer: Any, *_: Any) -> None:
    """Called by torch after each step of each optimizer."""
    for installed in _installed:
        if installed.loop is not None:
            try:
                installed.loop.stepped(id(optimizer))
            except Exception as error:  # noqa: BLE001 - recording must not end a training run, whatever fails in it
                installed.session.fail(error)


def _length(sized: Any) -> int | None:
    """How many there are; None where that cannot be told (and IterableDatasets only guess)."""
    dataset = getattr(sized, "dataset", sized)
    iterable = loaded("torch", "utils.data.IterableDataset")
    if iterable is not None and isinstance(dataset, iterable):
        return None
    try:
        return len(sized)
    except Exception:  # noqa: BLE001 - a user's __len__ may raise anything
        return None


class RecordedIterator(Delegate):
    """Behaves as the iterator it stands for, and tells a loop of each batch."""

    _audit_loop: Loop
    _audit_told: Iteration

    def __init__(self, inner: Any, loop: Loop, told: Iteration) -> None:
        _set(self, "_audit_inner", inner)
        _set(self, "_audit_loop", loop)
        _set(self, "_audit_told", told)
        loop.begin(told)

    def __iter__(self) -> Iterator[Any]:
        return self

    def __len__(self) -> int:
        return len(self._audit_inner)

    def __next__(self) -> Any:
        try:
            batch = next(self._audit_inner)
        except BaseException as error:
            over = isinstance(error, StopIteration)
            self._audit_end("exhausted" if over else "failed", None if over else error)
            raise
        try:
            gradients = sys.modules["torch"].is_grad_enabled()
            return self._audit_loop.take(self._audit_told, batch, gradients=gradients)
        except Exception as error:  # noqa: BLE001 - recording must not end a training run, whatever fails in it
            _fail(error)
            return batch

    def __del__(self) -> None:
        self._audit_loop.leave(self._audit_told)

    def _audit_end(self, how: str, error: BaseException | None = None) -> None:
        try:
            self._audit_loop.end(self._audit_told, how, error)
        except Exception as failure:  # noqa: BLE001 - as in __next__
            _fail(failure)


def _fail(error: Exception) -> None:
    for installed in _installed:
        installed.session.fail(error)
