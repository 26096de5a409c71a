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
from typing import Any

from coverage_audit.adapters.feed import FEEDS, Feed
from coverage_audit.adapters.keras_checkpoints import Checkpoints
from coverage_audit.errors import UsageError
from coverage_audit.model.event import MarkKind
from coverage_audit.recorder.proxy import GeneratorProxy, LoaderProxy
from coverage_audit.recorder.trainer import Trainer
from coverage_audit.recorder.writer import Writer, warn

_ADAPTER = "keras.src.trainers.data_adapters.generator_data_adapter"

_BUILDERS = ("_symbolic_build", "_maybe_symbolic_build")

_peekers: weakref.WeakValueDictionary[int, Any] = weakref.WeakValueDictionary()
"""The adapters that peeked at something wrapped, by their ids, for as long as they live."""


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


def adapter_above(frame: types.FrameType | None, methods: tuple[str, ...] = ("fit", "evaluate")) -> Any:
    """The adapter that the nearest of these methods above ``frame`` iterates; None where none is found."""
    while frame is not None:
        if frame.f_code.co_name in methods and "epoch_iterator" in frame.f_locals:
            return getattr(frame.f_locals["epoch_iterator"], "data_adapter", None)
        frame = frame.f_back
    return None


def builds_a_model() -> bool:
    """Whether Keras is looking at a first batch now, in any thread, to build a model before the loop begins."""
    for top in sys._current_frames().values():
        frame: types.FrameType | None = top
        while frame is not None:
            if frame.f_code.co_name in _BUILDERS and frame.f_locals.get("iterator") is not None:
                return True
            frame = frame.f_back
    return False


def peeks_are_known() -> bool:
    """Whether this version of Keras peeks where :func:`who_iterates` looks."""
    return hasattr(sys.modules.get(_ADAPTER), "peek_and_restore")


def make_callback(proxy: LoaderProxy) -> Any:
    """A ``keras.callbacks.Callback`` for the log of ``proxy``; imports Keras.

    Raises :class:`UsageError` (not-a-generator) for loaders that Keras does not take as generators.
    """
    if not issubclass(type(proxy), GeneratorProxy):
        raise UsageError(
            f"callback() of a {type(proxy._audit_inner).__name__}: Keras trains on generators, PyDatasets and tf.data "
            "datasets; wrap (batch for batch in loader), or call .recorder.step() in a loop of your own",
            slug="not-a-generator",
        )
    return callback_of(proxy.recorder.stream.writer)


def callback_of(writer: Writer | None, trained: Feed | None = None, evaluated: Feed | None = None) -> Any:
    """A ``keras.callbacks.Callback`` for this log; imports Keras.

    ``trained``, ``evaluated``: what the one call of ``fit`` or ``evaluate`` that it is for iterates by itself.
    """
    return _callback_class()(None if writer is None else _trainer(writer), trained, evaluated)


def _loop(trainer: Trainer, loader: Feed | None, callback: Any, frame: types.FrameType) -> int | None:
    """What the loop that begins at ``frame`` iterates; if that is a followed loader, it counts as a peek at nothing."""
    adapter = adapter_above(frame)
    if loader is not None:
        if adapter is None:
            loader.lose()
        else:
            return _begin(loader, adapter)
    elif adapter is None:
        FEEDS.lose(trainer.writer)
    else:
        feed = FEEDS.wrapped(adapter, trainer.writer)
        if feed is not None:
            return _begin_wrapped(trainer, feed, callback, adapter)
    return loop_over(frame) if trainer.peeks_known else None


def _begin(feed: Feed, adapter: Any) -> int:
    _peekers[id(adapter)] = adapter
    feed.begin(adapter)
    return id(adapter)


def _begin_wrapped(trainer: Trainer, feed: Feed, callback: Any, adapter: Any) -> int:
    """As :func:`_begin`, unless steps on this loader are none of its split's, or cannot be told; then 0."""
    fit = trainer.fit
    if fit is not None and fit.params is callback.params and adapter is not feed.owner and feed.owner is not None:
        feed.refuse(adapter)  # one object trains and validates: its steps in training are what its split counts
        return 0
    why = feed.cannot_follow(adapter)
    if why is None and getattr(callback.model, "_distribute_strategy", None) is not None:
        why = "tf.distribute takes its batches apart"
    if why is not None:
        feed.lose(why)
        feed.refuse(adapter)
        return 0
    return _begin(feed, adapter)


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

        def __init__(self, trainer: Trainer | None, trained: Feed | None = None, evaluated: Feed | None = None) -> None:
            super().__init__()
            self._trainer = trainer
            self._trained = trained
            self._evaluated = evaluated
            self._checkpoints: Checkpoints | None = None

        def __deepcopy__(self, memo: dict[int, Any]) -> CoverageCallback:
            return type(self)(self._trainer)

        def __reduce__(self) -> tuple[Any, ...]:
            return _inert, ()

        def set_model(self, model: Any) -> None:
            super().set_model(model)
            trainer = self._trainer
            if trainer is not None and self._checkpoints is None:
                with trainer.writer.guard():
                    self._checkpoints = Checkpoints(trainer, model)
                    self._checkpoints.install()

        def on_train_begin(self, logs: Any = None) -> None:
            frame = sys._getframe(1)
            self._tell(lambda t: self._train_begin(t, frame))

        def on_train_end(self, logs: Any = None) -> None:
            self._tell(lambda t: t.train_end(self))
            self._over(sys._getframe(1))
            self._unwatch()

        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            checkpoints, frame = self._checkpoints, sys._getframe(1)
            if checkpoints is not None:
                self._tell(lambda _: checkpoints.training_begun(frame))
            self._tell(lambda t: t.epoch(self, MarkKind.EPOCH_BEGIN, epoch))

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            self._tell(lambda t: t.epoch(self, MarkKind.EPOCH_END, epoch))

        def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
            self._tell(lambda t: t.batch_begin(self, t.fit, batch))

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            self._tell(lambda t: t.batch_end(self, t.fit, batch))
            checkpoints = self._checkpoints
            if checkpoints is not None and checkpoints.due:
                self._tell(lambda _: checkpoints.step_told())

        def on_test_begin(self, logs: Any = None) -> None:
            frame = sys._getframe(1)
            self._tell(lambda t: t.test_begin(self, _loop(t, self._evaluated, self, frame)))

        def on_test_end(self, logs: Any = None) -> None:
            self._tell(lambda t: t.test_end(self))
            self._over(sys._getframe(1))
            if self._trainer is not None and self._trainer.fit is None:
                self._unwatch()

        def on_test_batch_begin(self, batch: int, logs: Any = None) -> None:
            self._tell(lambda t: t.batch_begin(self, t.evaluation, batch))

        def on_test_batch_end(self, batch: int, logs: Any = None) -> None:
            self._tell(lambda t: t.batch_end(self, t.evaluation, batch))

        def on_predict_begin(self, logs: Any = None) -> None:
            frame = sys._getframe(1)
            self._tell(lambda t: self._predict_begin(t, frame))

        def on_predict_end(self, logs: Any = None) -> None:
            frame = sys._getframe(1)
            self._tell(lambda t: FEEDS.over(t.writer, adapter_above(frame, ("predict",))))

        def _train_begin(self, trainer: Trainer, frame: types.FrameType) -> None:
            FEEDS.fit_begins(trainer.writer, adapter_above(frame))
            trainer.train_begin(self, _loop(trainer, self._trained, self, frame))

        def _predict_begin(self, trainer: Trainer, frame: types.FrameType) -> None:
            trainer.predict_begin()
            adapter = adapter_above(frame, ("predict",))
            feed = FEEDS.wrapped(adapter, trainer.writer)
            if feed is not None:
                feed.refuse(adapter)

        def _unwatch(self) -> None:
            checkpoints, self._checkpoints = self._checkpoints, None
            if checkpoints is not None:
                checkpoints.uninstall()

        def _over(self, frame: types.FrameType) -> None:
            """A wrapped loader is iterated by nobody's loop from here on."""
            if self._trained is None and self._evaluated is None:
                self._tell(lambda t: FEEDS.over(t.writer, adapter_above(frame)))

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
