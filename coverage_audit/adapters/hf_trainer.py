"""transformers' Trainer: the steps and epochs of ``train()``, which weights it saves, and which it goes on from.

Its loader is one that accelerate prepared (:mod:`~coverage_audit.adapters.accelerate`). Whatever a Trainer does it
tells its callbacks, all through one method of their handler, and that is listened to; nothing is added to the Trainer.
Each batch of accumulated gradients is a step of ours.
"""

from __future__ import annotations

import functools
import inspect
import os
import weakref
from collections.abc import Callable
from types import ModuleType
from typing import Any

from coverage_audit.adapters import torch_fit
from coverage_audit.adapters.accelerate import of_loader
from coverage_audit.recorder.recorder import Recorder
from coverage_audit.recorder.writer import warn

_moved: list[str] | None = None
"""What was found when the hooks were to be put in place; None before."""

_resumed: weakref.WeakKeyDictionary[Any, Any] = weakref.WeakKeyDictionary()
"""By the handler of a Trainer's callbacks: the checkpoint its training goes on from."""
_fits: weakref.WeakKeyDictionary[Any, torch_fit.Fit] = weakref.WeakKeyDictionary()


def install(module: ModuleType) -> list[str]:
    """Put the hooks in place, once; returns what is not as they need it, and then none is put."""
    global _moved  # noqa: PLW0603 - there is one transformers
    trainer, handler = getattr(module, "Trainer", None), getattr(module, "CallbackHandler", None)
    if _moved is None and (trainer is not None or handler is None):
        _moved = _moved_parts(trainer, handler)
        if _moved:
            warn(
                f"this version of transformers works otherwise than those that are known ({', '.join(_moved)}): what "
                "its Trainer takes out of wrapped loaders is counted, not what it trains on"
            )
        else:
            _install(trainer, handler)
    return _moved or []


def _moved_parts(trainer: Any, handler: Any) -> list[str]:
    wanted: dict[str, tuple[Any, set[str]]] = {
        "_inner_training_loop": (trainer, {"resume_from_checkpoint"}),
        "call_event": (handler, {"event", "args", "state", "control"}),
    }
    return [
        name
        for name, (owner, parameters) in wanted.items()
        if not hasattr(owner, name) or parameters - {*inspect.signature(getattr(owner, name)).parameters}
    ]


def _install(trainer: Any, handler: Any) -> None:
    train, call = trainer._inner_training_loop, handler.call_event
    signature = inspect.signature(train)

    @functools.wraps(train)
    def _inner_training_loop(self: Any, *args: Any, **kwargs: Any) -> Any:
        given = signature.bind(self, *args, **kwargs).arguments.get("resume_from_checkpoint")
        handler = self.callback_handler
        _resumed[handler] = given
        try:
            return train(self, *args, **kwargs)
        finally:
            _quietly(_over, handler)  # also where it failed

    @functools.wraps(call)
    def call_event(self: Any, event: str, args: Any, state: Any, control: Any, **kwargs: Any) -> Any:
        tell = _TOLD.get(event)
        if tell is not None:
            _quietly(tell, self, args, state, control)
        return call(self, event, args, state, control, **kwargs)

    trainer._inner_training_loop, handler.call_event = _inner_training_loop, call_event


def _begins(handler: Any, args: Any, state: Any, _: Any) -> None:
    recorders = _recorders(handler)
    if not recorders:
        return
    path = _resumed.get(handler)
    if path is not None:
        torch_fit.restored(recorders, path)
    try:
        steps: int | None = len(handler.train_dataloader)
    except TypeError:
        steps = None
    epochs = int(state.num_train_epochs) if steps is not None and not args.max_steps > 0 else None
    _fits[handler] = torch_fit.Fit(recorders, steps=steps, epochs=epochs)


def _step_begins(handler: Any, _args: Any, state: Any, _: Any) -> None:
    fit = _fits.get(handler)
    if fit is not None:
        # The share of the epoch that is done, from what it counted: it may be a little short of a whole.
        fit.epoch(int((state.epoch or 0) + 1e-6))


def _stepped(handler: Any, *_: Any) -> None:
    fit = _fits.get(handler)
    if fit is not None:
        fit.stepped()


def _epoch_over(handler: Any, _args: Any, _state: Any, control: Any) -> None:
    fit = _fits.get(handler)
    if fit is not None:
        fit.epoch_end(whole=not control.should_training_stop or fit.is_exhausted)


def _saved(handler: Any, args: Any, state: Any, _: Any) -> None:
    torch_fit.saved(_recorders(handler), os.path.join(args.output_dir, f"checkpoint-{state.global_step}"))


def _over(handler: Any) -> None:
    fit = _fits.pop(handler, None)
    if fit is not None:
        fit.end()


_TOLD: dict[str, Callable[..., None]] = {
    "on_train_begin": _begins,
    "on_step_begin": _step_begins,
    "on_substep_end": _stepped,
    "on_step_end": _stepped,
    "on_epoch_end": _epoch_over,
    "on_save": _saved,
}


def _recorders(handler: Any) -> list[Recorder]:
    known = of_loader(handler.train_dataloader)
    return [] if known is None else [known.recorder]


def _quietly(tell: Callable[..., None], *args: Any) -> None:
    """Recording must not end a training run, whatever fails in it."""
    try:
        tell(*args)
    except Exception as error:  # noqa: BLE001 - as said
        warn(f"what the Trainer does is not recorded any more as it should be ({type(error).__name__}: {error})")
