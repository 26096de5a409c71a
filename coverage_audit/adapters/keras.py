# ruff: noqa: ARG002 - the arguments of the callbacks are those that Keras calls them with
"""Keras: a callback that tells trained steps from yields.

``fit`` peeks at two batches of a generator, replays them before each stream it takes up, prefetches far ahead, and
drops what is left. So a yield says little about training; the callback's begin and end of batches, together with the
segments of the proxy, say all. Each ``iter()`` by Keras is known by the frame that calls it: nothing is patched.
"""

from __future__ import annotations

import functools
import sys
import types
import weakref
from typing import Any, Protocol

from coverage_audit.errors import UsageError
from coverage_audit.model.event import MarkKind
from coverage_audit.recorder.proxy import GeneratorProxy, LoaderProxy
from coverage_audit.recorder.trainer import Trainer
from coverage_audit.recorder.writer import Writer, warn

_ADAPTER = "keras.src.trainers.data_adapters.generator_data_adapter"

_peekers: weakref.WeakValueDictionary[int, Any] = weakref.WeakValueDictionary()
"""The adapters that peeked at something wrapped, by their ids, for as long as they live."""


class Followed(Protocol):
    """A loader that Keras iterates by itself, without a peek."""

    def begin(self, adapter: Any) -> None:
        """A loop over ``adapter`` begins: from here on, what it takes out of the loader is that loop's."""

    def lose(self) -> None:
        """A loop over it has begun, and nothing tells its adapter."""


def who_iterates(frame: types.FrameType) -> tuple[int | None, bool]:
    """Whether Keras calls ``iter()``: (the adapter that does, whether it only peeks). (None, False) for others."""
    if frame.f_globals.get("__name__") != _ADAPTER:
        return None, False
    if frame.f_code.co_name != "peek_and_restore":
        adapter = frame.f_locals.get("self")
        return (None if adapter is None else id(adapter)), False
    caller = frame.f_back
    adapter = None if caller is None else caller.f_locals.get("self")
    if adapter is None:
        return None, True
    _peekers[id(adapter)] = adapter
    return id(adapter), True


def loop_over(frame: types.FrameType | None) -> int | None:
    """What the nearest ``fit`` or ``evaluate`` above ``frame`` iterates: its adapter, as :func:`who_iterates` names it.

    0 where that never peeked at anything wrapped; None where no such loop is found.
    """
    adapter = adapter_above(frame)
    if adapter is None:
        return None
    return id(adapter) if _peekers.get(id(adapter)) is adapter else 0


def adapter_above(frame: types.FrameType | None) -> Any:
    """The adapter that the nearest ``fit`` or ``evaluate`` above ``frame`` iterates; None where none is found."""
    while frame is not None:
        if frame.f_code.co_name in ("fit", "evaluate") and "epoch_iterator" in frame.f_locals:
            return getattr(frame.f_locals["epoch_iterator"], "data_adapter", None)
        frame = frame.f_back
    return None


def peeks_are_known() -> bool:
    """Whether this version of Keras peeks where :func:`who_iterates` looks."""
    return hasattr(sys.modules.get(_ADAPTER), "peek_and_restore")


def make_callback(proxy: LoaderProxy) -> Any:
    """A ``keras.callbacks.Callback`` for the log of ``proxy``; imports Keras.

    Raises :class:`UsageError` (not-a-generator) for loaders that Keras does not take as generators.
    """
    if not issubclass(type(proxy), GeneratorProxy):
        raise UsageError(
            f"callback() of a {type(proxy._audit_inner).__name__}: trained steps are told for generators only; wrap "
            "(batch for batch in loader), or call .recorder.step() in a loop of your own",
            slug="not-a-generator",
        )
    return callback_of(proxy.recorder.stream.writer)


def callback_of(writer: Writer | None, trained: Followed | None = None, evaluated: Followed | None = None) -> Any:
    """A ``keras.callbacks.Callback`` for this log; imports Keras.

    ``trained``, ``evaluated``: what the one call of ``fit`` or ``evaluate`` that it is for iterates by itself.
    """
    return _callback_class()(None if writer is None else _trainer(writer), trained, evaluated)


def _loop(trainer: Trainer, loader: Followed | None, frame: types.FrameType) -> int | None:
    """What the loop that begins at ``frame`` iterates; if that is a followed loader, it counts as a peek at nothing."""
    if loader is not None:
        adapter = adapter_above(frame)
        if adapter is None:
            loader.lose()
        else:
            _peekers[id(adapter)] = adapter
            loader.begin(adapter)
            return id(adapter)
    return loop_over(frame) if trainer.peeks_known else None


def _trainer(writer: Writer) -> Trainer:
    with writer.lock:
        if writer.trainer is None:
            known = peeks_are_known()
            if not known:
                warn(
                    "this version of Keras does not peek at generators where coverage-audit looks; which batches were "
                    "trained is told from the order of events, and left unknown where that leaves two readings"
                )
            writer.trainer = Trainer(writer, peeks_known=known)
        trainer: Trainer = writer.trainer
        return trainer


@functools.cache
def _callback_class() -> type[Any]:
    import keras

    class CoverageCallback(keras.callbacks.Callback):  # type: ignore[misc]
        """Writes what ``fit`` and ``evaluate`` consume into the log of a wrapped generator.

        A deep copy records into the same log; a pickled one, in another process, does nothing.
        """

        def __init__(
            self, trainer: Trainer | None, trained: Followed | None = None, evaluated: Followed | None = None
        ) -> None:
            super().__init__()
            self._trainer = trainer
            self._trained = trained
            self._evaluated = evaluated

        def __deepcopy__(self, memo: dict[int, Any]) -> CoverageCallback:
            return type(self)(self._trainer)

        def __reduce__(self) -> tuple[Any, ...]:
            return _inert, ()

        def on_train_begin(self, logs: Any = None) -> None:
            frame = sys._getframe(1)
            self._tell(lambda t: t.train_begin(self, _loop(t, self._trained, frame)))

        def on_train_end(self, logs: Any = None) -> None:
            self._tell(lambda t: t.train_end(self))

        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            self._tell(lambda t: t.epoch(self, MarkKind.EPOCH_BEGIN, epoch))

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            self._tell(lambda t: t.epoch(self, MarkKind.EPOCH_END, epoch))

        def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
            self._tell(lambda t: t.batch_begin(self, t.fit, batch))

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            self._tell(lambda t: t.batch_end(self, t.fit, batch))

        def on_test_begin(self, logs: Any = None) -> None:
            frame = sys._getframe(1)
            self._tell(lambda t: t.test_begin(self, _loop(t, self._evaluated, frame)))

        def on_test_end(self, logs: Any = None) -> None:
            self._tell(lambda t: t.test_end(self))

        def on_test_batch_begin(self, batch: int, logs: Any = None) -> None:
            self._tell(lambda t: t.batch_begin(self, t.evaluation, batch))

        def on_test_batch_end(self, batch: int, logs: Any = None) -> None:
            self._tell(lambda t: t.batch_end(self, t.evaluation, batch))

        def on_predict_begin(self, logs: Any = None) -> None:
            self._tell(lambda t: t.predict_begin())

        def _tell(self, what: Any) -> None:
            trainer = self._trainer
            if trainer is not None and trainer.writer.recording:
                try:
                    with trainer.writer.lock:
                        what(trainer)
                except Exception as error:  # noqa: BLE001 - as writer.guard(), which costs more between cold caches
                    trainer.writer.fail(error)

    return CoverageCallback


def _inert() -> Any:
    return _callback_class()(None)
