"""The dull wrapper: behaves as the loader it wraps, and tells a stream what passes.

Each ``iter()`` opens a *segment* with an iterator of its own, so that what an old prefetch thread still pulls is never
taken for part of a new iteration. No batch is pulled that nobody asked for, none is held back, none is reordered.
"""

from __future__ import annotations

import sys
import types
from collections.abc import Callable
from typing import Any, NoReturn

from coverage_audit.recorder.recorder import Recorder
from coverage_audit.recorder.segment import Segment
from coverage_audit.recorder.stream import Stream

Opener = Callable[[types.FrameType], tuple[int | None, bool]]
"""Tells from the frame that called ``iter()`` who asks: (owner or None, whether it only peeks)."""

_set = object.__setattr__


class Delegate:
    """Everything that is not recorded goes to the wrapped object; ``isinstance`` sees that object's class."""

    _audit_inner: Any

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        return self._audit_inner.__class__

    def __getattr__(self, name: str) -> Any:
        return getattr(self._audit_inner, name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._audit_inner, name, value)

    def __delattr__(self, name: str) -> None:
        delattr(self._audit_inner, name)

    def __bool__(self) -> bool:
        return bool(self._audit_inner)

    def __repr__(self) -> str:
        return f"<recorded {self._audit_inner!r}>"

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        raise TypeError(
            f"cannot pickle a recorded {type(self._audit_inner).__name__}: wrap the loader in the process that iterates"
        )


class _Pulls(Delegate):
    """An iterator that tells of each batch."""

    _audit_stream: Stream
    _audit_segment: Segment

    def __next__(self) -> Any:
        try:
            batch = next(self._audit_inner)
        except BaseException as error:
            self._audit_over(error)
            raise
        return self._audit_stream.take(self._audit_segment, batch)

    def _audit_over(self, error: BaseException) -> None:
        if isinstance(error, StopIteration):
            self._audit_stream.end(self._audit_segment, "exhausted")
        else:
            self._audit_stream.end(self._audit_segment, "failed", error)


class _Generates(_Pulls):
    """The rest of a generator's methods."""

    def send(self, value: Any) -> Any:
        return self._audit_resume(self._audit_inner.send, value)

    def throw(self, *args: Any) -> Any:
        return self._audit_resume(self._audit_inner.throw, *args)

    def close(self) -> None:
        segment = self._audit_begun()
        self._audit_inner.close()
        if segment is not None:
            self._audit_stream.end(segment, "closed")

    def _audit_begun(self) -> Segment | None:
        return self._audit_segment

    def _audit_resume(self, method: Callable[..., Any], *args: Any) -> Any:
        try:
            batch = method(*args)
        except BaseException as error:
            self._audit_over(error)
            raise
        return self._audit_stream.take(self._audit_segment, batch)


class SegmentIterator(_Pulls):
    """One iteration. Taken up again after it has begun, it is a new segment, as a trainer's replay is."""

    _audit_proxy: LoaderProxy

    def __init__(self, inner: Any, segment: Segment, proxy: LoaderProxy) -> None:
        _set(self, "_audit_inner", inner)
        _set(self, "_audit_stream", proxy._audit_stream)
        _set(self, "_audit_segment", segment)
        _set(self, "_audit_proxy", proxy)

    @property
    def recorder(self) -> Recorder:
        """As :attr:`LoaderProxy.recorder`."""
        return self._audit_proxy.recorder

    def callback(self) -> Any:
        """As :meth:`LoaderProxy.callback`."""
        return self._audit_proxy.callback()

    def __iter__(self) -> Any:
        segment, frame = self._audit_segment, sys._getframe(1)
        # The usual iter(iter(loader)) is one iteration, unless another one began in between.
        fresh = segment.yields == 0 and segment.ended is None and self._audit_stream.split.last is segment
        if fresh and self._audit_proxy._audit_opener(frame) == (None, False):
            return self
        again = self._audit_proxy._audit_open(frame, self._audit_inner, pass_=segment.pass_)
        _set(again, "_audit_stream", self._audit_stream)  # an adapter's own, of this iteration, goes on
        return again


class GeneratorSegment(_Generates, SegmentIterator):
    """One iteration of a generator."""


class LoaderProxy(Delegate):
    """Around what can be iterated again and again. ``recorder`` and ``callback()`` are what it has on top."""

    _audit_recorder: Recorder
    _audit_stream: Stream
    _audit_opener: Opener
    _audit_callback: Callable[[LoaderProxy], Any]
    _audit_tells_passes = True
    _audit_last: Segment | None = None

    def __init__(self, inner: Any, recorder: Recorder, opener: Opener, callback: Callable[[LoaderProxy], Any]) -> None:
        _set(self, "_audit_inner", inner)
        _set(self, "_audit_recorder", recorder)
        _set(self, "_audit_stream", recorder.stream)
        _set(self, "_audit_opener", opener)
        _set(self, "_audit_callback", callback)

    @property
    def recorder(self) -> Recorder:
        """The recorder of this loader's split: epochs, steps, checkpoints, ``close()``."""
        return self._audit_recorder

    def callback(self) -> Any:
        """A Keras callback that tells trained steps from mere yields: pass it to ``fit`` and ``evaluate``."""
        return self._audit_callback(self)

    def __iter__(self) -> Any:
        return self._audit_open(sys._getframe(1), iter(self._audit_inner))

    def _audit_open(self, frame: types.FrameType, inner: Any, pass_: int | None = None) -> Any:
        stream = self._audit_stream
        owner, is_peek = self._audit_opener(frame)
        told_pass = self._audit_tells_passes and pass_ is None
        segment = stream.open(told_pass=told_pass, pass_=-1 if pass_ is None else pass_, owner=owner, is_peek=is_peek)
        _set(self, "_audit_last", segment)
        kind = GeneratorSegment if isinstance(inner, types.GeneratorType) else SegmentIterator
        return kind(inner, segment, self)


class IteratorProxy(LoaderProxy, _Pulls):
    """Around an iterator: ``next()`` of the proxy itself is a segment too, opened when first used."""

    _audit_tells_passes = False
    _audit_direct: Segment | None = None

    @property
    def _audit_segment(self) -> Segment:  # type: ignore[override]
        if self._audit_direct is None:
            _set(self, "_audit_direct", self._audit_stream.open(told_pass=False))
            _set(self, "_audit_last", self._audit_direct)
            assert self._audit_direct is not None
        return self._audit_direct


class GeneratorProxy(IteratorProxy, _Generates):
    """Around a generator; closing it ends its last segment."""

    def _audit_begun(self) -> Segment | None:
        return self._audit_last


def wrap_loader(
    loader: Any,
    recorder: Recorder,
    opener: Opener,
    callback: Callable[[LoaderProxy], Any],
    kind: type[LoaderProxy] | None = None,
) -> LoaderProxy:
    """The proxy for this loader: ``kind``, else a generator's, an iterator's, or that of something that can be iterated
    again."""
    if kind is not None:
        pass
    elif isinstance(loader, types.GeneratorType):
        kind = GeneratorProxy
    elif hasattr(type(loader), "__next__"):
        kind = IteratorProxy
    else:
        kind = LoaderProxy
    # Not hasattr: each class is itself callable, through its own class.
    has = tuple(
        name
        for name in _PASSED_ON
        if name not in vars(kind) and any(name in vars(base) for base in type(loader).__mro__)
    )
    if has and (kind, has) not in _classes:
        _classes[kind, has] = type(kind.__name__, (kind,), {name: _passing_on(name) for name in has})
    return (_classes[kind, has] if has else kind)(loader, recorder, opener, callback)


# Python looks these up on the class, so a proxy's class has those that the wrapped class has, and no other.
_PASSED_ON = ("__len__", "__length_hint__", "__getitem__", "__contains__", "__call__", "__enter__", "__exit__")


_classes: dict[tuple[type[LoaderProxy], tuple[str, ...]], type[LoaderProxy]] = {}


def _passing_on(name: str) -> Callable[..., Any]:
    def method(self: LoaderProxy, *args: Any, **kwargs: Any) -> Any:
        inner = self._audit_inner
        answer = getattr(inner, name)(*args, **kwargs)
        return self if name == "__enter__" and answer is inner else answer

    method.__name__ = name
    return method
