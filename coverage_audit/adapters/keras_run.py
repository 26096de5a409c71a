"""Keras in a script that runs unchanged: ``fit``, ``evaluate`` and the ``..._on_batch`` methods of every model.

The class that owns them is patched, so models that override one and call ``super()`` are recorded too. Generators are
wrapped as :func:`~coverage_audit.adapters.choice.wrap` does, PyDatasets, tf.data datasets and DataLoaders are followed
(:mod:`~coverage_audit.adapters.feed`), and the call gets the callback that tells trained steps. Where anything of this
fails, the call goes on as it was made.
"""

from __future__ import annotations

import functools
import inspect
import sys
import types
import weakref
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import numpy as np

from coverage_audit.adapters import keras_pydataset, tf_data, torch_run
from coverage_audit.adapters.feed import FEEDS, Feed
from coverage_audit.adapters.keras import callback_of
from coverage_audit.adapters.session import Session
from coverage_audit.recorder.proxy import GeneratorProxy, LoaderProxy, SegmentIterator
from coverage_audit.recorder.writer import Writer

_proxies: weakref.WeakValueDictionary[int, LoaderProxy] = weakref.WeakValueDictionary()
"""The proxies that live, by the ids of their generators, which live as long."""

_installed: list[tuple[type, str, Any]] = []


def install(session: Session) -> None:
    """Record what models are trained and evaluated on into ``session``. Keras must be imported; doing it twice is
    doing it once."""
    if _installed:
        return
    model = sys.modules["keras"].Model
    for name, patch in (
        ("fit", _fit),
        ("evaluate", _evaluate),
        ("train_on_batch", _train_on_batch),
        ("test_on_batch", _test_on_batch),
    ):
        owner = next((kind for kind in model.__mro__ if name in vars(kind)), None)
        if owner is None:
            session.note(f"this version of Keras has no Model.{name}: nothing of it is recorded")
            continue
        original = vars(owner)[name]
        _installed.append((owner, name, original))
        setattr(owner, name, patch(session, original))
    keras_pydataset.install()


def uninstall() -> None:
    """Give every patched method back."""
    while _installed:
        owner, name, original = _installed.pop()
        setattr(owner, name, original)
    keras_pydataset.uninstall()


def _fit(session: Session, original: Callable[..., Any]) -> Callable[..., Any]:
    signature = inspect.signature(original)

    @functools.wraps(original)
    def fit(self: Any, *args: Any, **kwargs: Any) -> Any:
        with ExitStack() as stack:
            call = _prepared(session, signature, (self, *args), kwargs, stack, _prepare_fit)
            return original(*call.args, **call.kwargs)

    return fit


def _evaluate(session: Session, original: Callable[..., Any]) -> Callable[..., Any]:
    signature = inspect.signature(original)

    @functools.wraps(original)
    def evaluate(self: Any, *args: Any, **kwargs: Any) -> Any:
        if kwargs.get("_use_cached_eval_dataset"):  # inside a fit, which hands on what it was given
            return original(self, *args, **kwargs)
        with ExitStack() as stack:
            call = _prepared(session, signature, (self, *args), kwargs, stack, _prepare_evaluation)
            return original(*call.args, **call.kwargs)

    return evaluate


def _train_on_batch(session: Session, original: Callable[..., Any]) -> Callable[..., Any]:
    return _on_batch(session, original, "train")


def _test_on_batch(session: Session, original: Callable[..., Any]) -> Callable[..., Any]:
    return _on_batch(session, original, "validation")


def _on_batch(session: Session, original: Callable[..., Any], split: str) -> Callable[..., Any]:
    """Each call is one step on the batch it is given; unless a loader recorded by name yields the batches."""
    signature = inspect.signature(original)

    @functools.wraps(original)
    def on_batch(self: Any, *args: Any, **kwargs: Any) -> Any:
        result = original(self, *args, **kwargs)
        try:
            recorder = None if session.options.loaders else session.recorder(split)
            if recorder is not None:
                given = signature.bind(self, *args, **kwargs).arguments
                # By name, so that numbers in plain lists are not taken for row ids.
                recorder.step({name: given[name] for name in ("x", "y") if given.get(name) is not None})
        except Exception as error:  # noqa: BLE001 - recording must not end a training run, whatever fails in it
            session.fail(error)
        return result

    return on_batch


@dataclass(frozen=True, slots=True)
class _Call:
    """How a method is called, its own object first."""

    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]


def _prepared(
    session: Session,
    signature: inspect.Signature,
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    stack: ExitStack,
    prepare: Callable[[Session, Any, dict[str, Any], ExitStack], None],
) -> _Call:
    """The call with what records it; as it was made where that fails, or where its arguments are wrong, which Keras is
    to say itself."""
    try:
        call = signature.bind(*args, **kwargs)
    except TypeError:
        return _Call(args, kwargs)
    try:
        prepare(session, args[0], call.arguments, stack)
    except Exception as error:  # noqa: BLE001 - recording must not end a training run, whatever fails in it
        session.fail(error)
        return _Call(args, kwargs)
    return _Call(call.args, call.kwargs)


def _prepare_fit(session: Session, model: Any, given: dict[str, Any], stack: ExitStack) -> None:
    facts = {"steps_per_epoch": _count(given.get("steps_per_epoch")), "epochs": _count(given.get("epochs"))}
    x, held_out = given.get("x"), given.get("validation_data")
    train = _recorded(session, model, x, "train", facts)
    if train is None and (given.get("y") is not None or hasattr(x, "shape")):
        session.pass_over("fit on arrays", "Keras itself takes every row once an epoch")
    # One object in both places could not be told apart, and its steps in training matter more.
    same = train is not None and held_out is x
    validation = None if same else _recorded(session, model, held_out, "validation", {})
    train = _unless_in_threads(session, given, "_async_train", train)
    validation = _unless_in_threads(session, given, "_async_test", validation)
    if train is not None and train.feed is not None and given.get("class_weight") is not None:
        train.feed.prompt = False  # Keras puts a map and a prefetch behind it
    _hand_in(given, "x", train, stack)
    _hand_in(given, "validation_data", validation, stack)
    _add_callback(given, model, train, validation, stack)


def _prepare_evaluation(session: Session, model: Any, given: dict[str, Any], stack: ExitStack) -> None:
    validation = _recorded(session, model, given.get("x"), "validation", {})
    validation = _unless_in_threads(session, given, "_async_test", validation)
    _hand_in(given, "x", validation, stack)
    _add_callback(given, model, None, validation, stack)


@dataclass(frozen=True, slots=True)
class _Recorded:
    """What a call gets in the place of a loader, and the log it goes to; ``feed`` for what Keras iterates itself."""

    loader: Any
    writer: Writer
    feed: Feed | None = None


def _recorded(session: Session, model: Any, data: Any, split: str, facts: Mapping[str, Any]) -> _Recorded | None:
    """None for what is no loader, and for a split or a loader that is not recorded."""
    if issubclass(type(data), LoaderProxy | SegmentIterator):
        return _named(session, data, split, facts)
    if isinstance(data, types.GeneratorType):
        proxy = _proxies.get(id(data))
        if proxy is None:
            proxy = session.wrap(data, split, **facts)
        if not issubclass(type(proxy), LoaderProxy):
            return None
        _proxies[id(data)] = proxy
        writer = proxy.recorder.stream.writer
        return None if writer is None else _Recorded(proxy, writer)
    for name, kind in _FOLLOWED.items():
        if kind.takes(data):
            return _followed(session, model, data, split, facts, name)
    return None


def _named(session: Session, data: Any, split: str, facts: Mapping[str, Any]) -> _Recorded | None:
    """A generator that is recorded by name gets its callback; what the script wraps itself is the script's."""
    if not (session.options.loaders and issubclass(type(data), GeneratorProxy)):
        return None
    recorder = session.recorder(split, **facts)
    if recorder is None or data.recorder is not recorder or recorder.stream.writer is None:
        return None
    return _Recorded(data, recorder.stream.writer)


_FOLLOWED: dict[str, Any] = {"PyDataset": keras_pydataset, "tf.data.Dataset": tf_data, "DataLoader": torch_run}


def _followed(
    session: Session, model: Any, data: Any, split: str, facts: Mapping[str, Any], name: str
) -> _Recorded | None:
    """What Keras iterates itself; said once where it cannot be followed."""
    if getattr(model, "_distribute_strategy", None) is not None:
        session.pass_over(f"a {name}", "tf.distribute takes its batches apart")
        return None
    recorder = session.recorder(split, **facts)
    if recorder is None or recorder.stream.writer is None:
        return None
    followed: tuple[Any, Feed] | str = _FOLLOWED[name].follow(data, recorder.stream)
    if isinstance(followed, str):
        session.pass_over(f"a {name}", followed)
        return None
    return _Recorded(followed[0], recorder.stream.writer, followed[1])


def _hand_in(given: dict[str, Any], name: str, recorded: _Recorded | None, stack: ExitStack) -> None:
    if recorded is None:
        return
    given[name] = recorded.loader
    if recorded.feed is not None:
        FEEDS.add(recorded.feed)
        stack.callback(FEEDS.remove, recorded.feed)


def _add_callback(
    given: dict[str, Any], model: Any, train: _Recorded | None, validation: _Recorded | None, stack: ExitStack
) -> None:
    """Ours goes first: it has told of a step when another one ends the training there."""
    recorded = train or validation
    if recorded is None:
        return
    callback = callback_of(recorded.writer, *(None if r is None else r.feed for r in (train, validation)))
    keras, callbacks = sys.modules["keras"], given.get("callbacks")
    if isinstance(callbacks, keras.callbacks.CallbackList):  # it is used as it is
        callback.set_params(callbacks.params)
        callback.set_model(model)
        callbacks.callbacks.insert(0, callback)
        stack.callback(callbacks.callbacks.remove, callback)
    else:
        given["callbacks"] = [callback, *(keras.tree.flatten(callbacks) if callbacks else ())]


def _unless_in_threads(
    session: Session, given: Mapping[str, Any], kind: str, recorded: _Recorded | None
) -> _Recorded | None:
    """None where a CallbackList of the script's own calls back from threads, in any order."""
    if recorded is None or not getattr(given.get("callbacks"), kind, False):
        return recorded
    session.pass_over("a CallbackList that calls back from threads", "it does not say when a step is done")
    return None


def _count(value: Any) -> int | None:
    return int(value) if isinstance(value, int | np.integer) and not isinstance(value, bool) and value > 0 else None
