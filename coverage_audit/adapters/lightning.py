"""Lightning: what ``Trainer.fit`` trains on and evaluates, which weights it saves, and which it goes on from.

Whatever a Trainer does it tells its callbacks, all through one function of a module, and that is listened to; nothing
is added to the Trainer. A batch is trained on when its ``on_train_batch_end`` comes; a check of validation before the
fit (``num_sanity_val_steps``) is no evaluation of the data. Loaders that a Trainer makes of recorded ones, to give each
process its share, go on to be recorded.
"""

from __future__ import annotations

import functools
import inspect
import math
import sys
import weakref
from collections.abc import Callable
from types import ModuleType
from typing import Any

from coverage_audit.adapters import torch_data, torch_fit
from coverage_audit.adapters.accelerate import of_loader
from coverage_audit.recorder.recorder import Recorder
from coverage_audit.recorder.writer import warn

_done: dict[str, list[str]] = {}
"""What was found when the hooks were to be put in place, by the package: it has two names."""


class _Life:
    """What goes on in one Trainer."""

    def __init__(self) -> None:
        self.fit: torch_fit.Fit | None = None
        self.evaluation: torch_fit.Evaluation | None = None
        self.evaluated: list[Recorder | None] = []


_lives: weakref.WeakKeyDictionary[Any, _Life] = weakref.WeakKeyDictionary()


def install(module: ModuleType) -> list[str]:
    """Put the hooks in place, once; returns what is not as they need it, and then none is put."""
    package = module.__name__.removesuffix(".trainer.call")
    if package not in _done:
        parts = {
            "call": module,
            "data": sys.modules.get(f"{package}.trainer.connectors.data_connector"),
            "trainer": sys.modules.get(f"{package}.trainer.trainer"),
            "evaluation": sys.modules.get(f"{package}.loops.evaluation_loop"),
        }
        if None in parts.values():
            return []  # it is being imported
        moved = _done[package] = _moved_parts(**parts)
        if moved:
            warn(
                f"this version of {package} works otherwise than those that are known ({', '.join(moved)}): what its "
                "Trainer takes out of wrapped loaders is counted, not what it trains on"
            )
        else:
            _install(**parts)
    return _done[package]


def _moved_parts(call: Any, data: Any, trainer: Any, evaluation: Any) -> list[str]:
    wanted: dict[str, tuple[Any, list[str]]] = {
        "_call_callback_hooks": (call, ["trainer", "hook_name"]),
        "_update_dataloader": (data, ["dataloader"]),
        "save_checkpoint": (getattr(trainer, "Trainer", None), ["self", "filepath"]),
        "reset": (getattr(evaluation, "_EvaluationLoop", None), ["self"]),
    }
    moved = []
    for name, (owner, parameters) in wanted.items():
        function = getattr(owner, name, None)
        if function is None or [*inspect.signature(function).parameters][: len(parameters)] != parameters:
            moved.append(name)
    return moved


def _install(call: Any, data: Any, trainer: Any, evaluation: Any) -> None:
    hooks, update = call._call_callback_hooks, data._update_dataloader
    save, reset = trainer.Trainer.save_checkpoint, evaluation._EvaluationLoop.reset

    @functools.wraps(hooks)
    def _call_callback_hooks(trainer: Any, hook_name: str, *args: Any, **kwargs: Any) -> Any:
        before = _BEFORE.get(hook_name)
        if before is not None:
            _quietly(before, trainer, *args)
        result = hooks(trainer, hook_name, *args, **kwargs)
        after = _AFTER.get(hook_name)
        if after is not None:
            _quietly(after, trainer)
        return result

    @functools.wraps(update)
    def _update_dataloader(dataloader: Any, *args: Any, **kwargs: Any) -> Any:
        made = update(dataloader, *args, **kwargs)
        known = of_loader(dataloader)
        if known is not None and made is not dataloader:
            torch_data.take_over(made, known.recorder)
        return made

    @functools.wraps(save)
    def save_checkpoint(self: Any, filepath: Any, *args: Any, **kwargs: Any) -> Any:
        result = save(self, filepath, *args, **kwargs)
        _quietly(lambda: torch_fit.saved(_recorders(self.fit_loop), filepath))
        return result

    @functools.wraps(reset)
    def reset_loop(self: Any) -> Any:
        for known in _known(self):
            known.plan.muted = bool(self.trainer.sanity_checking)
        return reset(self)

    call._call_callback_hooks, data._update_dataloader = _call_callback_hooks, _update_dataloader
    trainer.Trainer.save_checkpoint, evaluation._EvaluationLoop.reset = save_checkpoint, reset_loop


def _fit_begins(trainer: Any) -> None:
    recorders = _recorders(trainer.fit_loop)
    if not recorders:
        return
    path = getattr(trainer, "ckpt_path", None)
    if path:
        torch_fit.restored(recorders, path)
    steps = trainer.num_training_batches
    pulled = getattr(getattr(trainer.fit_loop, "_data_fetcher", None), "batches", ())
    _life(trainer).fit = torch_fit.Fit(
        recorders,
        steps=None if math.isinf(steps) else int(steps),
        epochs=trainer.max_epochs if trainer.max_epochs is not None and trainer.max_epochs > 0 else None,
        taken=len(pulled),
    )


def _batch_begins(trainer: Any, *_: Any) -> None:
    fit = _life(trainer).fit
    if fit is not None:
        fit.epoch(int(trainer.current_epoch))  # an epoch that is gone on with has no beginning of its own


def _batch_over(trainer: Any, *_: Any) -> None:
    fit = _life(trainer).fit
    if fit is not None:
        fit.stepped()


def _epoch_over(trainer: Any) -> None:
    fit = _life(trainer).fit
    if fit is not None:
        loop = trainer.fit_loop.epoch_loop
        fit.epoch_end(whole=bool(loop.batch_progress.is_last_batch) or loop._num_ready_batches_reached())


def _fit_over(trainer: Any) -> None:
    life = _life(trainer)
    fit, life.fit = life.fit, None
    if fit is not None:
        fit.end()


def _failed(trainer: Any, *_: Any) -> None:
    _evaluation_over(trainer)
    _fit_over(trainer)


def _evaluation_begins(trainer: Any) -> None:
    life, loop = _life(trainer), trainer._active_loop
    loop = getattr(getattr(loop, "epoch_loop", None), "val_loop", loop)
    known = [] if trainer.sanity_checking else _known(loop)
    life.evaluated = [None if k is None else k.recorder for k in map(of_loader, _loaders(loop))]
    life.evaluation = torch_fit.Evaluation([k.recorder for k in known], in_fit=life.fit is not None) if known else None


def _evaluated(trainer: Any, _outputs: Any = None, _batch: Any = None, _index: int = 0, which: int = 0) -> None:
    life = _life(trainer)
    if life.evaluation is not None and which < len(life.evaluated):
        life.evaluation.stepped(life.evaluated[which])


def _evaluation_over(trainer: Any) -> None:
    life = _life(trainer)
    evaluation, life.evaluation = life.evaluation, None
    if evaluation is not None:
        evaluation.end()


_BEFORE: dict[str, Callable[..., None]] = {
    "on_train_start": _fit_begins,
    "on_train_batch_start": _batch_begins,
    "on_train_batch_end": _batch_over,  # callbacks save checkpoints when they hear of it
    "on_train_epoch_end": _epoch_over,
    "on_validation_start": _evaluation_begins,
    "on_validation_batch_end": _evaluated,
    "on_validation_end": _evaluation_over,
    "on_test_start": _evaluation_begins,
    "on_test_batch_end": _evaluated,
    "on_test_end": _evaluation_over,
    "on_exception": _failed,
}
_AFTER: dict[str, Callable[..., None]] = {"on_train_end": _fit_over}
"""ModelCheckpoint may save once more when training ends."""


def _life(trainer: Any) -> _Life:
    return _lives.setdefault(trainer, _Life())


def _loaders(loop: Any) -> list[Any]:
    return list(getattr(getattr(loop, "_combined_loader", None), "flattened", None) or ())


def _known(loop: Any) -> list[torch_data.Recorded]:
    return [known for loader in _loaders(loop) if (known := of_loader(loader)) is not None]


def _recorders(loop: Any) -> list[Recorder]:
    return [known.recorder for known in _known(loop)]


def _quietly(tell: Callable[..., None], *args: Any) -> None:
    """Recording must not end a training run, whatever fails in it."""
    try:
        tell(*args)
    except Exception as error:  # noqa: BLE001 - as said
        warn(f"what Lightning does is not recorded any more as it should be ({type(error).__name__}: {error})")
