"""Keras: which weights a fit saves and loads, from the model's own ``save``, ``save_weights`` and ``load_weights``.

``ModelCheckpoint``, ``BackupAndRestore`` and callbacks of one's own all go through these methods, so for the time of a
fit they are replaced on the one model that is fitted, and call the original first. Checkpoints are told by the path as
it was given.
"""

from __future__ import annotations

import functools
import sys
import types
from collections.abc import Callable
from typing import Any

from coverage_audit.model.event import MarkKind
from coverage_audit.recorder.trainer import Trainer

_SAVES, _LOADS = ("save", "save_weights"), ("load_weights",)
_BATCH_ENDS = ("on_train_batch_end", "on_batch_end")


class Checkpoints:
    """Watches one model for one log. Nothing here raises for a fault of recording."""

    def __init__(self, trainer: Trainer, model: Any) -> None:
        self._trainer = trainer
        self._model = model
        self._hooks: dict[str, Any] = {}
        self.due: list[str] = []
        self._failed: set[str] = set()
        self._loaded = False

    def install(self) -> None:
        """Replace the methods on the model; hooks of this log that a fit left behind by an exception give way."""
        for name in (*_SAVES, *_LOADS):
            original, before = getattr(self._model, name, None), vars(self._model).get(name)
            if original is None:
                continue
            if getattr(original, "_audit_trainer", None) is self._trainer:
                original, before = original.__wrapped__, original._audit_before
            hook = self._hook(original, self._saved if name in _SAVES else self._restored)
            hook._audit_trainer, hook._audit_before = self._trainer, before
            self._hooks[name] = (hook, before)
            object.__setattr__(self._model, name, hook)  # past Keras, which tracks what it is given

    def uninstall(self) -> None:
        """Give the methods back."""
        for name, (hook, before) in self._hooks.items():
            if vars(self._model).get(name) is not hook:
                continue  # somebody else put theirs over it
            if before is None:
                object.__delattr__(self._model, name)
            else:
                object.__setattr__(self._model, name, before)
        self._hooks.clear()

    def step_told(self) -> None:
        """The steps of a batch have been written: now come the checkpoints saved at its end."""
        due, self.due = self.due, []
        for tag in due:
            self._mark(MarkKind.CHECKPOINT, tag)

    def training_begun(self, frame: types.FrameType) -> None:
        """The first epoch begins. Where nothing was there to restore, the weights of a restart are new ones."""
        writer = self._trainer.writer
        if self._loaded or writer.log.attempt == 0 or any(split.consumed for split in writer.splits):
            return
        steps = getattr(getattr(self._model, "optimizer", None), "iterations", None)
        if _restores_backups(frame) and steps is not None and int(steps) == 0:
            self._mark(MarkKind.RESTORED, None)

    def _hook(self, original: Callable[..., Any], told: Callable[[str, bool], None]) -> Any:
        @functools.wraps(original)
        def hooked(*args: Any, **kwargs: Any) -> Any:
            path = kwargs.get("filepath", args[0] if args else None)
            try:
                result = original(*args, **kwargs)
            except BaseException:
                self._tell(told, path, False)
                raise
            self._tell(told, path, True)
            return result

        return hooked

    def _tell(self, told: Callable[[str, bool], None], path: Any, done: bool) -> None:
        with self._trainer.writer.guard():  # a path of the user's own kind may be unable to say what it is
            told(str(path), done)

    def _saved(self, path: str, done: bool) -> None:
        if not done:
            return
        fit = self._trainer.fit
        if fit is not None and fit.began is not None and _at_batch_end(sys._getframe(1)):
            self.due.append(path)  # our callback has not been told of this batch yet: its step comes first
        else:
            self._mark(MarkKind.CHECKPOINT, path)

    def _restored(self, path: str, done: bool) -> None:
        if not done:
            self._failed.add(path)
            return
        self._loaded = True
        # After a failure BackupAndRestore loads the backup before this one from the very same path.
        self._mark(MarkKind.RESTORED, f"{path}.bkp" if path in self._failed else path)

    def _mark(self, kind: MarkKind, tag: str | None) -> None:
        writer = self._trainer.writer
        if writer.recording:
            with writer.guard():
                writer.mark(kind, "", tag=tag)


def _at_batch_end(frame: types.FrameType | None) -> bool:
    """Whether a callback is being told that a batch has been trained on."""
    while frame is not None and frame.f_code.co_name != "fit":
        if frame.f_code.co_name in _BATCH_ENDS:
            return True
        frame = frame.f_back
    return False


def _restores_backups(frame: types.FrameType) -> bool:
    """Whether a ``BackupAndRestore`` is among the callbacks of the list that is calling."""
    kind = sys.modules["keras"].callbacks.BackupAndRestore
    callbacks = getattr(frame.f_locals.get("self"), "callbacks", None) or ()
    return any(isinstance(callback, kind) for callback in callbacks)
